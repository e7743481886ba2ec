// Package archive fetches archives (.tar.gz, .tgz, .zip) and reads them into
// trees.
//
// [Download] leaves the network to go-getter, with its protections on and
// everything that guesses, unpacks or obeys the server off. [Read] unpacks in
// memory: nothing is written to disk and no link followed, so that the bytes
// that are checked are the bytes that are built.
//
// An archive can be made so that two programs unpack it differently. Read
// gives the tree that tar or unzip would lay out in an empty directory, or an
// error: it refuses whatever programs are known to read in more than one way,
// even where each reading alone would be harmless.
package archive

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/materials"
)

// IsArchive reports whether a URL's path ends like an archive's: .tar.gz,
// .tgz or .zip, in lower case.
func IsArchive(path string) bool { return isTarGz(path) || isZip(path) }

func isTarGz(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

func isZip(name string) bool { return strings.HasSuffix(name, ".zip") }

// Read reads an archive of size bytes into a tree. The end of its name says
// what it is. Files keep their owner's execute bit, links their text;
// directories count against limits.Files, but only their files appear.
//
// limits.Bytes bounds what is unpacked: of a tar the whole stream with its
// headers and padding, of a zip the contents. Over a limit the error is a
// *[gitobject.LimitError]; an archive without a file is an error as well.
func Read(name string, r io.ReaderAt, size int64, limits gitobject.Limits) (*materials.Tree, error) {
	b := &builder{limits: limits, left: limits.Bytes, names: map[string]bool{}}
	var err error
	switch {
	case isTarGz(name):
		err = readTarGz(b, io.NewSectionReader(r, 0, size))
	case isZip(name):
		err = readZip(b, r, size)
	default:
		err = fmt.Errorf("%q ends in neither .tar.gz, .tgz nor .zip", name)
	}
	if err != nil {
		return nil, err
	}
	return b.tree()
}

// builder collects what an archive holds, whatever its format.
type builder struct {
	limits  gitobject.Limits
	left    int64 // of limits.Bytes
	count   int   // entries, directories and headers without an entry included
	names   map[string]bool
	dirs    []string
	entries []materials.Entry
}

// next counts an entry.
func (b *builder) next() error {
	if b.count++; b.count > b.limits.Files {
		return &gitobject.LimitError{What: "files", Limit: int64(b.limits.Files)}
	}
	return nil
}

// spend counts bytes that were unpacked.
func (b *builder) spend(n int64) error {
	if b.left -= n; b.left < 0 {
		return &gitobject.LimitError{What: "bytes", Limit: b.limits.Bytes}
	}
	return nil
}

// dir notes a directory. A tree has none of its own, but nothing else may
// have its name.
func (b *builder) dir(name string) error {
	p := strings.TrimSuffix(name, "/")
	if p == "." {
		return nil
	}
	p, err := b.claim(p)
	b.dirs = append(b.dirs, p)
	return err
}

func (b *builder) file(name string, executable bool, data []byte) error {
	mode := materials.ModeFile
	if executable {
		mode = materials.ModeExecutable
	}
	return b.add(materials.Entry{Path: name, Mode: mode, Data: data})
}

func (b *builder) link(name, text string) error {
	if text == "" || strings.ContainsRune(text, 0) {
		return fmt.Errorf("a link to %q, which no system can make", text)
	}
	return b.add(materials.Entry{Path: name, Mode: materials.ModeLink, Data: []byte(text)})
}

func (b *builder) add(e materials.Entry) (err error) {
	if e.Path, err = b.claim(e.Path); err != nil {
		return err
	}
	b.entries = append(b.entries, e)
	return nil
}

// claim returns the path that a name stands for, free of the "./" that tar
// writes in front, and takes it: no archive may have a name twice.
func (b *builder) claim(name string) (string, error) {
	p := strings.TrimPrefix(name, "./")
	if err := checkPath(p); err != nil {
		return "", err
	}
	if b.names[p] {
		return "", errors.New("stands in the archive twice")
	}
	b.names[p] = true
	return p, nil
}

// Bounds of what any system can lay out; without the second, a tree of few
// entries could hold very many directories.
const (
	maxPath  = 4096 // bytes
	maxDepth = 256  // nested directories
)

func checkPath(p string) error {
	switch {
	case len(p) > maxPath:
		return fmt.Errorf("a path of more than %d bytes", maxPath)
	case strings.Count(p, "/") > maxDepth:
		return fmt.Errorf("more than %d nested directories", maxDepth)
	case strings.ContainsRune(p, 0):
		return errors.New("a path with a NUL byte")
	case path.IsAbs(p):
		return errors.New("an absolute path")
	case p == ".." || strings.HasPrefix(p, "../"), p == "." || path.Clean(p) != p:
		return errors.New(`a path that is empty or has a segment "", "." or ".."`)
	}
	return nil
}

func (b *builder) tree() (*materials.Tree, error) {
	if len(b.entries) == 0 {
		return nil, errors.New("an archive without a file")
	}
	t, err := materials.NewTree(b.entries)
	if err != nil {
		return nil, err
	}
	for _, dir := range b.dirs {
		if err := checkDir(t, dir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkDir holds a directory of its own to what NewTree asks of a file's:
// that no parent of it is a file or a link, and no segment .git.
func checkDir(t *materials.Tree, dir string) error {
	if slices.ContainsFunc(strings.Split(dir, "/"), func(seg string) bool { return strings.EqualFold(seg, ".git") }) {
		return fmt.Errorf("directory %q holds a segment .git, which no tree may", dir)
	}
	for p := dir; p != "."; p = path.Dir(p) {
		if _, isFile := t.Lookup(p); isFile {
			return fmt.Errorf("path %q is a file and a directory at once", p)
		}
	}
	return nil
}
