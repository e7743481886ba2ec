package trustomize

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/resolver"
	"github.com/trustomize/trustomize/signer"
	"github.com/trustomize/trustomize/signer/image"
	"github.com/trustomize/trustomize/signer/strict"
)

// publisher keeps a build's signed YAML where the policy says: in a registry.
type publisher struct {
	repository *image.Repository
	tag        string // of the image that was made last for the same origin
	image      *image.Image
}

// openPublisher returns nil where no image is asked for.
func openPublisher(req Request, p *policy.Policy, origin signer.Origin) (*publisher, error) {
	if p.Spec.Sign.Image == nil {
		return nil, nil
	}
	ref, err := oci.Parse(oci.Scheme + p.Spec.Sign.Image.Repository)
	if err != nil {
		return nil, fmt.Errorf("spec.sign.image: %w", err)
	}
	client, err := resolver.RegistryClient(p, ref, req.transport())
	if err != nil {
		return nil, fmt.Errorf("spec.sign.image: %w", err)
	}
	repository, err := image.Open(client, p.Spec.Sign.Image.Repository)
	if err != nil {
		return nil, fmt.Errorf("spec.sign.image: %w", err)
	}
	said, err := json.Marshal(origin)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(said)
	return &publisher{repository: repository, tag: "origin-" + hex.EncodeToString(sum[:8])}, nil
}

// signatures are those in the image that was made last. A key that signs at random
// gives them again, also where another machine made them.
func (p *publisher) signatures(ctx context.Context, m signer.Maker) ([]signer.Store, error) {
	if p == nil || m.Deterministic() {
		return nil, nil
	}
	text, err := p.repository.Published(ctx, p.tag)
	if errors.Is(err, image.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the last manifest image: %w", err)
	}
	objects, err := strict.Read(text)
	if err != nil {
		return nil, nil // nothing that a build made
	}
	known := publishedSignatures{}
	for _, o := range objects {
		known.add(m, o)
	}
	return []signer.Store{known}, nil
}

// publishedSignatures are those that an image holds, by the names of a
// [signer.Store].
type publishedSignatures map[string][]byte

func (k publishedSignatures) add(m signer.Maker, o strict.Object) {
	metadata, _ := o["metadata"].(map[string]any)
	all, _ := metadata["annotations"].(map[string]any)
	annotations := map[string]string{}
	for name, value := range all {
		if text, ok := value.(string); ok {
			annotations[name] = text
		}
	}
	carried, err := signer.CarriedIn(annotations)
	if err != nil || carried.Message == nil {
		return
	}
	for _, one := range carried.Signatures {
		if m.Check(one, carried.Message) != nil {
			continue
		}
		if data, err := json.Marshal(one); err == nil {
			k[signer.KeptName(m, carried.Message)] = data
		}
	}
}

func (k publishedSignatures) Get(name string) ([]byte, error) {
	if data, ok := k[name]; ok {
		return data, nil
	}
	return nil, os.ErrNotExist
}

// Add keeps nothing: what is new comes into the next image.
func (k publishedSignatures) Add(_ string, data []byte) ([]byte, error) { return data, nil }

func (k publishedSignatures) Remove(name string) { delete(k, name) }

// make makes the image of what was signed. Secrets stay out of it: whoever may
// pull from a registry is seldom who may read them.
func (p *publisher) make(resources resmap.ResMap) (err error) {
	public := resmap.New()
	for _, r := range resources.Resources() {
		if signer.IsSecret(&r.RNode) {
			continue
		}
		if err := public.Append(r); err != nil {
			return err
		}
	}
	text, err := public.AsYaml()
	if err != nil {
		return err
	}
	if public.Size() == 0 {
		return errors.New("spec.sign.image: the build has nothing but Secrets, which are not put into a manifest image")
	}
	p.image, err = image.New(text)
	return err
}

// subject describes the image in a statement, so that it is an attestation of it.
func (p *publisher) subject() provenance.Descriptor {
	return provenance.Descriptor{Name: p.repository.String(), Digest: map[string]string{"sha256": p.image.Digest()[len("sha256:"):]}}
}

// push uploads the image with its signature, which is logged where the log gives
// what verifiers of images want, and the statement.
func (p *publisher) push(ctx context.Context, key signer.Maker, recorder *provenance.Recorder, record *provenance.Record) (string, error) {
	var bundle struct {
		Envelope json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(record.Bundle, &bundle); err != nil {
		return "", err
	}
	promise, err := record.CosignEntry()
	if err != nil {
		return "", err
	}
	var log image.Log
	if recorder.LogsSignatures() {
		log = recorder
	}
	attestation := image.Attestation{Envelope: bundle.Envelope, Promise: promise, PredicateType: provenance.PredicateType}
	return p.repository.Push(ctx, p.image, imageKey{key}, log, attestation, p.tag)
}

// imageKey signs images with a build's key.
type imageKey struct{ signer.Maker }

func (k imageKey) Make(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := k.Maker.Make(ctx, message)
	return sig.Raw, err
}

func (k imageKey) Check(raw, message []byte) error {
	return k.Maker.Check(signer.Signature{Raw: raw}, message)
}

// ManifestImage fetches a manifest image, HOST/PATH:TAG or @sha256:HEX, whose
// signature verifies with one of the keys. Credentials are those of the policy,
// where one is named.
func ManifestImage(ctx context.Context, policyFile, reference string, keys []signature.Key, transport http.RoundTripper) (*image.Verified, error) {
	ref, err := oci.Parse(oci.Scheme + reference)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", reference, err)
	}
	client := &oci.Client{Transport: transport}
	if policyFile != "" {
		p, err := ReadPolicy(Request{PolicyFile: policyFile, Now: time.Now()})
		if err != nil {
			return nil, err
		}
		if client, err = resolver.RegistryClient(p, ref, transport); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the signature of a manifest image is a key's; name public keys")
	}
	return image.Verify(ctx, client, reference, keys)
}
