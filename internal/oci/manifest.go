package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/refusal"
)

// Layer is the blob that holds an artifact's files: a tar, gzipped.
type Layer struct {
	Digest    string // 64 hexadecimal digits
	Size      int64  // bytes, compressed
	MediaType string
}

// MaxManifest is the size of the largest manifest that is read, in bytes: what
// the OCI distribution specification v1.1, "Pushing Manifests", expects clients
// and registries to support.
const MaxManifest = 4 << 20

// Media types of manifests. The first is in the OCI image specification,
// media-types.md; an artifact of either layout is one. The others are asked for
// as well, so that there is something to refuse by its name; Docker's are in
// distribution's docs/spec/manifest-v2-2.md.
const (
	imageManifest  = "application/vnd.oci.image.manifest.v1+json"
	imageIndex     = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

var accepted = strings.Join([]string{imageManifest, imageIndex, dockerManifest, dockerList}, ", ")

// Media types of the layer. Flux: ContentMediaType in github.com/fluxcd/pkg,
// oci/constants.go, and Flux's RFC-0003. ArgoCD: docs/user-guide/oci.md,
// where it is the default of ARGOCD_REPO_SERVER_OCI_LAYER_MEDIA_TYPES; the type
// itself is the OCI image specification's, layer.md. Helm charts, which ArgoCD
// takes too, are no kustomize bases.
const (
	FluxLayer = "application/vnd.cncf.flux.content.v1.tar+gzip"
	OCILayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// document holds the fields of a manifest that count, and those that belong to
// another kind of document.
type document struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Layers        []descriptor    `json:"layers"`
	Manifests     json.RawMessage `json:"manifests"` // an index
	FSLayers      json.RawMessage `json:"fsLayers"`  // Docker's schema 1
}

// descriptor points to a blob; OCI image specification, descriptor.md.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
}

// LayerOf returns the layer that a manifest names. The manifest's bytes must
// hash to digest, whoever gave them. A layer of more than maxSize bytes is a
// [gitobject.LimitError].
func LayerOf(manifest []byte, digest string, maxSize int64) (Layer, error) {
	layer, err := layerOf(manifest, digest, maxSize)
	if err != nil {
		return Layer{}, fmt.Errorf("manifest sha256:%s %w", digest, err)
	}
	return layer, nil
}

func layerOf(manifest []byte, digest string, maxSize int64) (Layer, error) {
	if len(manifest) > MaxManifest {
		return Layer{}, &gitobject.LimitError{What: "bytes", Limit: MaxManifest}
	}
	if got := digestOf(manifest); got != digest {
		return Layer{}, fmt.Errorf("does not hash to its digest: found sha256:%s", got)
	}
	var d document
	if err := json.Unmarshal(manifest, &d); err != nil {
		return Layer{}, fmt.Errorf("is not a manifest: %w", err)
	}
	if err := d.check(); err != nil {
		return Layer{}, err
	}
	return d.Layers[0].layer(maxSize)
}

// check refuses every document but an image manifest with one layer. One that
// could be taken for two kinds is refused too, as the image specification's
// advisory GHSA-77vh-xpmg-72qh (CVE-2021-41190) proposes.
func (d *document) check() error {
	switch {
	case d.MediaType == imageIndex, d.MediaType == dockerList, d.Manifests != nil:
		return errors.New("is an index of several manifests, not an artifact: refer to one of them by its digest")
	case d.SchemaVersion != 2, d.FSLayers != nil, d.MediaType != "" && d.MediaType != imageManifest:
		return fmt.Errorf("is of a kind that holds no bases (schemaVersion %d, mediaType %q): want %s", d.SchemaVersion, d.MediaType, imageManifest)
	case len(d.Layers) != 1:
		return fmt.Errorf("has %d layers: want exactly one, with all the files, as flux push artifact makes it", len(d.Layers))
	}
	return nil
}

func (d descriptor) layer(maxSize int64) (Layer, error) {
	digest, ok := strings.CutPrefix(d.Digest, "sha256:")
	switch {
	case len(d.URLs) > 0:
		return Layer{}, errors.New("has a layer that is kept elsewhere (urls); only the registry's own are fetched")
	case !slices.Contains([]string{FluxLayer, OCILayer}, d.MediaType):
		return Layer{}, fmt.Errorf("has a layer of type %q: want %s or %s", d.MediaType, FluxLayer, OCILayer)
	case !ok || !isDigest(digest):
		return Layer{}, fmt.Errorf("names its layer %q: want sha256: and 64 hexadecimal digits", refusal.Printable(d.Digest))
	case d.Size <= 0:
		return Layer{}, fmt.Errorf("has a layer of %d bytes", d.Size)
	case d.Size > maxSize:
		return Layer{}, fmt.Errorf("has a layer that %w", &gitobject.LimitError{What: "bytes", Limit: maxSize})
	}
	return Layer{digest, d.Size, d.MediaType}, nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
