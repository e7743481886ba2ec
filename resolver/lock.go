package resolver

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/lockfile"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
)

// Lock is a lock's entry for a reference.
type Lock struct {
	lockfile.Entry
	File    string   // where the lock lies: identity//path
	Root    bool     // it is the root's own
	Signers []string // for another source's lock: who signed it, of those whose locks a rule accepts
}

func (l *Lock) key() string {
	if l == nil {
		return ""
	}
	return l.File + " " + l.Commit + " " + l.Digest
}

// holds compares a source with the entry by which it was found.
func (l *Lock) holds(s *Source) []*refusal.Refusal {
	if l == nil || l.Digest == s.Digest {
		return nil
	}
	return []*refusal.Refusal{{
		Code: refusal.StaleLock, Source: string(s.Identity), Commit: s.Commit, Reason: "the source's tree is not the one that " + l.File + " has for " + l.URL,
		Want: l.Digest, Got: s.Digest, Hints: []string{"a commit has one tree: somebody wrote the lock by hand, or merged it wrongly; make it again: trustomize lock"},
	}}
}

// lockFile is a lock that was found and is vouched for.
type lockFile struct {
	*lockfile.File
	path string // below its source's root
	name string // identity//path
}

// rootLock returns the lock at or above the root's directory.
func (r *run) rootLock(s *Source, dir string) *lockFile {
	if r.cfg.Relock {
		return nil
	}
	real, _, err := s.Tree.Resolve(dir)
	if err != nil {
		return nil // entering it will say why
	}
	l, refusals := findLock(s, real)
	r.refuse(place{}, refusals...)
	return l
}

// findLock reads the nearest lock at or above a directory. That there is none
// must be so by the lists' word as well.
func findLock(s *Source, dir string) (l *lockFile, found []*refusal.Refusal) {
	for d := dir; ; d = path.Dir(d) {
		p := path.Join(d, lockfile.Name)
		real, refusals := s.reach(p)
		if found = append(found, refusals...); s.stops(refusals) {
			return nil, found
		}
		if real != "" && !s.Tree.IsDir(real) {
			e, _ := s.Tree.Lookup(real)
			l, refusals := readLock(s, p, e.Data)
			return l, append(found, refusals...)
		}
		if d == "." {
			return nil, found
		}
	}
}

func readLock(s *Source, p string, data []byte) (*lockFile, []*refusal.Refusal) {
	f, err := lockfile.Parse(data)
	var contradiction *lockfile.Contradiction
	if err != nil && !errors.As(err, &contradiction) {
		return nil, []*refusal.Refusal{s.refusal(refusal.Malformed, p, err.Error())}
	}
	if err == nil {
		if one, other, found := contradicting(f.Entries()); found {
			contradiction = &lockfile.Contradiction{One: one, Other: other}
		}
	}
	if contradiction != nil {
		one := s.refusal(refusal.StaleLock, p, contradiction.Error())
		one.Hints = []string{"remove the wrong line, or make the lock again: trustomize lock"}
		return nil, []*refusal.Refusal{one}
	}
	return &lockFile{f, p, s.Identity.At(p)}, nil
}

// contradicting finds two entries that give one ref of one source two commits,
// or one commit two digests: a reference can be written in several ways. One that
// names its commit itself is such an entry too.
func contradicting(entries []lockfile.Entry) (one, other lockfile.Entry, found bool) {
	commits, digests := map[string]lockfile.Entry{}, map[string]lockfile.Entry{}
	for _, e := range entries {
		u, err := sourceurl.ParseLocked(e.URL, e.Commit, e.Digest)
		if err != nil {
			continue
		}
		if id, ok := u.ID(); ok && id != e.Commit {
			return lockfile.Entry{URL: e.URL, Commit: id, Digest: e.Digest}, e, true
		}
		if old, ok := commits[refOf(u)]; ok && old.Commit != e.Commit {
			return old, e, true
		}
		commits[refOf(u)] = e
		commit := string(u.Identity) + " " + e.Commit
		if old, ok := digests[commit]; ok && old.Digest != e.Digest {
			return old, e, true
		}
		digests[commit] = e
	}
	return one, other, false
}

// refOf names what has one state at a time: a ref of a source, a file.
func refOf(u *sourceurl.URL) string {
	return string(u.Kind) + " " + string(u.Identity) + " " + u.Ref
}

