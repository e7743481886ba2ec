// Package gitobject turns git objects into a checked tree.
//
// Nothing is believed: every object is hashed again when it is read, commit to
// tree to blob, SHA-1 with collision detection, so that a tree is what its
// commit id says whoever stored the bytes. The stream format is that of
// "git cat-file --batch", both for git's own answers and for snapshots in the
// cache:
//
//	ID TYPE SIZE\n
//	SIZE bytes\n
package gitobject

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/pjbgf/sha1cd"

	"github.com/trustomize/trustomize/materials"
)

// Error says that an object is not what its id says, or that a tree holds what
// no tree may.
type Error struct {
	ID     string
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("git object %s %s", e.ID, e.Reason) }

// LimitError says that a source exceeds a limit.
type LimitError struct {
	What  string // "files" or "bytes"
	Limit int64
}

func (e *LimitError) Error() string { return fmt.Sprintf("has more than %d %s", e.Limit, e.What) }

// Limits bounds a tree; a snapshot over a limit is refused, never cut short.
type Limits struct {
	Files int
	Bytes int64
}

// A Store gives objects by their ids. What it gives is checked by [ReadTree].
type Store interface {
	Object(id string, maxSize int64) (kind string, data []byte, err error)
}

// IsID reports whether s is a full object id: 40 hexadecimal digits for
// SHA-1, 64 for SHA-256, in lower case.
func IsID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && (len(s) == 40 || len(s) == 64) && s == strings.ToLower(s)
}

// maxMeta bounds the size of a commit or a tree object.
const maxMeta = 64 << 20

// maxTreeDepth bounds how deep directories nest.
const maxTreeDepth = 256

// ReadTree reads the tree of a commit and everything below it. Objects are
// asked for in an order that the tree alone determines, each once.
func ReadTree(store Store, commit string, limits Limits) (*materials.Tree, error) {
	t, _, err := ReadCommit(store, commit, limits)
	return t, err
}

// ReadCommit is [ReadTree], and returns the commit's own bytes as well.
func ReadCommit(store Store, commit string, limits Limits) (*materials.Tree, []byte, error) {
	r := &treeReader{store: store, limits: limits, left: limits.Bytes, blobs: map[string][]byte{}, trees: map[string][]byte{}}
	data, err := r.object(commit, "commit", maxMeta)
	if err != nil {
		return nil, nil, err
	}
	root, err := TreeOf(commit, data)
	if err != nil {
		return nil, nil, err
	}
	if err := r.tree(root, "", 0); err != nil {
		return nil, nil, err
	}
	t, err := materials.NewTree(r.entries)
	if err != nil {
		return nil, nil, &Error{commit, err.Error()}
	}
	return t, data, nil
}

// TreeOf returns the id of a commit's tree, given the commit's bytes.
func TreeOf(commit string, data []byte) (string, error) {
	line, _, _ := strings.Cut(string(data), "\n")
	id, ok := strings.CutPrefix(line, "tree ")
	if !ok || !IsID(id) || len(id) != len(commit) {
		return "", &Error{commit, "is a commit without a tree"}
	}
	return id, nil
}

type treeReader struct {
	store   Store
	limits  Limits
	left    int64
	entries []materials.Entry
	blobs   map[string][]byte
	trees   map[string][]byte
	visits  int // directories; each counts as a file, so that empty ones are bounded
}

// object reads one object and hashes it.
func (r *treeReader) object(id, kind string, maxSize int64) ([]byte, error) {
	got, data, err := r.store.Object(id, maxSize)
	if err != nil {
		return nil, err
	}
	if got != kind {
		return nil, &Error{id, fmt.Sprintf("is a %s where a %s is wanted", got, kind)}
	}
	if err := Check(id, kind, data); err != nil {
		return nil, err
	}
	return data, nil
}

// Check hashes an object and compares the result with its id.
func Check(id, kind string, data []byte) error {
	got, err := ID(kind, data, len(id))
	if err != nil {
		return &Error{id, err.Error()}
	}
	if got != id {
		return &Error{id, "holds other bytes: they hash to " + got}
	}
	return nil
}

