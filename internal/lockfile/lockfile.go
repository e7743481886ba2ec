// Package lockfile reads and writes trustomize.lock, which says for every remote
// reference which state of its source is meant:
//
//	URL COMMIT sha256:DIGEST\n
//
// URL is the reference as the kustomization has it. COMMIT is a git commit's
// id, 40 or 64 lower-case hexadecimal digits; for a single file or an archive
// the SHA-256 of its bytes, for an artifact of a registry that of its manifest.
// DIGEST is the canonical digest of the source's tree, 64 digits; for a single
// file, again the SHA-256 of its bytes. Lines are written sorted by bytes, and
// read in any order, so that two branches merge.
package lockfile

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Name is the file's name.
const Name = "trustomize.lock"

// maxSize is the size in bytes over which a lock is not read.
const maxSize = 4 << 20

// Entry is one line.
type Entry struct {
	URL    string
	Commit string
	Digest string // "sha256:" and 64 digits
}

func (e Entry) String() string { return e.URL + " " + e.Commit + " " + e.Digest }

// File is a lock that was read.
type File struct {
	entries map[string]Entry
}

// Contradiction is the error for two lines that say different things of one
// reference.
type Contradiction struct{ One, Other Entry }

func (e *Contradiction) Error() string {
	return fmt.Sprintf("two lines contradict each other: %q and %q", e.One, e.Other)
}

// Parse reads a lock. Two lines that differ for one URL are a
// *[Contradiction].
func Parse(data []byte) (*File, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), maxSize)
	}
	f := &File{map[string]Entry{}}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		text, ok := strings.CutSuffix(line, "\n")
		if !ok {
			return nil, fmt.Errorf("line %d does not end", n)
		}
		e, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d %w", n, err)
		}
		if old, known := f.entries[e.URL]; known && old != e {
			return nil, &Contradiction{old, e}
		}
		f.entries[e.URL] = e
	}
	return f, nil
}

func parseLine(line string) (Entry, error) {
	fields := strings.Split(line, " ")
	if len(fields) != 3 {
		return Entry{}, fmt.Errorf("is not URL COMMIT sha256:DIGEST, with one space between them")
	}
	e := Entry{fields[0], fields[1], fields[2]}
	digest, ok := strings.CutPrefix(e.Digest, "sha256:")
	switch {
	case !validURL(e.URL):
		return Entry{}, fmt.Errorf("has a URL that is empty, or holds what no URL does")
	case !isHex(e.Commit, 40) && !isHex(e.Commit, 64):
		return Entry{}, fmt.Errorf("has a commit %q; want 40 or 64 lower-case hexadecimal digits", e.Commit)
	case !ok || !isHex(digest, 64):
		return Entry{}, fmt.Errorf("has a digest %q; want sha256: and 64 lower-case hexadecimal digits", e.Digest)
	}
	return e, nil
}

// validURL accepts printable ASCII: what has anything else cannot be written
// here, and is refused as a reference as well.
func validURL(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

func isHex(s string, digits int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == digits && s == strings.ToLower(s)
}

// Lookup returns the entry of a reference.
func (f *File) Lookup(url string) (Entry, bool) {
	e, ok := f.entries[url]
	return e, ok
}

// Entries returns all entries, sorted.
func (f *File) Entries() []Entry {
	var all []Entry
	for _, e := range f.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// Format writes entries as a lock: sorted, each once. An entry that could not
// be read again is an error.
func Format(entries []Entry) ([]byte, error) {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = e.String() + "\n"
	}
	slices.Sort(lines)
	data := []byte(strings.Join(slices.Compact(lines), ""))
	if _, err := Parse(data); err != nil {
		return nil, err
	}
	return data, nil
}
