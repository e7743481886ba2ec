package trustomize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/image"
	"github.com/trustomize/trustomize/signer/strict"
)

// ManifestsRequest says which resources to verify, and what they should be.
type ManifestsRequest struct {
	YAML []byte // documents, JSON, or lists, as files or as kubectl prints them

	Trust []signature.Trust // whose signatures count
	Keys  []signature.Key   // with which the statement's signature may verify

	Origin       signer.Origin // where they must come from and belong; empty fields ask nothing
	Installation string        // of the ArgoCD that tracks them
	BeforeApply  bool          // they are in no cluster yet

	// Statement is the provenance bundle of the build that they should be all of;
	// nil asks nothing.
	Statement []byte

	// Image is a manifest image, for resources that carry no signature; nil without.
	Image *image.Verified

	// DryRun asks an API server what it makes of the signed object; nil compares
	// offline.
	DryRun func(ctx context.Context, signed, live map[string]any) (map[string]any, error)

	Now time.Time
}

// ManifestsReport is what was found.
type ManifestsReport struct {
	Verdicts []*strict.Verdict
	Set      []*refusal.Refusal // about all of them together
}

// VerifyManifests verifies resources strictly. The error tells what kept it from
// doing so; what is wrong with them is in the report, whose [ManifestsReport.Err]
// gives the decision.
func VerifyManifests(ctx context.Context, req ManifestsRequest) (*ManifestsReport, error) {
	objects, err := strict.Read(req.YAML)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, errors.New("there are no resources to verify")
	}
	report := &ManifestsReport{}
	var built []strict.Built
	if req.Statement != nil {
		if built, report.Set, err = builtIn(req); err != nil {
			return nil, err
		}
	}
	v := &strict.Verifier{Trust: req.Trust, Now: req.Now, Origin: req.Origin, Installation: req.Installation, BeforeApply: req.BeforeApply, DryRun: req.DryRun}
	if req.Image != nil {
		if v.Image, err = strict.Read(req.Image.YAML); err != nil {
			return nil, fmt.Errorf("the manifest image: %w", err)
		}
		v.ImageSigner = req.Image.Fingerprint
	}
	patience := &strict.Patience{}
	for _, o := range objects {
		verdict := v.Verify(ctx, o)
		report.Verdicts = append(report.Verdicts, verdict)
		if err := patience.After(verdict); err != nil {
			verdict.Failure = err
			break
		}
	}
	if built != nil {
		report.Set = append(report.Set, strict.CheckSet(built, report.Verdicts)...)
	}
	return report, context.Cause(ctx)
}

// builtIn reads what a build made from its statement, and refuses a build for
// another place than is expected.
func builtIn(req ManifestsRequest) ([]strict.Built, []*refusal.Refusal, error) {
	statement, _, err := provenance.Open(req.Statement, req.Keys)
	if err != nil {
		return nil, nil, fmt.Errorf("--set: the bundle %w", err)
	}
	built := []strict.Built{}
	for _, d := range statement.Predicate.RunDetails.Byproducts {
		unsigned, _ := d.Annotations[provenance.AnnotationUnsigned].(bool)
		built = append(built, strict.Built{Name: d.Name, Digest: d.Digest["sha256"], Unsigned: unsigned})
	}
	if len(built) == 0 {
		return nil, nil, errors.New("--set: the statement names no resources")
	}
	return built, elsewhere(req.Origin, statement.Predicate.BuildDefinition.ExternalParameters), nil
}

// elsewhere compares a build with what is expected, as the origins of its resources
// are.
func elsewhere(want signer.Origin, said provenance.ExternalParameters) []*refusal.Refusal {
	claims := provenance.Claims{}
	if said.Claims != nil {
		claims = *said.Claims
	}
	var refusals []*refusal.Refusal
	for _, one := range []struct{ what, want, got string }{
		{"source", want.Source, said.Source},
		{"application", want.Application, claims.Application},
		{"namespace", want.Namespace, claims.DestinationNamespace},
	} {
		if one.want != "" && one.want != one.got && (one.what != "namespace" || one.got != "") {
			refusals = append(refusals, &refusal.Refusal{Code: refusal.WrongOrigin, Source: "the statement", Reason: "is of a build for another " + one.what, Want: one.want, Got: one.got})
		}
	}
	return refusals
}

// Err is the decision: nil, or what is wrong, of type *[Refused] where a resource
// is not accepted.
func (r *ManifestsReport) Err() error {
	refusals, failures := append([]*refusal.Refusal{}, r.Set...), []error(nil)
	for _, v := range r.Verdicts {
		refusals = append(refusals, v.Refusals...)
		if v.Failure != nil {
			failures = append(failures, v.Failure)
		}
	}
	if len(refusals) > 0 {
		return &Refused{refusals, failures}
	}
	return errors.Join(failures...)
}

// ManifestTrust reads whose signatures of manifests a policy accepts.
func ManifestTrust(p *policy.Policy) ([]signature.Trust, []signature.Key, error) {
	trust := p.ManifestTrust()
	if len(trust) == 0 {
		return nil, nil, refuse(refusal.NoPolicy, "the policy has no spec.manifestVerify: nothing says whose signatures of manifests count", "name public keys there, or with --key")
	}
	return trust, p.ManifestKeys(), nil
}

// OriginSource is a source as origins name it, of a URL or an identity, perhaps
// with //path.
func OriginSource(text string) (string, error) {
	u, err := parseSource(text, "")
	if err != nil {
		return "", err
	}
	return u.Identity.At(cmp.Or(u.Path, ".")), nil
}