// ID returns an object's id in digits hexadecimal digits: 40 for SHA-1, 64
// for SHA-256. A SHA-1 collision attack is an error.
func ID(kind string, data []byte, digits int) (string, error) {
	header := []byte(kind + " " + strconv.Itoa(len(data)) + "\x00")
	var h hash.Hash
	switch digits {
	case 40:
		h = sha1cd.New()
	case 64:
		h = sha256.New()
	default:
		return "", errors.New("has an id of another length than SHA-1 or SHA-256")
	}
	h.Write(header)
	h.Write(data)
	if cd, ok := h.(sha1cd.CollisionResistantHash); ok {
		sum, collision := cd.CollisionResistantSum(nil)
		if collision {
			return "", errors.New("bears the marks of a SHA-1 collision attack")
		}
		return hex.EncodeToString(sum), nil
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (r *treeReader) tree(id, dir string, depth int) error {
	if depth > maxTreeDepth {
		return &LimitError{"nested directories", maxTreeDepth}
	}
	data, err := r.treeData(id)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		var e treeEntry
		if e, data, err = nextEntry(id, data); err != nil {
			return err
		}
		if err := r.entry(id, path.Join(dir, e.name), e, depth); err != nil {
			return err
		}
	}
	return nil
}

// treeData reads a tree object, each once. Its bytes count as the source's: a
// few objects can name each other without end.
func (r *treeReader) treeData(id string) ([]byte, error) {
	if r.visits++; r.visits > r.limits.Files+1 {
		return nil, &LimitError{"files", int64(r.limits.Files)}
	}
	data, ok := r.trees[id]
	if !ok {
		var err error
		if data, err = r.object(id, "tree", maxMeta); err != nil {
			return nil, err
		}
		r.trees[id] = data
	}
	if r.left -= int64(len(data)); r.left < 0 {
		return nil, &LimitError{"bytes", r.limits.Bytes}
	}
	return data, nil
}

// maxPath is the longest path that any system can make, in bytes.
const maxPath = 4096

func (r *treeReader) entry(tree, p string, e treeEntry, depth int) error {
	if len(p) > maxPath {
		return &Error{tree, fmt.Sprintf("leads to a path of more than %d bytes", maxPath)}
	}
	if e.mode == "40000" {
		return r.tree(e.id, p, depth+1)
	}
	if len(r.entries) >= r.limits.Files {
		return &LimitError{"files", int64(r.limits.Files)}
	}
	entry := materials.Entry{Path: p, Mode: materials.Mode(e.mode)}
	switch e.mode {
	case "100664": // written by early versions of git, checked out as 100644
		entry.Mode = materials.ModeFile
	case "160000":
		entry.Commit = e.id
		r.entries = append(r.entries, entry)
		return nil
	case "100644", "100755", "120000":
	default:
		return &Error{tree, fmt.Sprintf("has an entry %q of mode %s", e.name, e.mode)}
	}
	var err error
	if entry.Data, err = r.blob(e.id); err != nil {
		return err
	}
	r.entries = append(r.entries, entry)
	return nil
}

func (r *treeReader) blob(id string) ([]byte, error) {
	if data, ok := r.blobs[id]; ok {
		return data, nil
	}
	data, err := r.object(id, "blob", r.left)
	var tooLarge *LimitError
	if errors.As(err, &tooLarge) {
		return nil, &LimitError{"bytes", r.limits.Bytes}
	}
	if err != nil {
		return nil, err
	}
	r.left -= int64(len(data))
	r.blobs[id] = data
	return data, nil
}

type treeEntry struct {
	mode, name, id string
}

// nextEntry splits off a tree object's first entry: MODE NAME NUL and the raw
// id.
func nextEntry(tree string, data []byte) (treeEntry, []byte, error) {
	header, rest, ok := bytes.Cut(data, []byte{0})
	mode, name, hasName := strings.Cut(string(header), " ")
	raw := len(tree) / 2
	if !ok || !hasName || len(rest) < raw {
		return treeEntry{}, nil, &Error{tree, "is a tree that is cut short"}
	}
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return treeEntry{}, nil, &Error{tree, fmt.Sprintf("has an entry named %q", name)}
	}
	return treeEntry{mode, name, hex.EncodeToString(rest[:raw])}, rest[raw:], nil
}

// Stream reads objects out of a stream, in whose order they must be asked
// for. A missing object is an [*Error].
type Stream struct {
	r *bufio.Reader
}

// NewStream reads from r.
func NewStream(r io.Reader) *Stream { return &Stream{bufio.NewReaderSize(r, 64<<10)} }

// Object returns the next object, which must have this id.
func (s *Stream) Object(id string, maxSize int64) (string, []byte, error) {
	header, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", nil, &Error{id, "is missing: " + endOf(err).Error()}
	}
	fields := strings.Fields(string(header))
	if len(fields) != 3 || fields[0] != id {
		return "", nil, &Error{id, fmt.Sprintf("is missing: found %q", strings.TrimSpace(string(header)))}
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return "", nil, &Error{id, fmt.Sprintf("has size %q", fields[2])}
	}
	if size > maxSize {
		return "", nil, &LimitError{"bytes", maxSize}
	}
	// Grow with what arrives: the size is the word of whoever wrote the stream.
	var data bytes.Buffer
	if _, err := io.CopyN(&data, s.r, size); err != nil {
		return "", nil, &Error{id, "is cut short: " + endOf(err).Error()}
	}
	if b, err := s.r.ReadByte(); err != nil || b != '\n' {
		return "", nil, &Error{id, "is longer than it says"}
	}
	return fields[1], data.Bytes(), nil
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Recorder passes objects on and writes them to W in the stream format, so
// that the same tree can be read from there again.
type Recorder struct {
	Store Store
	W     io.Writer
}

// Object implements [Store].
func (r *Recorder) Object(id string, maxSize int64) (string, []byte, error) {
	kind, data, err := r.Store.Object(id, maxSize)
	if err != nil {
		return "", nil, err
	}
	if _, err := fmt.Fprintf(r.W, "%s %s %d\n%s\n", id, kind, len(data), data); err != nil {
		return "", nil, fmt.Errorf("recording a git object: %w", err)
	}
	return kind, data, nil
}
