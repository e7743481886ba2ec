package resolver

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/materials"
)

// artifactTransport gets artifacts of registries. An artifact's id is its
// manifest's digest.
type artifactTransport struct{ *run }

var errOfflineTag = errors.New("a tag cannot be looked up offline; only a digest or a locked reference can")

// reference reads the location, which a mirror may have replaced, with a
// version.
func (t *artifactTransport) reference(at wanted, version string) (oci.Reference, error) {
	separator := ":"
	if strings.HasPrefix(version, "sha256:") {
		separator = "@"
	}
	return oci.Parse(strings.TrimSuffix(at.location, "/") + separator + version)
}

func (t *artifactTransport) lookUp(ctx context.Context, at wanted) (git.Ref, error) {
	ref, err := t.reference(at, at.Ref)
	if err != nil || ref.Digest != "" {
		return git.Ref{Commit: ref.Digest}, err
	}
	if t.cfg.Offline {
		return git.Ref{}, errOfflineTag
	}
	client, err := t.registry(ref)
	if err != nil {
		return git.Ref{}, err
	}
	digest, err := client.Resolve(ctx, ref)
	return git.Ref{Commit: digest}, err
}

func (t *artifactTransport) tree(ctx context.Context, at wanted, s *Source) (*materials.Tree, error) {
	ref, err := t.reference(at, "sha256:"+s.Commit)
	if err != nil {
		return nil, err
	}
	client, err := t.registry(ref)
	if err != nil {
		return nil, err
	}
	manifest, err := t.blob(s, s.Commit, func(w io.Writer) error {
		data, err := client.Manifest(ctx, ref, s.Commit)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	layer, err := oci.LayerOf(manifest, s.Commit, t.cfg.Policy.Spec.Limits.BytesPerSource)
	if isLimit(err) {
		return nil, err
	}
	if err != nil {
		return nil, &refusal.Refusal{Code: refusal.Object, Source: string(s.Identity), Commit: s.Commit, Reason: err.Error()}
	}
	data, err := t.blob(s, layer.Digest, func(w io.Writer) error { return client.Fetch(ctx, ref, layer, w) })
	if err != nil {
		return nil, err
	}
	return t.unpack(s, "layer.tar.gz", data)
}
