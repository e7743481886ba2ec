package resolver

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/policy"
)

// A commit's own signature, or that of a tag, covers the whole tree through the
// objects' ids. It names neither repository nor branch, which is why such a rule
// demands refs.

// gitTag is a tag object that was fetched and hashed.
type gitTag struct {
	ref  string
	data []byte
}

// How many tags of one commit are fetched, and how many signed ones are looked
// at.
const (
	maxTags       = 256
	maxSignedTags = 16
)

// findTags fetches the tags that point to a source's commit, where a rule asks
// for signed commits and the commit's own signature does not do.
func (r *run) findTags(ctx context.Context, s *Source, location, asked string) error {
	if s.Kind != sourceurl.Git || s.commitData == nil {
		return nil
	}
	rules := slices.DeleteFunc(r.wantsCommits(s), func(rule *policy.CompiledRule) bool {
		return len(s.commitTrial(rule).good) > 0
	})
	if len(rules) == 0 {
		return nil
	}
	refs, err := r.refs(ctx, location)
	if err != nil {
		return err
	}
	refs = slices.DeleteFunc(refs, func(ref git.Ref) bool {
		allowed := slices.ContainsFunc(rules, func(rule *policy.CompiledRule) bool { return allows(rule, ref.Name) })
		return ref.Commit != s.Commit || ref.Tag == "" || !strings.HasPrefix(ref.Name, tagPrefix) || !allowed
	})
	if len(refs) == 0 {
		return nil
	}
	// The ref that was asked for comes first: whoever may push tags could hide it
	// behind others.
	slices.SortStableFunc(refs, func(a, b git.Ref) int { return firstly(b.Name == asked) - firstly(a.Name == asked) })
	refs = refs[:min(len(refs), maxTags)]
	return r.git.Tags(ctx, location, refs, func(store gitobject.Store) error {
		for _, ref := range refs {
			data, err := gitobject.CheckedTag(store, ref.Tag)
			if err != nil {
				return err
			}
			if _, err := gitobject.SignedTag(data, len(s.Commit)); !errors.Is(err, gitobject.ErrUnsigned) {
				s.tags = append(s.tags, gitTag{ref.Name, data})
			}
			if len(s.tags) >= maxSignedTags {
				break
			}
		}
		return nil
	})
}

func firstly(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

const tagPrefix = "refs/tags/"

// commitSigned holds the source's commit against the rule's signers, once.
func (v *verification) commitSigned(rule *policy.CompiledRule) []*refusal.Refusal {
	refusals, known := v.commits[rule]
	if !known {
		refusals = v.judgeCommit(rule)
		v.commits[rule] = refusals
	}
	return refusals
}

func (v *verification) judgeCommit(rule *policy.CompiledRule) []*refusal.Refusal {
	all := v.source.commitTrial(rule)
	if len(all.good) > 0 {
		found := all.good[0]
		one := voucherOf("commit", rule, found.signer, found.evidence)
		one.Signature, one.Commit = found.file, v.source.Commit
		v.vouchers[one] = true
		return nil
	}
	if len(all.bad) == 0 {
		one := v.refusal(refusal.Unsigned, "", "neither the commit nor a tag of it that the rule allows is signed")
		if v.source.Commit == "" {
			one.Reason = "the rule wants a signed commit, and the bytes are no commit's"
		}
		one.Hints = []string{"sign commits (git commit -S) or the tag (git tag -s)"}
		return []*refusal.Refusal{one}
	}
	var refusals []*refusal.Refusal
	for _, bad := range all.bad {
		one := v.because(bad, rule.CommitSigners, "over the commit", "")
		if one.File == commitItself {
			one.File = ""
		}
		refusals = append(refusals, one)
	}
	return refusals
}

// commitItself stands for the commit's own signature where a tag's ref could
// stand.
const commitItself = "commit"

// commitTrial tries a rule's signers on the commit's own signature, then on
// those of its tags that the rule allows.
func (s *Source) commitTrial(rule *policy.CompiledRule) trial {
	var all trial
	if s.commitData == nil {
		return all
	}
	if signed, err := gitobject.SignedCommit(s.commitData, len(s.Commit)); !errors.Is(err, gitobject.ErrUnsigned) {
		s.trySigned(&all, rule, commitItself, signed, err)
	}
	for _, tag := range s.tags {
		if len(all.good) > 0 {
			break
		}
		if allows(rule, tag.ref) {
			s.tryTag(&all, rule, tag)
		}
	}
	return all
}

// tryTag tries a tag: it must be one of this commit, and say the name under
// which it was found, so that an old tag cannot be served as a new one.
func (s *Source) tryTag(all *trial, rule *policy.CompiledRule, tag gitTag) {
	t, err := gitobject.SignedTag(tag.data, len(s.Commit))
	switch {
	case errors.Is(err, gitobject.ErrUnsigned):
		return
	case err == nil && t.Commit != s.Commit:
		err = errors.New("is over another commit, " + t.Commit)
	case err == nil && tagPrefix+t.Name != tag.ref:
		err = errors.New("is over a tag that calls itself " + t.Name)
	}
	s.trySigned(all, rule, tag.ref, t.Signed, err)
}

func (s *Source) trySigned(all *trial, rule *policy.CompiledRule, what string, signed gitobject.Signed, err error) {
	var sigs []signature.Signature
	if err == nil {
		sigs, err = policy.Signatures(signed.Signature)
	}
	if err != nil {
		all.bad = append(all.bad, rejected{what, signature.Signature{}, signature.Errorf(signature.Malformed, "%v", err)})
		return
	}
	at := s.occasion()
	at.Git, at.Claimed = true, signed.When
	for _, sig := range sigs {
		if s.ended() {
			return
		}
		s.try(all, rule.CommitSigners, what, sig, signed.Payload, at)
	}
}
