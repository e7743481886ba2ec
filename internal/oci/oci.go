// Package oci reads kustomize bases that lie in a registry as OCI artifacts.
//
// An artifact is an image manifest with exactly one layer, a gzipped tar of
// files. Two layouts are read, the ones that GitOps tools push and pull:
//
//	flux push artifact   application/vnd.cncf.flux.content.v1.tar+gzip
//	ArgoCD, oras push    application/vnd.oci.image.layer.v1.tar+gzip
//
// A [Reference] says where an artifact is, a [Client] finds out which manifest
// a tag names, and gets manifest and layer by their digests. [LayerOf] says
// which bytes of a manifest are the files; it checks bytes from a cache in the
// same way. Nothing is unpacked here. A registry is never believed: what comes
// back under a digest hashes to it, or is an error.
//
// Credentials go to the registry that they were given for and, to be exchanged
// for a token, to that registry's token service, which must be at the same host
// or be named in [Client.TokenHosts]. They follow no redirect to another host.
// Plain http is spoken to loopback addresses alone. No program is started, and
// neither environment nor home directory is read.
//
// No error repeats a credential, a URL's query, or the page that a server sent.
package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
)

// ErrNotFound says that the registry has no such repository, tag or digest,
// or does not show it to whom it does not know.
var ErrNotFound = errors.New("no such repository, tag or digest")

// Keychain gives the credentials for a registry, named as [Host] names it. The
// zero AuthConfig stands for none.
type Keychain func(registry string) (authn.AuthConfig, error)

// Client reads from registries. It keeps the tokens that it is given for as
// long as registries accept them. It may be used by several goroutines.
type Client struct {
	// Transport carries every request: proxies, certificates, timeouts, and
	// trying again. It must not add credentials of its own.
	Transport http.RoundTripper
	// Keychain is asked once for each handshake with a registry; nil has no
	// credentials for any.
	Keychain Keychain
	// TokenHosts are token services away from their registry's host: for a
	// registry, the hosts that it may name in a challenge. Both are as [Host]
	// writes them. Docker Hub's is known without being named.
	TokenHosts map[string][]string

	mutex    sync.Mutex
	sessions map[string]*session // by registry/repository
}

// Resolve returns the digest of the manifest that a tag names now: 64
// hexadecimal digits. A reference by digest is answered without a request. The
// digest is the registry's word until [Client.Manifest] has got bytes for it.
func (c *Client) Resolve(ctx context.Context, ref Reference) (string, error) {
	if ref.Digest != "" {
		return ref.Digest, nil
	}
	// HEAD first: registries that ration downloads do not count it.
	resp, err := c.get(ctx, http.MethodHead, ref, "manifests/"+ref.Tag)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	digest, ok := strings.CutPrefix(resp.Header.Get("Docker-Content-Digest"), "sha256:")
	if ok && isDigest(digest) {
		return digest, nil
	}
	// The header is optional, and may name another algorithm.
	manifest, err := c.manifest(ctx, ref, ref.Tag)
	if err != nil {
		return "", err
	}
	return digestOf(manifest), nil
}

// Manifest returns the manifest with a digest, byte for byte, hashed. Only
// repository and registry of ref count.
func (c *Client) Manifest(ctx context.Context, ref Reference, digest string) ([]byte, error) {
	ref = ref.at(digest)
	if !isDigest(digest) {
		return nil, fmt.Errorf("%s: the digest is not 64 hexadecimal digits", ref.artifact())
	}
	manifest, err := c.manifest(ctx, ref, "sha256:"+digest)
	if err != nil {
		return nil, err
	}
	if got := digestOf(manifest); got != digest {
		return nil, fmt.Errorf("%s: the manifest that came back is another: expected sha256:%s, found sha256:%s", ref.artifact(), digest, got)
	}
	return manifest, nil
}

func (c *Client) manifest(ctx context.Context, ref Reference, version string) ([]byte, error) {
	resp, err := c.get(ctx, http.MethodGet, ref, "manifests/"+version)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	manifest, err := io.ReadAll(io.LimitReader(resp.Body, MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: reading the manifest: %w", ref.artifact(), err)
	}
	if len(manifest) > MaxManifest {
		return nil, fmt.Errorf("%s: the manifest has more than %d bytes", ref.artifact(), MaxManifest)
	}
	return manifest, nil
}

// Fetch writes a layer to w as it arrives. On an error, what w has been given
// is worthless: the hash is known at the end. Never more than layer.Size bytes
// are written.
func (c *Client) Fetch(ctx context.Context, ref Reference, layer Layer, w io.Writer) error {
	if !isDigest(layer.Digest) || layer.Size <= 0 {
		return fmt.Errorf("%s: no layer that LayerOf gave", ref.artifact())
	}
	resp, err := c.get(ctx, http.MethodGet, ref, "blobs/sha256:"+layer.Digest)
	if err != nil {
		return fmt.Errorf("layer sha256:%s: %w", layer.Digest, err)
	}
	defer resp.Body.Close()
	if err := layer.copy(w, resp); err != nil {
		return fmt.Errorf("%s: layer sha256:%s: %w", ref.artifact(), layer.Digest, err)
	}
	return nil
}

func (l Layer) copy(w io.Writer, resp *http.Response) error {
	if n := resp.ContentLength; n >= 0 && n != l.Size {
		return fmt.Errorf("expected %d bytes, found %d announced", l.Size, n)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(resp.Body, l.Size))
	if err != nil {
		return err
	}
	if n < l.Size {
		return fmt.Errorf("expected %d bytes, found %d", l.Size, n)
	}
	if extra, _ := resp.Body.Read(make([]byte, 1)); extra > 0 {
		return fmt.Errorf("expected %d bytes, found more", l.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != l.Digest {
		return fmt.Errorf("the bytes that came back are others: expected sha256:%s, found sha256:%s", l.Digest, got)
	}
	return nil
}

// get asks for something of the reference's repository and returns the answer
// if its status is 200. A token that the registry no longer takes is replaced
// once.
func (c *Client) get(ctx context.Context, method string, ref Reference, what string) (*http.Response, error) {
	s, used, err := c.session(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.artifact(), err)
	}
	resp, err := s.send(ctx, method, what)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && used {
		resp.Body.Close()
		if s, err = c.open(ctx, ref); err == nil {
			resp, err = s.send(ctx, method, what)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.artifact(), err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, fmt.Errorf("%s: %w", ref.artifact(), s.denial(resp))
	}
	return resp, nil
}
