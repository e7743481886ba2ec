package fn

import (
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/strict"
)

// check verifies the items, and says of each what is wrong with it.
func (f *function) check(rl *framework.ResourceList, items []*item, c *SignatureCheck) error {
	trust, _, err := trustomize.ManifestTrust(f.policy)
	if err != nil {
		return err
	}
	v := &strict.Verifier{Trust: trust, Now: f.req.Now, Origin: c.Spec.Origin.signed(), Installation: c.Spec.InstallationID}
	must := signer.Signer{Match: []signer.Selector{}}
	for _, m := range c.Spec.Match {
		must.Match = append(must.Match, signer.Selector(m))
	}
	found := &checked{}
	for _, one := range items {
		if err := found.look(f, rl, v, one, len(must.Match) == 0 || must.Selects(one.RNode)); err != nil {
			return err
		}
	}
	if found.verified+len(found.refusals)+len(found.failures) == 0 {
		return errors.New("there is no item to verify")
	}
	f.say(rl, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%d of %d resources verified, %d not looked at", found.verified, len(items), found.skipped)})
	return found.err()
}

// checked is what was found.
type checked struct {
	verified, skipped int
	refusals          []*refusal.Refusal
	failures          []error
}

func (c *checked) look(f *function, rl *framework.ResourceList, v *strict.Verifier, one *item, must bool) error {
	if one.local || !must && !slices.ContainsFunc(annotationsOf(one), signer.IsSignature) {
		c.skipped++
		return nil
	}
	r, err := one.plain()
	if err != nil {
		return err
	}
	text, err := r.String()
	if err != nil {
		return fmt.Errorf("%s: %w", signer.Name(r), err)
	}
	objects, err := strict.Read([]byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w", signer.Name(r), err)
	}
	for _, o := range objects {
		verdict := v.Verify(f.ctx, o)
		if verdict.OK() {
			c.verified++
		}
		for _, r := range verdict.Refusals {
			f.say(rl, one.different(r))
		}
		if verdict.Failure != nil {
			f.say(rl, one.about(framework.Error, refusal.Printable(verdict.Failure.Error())))
			c.failures = append(c.failures, verdict.Failure)
		}
		c.refusals = append(c.refusals, verdict.Refusals...)
	}
	return nil
}

func annotationsOf(i *item) []string {
	var names []string
	for name := range i.GetAnnotations() {
		names = append(names, name)
	}
	return names
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
