package materials

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Mode is an entry's mode, as git writes it.
type Mode string

// The modes of a tree.
const (
	ModeFile       Mode = "100644"
	ModeExecutable Mode = "100755"
	ModeLink       Mode = "120000"
	ModeSubmodule  Mode = "160000"
)

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// String returns the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Sum returns the digest of data.
func Sum(data []byte) Digest { return sha256.Sum256(data) }

// Entry is one path of a tree.
type Entry struct {
	Path   string // below the root, slash-separated, clean
	Mode   Mode
	Data   []byte // a file's bytes, a link's text; not to be changed
	Commit string // a submodule's commit id
	Digest Digest // of Data; computed by NewTree
}

// Tree is a snapshot of a source: every file with its bytes, held in memory
// so that what was checked is what is used. It never changes.
type Tree struct {
	entries []Entry
	index   map[string]int
	dirs    map[string]bool
}

// NewTree makes a tree of entries and computes their digests. It refuses paths
// that are not clean and relative, the path .git at any depth, and paths that
// are a file and a directory at once.
func NewTree(entries []Entry) (*Tree, error) {
	t := &Tree{
		entries: slices.Clone(entries),
		index:   make(map[string]int, len(entries)),
		dirs:    map[string]bool{".": true},
	}
	slices.SortFunc(t.entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for i := range t.entries {
		e := &t.entries[i]
		if err := checkEntry(*e); err != nil {
			return nil, err
		}
		if _, dup := t.index[e.Path]; dup {
			return nil, fmt.Errorf("path %q stands twice in the tree", e.Path)
		}
		e.Digest = Sum(e.Data)
		t.index[e.Path] = i
		for d := path.Dir(e.Path); !t.dirs[d]; d = path.Dir(d) {
			t.dirs[d] = true
		}
	}
	for _, e := range t.entries {
		if t.dirs[e.Path] {
			return nil, fmt.Errorf("path %q is a file and a directory at once", e.Path)
		}
	}
	return t, nil
}

func checkEntry(e Entry) error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	for seg := range strings.SplitSeq(e.Path, "/") {
		if strings.EqualFold(seg, ".git") {
			return fmt.Errorf("path %q holds a segment %q, which no tree may", e.Path, seg)
		}
	}
	switch e.Mode {
	case ModeFile, ModeExecutable:
		return nil
	case ModeLink:
		if len(e.Data) > maxLinkText {
			return fmt.Errorf("link %q has a text of %d bytes, more than the %d that any system can make", e.Path, len(e.Data), maxLinkText)
		}
		return nil
	case ModeSubmodule:
		if e.Commit == "" || len(e.Data) > 0 {
			return fmt.Errorf("path %q: a submodule is a commit id, without bytes", e.Path)
		}
		return nil
	}
	return fmt.Errorf("path %q has mode %q", e.Path, e.Mode)
}

// checkPath accepts clean paths below a root. Names are bytes; only NUL, which
// no file system can hold, is refused.
func checkPath(p string) error {
	switch {
	case p == "" || p == ".":
		return errors.New("an empty path")
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q is absolute", p)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q holds a NUL byte", p)
	case strings.HasSuffix(p, "/"):
		return fmt.Errorf("path %q names a directory", p)
	}
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return fmt.Errorf("path %q has a segment %q", p, seg)
		}
	}
	return nil
}

// Entries returns all entries, sorted by the bytes of their paths. The slice is
// the tree's own.
func (t *Tree) Entries() []Entry { return t.entries }

// Lookup returns the entry at exactly this path; links are not followed.
func (t *Tree) Lookup(p string) (Entry, bool) {
	i, ok := t.index[p]
	if !ok {
		return Entry{}, false
	}
	return t.entries[i], true
}

// IsDir reports whether the path is a directory of the tree, "." its root.
func (t *Tree) IsDir(p string) bool { return t.dirs[p] }

// Bytes returns how many bytes the tree's files hold in all.
func (t *Tree) Bytes() int64 {
	var n int64
	for _, e := range t.entries {
		n += int64(len(e.Data))
	}
	return n
}

// Digest returns the canonical digest of the whole tree, "sha256:" and 64
// hexadecimal digits: SHA-256 over a line for each entry, sorted by the bytes
// of the path,
//
//	MODE SHA256  PATH\n
//
// with the SHA-256 of a file's bytes or of a link's text; a submodule's line
// has its commit id instead. A path that holds a newline is written as
// sha256sum writes it, with \n for the newline, \\ for a backslash, and one
// backslash in front of the whole line, so that no two trees give the same
// lines.
func (t *Tree) Digest() string {
	h := sha256.New()
	for _, e := range t.entries {
		id := e.Digest.String()
		if e.Mode == ModeSubmodule {
			id = e.Commit
		}
		mark, name := "", e.Path
		if strings.Contains(name, "\n") {
			mark, name = `\`, digestEscaper.Replace(name)
		}
		fmt.Fprintf(h, "%s%s %s  %s\n", mark, e.Mode, id, name)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

var digestEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// maxLinkText is Linux's limit for a link's text, in bytes (PATH_MAX).
const maxLinkText = 4096

// maxLinks is how many links one path may lead through; Linux allows as many.
const maxLinks = 40

// LinkError says that following a symbolic link failed.
type LinkError struct {
	Path, Reason string
}

func (e *LinkError) Error() string { return fmt.Sprintf("link %q %s", e.Path, e.Reason) }

// Resolve follows the symbolic links of a path, in its directories as well, and
// returns the path that it stands for and every link on the way, in order. An
// absent path is an error that matches fs.ErrNotExist; a link that leaves the
// tree, loops, or leads through a submodule is a *[LinkError].
func (t *Tree) Resolve(p string) (real string, links []string, err error) {
	rest := strings.Split(path.Clean(p), "/")
	at := "."
	for len(rest) > 0 {
		seg := rest[0]
		rest = rest[1:]
		if seg == "." {
			continue
		}
		if seg == ".." {
			if at == "." {
				return "", links, &LinkError{p, "leaves the source"}
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, seg)
		e, isEntry := t.Lookup(next)
		switch {
		case t.dirs[next]:
			at = next
		case !isEntry:
			return "", links, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		case e.Mode == ModeLink:
			links = append(links, next)
			if len(links) > maxLinks {
				return "", links, &LinkError{p, "leads through too many links"}
			}
			text := string(e.Data)
			if text == "" || strings.HasPrefix(text, "/") {
				return "", links, &LinkError{next, fmt.Sprintf("points to %q, outside of the source", text)}
			}
			rest = append(strings.Split(text, "/"), rest...)
			rest = slices.DeleteFunc(rest, func(s string) bool { return s == "" })
		case e.Mode == ModeSubmodule:
			return "", links, &LinkError{next, "is a submodule"}
		case len(rest) > 0:
			return "", links, &fs.PathError{Op: "open", Path: p, Err: errors.New("not a directory")}
		default:
			return next, links, nil
		}
	}
	return at, links, nil
}
