package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
)

// reachable says of rules with refs whether one of these reaches the source's
// commit.
type reachable map[*policy.CompiledRule]bool

// reach finds out, for every rule that asks, whether a ref that it allows
// reaches the commit. A host serves the commits of forks and pull requests under
// the repository's name too; its refs tell them apart. at is the ref that was
// just looked up, if one was.
func (r *run) reach(ctx context.Context, s *Source, location string, at git.Ref) (reachable, error) {
	found := reachable{}
	var refs []git.Ref
	for _, rule := range r.cfg.Policy.RulesFor(s.Identity) {
		switch {
		case len(rule.Refs) == 0:
			continue
		case s.Kind != sourceurl.Git:
			continue // only git has refs: the rule refuses it
		case at.Commit == s.Commit && allows(rule, at.Name):
			found[rule] = true
			continue
		}
		if refs == nil {
			var err error
			if refs, err = r.refs(ctx, location); err != nil {
				return nil, err
			}
		}
		allowed := slices.DeleteFunc(slices.Clone(refs), func(ref git.Ref) bool { return !allows(rule, ref.Name) })
		ok, err := r.descends(ctx, s, location, allowed)
		if err != nil {
			return nil, fmt.Errorf("which refs reach commit %s: %w", s.Commit, err)
		}
		found[rule] = ok
	}
	return found, nil
}

func allows(rule *policy.CompiledRule, ref string) bool {
	return slices.ContainsFunc(rule.Refs, func(p policy.RefPattern) bool { return p.Matches(ref) })
}

func (r *run) refs(ctx context.Context, location string) ([]git.Ref, error) {
	if r.cfg.Offline {
		return nil, errors.New("a rule allows only certain refs, and where they are now cannot be asked offline")
	}
	return r.git.Refs(ctx, location)
}

// histories are the cache's proofs that one commit descends from another.
const histories = "histories"

// descends reports whether one of the refs, as they are now, reaches the
// commit. A proof that was found is kept; it is proven again each time.
func (r *run) descends(ctx context.Context, s *Source, location string, refs []git.Ref) (bool, error) {
	for _, ref := range refs {
		if ref.Commit == s.Commit {
			return true, nil
		}
	}
	for _, ref := range refs {
		if r.proven(s, ref.Commit) {
			return true, nil
		}
	}
	if len(refs) == 0 {
		return false, nil
	}
	task := r.observe(s)
	defer task.Done()
	tips := make([]string, len(refs))
	for i, ref := range refs {
		tips[i] = ref.Commit
	}
	err := r.git.History(ctx, location, refs, task.Bytes, func(store gitobject.Store) error {
		chain, err := gitobject.Descent(store, tips, s.Commit)
		if err != nil {
			return err
		}
		return r.cfg.Cache.Put(histories, historyName(s, chain[0]), func(w io.Writer) error {
			return gitobject.WriteDescent(w, store, chain)
		})
	})
	if errors.Is(err, gitobject.ErrNoDescent) {
		return false, nil
	}
	return err == nil, err
}

func historyName(s *Source, tip string) string { return cacheName(s) + "-" + tip }

func (r *run) proven(s *Source, tip string) bool {
	f, err := r.cfg.Cache.Get(histories, historyName(s, tip))
	if err != nil {
		return false
	}
	defer f.Close()
	return gitobject.CheckDescent(f, tip, s.Commit) == nil
}

// refsHold holds the source against the refs that a rule allows.
func (v *verification) refsHold(rule *policy.CompiledRule) []*refusal.Refusal {
	if v.source.reachable[rule] {
		return nil
	}
	one := v.refusal(refusal.WrongRef, "", "no ref that the rule allows reaches this commit")
	for i, p := range rule.Refs {
		if i > 0 {
			one.Want += " or "
		}
		one.Want += p.String()
	}
	switch {
	case v.source.Kind != sourceurl.Git:
		one.Reason, one.Got = "the rule allows only certain refs, and this source is not git's", string(v.source.Kind)
	case v.source.Commit == "":
		one.Reason, one.Got = "the rule allows only certain refs, and the bytes on disk are no commit's", "a changed or unknown work tree"
	default:
		one.Got = "commit " + v.source.Commit + ", of another ref, a fork or a pull request"
		one.Hints = []string{"refer to a commit of an allowed ref, or allow the ref in rule " + rule.Match}
	}
	return []*refusal.Refusal{one}
}
