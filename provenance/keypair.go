package provenance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// keypair shows a Signer to sigstore-go.
type keypair struct {
	signer  Signer
	public  crypto.PublicKey
	details signature.AlgorithmDetails
	options []signature.LoadOption
	hint    string
	afresh  bool // make signatures that were not made before
}

// newKeypair chooses the algorithm that fits the key. prehashed selects
// Ed25519ph, which Rekor v2 wants.
func newKeypair(s Signer, public crypto.PublicKey, prehashed bool) (*keypair, error) {
	var opts []signature.LoadOption
	if prehashed {
		opts = append(opts, options.WithED25519ph())
	}
	details, err := signature.GetDefaultAlgorithmDetails(public, opts...)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return &keypair{signer: s, public: public, details: details, options: opts, hint: base64.StdEncoding.EncodeToString(sum[:])}, nil
}

func (k *keypair) verifier() (signature.Verifier, error) {
	return signature.LoadVerifierFromAlgorithmDetails(k.public, k.details, k.options...)
}

// GetHashAlgorithm implements sign.Keypair.
func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.details.GetProtoHashType() }

// GetSigningAlgorithm implements sign.Keypair.
func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.details.GetSignatureAlgorithm()
}

// GetHint implements sign.Keypair: the base64 of the public key's SHA-256.
func (k *keypair) GetHint() []byte { return []byte(k.hint) }

// GetKeyAlgorithm implements sign.Keypair.
func (k *keypair) GetKeyAlgorithm() string {
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case ed25519.PublicKey:
		return "ED25519"
	}
	return "RSA"
}

// GetPublicKey implements sign.Keypair.
func (k *keypair) GetPublicKey() crypto.PublicKey { return k.public }

// GetPublicKeyPem implements sign.Keypair.
func (k *keypair) GetPublicKeyPem() (string, error) {
	data, err := k.signer.PublicPEM()
	return string(data), err
}

// SignData implements sign.Keypair.
func (k *keypair) SignData(ctx context.Context, data []byte) (sig, digest []byte, err error) {
	hash := k.details.GetHashType()
	if k.afresh {
		sig, err = k.signer.SignAfresh(ctx, data, hash)
	} else {
		sig, err = k.signer.SignWith(ctx, data, hash)
	}
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		digest = h.Sum(nil)
	}
	return sig, digest, err
}

// signatureHash is the hash that a log signs checkpoints and timestamps with,
// given its key.
func signatureHash(key crypto.PublicKey) crypto.Hash {
	details, err := signature.GetDefaultAlgorithmDetails(key)
	if err != nil {
		return crypto.SHA256
	}
	if _, ok := key.(ed25519.PublicKey); ok {
		return crypto.SHA512
	}
	return details.GetHashType()
}
