package trustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/lockfile"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/resolver"
)

// LockMode says what to do with references that a lock has already.
type LockMode int

const (
	// LockKeep leaves them at their commits.
	LockKeep LockMode = iota
	// LockUpdate looks them up again.
	LockUpdate
)

// LockResult is a lock that was made.
type LockResult struct {
	File    string // where it lies, or would
	Old     []byte // what it holds now; nil when there is none
	New     []byte // what it should hold
	Entries []lockfile.Entry
}

// Stale reports whether the lock is not what it should be.
func (r *LockResult) Stale() bool { return !bytes.Equal(r.Old, r.New) }

// Lock makes the lock of a local directory: an entry for every remote reference
// below it. The directory itself is taken as it is, since a lock is made before
// it is signed; what it refers to is verified, but need not be locked yet.
//
// The lock is the one at or above the directory; without one, it belongs beside
// the list that governs the directory, else in the directory. Where it lies
// above the directory, entries that the directory does not need are kept: other
// directories may.
//
// Nothing is written.
func Lock(ctx context.Context, req Request, mode LockMode) (*LockResult, error) {
	req.Dev, req.locking, req.relock = true, true, mode == LockUpdate
	report, err := Verify(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := report.Err(); err != nil {
		return nil, err
	}
	root := report.Graph.Root
	result := &LockResult{Entries: report.Graph.LockEntries()}
	dir := lockDir(root)
	result.File = filepath.Join(root.Source.Dir, filepath.FromSlash(dir), lockfile.Name)
	if e, ok := root.Source.Tree.Lookup(path.Join(dir, lockfile.Name)); ok {
		result.Old = e.Data
	}
	if dir != root.Dir && result.Old != nil {
		if err := result.keepOthers(); err != nil {
			return nil, err
		}
	}
	if err := resolver.CheckEntries(result.Entries); err != nil {
		return nil, fmt.Errorf("%s: %w", lockfile.Name, err)
	}
	if result.New, err = lockfile.Format(result.Entries); err != nil {
		return nil, fmt.Errorf("%s: %w", lockfile.Name, err)
	}
	if len(result.Entries) == 0 && result.Old == nil {
		result.New = nil
	}
	return result, nil
}

// lockDir finds the directory of the lock for a kustomization.
func lockDir(root *resolver.Node) string {
	for _, name := range []string{lockfile.Name, materials.ListName} {
		for d := root.Dir; ; d = path.Dir(d) {
			if _, ok := root.Source.Tree.Lookup(path.Join(d, name)); ok {
				return d
			}
			if d == "." {
				break
			}
		}
	}
	return root.Dir
}

// keepOthers adds the old entries for references that were not met.
func (r *LockResult) keepOthers() error {
	old, err := lockfile.Parse(r.Old)
	if err != nil {
		return fmt.Errorf("%s: %w", r.File, err)
	}
	now := map[string]lockfile.Entry{}
	for _, e := range r.Entries {
		now[resolver.RefOf(e)] = e
	}
	for _, e := range old.Entries() {
		if slices.ContainsFunc(r.Entries, func(have lockfile.Entry) bool { return have.URL == e.URL }) {
			continue
		}
		// Another path of a source at a ref that has moved moves with it.
		if same, ok := now[resolver.RefOf(e)]; ok {
			e.Commit, e.Digest = same.Commit, same.Digest
		}
		r.Entries = append(r.Entries, e)
	}
	return nil
}

// Write writes the lock, whole or not at all.
func (r *LockResult) Write() error {
	if !r.Stale() || r.New == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(r.File), ".trustomize-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(r.New)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), r.File)
}

// Refused returns a refusal for every line by which the lock differs from what
// it should be, or nil.
func (r *LockResult) Refused() error {
	if !r.Stale() {
		return nil
	}
	have, want := lines(r.Old), lines(r.New)
	var refusals []*refusal.Refusal
	add := func(reason string) {
		refusals = append(refusals, &refusal.Refusal{Code: refusal.StaleLock, File: r.File, Reason: reason, Hints: []string{"make the lock again, and sign it: trustomize lock, trustomize materials sign"}})
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			add("lacks the line \"" + shown(line) + "\"")
		}
	}
	for _, line := range have {
		if !slices.Contains(want, line) {
			add("has a line that nothing refers to: \"" + shown(line) + "\"")
		}
	}
	if len(refusals) == 0 {
		add("is not sorted, or has a line twice")
	}
	return &Refused{Refusals: refusals}
}

// shown is a line as it may be printed: a query may be a secret.
func shown(line string) string {
	url, rest, _ := strings.Cut(line, " ")
	return giturl.Redact(url) + " " + rest
}

func lines(data []byte) []string {
	var all []string
	for line := range bytes.Lines(data) {
		all = append(all, string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return all
}

// Moved is a locked reference whose ref names another commit now.
type Moved struct {
	URL string `json:"url"`
	Old string `json:"old"` // commit
	New string `json:"new"`
}

// Outdated compares the lock of a directory with what its references name now.
// Whether anybody vouches for that is not asked. References that cannot be
// looked up are errors, told together.
func Outdated(ctx context.Context, req Request) ([]Moved, error) {
	locked, err := Lock(ctx, req, LockKeep)
	if err != nil {
		return nil, err
	}
	p, err := ReadPolicy(req)
	if err != nil {
		return nil, err
	}
	cfg, err := config(req, &Report{Policy: p, Audit: p.Spec.Enforcement == policy.Audit})
	if err != nil {
		return nil, err
	}
	var moved []Moved
	var failed error
	seen := map[string]bool{}
	for _, old := range locked.Entries {
		if seen[old.URL] {
			continue
		}
		seen[old.URL] = true
		now, err := resolver.LookUp(ctx, cfg, old)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", giturl.Redact(old.URL), err))
		} else if now != old.Commit {
			moved = append(moved, Moved{giturl.Redact(old.URL), old.Commit, now})
		}
	}
	slices.SortFunc(moved, func(a, b Moved) int { return strings.Compare(a.URL, b.URL) })
	return moved, failed
}
