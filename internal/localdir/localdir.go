// Package localdir reads a local directory into a tree: the bytes as they lie
// on disk, each file once.
package localdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/materials"
)

// Root returns the repository that contains a directory: the nearest
// directory at or above it that holds .git, else the directory itself. Both
// paths are absolute and free of links; rel is the directory below the root.
func Root(dir string) (root, rel string, err error) {
	abs, err := Real(dir)
	if err != nil {
		return "", "", err
	}
	for d := abs; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			rel, err := filepath.Rel(d, abs)
			return d, filepath.ToSlash(rel), err
		}
		if d == filepath.Dir(d) {
			return abs, ".", nil
		}
	}
}

// RootAsWritten is [Root] with the path as the caller wrote it: links above the
// repository's root are followed, and those below it left in rel, where a
// committer may have put them.
func RootAsWritten(dir string) (root, rel string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for d := abs; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return Below(abs, d)
		}
		if d == filepath.Dir(d) {
			return Root(dir) // no repository holds the path; what it leads to may lie in one
		}
	}
}

// Below returns a directory's real path, and where the other, at or below it,
// lies from there as written.
func Below(abs, top string) (root, rel string, err error) {
	if rel, err = filepath.Rel(top, abs); err != nil {
		return "", "", err
	}
	root, err = Real(top)
	return root, filepath.ToSlash(rel), err
}

// Real returns the directory's absolute path without links.
func Real(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a directory", dir)
	}
	return abs, nil
}

// Read reads everything below root but .git into a tree. A directory below it
// that has a .git of its own is a submodule: it appears with its commit and
// without its files; one without a commit has zeros for it. Sockets, devices and
// pipes are errors.
func Read(root string, limits gitobject.Limits) (*materials.Tree, error) {
	return read(root, limits, false)
}

// ReadAsIs is Read for a directory of which no list is asked: a repository in it
// that .gitmodules does not name is a directory like others.
func ReadAsIs(root string, limits gitobject.Limits) (*materials.Tree, error) {
	return read(root, limits, true)
}

func read(root string, limits gitobject.Limits, asIs bool) (*materials.Tree, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	r := &reader{root: dir, limits: limits, left: limits.Bytes, asIs: asIs}
	if asIs {
		r.named = namedSubmodules(dir)
	}
	if err := r.dir("."); err != nil {
		return nil, err
	}
	return materials.NewTree(r.entries)
}

// noCommit stands for the commit of a repository that has none.
const noCommit = "0000000000000000000000000000000000000000"

type reader struct {
	root    *os.Root // every path is opened below it, whatever links say
	limits  gitobject.Limits
	left    int64
	asIs    bool
	named   map[string]bool // submodules in .gitmodules, where that counts
	entries []materials.Entry
}

// namedSubmodules returns the paths that .gitmodules names, as far as they are
// written plainly. What is missed is read as a directory, which nobody vouches
// for.
func namedSubmodules(root *os.Root) map[string]bool {
	named := map[string]bool{}
	data, err := root.ReadFile(".gitmodules")
	if err != nil {
		return named
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "path" {
			named[path.Clean(strings.TrimSpace(value))] = true
		}
	}
	return named
}

func (r *reader) dir(dir string) error {
	f, err := r.root.Open(dir)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == ".git" && (dir == "." || r.asIs) {
			continue
		}
		if err := r.entry(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) entry(p string) error {
	info, err := r.root.Lstat(p)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if _, err := r.root.Lstat(path.Join(p, ".git")); err != nil || r.asIs && !r.named[p] {
			return r.dir(p)
		}
		commit, err := Head(filepath.Join(r.root.Name(), filepath.FromSlash(p)))
		if err != nil {
			commit.ID = noCommit
		}
		return r.add(materials.Entry{Path: p, Mode: materials.ModeSubmodule, Commit: commit.ID})
	}
	e := materials.Entry{Path: p, Mode: materials.ModeFile}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		e.Mode = materials.ModeLink
		text, err := r.root.Readlink(p)
		if err != nil {
			return err
		}
		e.Data = []byte(text)
	case info.Mode().IsRegular():
		if info.Mode()&0o100 != 0 {
			e.Mode = materials.ModeExecutable
		}
		if e.Data, err = r.file(p); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is neither a file, a directory nor a link", p)
	}
	return r.add(e)
}

