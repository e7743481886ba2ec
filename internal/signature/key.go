package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"golang.org/x/crypto/ssh"
)

// Key is a public key that somebody trusts. As a [Trust] it makes raw
// signatures only.
type Key struct {
	Public      crypto.PublicKey
	Fingerprint string // see [Evidence]
}

// minRSABits is the smallest RSA modulus that is accepted (NIST SP 800-131A).
const minRSABits = 2048

// ParseKey reads one PEM public key: ECDSA on P-256, P-384 or P-521, RSA of at
// least 2048 bits, or Ed25519. It refuses private keys and certificates.
func ParseKey(data []byte) (Key, error) {
	if bytes.Contains(data, []byte("PRIVATE KEY")) {
		return Key{}, errors.New("this is a private key; a signer is named by its public key")
	}
	if n := bytes.Count(data, []byte("-----BEGIN ")); n > 1 {
		return Key{}, fmt.Errorf("holds %d PEM blocks, where one public key is wanted", n)
	}
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(data)
	if err != nil {
		return Key{}, fmt.Errorf("not a PEM public key: %w", err)
	}
	return NewKey(pub)
}

// NewKey checks that the key is of a kind that is accepted.
func NewKey(pub crypto.PublicKey) (Key, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return Key{}, fmt.Errorf("ECDSA curve %s is not accepted", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return Key{}, fmt.Errorf("RSA key has %d bits, fewer than the %d required", k.N.BitLen(), minRSABits)
		}
	case ed25519.PublicKey:
	default:
		return Key{}, fmt.Errorf("a key of type %T is not accepted", pub)
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(pub)
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(der)
	return Key{pub, "sha256:" + hex.EncodeToString(sum[:])}, nil
}

func (k Key) String() string { return k.Fingerprint }

// Keys returns the key itself.
func (k Key) Keys() []KeyInfo { return []KeyInfo{{Fingerprint: k.Fingerprint, Also: Names(k.Public)}} }

// Names returns the fingerprints that a public key has in the encodings that it
// may be trusted in: "sha256:" of its SubjectPublicKeyInfo, and ssh-keygen's
// "SHA256:". A key that has no such encoding has no such name.
func Names(pub crypto.PublicKey) []string {
	var names []string
	if der, err := cryptoutils.MarshalPublicKeyToDER(pub); err == nil {
		sum := sha256.Sum256(der)
		names = append(names, "sha256:"+hex.EncodeToString(sum[:]))
	}
	if key, err := ssh.NewPublicKey(pub); err == nil {
		names = append(names, ssh.FingerprintSHA256(key))
	}
	return names
}

// Verify checks that the key made a raw signature over the message.
func (k Key) Verify(sig Signature, message []byte, _ When) (Evidence, error) {
	if sig.Kind != Raw {
		return Evidence{}, Errorf(OtherKind, "a signature of kind %s, where the key makes raw ones", sig.Kind)
	}
	raw, err := decodeRaw(sig.Data)
	if err != nil {
		return Evidence{}, Errorf(Malformed, "is not base64: %v", err)
	}
	return k.VerifyBytes(raw, message)
}

// VerifyBytes is [Key.Verify] for a raw signature's bytes.
func (k Key) VerifyBytes(raw, message []byte) (Evidence, error) {
	if !verifyRaw(raw, message, k.Public) {
		return Evidence{}, Errorf(Mismatch, "was made by another key, or over other bytes")
	}
	return Evidence{Kind: Raw, Fingerprint: k.Fingerprint, Also: Names(k.Public), Digest: DigestOf(message)}, nil
}

// verifyRaw tries the schemes that signers of today use with a key of this
// kind: cosign hashes with SHA-256 whatever the curve, openssl and newer
// Sigstore with the hash that fits it; cosign signs Ed25519ph, openssl plain
// Ed25519.
func verifyRaw(sig, message []byte, pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if ecdsa.VerifyASN1(k, hashed(h, message), sig) {
				return true
			}
		}
	case *rsa.PublicKey:
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			if rsa.VerifyPKCS1v15(k, h, hashed(h, message), sig) == nil || rsa.VerifyPSS(k, h, hashed(h, message), sig, nil) == nil {
				return true
			}
		}
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, sig) ||
			ed25519.VerifyWithOptions(k, hashed(crypto.SHA512, message), sig, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	return false
}

func hashed(h crypto.Hash, message []byte) []byte {
	w := h.New()
	w.Write(message)
	return w.Sum(nil)
}
