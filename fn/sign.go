package fn

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// sign signs what the policy's manifestSign chooses, and leaves the rest as it is.
func (f *function) sign(l *list, c *ManifestSigner) error {
	s, err := trustomize.ManifestSigner(f.ctx, f.req, f.policy, c.Spec.Origin.signed())
	if err != nil {
		return err
	}
	for _, one := range l.items {
		if r := one.described(); r != nil {
			return &trustomize.Refused{Refusals: []*refusal.Refusal{r}}
		}
	}
	if err := l.settle(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(f.ctx)
	group.SetLimit(1) // who is asked elsewhere is asked once at a time
	if s.Maker.Deterministic() {
		group.SetLimit(runtime.GOMAXPROCS(0))
	}
	signed := 0
	for _, one := range l.items {
		if one.local {
			continue
		}
		r := one.resource()
		if !s.Selects(r) {
			continue
		}
		signed++
		group.Go(func() error { return one.sign(ctx, s, r, c.Spec.Replace) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	f.say(l, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%d of %d resources signed with %s", signed, len(l.items), refusal.Printable(s.Maker.ID()))})
	return nil
}

// sign puts the signature of the resource that the item is into its annotations,
// beside those of orchestrators.
func (i *item) sign(ctx context.Context, s *signer.Signer, r *yaml.RNode, replace bool) error {
	if i.ambiguous != nil {
		return fmt.Errorf("%s: %w", i.call(), i.ambiguous)
	}
	if err := trustomize.SignManifest(ctx, s, r, replace); err != nil {
		return err
	}
	// What is changed may be shared by aliases.
	i.RNode, i.vouched = yaml.NewRNode(plainyaml.Expanded(i.YNode(), true)), true
	if err := signer.CopyReserved(i.RNode, r); err != nil {
		return err
	}
	_, err := signer.Carried(i.RNode)
	return err
}
