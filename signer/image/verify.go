package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/signature"
)

// Verified is an image's content, and who signed it.
type Verified struct {
	YAML        []byte
	Reference   string // HOST/PATH@sha256:HEX
	Fingerprint string // of the key
}

// ErrUnsigned says that an image has no signature that counts.
var ErrUnsigned = errors.New("has no signature by one of the keys that were given")

// Verify fetches an image by HOST/PATH:TAG or @sha256:HEX and returns its YAML
// after a signature of it verified with one of the keys.
func Verify(ctx context.Context, client *oci.Client, reference string, keys []signature.Key) (*Verified, error) {
	ref, err := oci.Parse(oci.Scheme + reference)
	if err != nil || ref.Path != "" {
		return nil, fmt.Errorf("want HOST/PATH:TAG or HOST/PATH@sha256:HEX, not %q", reference)
	}
	r := &Repository{client: client, ref: ref}
	layers, digest, err := r.read(ctx, ref, MaxManifest)
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf("%s@%s", r, digest)
	if len(layers) != 1 || layers[0].MediaType != string(yamlType) {
		return nil, fmt.Errorf("%s is no manifest image: want one layer of type %s", at, yamlType)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	signatures, _, err := r.read(ctx, r.tagged(legacy(hash, "sig")), maxAttachment)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%s %w", at, ErrUnsigned)
	}
	if err != nil {
		return nil, err
	}
	for _, d := range signatures {
		if key, ok := signedBy(d, digest, keys); ok {
			return &Verified{layers[0].data, at, key}, nil
		}
	}
	return nil, fmt.Errorf("%s %w", at, ErrUnsigned)
}

// signedBy returns the key that signed a digest. The repository's name in what is
// signed does not count: images are copied.
func signedBy(d descriptor, digest string, keys []signature.Key) (string, bool) {
	raw, err := base64.StdEncoding.DecodeString(d.Annotations[annotationSignature])
	if err != nil || d.MediaType != string(signatureType) {
		return "", false
	}
	var said payload.SimpleContainerImage
	decoder := json.NewDecoder(bytes.NewReader(d.data))
	decoder.DisallowUnknownFields() // what else it says could have been what was signed
	if decoder.Decode(&said) != nil || decoder.InputOffset() != int64(len(bytes.TrimRight(d.data, "\n"))) || said.Critical.Type != payload.CosignSignatureType || said.Critical.Image.DockerManifestDigest != digest {
		return "", false
	}
	for _, key := range keys {
		if _, err := key.VerifyBytes(raw, d.data); err == nil {
			return key.Fingerprint, true
		}
	}
	return "", false
}

// Published returns the YAML of the image under a tag, signed or not: it is
// nobody's word. The error matches [ErrNotFound] where there is none.
func (r *Repository) Published(ctx context.Context, tag string) ([]byte, error) {
	layers, _, err := r.read(ctx, r.tagged(tag), MaxManifest)
	if err != nil {
		return nil, err
	}
	if len(layers) != 1 || layers[0].MediaType != string(yamlType) {
		return nil, ErrNotFound
	}
	return layers[0].data, nil
}
