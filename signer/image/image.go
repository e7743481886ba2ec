// Package image keeps a build's signed YAML in a registry, as one OCI artifact
// that is signed and attested as cosign does it: what the annotations of resources
// cannot hold, and what whoever asks kubectl sigstore with --image wants to find.
//
// The same YAML makes the same artifact. A signature or an attestation that
// counts already is kept, so that building again changes nothing.
package image

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// Media types. YAML's is RFC 9512's. The others are cosign's: pkg/types/media.go,
// and for referrers internal/pkg/oci/remote/remote.go.
const (
	yamlType         types.MediaType = "application/yaml"
	signatureType    types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	attestationType  types.MediaType = "application/vnd.dsse.envelope.v1+json"
	signatureRefer   types.MediaType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	attestationRefer types.MediaType = "application/vnd.dev.cosign.artifact.att.v1+json"
)

// Annotations of layers: cosign's pkg/oci/static/options.go,
// pkg/oci/internal/signature/layer.go and cmd/cosign/cli/attest.
const (
	annotationBundle    = "dev.sigstore.cosign/bundle"
	annotationSignature = "dev.cosignproject.cosign/signature"
	annotationPredicate = "predicateType"
)

// MaxManifest bounds the YAML of an image, in bytes.
const MaxManifest = 64 << 20

// Image is an artifact that holds YAML.
type Image struct {
	image  v1.Image
	digest v1.Hash
}

// New makes the artifact of a manifest. It depends on the manifest alone.
func New(manifest []byte) (*Image, error) {
	if len(manifest) == 0 || len(manifest) > MaxManifest {
		return nil, fmt.Errorf("a manifest image holds 1 to %d bytes, and not %d", MaxManifest, len(manifest))
	}
	i, err := artifact(types.OCIConfigJSON, mutate.Addendum{Layer: static.NewLayer(manifest, yamlType)})
	if err != nil {
		return nil, err
	}
	digest, err := i.Digest()
	return &Image{i, digest}, err
}

// Digest is the manifest's: sha256: and 64 hexadecimal digits.
func (i *Image) Digest() string { return i.digest.String() }

// artifact makes an image of layers, as cosign makes all of its own.
func artifact(config types.MediaType, layers ...mutate.Addendum) (v1.Image, error) {
	return mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), config), layers...)
}

// Payload is what a signature of an image is over: Red Hat's simple signing, with
// nothing in it that changes.
func Payload(repository name.Repository, digest string) ([]byte, error) {
	return payload.Cosign{Image: repository.Digest(digest)}.MarshalJSON()
}
