// Package git runs the system's git to list refs and to fetch commits and
// histories.
//
// git serves as a transport alone: objects come out of a bare repository that
// is made for one fetch and thrown away, and are hashed again by gitobject.
// No file is checked out, so no filter, attribute or hook has a say. The child
// gets an environment built from nothing and a configuration that nobody else
// wrote; names that could be taken for options are refused before they get
// here and stand behind --end-of-options.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/refusal"
)

// Git runs one git program.
type Git struct {
	Program string   // absolute path
	Temp    string   // directory for repositories that live as long as a fetch
	Env     []string // what the operator passes on: proxies, certificates, the SSH agent

	// Access, when set, says what lets git in at a location.
	Access func(location string) (Access, error)

	// MaxBytes bounds what one fetch may write to disk; 0 is no bound.
	MaxBytes int64

	// SameGroup keeps children in this process' group, for whoever ends that
	// group as a whole; else each has one of its own.
	SameGroup bool

	// NoRedirects has git follow no redirect, not even the first one.
	NoRedirects bool
}

// ErrNoRef says that the repository has no such ref or commit.
var ErrNoRef = errors.New("no such branch, tag or commit")

// Ref is a ref that was looked up.
type Ref struct {
	Name   string // full name, such as refs/heads/main; "" for a commit id
	Commit string
	Tag    string // id of the tag object that points to the commit, where [Git.Refs] found one
}

// environment for a child whose home is dir. Protocols are limited to what a
// location may use; a redirect cannot leave them.
func (g *Git) environment(dir, location string) []string {
	allow := "https:ssh"
	switch {
	case isFile(location):
		allow = "file"
	case strings.HasPrefix(location, "http://"):
		allow = "http:https"
	}
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"HOME=" + dir,
		// Said, so that git looks for none: whoever can write above the cache
		// could have put one there, with a configuration.
		"GIT_DIR=" + dir,
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir),
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"GIT_ALLOW_PROTOCOL=" + allow,
		"GIT_SSH_COMMAND=ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o PermitLocalCommand=no",
	}, g.Env...)
}

func isFile(location string) bool {
	return strings.HasPrefix(location, "/") || strings.HasPrefix(location, "file://")
}

// settings are given with every call, before the verb.
var settings = []string{
	"-c", "safe.bareRepository=explicit",
	"-c", "core.hooksPath=/dev/null",
	"-c", "core.fsmonitor=false",
	"-c", "credential.helper=",
	"-c", "gc.auto=0",
	"-c", "maintenance.auto=false",
	"-c", "protocol.version=2",
	"-c", "submodule.recurse=false",
	"-c", "fetch.recurseSubmodules=false",
	"-c", "http.lowSpeedLimit=1000",
	"-c", "http.lowSpeedTime=30",
}

// killDelay is how long a child may take to end after it was told to.
const killDelay = 2 * time.Second

func (g *Git) command(ctx context.Context, dir, location string, access Access, args ...string) *exec.Cmd {
	before := append(slices.Clone(settings), access.settings(location)...)
	if g.NoRedirects {
		before = append(before, "-c", "http.followRedirects=false")
	}
	cmd := exec.CommandContext(ctx, g.Program, append(before, args...)...)
	if g.Program == "" {
		cmd.Err = errors.New("git is not installed, or in no folder where programs are looked for")
	}
	cmd.Dir = dir
	cmd.Env = append(g.environment(dir, location), access.environment(location)...)
	if g.SameGroup {
		// Told to end, git ends its helpers.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	} else {
		// git starts helpers of its own; all of them end together.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
	cmd.WaitDelay = killDelay
	return cmd
}

// Error is what git said.
type Error struct {
	Location string
	Stderr   string
	Err      error
}

func (e *Error) Error() string {
	text := lastLines(e.Stderr)
	if text == "" {
		text = e.Err.Error()
	}
	return fmt.Sprintf("git, from %s: %s", e.Location, text)
}

func (e *Error) Unwrap() error { return e.Err }

// noise is how lines begin that say nothing of what went wrong.
var noise = []string{"hint:", "warning:", "Please make sure you have the correct access rights", "and the repository exists."}

// lastLines returns the lines in which git names its trouble, on one line.
func lastLines(stderr string) string {
	var keep []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if line != "" && !slices.ContainsFunc(noise, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			keep = append(keep, refusal.Printable(line))
		}
	}
	return strings.Join(keep[max(0, len(keep)-3):], "; ")
}

func (g *Git) run(ctx context.Context, dir, location string, args ...string) (string, error) {
	access, err := g.access(location)
	if err != nil {
		return "", err
	}
	cmd := g.command(ctx, dir, location, access, args...)
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			return "", fmt.Errorf("git, from %s: %w", location, err)
		}
		return "", &Error{location, stderr.String(), err}
	}
	return stdout.String(), nil
}

