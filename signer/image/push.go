package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Key signs images.
type Key interface {
	Make(ctx context.Context, message []byte) (raw []byte, err error)
	Check(raw, message []byte) error // whether the key made the signature
}

// Log is where signatures of images are logged. What it gives is in the form of
// cosign's annotation dev.sigstore.cosign/bundle.
type Log interface {
	LogSignature(ctx context.Context, raw, message []byte) (promise []byte, err error)
	CheckSignature(promise, raw, message []byte) error // whether the log promised that
}

// Attestation is a statement about an image: a DSSE envelope's JSON, and a log's
// promise that it is logged, if there is one.
type Attestation struct {
	Envelope      []byte
	Promise       []byte
	PredicateType string
}

// Push uploads an image, then its signature and the attestation, and last of all
// moves the tags. It returns HOST/PATH@sha256:HEX. Where there is a log, the
// signature is in it. A signature by the key that is there already is kept; an
// attestation by the key with the same predicate is replaced, and those of others
// stay.
func (r *Repository) Push(ctx context.Context, i *Image, key Key, log Log, attestation Attestation, tags ...string) (string, error) {
	options := append(slices.Clone(r.options), remote.WithContext(ctx))
	at := r.repo.Digest(i.Digest())
	if err := remote.Write(at, i.image, options...); err != nil {
		return "", r.failed("pushing the manifest image", err)
	}
	subject, err := describe(i.image)
	if err != nil {
		return "", err
	}
	p := pushing{r, options, subject}
	if err := p.sign(ctx, key, log); err != nil {
		return "", err
	}
	if attestation.Envelope != nil {
		if err := p.attest(ctx, key, attestation); err != nil {
			return "", err
		}
	}
	for _, tag := range tags {
		if err := remote.Tag(r.repo.Tag(tag), i.image, options...); err != nil {
			return "", r.failed("moving the tag "+tag, err)
		}
	}
	return r.String() + "@" + i.Digest(), nil
}

func describe(i v1.Image) (v1.Descriptor, error) {
	digest, err := i.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := i.Size()
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: size}, err
}

// pushing is what is attached to one image.
type pushing struct {
	*Repository
	options []remote.Option
	subject v1.Descriptor
}

// legacy is the tag under which cosign looks for what is attached to an image.
func legacy(digest v1.Hash, kind string) string {
	return digest.Algorithm + "-" + digest.Hex + "." + kind
}

// attached reads what is under a legacy tag; nothing is no error.
func (p pushing) attached(ctx context.Context, kind string) ([]descriptor, error) {
	layers, _, err := p.read(ctx, p.tagged(legacy(p.subject.Digest, kind)), maxAttachment)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return layers, err
}

func (p pushing) sign(ctx context.Context, key Key, log Log) error {
	message, err := Payload(p.repo, p.subject.Digest.String())
	if err != nil {
		return err
	}
	there, err := p.attached(ctx, "sig")
	if err != nil {
		return err
	}
	var raw []byte // the key's signature
	for i, d := range there {
		one, err := base64.StdEncoding.DecodeString(d.Annotations[annotationSignature])
		if err != nil || !bytes.Equal(d.data, message) || key.Check(one, message) != nil {
			continue
		}
		if log == nil || log.CheckSignature([]byte(d.Annotations[annotationBundle]), one, message) == nil {
			return p.refer(signatureRefer, d)
		}
		raw, there = one, slices.Delete(there, i, i+1) // it takes its own place, and is logged then
		break
	}
	if raw == nil {
		if raw, err = key.Make(ctx, message); err != nil {
			return fmt.Errorf("signing the manifest image: %w", err)
		}
	}
	made := descriptor{MediaType: string(signatureType), data: message, Annotations: map[string]string{annotationSignature: base64.StdEncoding.EncodeToString(raw)}}
	if log != nil {
		promise, err := log.LogSignature(ctx, raw, message)
		if err != nil {
			return fmt.Errorf("logging the manifest image's signature: %w", err)
		}
		made.Annotations[annotationBundle] = string(promise)
	}
	return p.attach("sig", signatureRefer, there, made)
}

func (p pushing) attest(ctx context.Context, key Key, a Attestation) error {
	there, err := p.attached(ctx, "att")
	if err != nil {
		return err
	}
	made := descriptor{MediaType: string(attestationType), data: a.Envelope, Annotations: map[string]string{annotationSignature: "", annotationPredicate: a.PredicateType}}
	if a.Promise != nil {
		made.Annotations[annotationBundle] = string(a.Promise)
	}
	if slices.ContainsFunc(there, func(d descriptor) bool {
		return bytes.Equal(d.data, a.Envelope) && maps.Equal(d.Annotations, made.Annotations)
	}) {
		return p.refer(attestationRefer, made)
	}
	there = slices.DeleteFunc(there, func(d descriptor) bool {
		return d.Annotations[annotationPredicate] == a.PredicateType && ours(d.data, key)
	})
	return p.attach("att", attestationRefer, there, made)
}

// ours reports whether the key signed an envelope.
func ours(envelope []byte, key Key) bool {
	var e dsse.Envelope
	if json.Unmarshal(envelope, &e) != nil || len(e.Signatures) != 1 {
		return false
	}
	body, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	return err == nil && key.Check(raw, dsse.PAE(e.PayloadType, body)) == nil
}

// attach writes one more layer under the legacy tag, and refers to the image with
// it.
func (p pushing) attach(kind string, refers types.MediaType, there []descriptor, made descriptor) error {
	if len(there) >= maxLayers {
		return fmt.Errorf("%s: %s has %d layers already", p, legacy(p.subject.Digest, kind), len(there))
	}
	all, err := artifact(types.OCIConfigJSON, layers(append(there, made))...)
	if err != nil {
		return err
	}
	if err := remote.Write(p.repo.Tag(legacy(p.subject.Digest, kind)), all, p.options...); err != nil {
		return p.failed("attaching to the manifest image", err)
	}
	return p.refer(refers, made)
}

// refer writes an artifact of its own that names the image as its subject. A
// registry that lists no referrers gets the list under a tag of its own (the
// distribution specification's referrers tag schema).
func (p pushing) refer(config types.MediaType, one descriptor) error {
	i, err := artifact(config, layers([]descriptor{one})...)
	if err != nil {
		return err
	}
	referring, ok := mutate.Subject(i, p.subject).(v1.Image)
	if !ok {
		return errors.New("an image with a subject is none")
	}
	digest, err := referring.Digest()
	if err != nil {
		return err
	}
	if err := remote.Write(p.repo.Digest(digest.String()), referring, p.options...); err != nil {
		return p.failed("attaching to the manifest image", err)
	}
	return nil
}

func layers(all []descriptor) []mutate.Addendum {
	var out []mutate.Addendum
	for _, d := range all {
		out = append(out, mutate.Addendum{Layer: static.NewLayer(d.data, types.MediaType(d.MediaType)), Annotations: d.Annotations})
	}
	return out
}