func (r *reader) file(p string) ([]byte, error) {
	f, err := r.root.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, r.left+1))
	if err != nil {
		return nil, err
	}
	r.left -= int64(len(data))
	if r.left < 0 {
		return nil, &gitobject.LimitError{What: "bytes", Limit: r.limits.Bytes}
	}
	return data, nil
}

func (r *reader) add(e materials.Entry) error {
	if len(r.entries) >= r.limits.Files {
		return &gitobject.LimitError{What: "files", Limit: int64(r.limits.Files)}
	}
	r.entries = append(r.entries, e)
	return nil
}

// Checkout is what a directory's .git says of the commit that is checked out.
type Checkout struct {
	ID        string // commit id
	GitDir    string // the checkout's own directory of git's
	CommonDir string // the one that a repository's worktrees share
	IDLength  int    // digits of the repository's ids
}

// Objects is the directory of the objects.
func (c Checkout) Objects() string { return filepath.Join(c.CommonDir, "objects") }

// Head reads the commit that a checkout's HEAD names, without git and without
// the repository's configuration: both could be somebody else's. With the error
// for a HEAD that names no commit yet, it returns the directories all the same.
func Head(dir string) (Checkout, error) {
	gitDir, err := gitDir(dir)
	if err != nil {
		return Checkout{}, err
	}
	common := gitDir
	if text, err := readSmall(filepath.Join(gitDir, "commondir")); err == nil {
		common = absolute(gitDir, text)
	}
	head, err := readSmall(filepath.Join(gitDir, "HEAD"))
	if err != nil {
		return Checkout{}, err
	}
	id := head
	if ref, ok := strings.CutPrefix(head, "ref: "); ok {
		if id, err = lookupRef(gitDir, common, ref); err != nil {
			return Checkout{GitDir: gitDir, CommonDir: common, IDLength: idLength(common)}, err
		}
	}
	if !gitobject.IsID(id) {
		return Checkout{}, errors.New("HEAD names no commit") // what it holds instead may be anything
	}
	return Checkout{id, gitDir, common, len(id)}, nil
}

// objectFormat is the line of a repository's configuration that says which hash
// names its objects (gitrepository-layout and git-config's manuals,
// extensions.objectFormat). The file is read as text; nothing else in it is heard.
var objectFormat = regexp.MustCompile(`(?im)^\[extensions\][^\[]*?^\s*objectformat\s*=\s*sha256\s*$`)

// idLength is the number of digits of a repository's ids.
func idLength(common string) int {
	config, err := os.ReadFile(filepath.Join(common, "config"))
	if err == nil && objectFormat.Match(config) {
		return 64
	}
	return 40
}

// gitDir follows a .git file, as submodules and worktrees have it.
func gitDir(dir string) (string, error) {
	p := filepath.Join(dir, ".git")
	info, err := os.Stat(p)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return p, nil
	}
	text, err := readSmall(p)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(text, "gitdir: ")
	if !ok {
		return "", errors.New(".git is neither a directory nor a pointer to one")
	}
	return absolute(dir, target), nil
}

func absolute(dir, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

func lookupRef(gitDir, common, ref string) (string, error) {
	if !strings.HasPrefix(ref, "refs/") || !filepath.IsLocal(ref) {
		return "", errors.New("HEAD names no ref")
	}
	for _, dir := range []string{gitDir, common} {
		if id, err := readSmall(filepath.Join(dir, ref)); err == nil {
			return id, nil
		}
	}
	packed, err := os.ReadFile(filepath.Join(common, "packed-refs"))
	if err != nil {
		return "", errors.New("HEAD's ref has no commit")
	}
	for line := range strings.Lines(string(packed)) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == ref {
			return id, nil
		}
	}
	return "", errors.New("HEAD's ref has no commit")
}

// readSmall returns a small file's text without white space around it. Links
// are not followed, nor pipes waited for.
func readSmall(file string) (string, error) {
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is no file", filepath.Base(file)))
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimSpace(string(data)), err
}

// Origin returns the URL of the remote named origin as the checkout's
// configuration has it, or "". It serves as a hint to people, never to decide.
func Origin(dir string) string {
	gitDir, err := gitDir(dir)
	if err != nil {
		return ""
	}
	config, err := os.ReadFile(filepath.Join(gitDir, "config"))
	if err != nil {
		return ""
	}
	inOrigin := false
	for line := range strings.Lines(string(config)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inOrigin = line == `[remote "origin"]`
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && inOrigin && strings.TrimSpace(name) == "url" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
