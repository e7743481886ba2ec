package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// repository makes a repository with a tag, a branch that has the same name, and
// a commit that no ref names any more.
func repository(t *testing.T) (g *Git, dir string, run func(args ...string) string) {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git")
	}
	dir = t.TempDir()
	run = func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %s", args, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q", "-b", "main")
	for i, name := range []string{"one", "two", "three"} {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		run("add", "-A")
		run("commit", "-q", "-m", name)
		if i == 0 {
			run("tag", "-a", "-m", "x", "v1")
		}
		if i == 1 {
			run("branch", "v1")
			run("branch", "feature/x")
		}
	}
	return &Git{Program: program, Temp: t.TempDir()}, dir, run
}

func TestResolve(t *testing.T) {
	g, dir, run := repository(t)
	ctx := context.Background()
	head := run("rev-parse", "HEAD")
	for ref, want := range map[string]Ref{
		"":                      {Name: "HEAD", Commit: head},
		"HEAD":                  {Name: "HEAD", Commit: head},
		"main":                  {Name: "refs/heads/main", Commit: head},
		"heads/main":            {Name: "refs/heads/main", Commit: head},
		"refs/heads/main":       {Name: "refs/heads/main", Commit: head},
		"v1":                    {Name: "refs/tags/v1", Commit: run("rev-parse", "refs/tags/v1^{commit}")},
		"refs/heads/v1":         {Name: "refs/heads/v1", Commit: run("rev-parse", "refs/heads/v1")},
		"feature/x":             {Name: "refs/heads/feature/x", Commit: run("rev-parse", "refs/heads/v1")},
		head[:8]:                {Name: "", Commit: head},
		head:                    {Name: "", Commit: head},
		strings.Repeat("0", 40): {Name: "", Commit: strings.Repeat("0", 40)},
	} {
		got, err := g.Resolve(ctx, dir, ref)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", ref, got, err, want)
		}
	}
	for _, ref := range []string{"nosuch", "x", "deadbeef", "ain"} {
		if got, err := g.Resolve(ctx, dir, ref); !errors.Is(err, ErrNoRef) {
			t.Errorf("%q: %+v, %v", ref, got, err)
		}
	}
	var failed *Error
	if _, err := g.Resolve(ctx, filepath.Join(dir, "nosuch"), ""); !errors.As(err, &failed) {
		t.Error(err)
	}
	left, _ := os.ReadDir(g.Temp)
	if len(left) > 0 {
		t.Errorf("%d temporary repositories are left", len(left))
	}
}

func TestFetch(t *testing.T) {
	g, dir, run := repository(t)
	read := func(commit string) (string, error) {
		var data string
		err := g.Fetch(context.Background(), dir, commit, nil, func(s gitobject.Store) error {
			tree, err := gitobject.ReadTree(s, commit, gitobject.Limits{Files: 10, Bytes: 1000})
			if err == nil {
				e, _ := tree.Lookup("f")
				data = string(e.Data)
			}
			return err
		})
		return data, err
	}
	for ref, want := range map[string]string{"HEAD": "three", "refs/tags/v1^{commit}": "one"} {
		if got, err := read(run("rev-parse", ref)); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	// A tag is no commit; what does not exist is missing.
	if _, err := read(run("rev-parse", "refs/tags/v1")); err == nil {
		t.Error("a tag object passes for a commit")
	}
	var missing *gitobject.Error
	if _, err := read(strings.Repeat("1", 40)); !errors.As(err, &missing) {
		t.Error(err)
	}
	// A grafted or replaced object is not followed.
	head := run("rev-parse", "HEAD")
	run("replace", head, run("rev-parse", "HEAD~2"))
	if got, err := read(head); err != nil || got != "three" {
		t.Errorf("replaced: %q, %v", got, err)
	}
	left, _ := os.ReadDir(g.Temp)
	if len(left) > 0 {
		t.Errorf("%d temporary repositories are left", len(left))
	}
}

// TestCancel holds that a git that hangs ends with its context, its helpers
// too, and that the error says why.
func TestCancel(t *testing.T) {
	g, _, _ := repository(t)
	script := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 60 & sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.Program = script
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errors.New("no answer within 50ms"))
	defer cancel()
	_, err := g.Resolve(ctx, "https://example.com/x", "")
	if err == nil || !strings.Contains(err.Error(), "no answer within 50ms") || !strings.Contains(err.Error(), "example.com") {
		t.Error(err)
	}
}

