package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Checkout says where a checkout keeps what git knows of it.
type Checkout struct {
	Top       string   // root of the work tree
	GitDir    string   // with the index
	CommonDir string   // with the objects and info/exclude; another one than GitDir for a worktree
	IDLength  int      // of its object ids
	Ignore    []string // files with patterns of what the user's git ignores everywhere
}

// Tracked returns the paths below a directory of a checkout that git tracks, or
// would track on "git add": what is neither tracked nor ignored counts as well.
// They are relative to the directory. The checkout's configuration is not read:
// it can name programs to run.
//
// Files that a sparse checkout leaves out are an error: a list without them
// would not hold for the commit.
func (g *Git) Tracked(ctx context.Context, c Checkout, dir string) (map[string]bool, error) {
	private, err := g.initRepository(c.IDLength)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	args := []string{"ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"}
	for _, file := range append(c.Ignore, filepath.Join(c.CommonDir, "info", "exclude")) {
		if isRegular(file) {
			args = append(args, "--exclude-from="+file)
		}
	}
	cmd := g.command(ctx, dir, dir, Access{}, args...)
	cmd.Env = append(cmd.Env, "GIT_DIR="+private, "GIT_WORK_TREE="+c.Top, "GIT_INDEX_FILE="+filepath.Join(c.GitDir, "index"),
		"GIT_OBJECT_DIRECTORY="+filepath.Join(c.CommonDir, "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES=", "GIT_ALLOW_PROTOCOL=")
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, &Error{dir, stderr.String(), err}
	}
	names := map[string]bool{}
	for line := range strings.SplitSeq(stdout.String(), "\x00") {
		tag, name, _ := strings.Cut(line, " ")
		if tag == "S" {
			return nil, fmt.Errorf("%s is tracked and left out of this sparse checkout; sign in a full one", name)
		}
		names[strings.TrimSuffix(name, "/")] = true
	}
	return names, nil
}

func isRegular(file string) bool {
	info, err := os.Lstat(file)
	return err == nil && info.Mode().IsRegular()
}
