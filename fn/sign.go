package fn

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/strict"
)

// sign signs what the policy's manifestSign chooses, and leaves the rest as it is.
func (f *function) sign(rl *framework.ResourceList, items []*item, c *ManifestSigner) error {
	s, err := trustomize.ManifestSigner(f.ctx, f.req, f.policy, c.Spec.Origin.signed())
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(f.ctx)
	group.SetLimit(1) // who is asked elsewhere is asked once at a time
	if s.Maker.Deterministic() {
		group.SetLimit(runtime.GOMAXPROCS(0))
	}
	signed := 0
	for _, one := range items {
		if one.local || !s.Selects(one.RNode) {
			continue
		}
		signed++
		group.Go(func() error { return one.sign(ctx, s, c.Spec.Replace) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	f.say(rl, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%d of %d resources signed with %s", signed, len(items), refusal.Printable(s.Maker.ID()))})
	return nil
}

// sign puts the signature's annotations on the item, beside those of orchestrators,
// which are not in what is signed.
func (i *item) sign(ctx context.Context, s *signer.Signer, replace bool) error {
	r, err := i.plain()
	if err != nil {
		return err
	}
	if !plainyaml.Unambiguous(r.YNode()) {
		text, err := r.String()
		if err != nil {
			return fmt.Errorf("%s: %w", signer.Name(r), err)
		}
		if _, err := strict.Read([]byte(text)); err != nil {
			return fmt.Errorf("%s: %w", signer.Name(r), err)
		}
	}
	if err := trustomize.SignManifest(ctx, s, r, replace); err != nil {
		return err
	}
	if _, err := signer.ClearReserved(i.RNode); err != nil {
		return err
	}
	all := r.GetAnnotations()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !signer.IsReserved(name) {
			continue
		}
		if err := i.PipeE(yaml.SetAnnotation(name, all[name])); err != nil {
			return err
		}
	}
	return nil
}