// bounded keeps the first bytes of what a child prints, and fails the child
// when there are more than any repository's refs or files make.
type bounded struct{ bytes.Buffer }

const maxOutput = 64 << 20

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("git printed more than %d bytes", maxOutput)
	}
	return b.Buffer.Write(p)
}

// initRepository makes an empty bare repository, as small as git takes one for
// one (gitrepository-layout's manual), for ids of a length: 40 digits for SHA-1,
// 64 for SHA-256.
func (g *Git) initRepository(idLength int) (string, error) {
	dir, err := os.MkdirTemp(g.Temp, "git-")
	if err != nil {
		return "", err
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
	if idLength == 64 {
		config = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
	}
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700), os.MkdirAll(filepath.Join(dir, "refs"), 0o700),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// fetch fetches into a bare repository, within the bound on its size.
func (g *Git) fetch(ctx context.Context, dir, location string, progress func(int64), args ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watch sync.WaitGroup
	defer watch.Wait()
	stop := make(chan struct{})
	defer close(stop)
	watch.Go(func() { g.watch(dir, stop, cancel, progress) })
	all := append([]string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head"}, args...)
	_, err := g.run(ctx, dir, location, all...)
	return err
}

// watchEvery is how often a fetch's size is looked at.
const watchEvery = 100 * time.Millisecond

// watch tells of a repository's growing size, and ends the fetch when it is
// too large: git itself knows no bound.
func (g *Git) watch(dir string, stop <-chan struct{}, cancel context.CancelCauseFunc, progress func(int64)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		size := sizeOf(filepath.Join(dir, "objects"))
		if progress != nil {
			progress(size)
		}
		if g.MaxBytes > 0 && size > g.MaxBytes {
			cancel(&gitobject.LimitError{What: "bytes to fetch", Limit: g.MaxBytes})
			return
		}
	}
}

// sizeOf adds up a directory's files. What vanishes meanwhile does not count.
func sizeOf(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

func (g *Git) fetchAll(ctx context.Context, dir, location string, progress func(int64), options ...string) error {
	args := append(slices.Clone(options), "--end-of-options", location, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return g.fetch(ctx, dir, location, progress, args...)
}

// Fetch fetches one commit without its history and hands its objects to use.
// The repository that they come from is gone when Fetch returns. progress, if
// there is one, is told how many bytes have come.
func (g *Git) Fetch(ctx context.Context, location, commit string, progress func(int64), use func(gitobject.Store) error) error {
	dir, err := g.initRepository(len(commit))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = g.fetch(ctx, dir, location, progress, "--depth=1", "--end-of-options", location, commit)
	if refusesSingle(err) {
		// An old server: take everything, and look for the commit there.
		err = g.fetchAll(ctx, dir, location, progress)
	}
	if err != nil {
		return err
	}
	return g.objects(ctx, dir, filepath.Join(dir, "objects"), use)
}

// refusesSingle tells from git's words whether a server does not give out
// commits by their ids.
func refusesSingle(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	for _, words := range []string{"not our ref", "unadvertised object", "shallow capabilities", "couldn't find remote ref"} {
		if strings.Contains(failed.Stderr, words) {
			return true
		}
	}
	return false
}

// Objects hands the objects of a directory such as .git/objects to use,
// without reading any configuration that lies beside it.
func (g *Git) Objects(ctx context.Context, objects string, idLength int, use func(gitobject.Store) error) error {
	dir, err := g.initRepository(idLength)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return g.objects(ctx, dir, objects, use)
}

func (g *Git) objects(ctx context.Context, dir, objects string, use func(gitobject.Store) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := g.command(ctx, dir, dir, Access{}, "cat-file", "--batch")
	cmd.Env = append(cmd.Env, "GIT_DIR="+dir, "GIT_OBJECT_DIRECTORY="+objects, "GIT_ALTERNATE_OBJECT_DIRECTORIES=")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = use(&batch{stdin, gitobject.NewStream(stdout)})
	stdin.Close()
	cancel()
	_ = cmd.Wait() // killed or not, all that counts has been read and hashed
	return err
}

// batch asks a running "git cat-file --batch" for one object after the other.
type batch struct {
	ask    io.Writer
	answer *gitobject.Stream
}

// Object implements gitobject.Store.
func (b *batch) Object(id string, maxSize int64) (string, []byte, error) {
	if !gitobject.IsID(id) {
		return "", nil, &gitobject.Error{ID: id, Reason: "has a malformed id"}
	}
	if _, err := io.WriteString(b.ask, id+"\n"); err != nil {
		return "", nil, fmt.Errorf("git cat-file: %w", err)
	}
	return b.answer.Object(id, maxSize)
}
