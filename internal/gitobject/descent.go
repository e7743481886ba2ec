package gitobject

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxCommits bounds how many commits of a history are looked at.
const maxCommits = 1 << 21

// ErrNoDescent says that a commit is not in the history of another.
var ErrNoDescent = errors.New("not in the history")

var errNoCommit = errors.New("not a commit")

// Descent finds a shortest chain of commits from one of the tips to commit,
// both included, each a parent of the one before it. Every commit on the way is
// hashed again. Without a chain the error is [ErrNoDescent].
func Descent(store Store, tips []string, commit string) ([]string, error) {
	child := map[string]string{}
	for _, tip := range tips {
		child[tip] = ""
	}
	queue := slices.Clone(tips)
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at == commit {
			return chain(child, commit), nil
		}
		parents, err := parentsOf(store, at)
		if errors.Is(err, errNoCommit) && slices.Contains(tips, at) {
			continue // a tag can point to anything
		}
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			if _, seen := child[p]; !seen {
				child[p] = at
				queue = append(queue, p)
			}
		}
		if len(child) > maxCommits {
			return nil, &LimitError{"commits", maxCommits}
		}
	}
	return nil, ErrNoDescent
}

// chain walks from a commit to the tip and turns the way around.
func chain(child map[string]string, commit string) []string {
	var ids []string
	for at := commit; at != ""; at = child[at] {
		ids = append(ids, at)
	}
	slices.Reverse(ids)
	return ids
}

// parentsOf reads a commit and returns its parents.
func parentsOf(store Store, id string) ([]string, error) {
	kind, data, err := store.Object(id, maxMeta)
	if err != nil {
		return nil, err
	}
	if kind != "commit" {
		return nil, errors.Join(&Error{id, "is a " + kind + " where a commit is wanted"}, errNoCommit)
	}
	if err := Check(id, kind, data); err != nil {
		return nil, err
	}
	// As git reads them: right behind the tree, and nowhere else.
	var parents []string
	_, rest, _ := strings.Cut(string(data), "\n")
	for line := range strings.Lines(rest) {
		parent, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "parent ")
		if !ok || !IsID(parent) || len(parent) != len(id) {
			break
		}
		parents = append(parents, parent)
	}
	return parents, nil
}

// WriteDescent writes a chain that [Descent] found as its ids, one a line, an
// empty line, and its commits as a [Stream].
func WriteDescent(w io.Writer, store Store, ids []string) error {
	if _, err := io.WriteString(w, strings.Join(ids, "\n")+"\n\n"); err != nil {
		return err
	}
	recorder := &Recorder{Store: store, W: w}
	for _, id := range ids {
		if _, _, err := recorder.Object(id, maxMeta); err != nil {
			return err
		}
	}
	return nil
}

// CheckDescent reads a chain that was written and proves it once more: it leads
// from tip to commit, and each commit names the next as its parent.
func CheckDescent(r io.Reader, tip, commit string) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var ids []string
	for len(ids) <= maxCommits {
		line, err := in.ReadSlice('\n') // bounded by the buffer
		if err != nil {
			return fmt.Errorf("the chain is cut short: %w", endOf(err))
		}
		if len(line) == 1 {
			break
		}
		ids = append(ids, strings.TrimSuffix(string(line), "\n"))
	}
	if len(ids) == 0 || ids[0] != tip || ids[len(ids)-1] != commit {
		return fmt.Errorf("the chain does not lead from %s to %s", tip, commit)
	}
	store := NewStream(in)
	for i, id := range ids {
		parents, err := parentsOf(store, id)
		if err != nil {
			return err
		}
		if i+1 < len(ids) && !slices.Contains(parents, ids[i+1]) {
			return &Error{id, "has no parent " + ids[i+1]}
		}
	}
	return nil
}
