package fn

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/strict"
)

// check verifies the items, and says of each what is wrong with it.
func (f *function) check(l *list, c *SignatureCheck) error {
	trust, _, err := trustomize.ManifestTrust(f.policy)
	if err != nil {
		return err
	}
	v := &strict.Verifier{Trust: trust, Now: f.req.Now, Origin: c.Spec.Origin.signed(), Installation: c.Spec.InstallationID, BeforeApply: true}
	found := &checked{}
	for _, one := range l.items {
		if r := one.unsettled(); r != nil {
			f.say(l, one.different(r))
			found.refusals = append(found.refusals, r)
		}
		if !found.look(f, l, v, one, c.Spec.must(one)) {
			break
		}
	}
	if found.verified+len(found.refusals)+len(found.failures) == 0 {
		return errors.New("there is no item to verify")
	}
	f.say(l, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%d of %d resources verified, %d not looked at", found.verified, len(l.items), found.skipped)})
	return found.err()
}

// checked is what was found.
type checked struct {
	verified, skipped int
	refusals          []*refusal.Refusal
	failures          []error
	patience          strict.Patience
}

// look looks at an item, and reports whether it is worth while to look at more.
func (c *checked) look(f *function, l *list, v *strict.Verifier, one *item, must bool) bool {
	if one.local || !must && !slices.ContainsFunc(slices.Collect(maps.Keys(one.Annotations)), signer.IsSignature) {
		c.skipped++
		return true
	}
	one.vouched = true
	if one.ambiguous != nil {
		f.say(l, one.about(framework.Error, refusal.Printable(one.ambiguous.Error())))
		c.failures = append(c.failures, fmt.Errorf("%s: %w", one.call(), one.ambiguous))
		return true
	}
	verdict := v.Verify(f.ctx, one.object())
	if verdict.OK() {
		c.verified++
	}
	for _, r := range verdict.Refusals {
		f.say(l, one.different(r))
	}
	impatient := c.patience.After(verdict)
	if impatient != nil {
		verdict.Failure = impatient
	}
	if verdict.Failure != nil {
		f.say(l, one.about(framework.Error, refusal.Printable(verdict.Failure.Error())))
		c.failures = append(c.failures, verdict.Failure)
	}
	c.refusals = append(c.refusals, verdict.Refusals...)
	return impatient == nil
}

// must reports whether an item has to be signed: all, or what match covers, Secrets
// among them.
func (s *SignatureCheckSpec) must(one *item) bool {
	return len(s.Match) == 0 || slices.ContainsFunc(s.Match, func(m policy.ResourceMatch) bool {
		return signer.Selector(m).Covers(one.APIVersion, one.Kind, one.Namespace, one.Name)
	})
}

func (c *checked) err() error {
	if len(c.refusals) > 0 {
		return &found{&trustomize.Refused{Refusals: c.refusals, Failures: c.failures}}
	}
	if len(c.failures) > 0 {
		return &found{errors.Join(c.failures...)}
	}
	return nil
}
