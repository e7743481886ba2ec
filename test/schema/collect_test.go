package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// collect returns the policies in the repository, by the place where each
// stands: files, members of txtar files, code in documents, and strings in Go.
func collect(t *testing.T) map[string]string {
	t.Helper()
	policies := map[string]string{}
	add := func(name, doc string) {
		if strings.Contains(doc, "apiVersion: trustomize.dev/") && strings.Contains(doc, "\nkind: Policy") {
			// What stands for something else is something that would do.
			policies[name] = strings.NewReplacer("$WORK", "/work", "MIRROR", "/mirror", "PORT", "3000").Replace(doc)
		}
	}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		switch filepath.Ext(file) {
		case ".yaml", ".yml", ".txtar", ".md", ".go":
		default:
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		split(t, name, data, add)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

func split(t *testing.T, name string, data []byte, add func(name, doc string)) {
	t.Helper()
	switch filepath.Ext(name) {
	case ".txtar":
		for _, f := range txtar.Parse(data).Files {
			add(name+"#"+f.Name, string(f.Data))
		}
	case ".md":
		for i, part := range strings.Split(string(data), "```") {
			if code, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
				add(fmt.Sprintf("%s#%d", name, i), code)
			}
		}
	case ".go":
		f, err := parser.ParseFile(token.NewFileSet(), name, data, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					add(fmt.Sprintf("%s@%d", name, lit.Pos()), s)
				}
			}
			return true
		})
	default:
		add(name, string(data))
	}
}
