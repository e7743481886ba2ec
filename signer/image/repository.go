package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/refusal"
)

// Repository is where images are.
type Repository struct {
	client  *oci.Client // reads
	ref     oci.Reference
	repo    name.Repository
	options []remote.Option // writes
}

// Open checks a repository's name, HOST[:PORT]/PATH; it asks nobody. The client's
// credentials and token services serve for writing as well.
func Open(client *oci.Client, repository string) (*Repository, error) {
	ref, err := oci.Parse(oci.Scheme + repository)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", refusal.Printable(repository), err)
	}
	repo, err := name.NewRepository(ref.Registry+"/"+ref.Repository, name.WeakValidation)
	if err != nil {
		return nil, err
	}
	auth := authn.Anonymous
	if client.Keychain != nil {
		credentials, err := client.Keychain(ref.Registry)
		if err != nil {
			return nil, err
		}
		if credentials != (authn.AuthConfig{}) {
			auth = authn.FromConfig(credentials)
		}
	}
	hosts := append([]string{ref.Registry, repo.RegistryStr()}, client.TokenHosts[ref.Registry]...)
	return &Repository{client, ref, repo, []remote.Option{
		remote.WithTransport(&writing{oci.Guard(client.Transport), hosts}), remote.WithAuth(auth), remote.WithUserAgent("trustomize"),
	}}, nil
}

// String is the repository's name.
func (r *Repository) String() string { return r.ref.Registry + "/" + r.ref.Repository }

// writing lets credentials go to the registry and its token services alone.
type writing struct {
	next  http.RoundTripper
	hosts []string
}

func (w *writing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Authorization") != "" && !slices.Contains(w.hosts, req.URL.Host) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("the registry has its tokens made at %s; name that under tokenHosts if it may see the credentials", req.URL.Host)
	}
	return w.next.RoundTrip(req)
}

// ErrNotFound says that there is no such image, or nothing attached to it.
var ErrNotFound = oci.ErrNotFound

// document are the fields of an image's manifest that count.
type document struct {
	Layers []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	data        []byte
}

// Bounds of what is read: so many layers of an image, and for signatures and
// attestations so many bytes each.
const (
	maxLayers     = 256
	maxAttachment = 16 << 20
)

// read returns an image's layers by tag or digest, each hashed.
func (r *Repository) read(ctx context.Context, ref oci.Reference, maxSize int64) ([]descriptor, string, error) {
	digest, err := r.client.Resolve(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	manifest, err := r.client.Manifest(ctx, ref, digest)
	if err != nil {
		return nil, "", err
	}
	var d document
	if err := json.Unmarshal(manifest, &d); err != nil || len(d.Layers) == 0 || len(d.Layers) > maxLayers {
		return nil, "", fmt.Errorf("%s@sha256:%s is no image with 1 to %d layers", r, digest, maxLayers)
	}
	for i := range d.Layers {
		l := &d.Layers[i]
		if l.Size <= 0 || l.Size > maxSize || len(l.Digest) < len("sha256:") {
			return nil, "", fmt.Errorf("%s@sha256:%s has a layer of %d bytes, where 1 to %d are read", r, digest, l.Size, maxSize)
		}
		var b bytes.Buffer
		if err := r.client.Fetch(ctx, ref, oci.Layer{Digest: l.Digest[len("sha256:"):], Size: l.Size, MediaType: l.MediaType}, &b); err != nil {
			return nil, "", err
		}
		l.data = b.Bytes()
	}
	return d.Layers, "sha256:" + digest, nil
}

func (r *Repository) tagged(tag string) oci.Reference {
	return oci.Reference{Registry: r.ref.Registry, Repository: r.ref.Repository, Tag: tag}
}

// failed says in one line why something could not be written, without URLs, which
// may carry what nobody is to read.
func (r *Repository) failed(doing string, err error) error {
	var answer *transport.Error
	var at *url.Error
	switch {
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		err = fmt.Errorf("the registry denies access (status %d)%s; credentials are those of the policy for oci:%s, and have to allow pushing", answer.StatusCode, words(answer), r)
	case errors.As(err, &answer):
		err = fmt.Errorf("the registry answers with status %d%s", answer.StatusCode, words(answer))
	case errors.As(err, &at):
		err = at.Err
	}
	return fmt.Errorf("%s: %s: %w", r, doing, err)
}

// words are a registry's own, for the end of a sentence.
func words(answer *transport.Error) string {
	if len(answer.Errors) == 0 {
		return ""
	}
	const maxText = 200
	text := []rune(string(answer.Errors[0].Code) + " " + answer.Errors[0].Message)
	return ": " + refusal.Printable(string(text[:min(len(text), maxText)]))
}
