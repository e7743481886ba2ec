package gitobject

import (
	"bytes"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/materials"
)

// TreeID returns the id that git would give the tree, in digits hexadecimal
// digits. It tells whether a directory's bytes are those of a commit.
func TreeID(t *materials.Tree, digits int) (string, error) {
	return writeDir(t.Entries(), ".", digits)
}

// writeDir hashes the tree object of one directory. entries are those at or
// below it, sorted.
func writeDir(entries []materials.Entry, dir string, digits int) (string, error) {
	var items []item
	for len(entries) > 0 {
		name, _, below := strings.Cut(materials.Rel(dir, entries[0].Path), "/")
		n := 1
		it := item{mode: string(entries[0].Mode), name: name, id: entries[0].Commit}
		var err error
		if below {
			sub := path.Join(dir, name)
			n = countBelow(entries, sub)
			it.mode = "40000"
			it.id, err = writeDir(entries[:n], sub, digits)
		} else if it.id == "" {
			it.id, err = ID("blob", entries[0].Data, digits)
		}
		if err != nil {
			return "", err
		}
		items = append(items, it)
		entries = entries[n:]
	}
	return ID("tree", encode(items), digits)
}

type item struct{ mode, name, id string }

// countBelow counts the leading entries below dir. Sorting by whole paths puts
// "a.b" between "a" and "a/b", but never into the midst of "a/".
func countBelow(entries []materials.Entry, dir string) int {
	n := 0
	for n < len(entries) && strings.HasPrefix(entries[n].Path, dir+"/") {
		n++
	}
	return n
}

// encode writes a tree object. git sorts directories as if their names ended
// in a slash.
func encode(items []item) []byte {
	key := func(it item) string {
		if it.mode == "40000" {
			return it.name + "/"
		}
		return it.name
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(key(a), key(b)) })
	var b bytes.Buffer
	for _, it := range items {
		raw, _ := hex.DecodeString(it.id) // computed or checked before
		b.WriteString(it.mode + " " + it.name + "\x00")
		b.Write(raw)
	}
	return b.Bytes()
}
