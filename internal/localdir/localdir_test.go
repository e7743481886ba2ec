package localdir

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/trustomize/trustomize/internal/gitobject"
)

var roomy = gitobject.Limits{Files: 100, Bytes: 1000}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %s", args, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a", "d/b": "b", ".git/config": "not a source's", ".hidden": "h"})
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "l")), os.Chmod(filepath.Join(dir, "a"), 0o755)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub"), map[string]string{"x": "x"})
	git(t, filepath.Join(dir, "sub"), "init", "-q")
	git(t, filepath.Join(dir, "sub"), "add", "-A")
	git(t, filepath.Join(dir, "sub"), "commit", "-q", "-m", "x")
	tree, err := Read(dir, roomy)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tree.Entries() {
		got = append(got, string(e.Mode)+" "+e.Path+" "+string(e.Data))
	}
	want := "100644 .hidden h\n100755 a a\n100644 d/b b\n120000 l /etc/passwd\n160000 sub "
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if e, _ := tree.Lookup("sub"); e.Commit != git(t, filepath.Join(dir, "sub"), "rev-parse", "HEAD") {
		t.Errorf("submodule at %s", e.Commit)
	}
}

func TestReadRefuses(t *testing.T) {
	var limit *gitobject.LimitError
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "12345", "b": "12345"})
	if _, err := Read(dir, gitobject.Limits{Files: 1, Bytes: 100}); !errors.As(err, &limit) {
		t.Error(err)
	}
	if _, err := Read(dir, gitobject.Limits{Files: 10, Bytes: 9}); !errors.As(err, &limit) {
		t.Error(err)
	}
	if _, err := Read(dir, gitobject.Limits{Files: 2, Bytes: 10}); err != nil {
		t.Error(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir, roomy); err == nil || !strings.Contains(err.Error(), "neither a file") {
		t.Error(err)
	}
	if _, err := Read(filepath.Join(dir, "none"), roomy); err == nil {
		t.Error("what is not there was read")
	}
}

func TestRoot(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"repo/.git/HEAD": "x", "repo/a/b/f": "", "plain/x/f": ""})
	if err := os.Symlink("repo/a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string][2]string{
		"repo/a/b": {"repo", "a/b"}, "repo": {"repo", "."}, "link": {"repo", "a"}, "plain/x": {"plain/x", "."},
	} {
		root, rel, err := Root(filepath.Join(dir, from))
		if err != nil || root != filepath.Join(dir, want[0]) || rel != want[1] {
			t.Errorf("%s: %s %s %v", from, root, rel, err)
		}
	}
	for _, bad := range []string{"repo/a/b/f", "none"} {
		if _, _, err := Root(filepath.Join(dir, bad)); err == nil {
			t.Errorf("%s is a root", bad)
		}
	}
}

// TestHead reads what git made, as a checkout, a worktree, and with packed
// refs.
func TestHead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	write(t, dir, map[string]string{"a": "a"})
	git(t, dir, "init", "-q", "-b", "main")
	if head, err := Head(dir); err == nil || head.GitDir == "" {
		t.Errorf("without a commit: %+v, %v", head, err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "x")
	git(t, dir, "remote", "add", "other", "https://example.com/other/x")
	git(t, dir, "remote", "add", "origin", "git@example.com:acme/app.git")
	git(t, dir, "worktree", "add", "-q", "../tree", "-b", "side")
	want := git(t, dir, "rev-parse", "HEAD")
	check := func(where string) {
		t.Helper()
		head, err := Head(where)
		if err != nil || head.ID != want {
			t.Errorf("%+v, %v, want %s", head, err, want)
		}
		if _, err := os.Stat(filepath.Join(head.Objects(), "info")); err != nil {
			t.Error(err)
		}
	}
	check(dir)
	check(filepath.Join(dir, "../tree"))
	git(t, dir, "pack-refs", "--all")
	check(dir)
	git(t, dir, "checkout", "-q", "--detach")
	check(dir)
	if got := Origin(dir); got != "git@example.com:acme/app.git" {
		t.Errorf("origin %q", got)
	}
	for _, head := range []string{"ref: ../../../etc/passwd", "ref: refs/heads/../../../x", "ref: /etc/passwd", "garbage", ""} {
		if err := os.WriteFile(filepath.Join(dir, ".git/HEAD"), []byte(head), 0o644); err != nil {
			t.Fatal(err)
		}
		if h, err := Head(dir); err == nil {
			t.Errorf("%q: %+v", head, h)
		}
	}
	if _, err := Head(t.TempDir()); err == nil {
		t.Error("no .git, and a HEAD")
	}
}