// RefOf names the ref of a source, or the file, that a lock's entry fixes:
// entries with equal names cannot differ in their commits. It is "" for what is no
// URL.
func RefOf(e lockfile.Entry) string {
	u, err := sourceurl.ParseLocked(e.URL, e.Commit, e.Digest)
	if err != nil {
		return ""
	}
	return refOf(u)
}

// CheckEntries is an error for entries that would be refused as a lock.
func CheckEntries(entries []lockfile.Entry) error {
	if one, other, found := contradicting(entries); found {
		return &lockfile.Contradiction{One: one, Other: other}
	}
	return nil
}

// locked returns the entry that holds for a reference: the root's, else that of
// the source which holds the reference, where a rule accepts its signers'
// locks. An entry that names another commit than the reference itself does not
// hold.
func (r *run) locked(n *Node, u *sourceurl.URL) *Lock {
	l := r.entryFor(n, u)
	if l == nil {
		return nil
	}
	id, full := u.ID()
	if !full || id == l.Commit {
		return l
	}
	one := n.Source.refusal(refusal.StaleLock, n.File, l.File+" has another commit for "+giturl.Redact(u.Text)+" than the reference names itself")
	one.Want, one.Got = id, l.Commit
	one.Hints = []string{"remove the line, or make the lock again: trustomize lock"}
	r.refuse(n.named(), one)
	return nil
}

func (r *run) entryFor(n *Node, u *sourceurl.URL) *Lock {
	if r.lock != nil {
		if e, ok := r.lock.Lookup(u.Text); ok {
			return &Lock{Entry: e, File: r.lock.name, Root: true}
		}
		if e, ok := r.sameRef(u); ok {
			return &Lock{Entry: e, File: r.lock.name, Root: true}
		}
	}
	accepted := r.lockers(u)
	if n.Source.Root || len(accepted) == 0 {
		return nil
	}
	l, refusals := findLock(n.Source, n.Dir)
	r.refuse(n.own(), refusals...)
	if l == nil {
		return nil
	}
	e, ok := l.Lookup(u.Text)
	if !ok {
		return nil
	}
	signers := slices.DeleteFunc(n.Source.signersOf(l.path), func(name string) bool { return !slices.Contains(accepted, name) })
	if len(signers) == 0 {
		return nil
	}
	return &Lock{Entry: e, File: l.name, Signers: signers}
}

// sameRef finds, while a lock is made, the root's entry for another path of the
// same source at the same ref: it has one state at a time.
func (r *run) sameRef(u *sourceurl.URL) (lockfile.Entry, bool) {
	if !r.cfg.Locking {
		return lockfile.Entry{}, false
	}
	for _, e := range r.lock.Entries() {
		if RefOf(e) == refOf(u) {
			return e, true
		}
	}
	return lockfile.Entry{}, false
}

// lockers returns whose locks the rules for a source accept besides the root's.
func (r *run) lockers(u *sourceurl.URL) []string {
	var names []string
	for _, rule := range r.cfg.Policy.RulesFor(u.Identity) {
		names = append(names, rule.LockedBy...)
	}
	return names
}

// lockHolds holds the source against a rule that wants it locked.
func (v *verification) lockHolds(rule *policy.CompiledRule) []*refusal.Refusal {
	l := v.source.Lock
	switch {
	case v.locking:
		return nil
	case l != nil && (l.Root || slices.ContainsFunc(l.Signers, func(name string) bool { return slices.Contains(rule.LockedBy, name) })):
		one := Voucher{Rule: rule.Match, Kind: "lock", List: l.File, Commit: l.Commit, Digest: l.Digest}
		if !l.Root {
			one.Signer = strings.Join(l.Signers, ", ")
		}
		v.vouchers[one] = true
		return nil
	case v.source.Root && len(rule.SignedBy)+len(rule.Pinned) > 0:
		return nil // nothing refers to the root; the rule's other fields vouch for it
	}
	one := v.refusal(refusal.NoLock, "", "the rule wants this source locked, and no lock that it accepts has an entry for it")
	one.Want = "a line for it in " + lockfile.Name + " beside the root's list"
	one.Hints = []string{"review the source, then lock and sign: trustomize lock, trustomize materials sign"}
	return []*refusal.Refusal{one}
}
