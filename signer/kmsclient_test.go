package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
)

// inMemory is a client of a KMS as Sigstore's own are.
type inMemory struct{ sigstore.SignerVerifier }

func (inMemory) CreateKey(context.Context, string) (crypto.PublicKey, error) { return nil, nil }
func (inMemory) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, nil
}
func (inMemory) SupportedAlgorithms() []string { return nil }
func (inMemory) DefaultAlgorithm() string      { return "" }

// TestCompiledIn: a client that is compiled in is asked in place of a plugin.
func TestCompiledIn(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kms.AddProvider("compiledin://", func(_ context.Context, _ string, hash crypto.Hash, _ ...sigstore.RPCOption) (kms.SignerVerifier, error) {
		sv, err := sigstore.LoadSignerVerifier(private, hash)
		return inMemory{sv}, err
	})
	key, err := OpenKMS(t.Context(), "compiledin://key", Plugins{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Sign(t.Context(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Public.VerifyBytes(raw, []byte("message")); err != nil {
		t.Error(err)
	}
	if _, err := OpenKMS(t.Context(), "notcompiledin://key", Plugins{}); err == nil || !strings.Contains(err.Error(), "sigstore-kms-notcompiledin is not installed") {
		t.Errorf("another: %v", err)
	}
}
