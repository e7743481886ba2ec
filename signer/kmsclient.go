package signer

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/trustomize/trustomize/internal/signature"
)

// kmsBackend reaches one key in a KMS: through a plugin, or with a client that was
// compiled in.
type kmsBackend interface {
	publicKey(ctx context.Context) (signature.Key, error)
	sign(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error)
}

// compiledIn reports whether one of the build tags kms_aws, kms_azure, kms_gcp and
// kms_hashivault brought a client for the key. A release has none: each is a
// cloud's whole SDK, and reads the environment as it likes.
func compiledIn(uri string) bool {
	return slices.ContainsFunc(kms.SupportedProviders(), func(scheme string) bool { return strings.HasPrefix(uri, scheme) })
}

// kmsClient is one of Sigstore's own clients.
type kmsClient struct {
	uri   string
	limit time.Duration // of one call
}

func (c *kmsClient) open(ctx context.Context, hash crypto.Hash) (kms.SignerVerifier, error) {
	if !compiledIn(c.uri) { // Sigstore would look for a plugin in its own way
		return nil, errors.New("no client was compiled in")
	}
	return kms.Get(ctx, c.uri, hash)
}

func (c *kmsClient) publicKey(ctx context.Context) (signature.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	key, err := c.open(ctx, crypto.SHA256)
	if err != nil {
		return signature.Key{}, err
	}
	public, err := key.PublicKey(options.WithContext(ctx))
	if err != nil {
		return signature.Key{}, err
	}
	data, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		return signature.Key{}, err
	}
	return signature.ParseKey(data)
}

func (c *kmsClient) sign(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	key, err := c.open(ctx, hash)
	if err != nil {
		return nil, err
	}
	return key.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
}
