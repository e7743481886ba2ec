package trustomize

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/strict"
)

// SignManifestsRequest says what to sign that this program did not build.
type SignManifestsRequest struct {
	Request // of which the policy and what opens its keys count

	YAML []byte

	// Maker signs where no policy is asked; nil takes the policy's
	// manifestSign.key, and never its sign.key.
	Maker signer.Maker

	Origin  signer.Origin
	Match   []signer.Selector // without a policy
	Embed   bool              // without a policy: the messages of Secrets as well
	Replace bool              // drop the signatures that are there
}

// SignedManifests is what came out.
type SignedManifests struct {
	YAML      []byte
	Signed    int
	Resources int
	Signer    string
}

// SignManifests signs resources in their annotations, and leaves what is not
// signed as it was written. A resource that is signed already, and is what was
// signed, gets another signature over the same message. Nothing comes out unless
// everything that is to be signed could be.
func SignManifests(ctx context.Context, req SignManifestsRequest) (*SignedManifests, error) {
	given, err := strict.Read(req.YAML)
	if err != nil {
		return nil, err
	}
	nodes, err := (&kio.ByteReader{Reader: bytes.NewReader(req.YAML), OmitReaderAnnotations: true}).Read()
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	if len(nodes) == 0 {
		return nil, errors.New("there are no resources to sign")
	}
	if len(given) != len(nodes) {
		return nil, fmt.Errorf("there are %d resources in %d objects: of lists, only those of kind List are signed", len(given), len(nodes))
	}
	s, err := req.signer(ctx)
	if err != nil {
		return nil, err
	}
	result := &SignedManifests{Resources: len(nodes), Signer: s.Maker.ID()}
	for _, r := range nodes {
		if !s.Selects(r) {
			continue
		}
		c := kyaml.NewRNode(plainyaml.Expanded(r.YNode(), false))
		plainyaml.Restyle(c.YNode())
		if err := SignManifest(ctx, s, c, req.Replace); err != nil {
			return nil, err
		}
		*r.YNode() = *plainyaml.Expanded(r.YNode(), true) // what is changed may be shared by aliases
		if err := signer.CopyReserved(r, c); err != nil {
			return nil, err
		}
		result.Signed++
	}
	if result.Signed == 0 {
		return nil, errors.New("nothing is to be signed: no resource is one that match selects; a Secret is one only where match names its kind")
	}
	for _, r := range nodes {
		plainyaml.Restyle(r.YNode())
	}
	var out bytes.Buffer
	if err := (kio.ByteWriter{Writer: &out}).Write(nodes); err != nil {
		return nil, err
	}
	result.YAML = out.Bytes()
	if err := asGiven(given, result.YAML); err != nil {
		return nil, err
	}
	return result, context.Cause(ctx)
}

// asGiven reads what is to be printed, and holds it against what was given, signatures
// apart: writers of YAML make mistakes with comments and texts of several lines.
func asGiven(given []strict.Object, text []byte) error {
	written, err := strict.Read(text)
	if err != nil || len(written) != len(given) {
		return cmp.Or(err, errors.New("once printed, there would be more resources or fewer"))
	}
	for i, one := range written {
		if !reflect.DeepEqual(bare(one), bare(given[i])) {
			return fmt.Errorf("%s: once printed, it would be read otherwise; comments within texts of several lines are in the way", strict.Name(one))
		}
	}
	return nil
}

// bare is an object without the annotations that a signer sets.
func bare(o strict.Object) strict.Object {
	metadata, _ := o["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	o, metadata, annotations = maps.Clone(o), maps.Clone(metadata), maps.Clone(annotations)
	maps.DeleteFunc(annotations, func(name string, _ any) bool { return signer.IsReserved(name) })
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	} else {
		delete(metadata, "annotations")
	}
	if o["metadata"] = metadata; len(metadata) == 0 {
		delete(o, "metadata")
	}
	return o
}