// TestEnclosingRepository holds that a repository around the cache, which a
// committer can make of a few files, has no say.
func TestEnclosingRepository(t *testing.T) {
	g, dir, run := repository(t)
	evil := t.TempDir()
	for name, data := range map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\tbare = true\n[url \"/nowhere\"]\n\tinsteadOf = " + dir + "\n[submodule \"x\"]\n\tpath = x\n\turl = evil\n",
	} {
		if err := os.WriteFile(filepath.Join(evil, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.Temp = filepath.Join(evil, "tmp")
	if err := errors.Join(os.Mkdir(filepath.Join(evil, "objects"), 0o700), os.Mkdir(filepath.Join(evil, "refs"), 0o700), os.Mkdir(g.Temp, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(g.Program, "-C", g.Temp, "ls-remote", dir).CombinedOutput(); err == nil {
		t.Fatalf("the repository around it is none to git: %s", out)
	}
	ctx := context.Background()
	ref, err := g.Resolve(ctx, dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Refs(ctx, dir); err != nil {
		t.Error(err)
	}
	use := func(s gitobject.Store) error {
		_, err := gitobject.ReadTree(s, ref.Commit, gitobject.Limits{Files: 10, Bytes: 1000})
		return err
	}
	if err := g.Fetch(ctx, dir, ref.Commit, nil, use); err != nil {
		t.Error(err)
	}
	if err := g.History(ctx, dir, []Ref{{Name: "refs/heads/main", Commit: ref.Commit}}, nil, func(gitobject.Store) error { return nil }); err != nil {
		t.Error(err)
	}
	if modules, err := g.Modules(ctx, nil); err != nil || len(modules) > 0 {
		t.Errorf("%v, %v", modules, err)
	}
	if got := run("rev-parse", "main"); got != ref.Commit {
		t.Errorf("%s, want %s", ref.Commit, got)
	}
}

// TestSHA256 holds that repositories with longer ids are asked like others.
func TestSHA256(t *testing.T) {
	g, _, _ := repository(t)
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main", "--object-format=sha256"}, {"commit", "-q", "--allow-empty", "-m", "x"}} {
		cmd := exec.Command(g.Program, append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, out)
		}
	}
	ref, err := g.Resolve(context.Background(), dir, "main")
	if err != nil || len(ref.Commit) != 64 {
		t.Fatalf("%+v, %v", ref, err)
	}
	err = g.Fetch(context.Background(), dir, ref.Commit, nil, func(s gitobject.Store) error {
		_, err := gitobject.ReadTree(s, ref.Commit, gitobject.Limits{Files: 10, Bytes: 1000})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if refs, err := g.Refs(context.Background(), dir); err != nil || len(refs) != 1 {
		t.Errorf("%v, %v", refs, err)
	}
}

// TestFetchIsBounded holds that a fetch that writes without end is ended, and
// told of meanwhile.
func TestFetchIsBounded(t *testing.T) {
	g, _, _ := repository(t)
	script := filepath.Join(t.TempDir(), "git")
	const endless = `#!/bin/sh
case "$*" in
*fetch*) mkdir -p objects/pack; while :; do head -c 100000 /dev/zero >> objects/pack/tmp; sleep 0.01; done;;
esac
`
	if err := os.WriteFile(script, []byte(endless), 0o755); err != nil {
		t.Fatal(err)
	}
	g.Program, g.MaxBytes = script, 1<<20
	var most int64
	err := g.Fetch(context.Background(), "https://example.com/x", strings.Repeat("1", 40), func(n int64) { most = n }, func(gitobject.Store) error { return nil })
	var limit *gitobject.LimitError
	if !errors.As(err, &limit) || most < 1<<20 {
		t.Errorf("%v after %d bytes", err, most)
	}
}

// TestEnvironment holds that a child sees nothing but what was built for it.
func TestEnvironment(t *testing.T) {
	g, _, _ := repository(t)
	t.Setenv("SECRET", "hunter2")
	out := filepath.Join(t.TempDir(), "env")
	script := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nenv > "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.Program, g.Env = script, []string{"https_proxy=http://proxy"}
	_, _ = g.Resolve(context.Background(), "https://example.com/x", "")
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_ALLOW_PROTOCOL=https:ssh", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1", "https_proxy=http://proxy"} {
		if !strings.Contains(string(data), want+"\n") {
			t.Errorf("the environment lacks %s", want)
		}
	}
	if strings.Contains(string(data), "hunter2") || strings.Contains(string(data), "HOME="+os.Getenv("HOME")+"\n") {
		t.Errorf("the environment is not its own:\n%s", data)
	}
}

func TestErrorText(t *testing.T) {
	err := &Error{"https://h/r", "warning: x\nremote: evil \x1b[2J\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n", errors.New("exit 128")}
	const want = `git, from https://h/r: remote: evil \x1b[2J; fatal: Could not read from remote repository.`
	if err.Error() != want {
		t.Errorf("got %s", err)
	}
}
