package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Modules reads the content of a .gitmodules file with git's own parser: URLs
// as they are written, by the submodules' paths. A path that two submodules
// claim is an error.
func (g *Git) Modules(ctx context.Context, content []byte) (map[string]string, error) {
	dir, err := g.initRepository(40)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "modules")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	out, err := g.run(ctx, dir, dir, "config", "--null", "--no-includes", "--file", file, "--list")
	if err != nil {
		return nil, fmt.Errorf(".gitmodules: %w", err)
	}
	paths, urls := map[string]string{}, map[string]string{}
	for pair := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(pair, "\n")
		name, ok := strings.CutPrefix(key, "submodule.")
		if !ok {
			continue
		}
		if module, ok := strings.CutSuffix(name, ".path"); ok {
			paths[module] = filepath.Clean(value)
		}
		if module, ok := strings.CutSuffix(name, ".url"); ok {
			urls[module] = value
		}
	}
	modules := map[string]string{}
	for module, path := range paths {
		if _, twice := modules[path]; twice {
			return nil, fmt.Errorf(".gitmodules: two submodules claim the path %q", path)
		}
		modules[path] = urls[module]
	}
	return modules, nil
}