// SignManifest signs one resource, or adds a signature to those that it carries.
func SignManifest(ctx context.Context, s *signer.Signer, r *kyaml.RNode, replace bool) error {
	if replace {
		if _, err := signer.ClearReserved(r); err != nil {
			return err
		}
	}
	if generate, _ := r.GetString("metadata.generateName"); r.GetName() == "" && generate == "" {
		return fmt.Errorf("%s has no name: nobody could tell which resource it is that was signed", signer.Name(r))
	}
	if err := asPrinted(r); err != nil {
		return fmt.Errorf("%s: %w", signer.Name(r), err)
	}
	err := signer.CheckReserved(r)
	if err == nil {
		_, err := s.Sign(ctx, r)
		return err
	}
	carried, carriedErr := signer.Carried(r)
	if carriedErr != nil || carried.Message == nil {
		return fmt.Errorf("%w; drop such annotations with --replace, or spec.replace of a ManifestSigner", err)
	}
	if err := sameAsSigned(s, r, carried.Message); err != nil {
		return err
	}
	_, err = s.Countersign(ctx, r)
	return err
}

// asPrinted refuses texts that kustomize's way of printing changes (U+0085 becomes a
// space): what is signed would not be what is there.
func asPrinted(r *kyaml.RNode) error {
	if plainyaml.Unambiguous(r.YNode()) {
		return nil
	}
	text, err := signer.AsYAML(r)
	if err != nil {
		return err
	}
	printed, err := strict.Read(text)
	if err != nil || len(printed) != 1 {
		return fmt.Errorf("what kustomize would print is not read as it was: %w", cmp.Or(err, errors.New("it is a list")))
	}
	if strict.Agree(map[string]any(printed[0]), r.YNode()) != nil {
		return errors.New("kustomize would print it with other values; U+0085 (next line) is what is known to do that")
	}
	return nil
}

// sameAsSigned refuses a second signature over a message that is not the resource,
// or is for another place.
func sameAsSigned(s *signer.Signer, r *kyaml.RNode, carried []byte) error {
	text, err := signer.AsYAML(r)
	if err != nil {
		return err
	}
	objects, err := strict.Read(text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		refusals, origin := strict.Differences(o)
		if len(refusals) > 0 {
			return &Refused{Refusals: refusals, Failures: []error{errors.New("a second signature would be over what was signed before, and not over what is there; sign anew with --replace")}}
		}
		if s.Origin != (signer.Origin{}) && s.Origin != origin {
			return fmt.Errorf("%s is signed for another origin; sign anew with --replace", signer.Name(r))
		}
	}
	// A message that says more, or the same in other words, could mean something
	// else to who reads it: another object, or the signature of an image.
	message, err := signer.Message(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(message, carried) {
		return fmt.Errorf("%s: what was signed before is not, byte for byte, what would be signed now; sign anew with --replace", signer.Name(r))
	}
	return nil
}

// signer opens the key and reads what is to be signed with it.
func (req *SignManifestsRequest) signer(ctx context.Context) (*signer.Signer, error) {
	if req.Maker != nil {
		return &signer.Signer{Maker: req.Maker, Origin: req.Origin, Match: req.Match, EmbedSecrets: req.Embed}, nil
	}
	p, err := ReadPolicy(req.Request)
	if err != nil {
		return nil, err
	}
	return ManifestSigner(ctx, req.Request, p, req.Origin)
}

// ManifestSigner opens a policy's key for manifests that this program did not
// build. The keys of builds are refused for it.
func ManifestSigner(ctx context.Context, req Request, p *policy.Policy, origin signer.Origin) (*signer.Signer, error) {
	m := p.Spec.ManifestSign
	if m == nil {
		return nil, refuse(refusal.NoPolicy, "the policy has no spec.manifestSign: nothing says with which key manifests are signed that were only handed in",
			"name a key there; that of spec.sign signs only what was verified and built")
	}
	o := opener{req, p}
	key, err := o.open(ctx, m.Key)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	for _, other := range p.BuildKeys() {
		if o.is(ctx, other, key) {
			return nil, errors.New("signing key: spec.manifestSign.key signs builds as well; what was only handed in must not be signed like what was verified and built")
		}
	}
	store, err := cache.Open(req.CacheDir)
	if err != nil {
		return nil, err
	}
	return &signer.Signer{Maker: signer.Keep(key, keptSignatures{store}), Origin: origin, Match: selectors(m.Match), EmbedSecrets: m.EmbedSecrets}, nil
}
