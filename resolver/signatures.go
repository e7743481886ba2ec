package resolver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// signers returns who of the rule's signers signed the list, or why too few
// did.
func (v *verification) signers(rule *policy.CompiledRule, l *signedList) ([]Voucher, []*refusal.Refusal) {
	if l.name == "" && len(l.data) > materials.MaxListSize {
		return nil, []*refusal.Refusal{v.refusal(refusal.Malformed, l.file(), fmt.Sprintf("has %d bytes, more than the %d allowed", len(l.data), materials.MaxListSize))}
	}
	if len(l.signatures) == 0 {
		one := v.refusal(refusal.Unsigned, l.file(), "the list has no signature beside it")
		one.Hints = []string{"want one of " + strings.Join(materials.SignatureNames(), ", ")}
		return nil, []*refusal.Refusal{one}
	}
	all := v.tryAll(rule.Signers, l)
	count := policy.Distinct(all.vouched())
	if count >= rule.Threshold {
		var vouchers []Voucher
		for _, found := range all.good {
			one := voucherOf("signature", rule, found.signer, found.evidence)
			one.Signature, one.List = found.file, l.file()
			vouchers = append(vouchers, one)
		}
		return vouchers, nil
	}
	refusals := v.unaccepted(rule, l, all)
	if count > 0 {
		one := v.refusal(refusal.WrongSigner, l.file(), "too few of the rule's signers signed the list, each with a key of its own")
		one.Want, one.Got = fmt.Sprintf("%d of %s", rule.Threshold, strings.Join(rule.SignedBy, ", ")), fmt.Sprint(count)
		refusals = append([]*refusal.Refusal{one}, refusals...)
	}
	return nil, refusals
}

// trial is what came of trying signers on signatures.
type trial struct {
	good []accepted
	bad  []rejected
}

// accepted is a signature that counts.
type accepted struct {
	signer   string
	file     string // that holds the signature
	evidence signature.Evidence
}

// rejected is a signature that no signer's trust accepts, with the reason that
// tells most.
type rejected struct {
	file string
	sig  signature.Signature
	why  *signature.Error
}

func (t *trial) vouched() map[string][]signature.Evidence {
	vouched := map[string][]signature.Evidence{}
	for _, found := range t.good {
		vouched[found.signer] = append(vouched[found.signer], found.evidence)
	}
	return vouched
}

// tryAll tries every signer on every signature beside a list.
func (v *verification) tryAll(signers []*policy.NamedSigner, l *signedList) trial {
	var all trial
	count := 0
	for _, file := range l.signatures {
		sigs, err := policy.Signatures(file.data)
		if err != nil {
			all.bad = append(all.bad, rejected{file.path, signature.Signature{}, signature.Errorf(signature.Malformed, "%v", err)})
		}
		for _, sig := range sigs {
			if count++; count > signature.MaxSignatures || v.ended() {
				return all
			}
			v.try(&all, signers, file.path, sig, l.data, v.occasion())
		}
	}
	return all
}

// ended reports whether nobody waits for a verdict any more.
func (v *verification) ended() bool { return v.ctx != nil && v.ctx.Err() != nil }

// occasion is now, for this source.
func (v *verification) occasion() policy.Occasion {
	return policy.Occasion{When: signature.When{Now: v.now}, Source: v.source.Identity}
}

// try tries every signer on one signature.
func (v *verification) try(all *trial, signers []*policy.NamedSigner, file string, sig signature.Signature, message []byte, at policy.Occasion) {
	var best *signature.Error
	found := false
	for _, s := range signers {
		evidence, err := s.Verify(sig, message, at)
		if err == nil {
			all.good = append(all.good, accepted{s.Name, file, evidence})
			found = true
			continue
		}
		var why *signature.Error
		if !errors.As(err, &why) {
			why = signature.Errorf(signature.Malformed, "%v", err)
		}
		if best == nil || why.Reason > best.Reason {
			best = why
		}
	}
	if !found && best != nil {
		all.bad = append(all.bad, rejected{file, sig, best})
	}
}

// unaccepted says why signatures of a list do not count: made by another
// signer of the policy, of a kind that no signer of the rule makes, or not over
// this list.
func (v *verification) unaccepted(rule *policy.CompiledRule, l *signedList, all trial) []*refusal.Refusal {
	var refusals []*refusal.Refusal
	for _, bad := range all.bad {
		by := v.madeBy(bad, l.data, v.occasion())
		refusals = append(refusals, v.because(bad, rule.Signers, "over "+l.file(), by))
	}
	return refusals
}

// madeBy names the signer of the policy who made a signature that the rule does
// not accept, or nobody.
func (v *verification) madeBy(bad rejected, message []byte, at policy.Occasion) string {
	if bad.why.Reason > signature.Mismatch {
		return ""
	}
	var all trial
	v.try(&all, v.policy.Signers(), bad.file, bad.sig, message, at)
	if len(all.good) == 0 {
		return ""
	}
	return all.good[0].signer + " (" + all.good[0].evidence.Fingerprint + ")"
}

// because turns a signature that does not count into a refusal. over says what
// it ought to be over; by, if not empty, which signer of the policy made it.
func (v *verification) because(bad rejected, signers []*policy.NamedSigner, over, by string) *refusal.Refusal {
	accepted := make([]string, len(signers))
	for i, s := range signers {
		accepted[i] = s.String()
	}
	want := "a signature by " + strings.Join(accepted, " or ")
	if by != "" {
		one := v.refusal(refusal.WrongSigner, bad.file, "it is signed by somebody whom the rule does not accept")
		one.Want, one.Got = want, "one by "+by
		return one
	}
	one := v.refusal(CodeOf(bad.why.Reason), bad.file, "the signature "+bad.why.Text)
	switch bad.why.Reason {
	case signature.OtherKind:
		one.Reason = "the signature is of a kind that no signer of the rule makes"
		one.Want, one.Got = want, "a signature of kind "+string(bad.sig.Kind)
	case signature.Stranger:
		one.Want, one.Got = want, "one by "+cmp.Or(bad.why.By, "somebody else")
	case signature.Mismatch:
		one.Reason = "the signature does not verify " + over
		one.Want, one.Got = want, "one that "+bad.why.Text
		one.Hints = []string{"what it covers was changed after it was signed, or it was made with a key that the policy does not know"}
	case signature.Expired:
		one.Hints = []string{"sign again with a valid key; keys and dates are those of the policy's signer"}
	}
	return one
}

// CodeOf is the refusal's code for a reason.
func CodeOf(reason signature.Reason) refusal.Code {
	switch reason {
	case signature.OtherKind, signature.Stranger:
		return refusal.WrongSigner
	case signature.Expired:
		return refusal.Expired
	case signature.Revoked:
		return refusal.Revoked
	}
	return refusal.BadSignature
}

// wantsCommits returns the rules for a source that ask for a signed commit.
func (r *run) wantsCommits(s *Source) []*policy.CompiledRule {
	return slices.DeleteFunc(r.cfg.Policy.RulesFor(s.Identity), func(rule *policy.CompiledRule) bool { return len(rule.CommitSigners) == 0 })
}
