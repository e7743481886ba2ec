// Package signature recognises detached signatures by their content and
// verifies them against keys that the caller trusts.
//
// Nothing that comes with a signature, such as a key or a certificate, is ever
// trusted. Success is [Evidence]: which key made which kind of signature over
// which bytes. Verification opens no file and no connection.
package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// MaxSize is the size in bytes over which a signature is not read. A Sigstore
// bundle with certificate, timestamps and inclusion proof has about 10 KiB.
const MaxSize = 1 << 20

// Kind is a signature's format.
type Kind string

// The formats that are recognised.
const (
	Raw          Kind = "raw"           // base64 of a signature's bytes, as cosign sign-blob and openssl write it
	PGP          Kind = "pgp"           // an OpenPGP detached signature, armoured
	SSH          Kind = "ssh"           // an SSHSIG, as ssh-keygen -Y sign writes it
	Bundle       Kind = "bundle"        // a Sigstore bundle
	LegacyBundle Kind = "legacy-bundle" // a bundle of cosign before version 2.4
)

// ErrUnsupported is in the chain of the error for a kind of signature that is
// recognised and cannot be verified yet.
var ErrUnsupported = errors.New("this kind of signature is not supported yet")

// ErrMismatch is in the chain of the error for a well-formed signature that
// the key did not make over these bytes.
var ErrMismatch = errors.New("the signature does not verify")

// Key is a public key that somebody trusts.
type Key struct {
	Public      crypto.PublicKey
	Fingerprint string // "sha256:" and the SHA-256 of its SubjectPublicKeyInfo in hexadecimal
}

// Evidence is what a successful verification proves.
type Evidence struct {
	Kind        Kind   `json:"kind"`
	Fingerprint string `json:"fingerprint"`
	Digest      string `json:"digest"` // "sha256:" and the SHA-256 of the signed bytes
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

// Recognize tells a signature's kind from its content.
func Recognize(sig []byte) (Kind, error) {
	trimmed := bytes.TrimSpace(sig)
	switch {
	case len(sig) > MaxSize:
		return "", fmt.Errorf("has %d bytes, more than the %d allowed", len(sig), MaxSize)
	case len(trimmed) == 0:
		return "", errors.New("is empty")
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP SIGNATURE-----")):
		return PGP, nil
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN SSH SIGNATURE-----")):
		return SSH, nil
	case trimmed[0] == '{':
		return recognizeJSON(trimmed)
	}
	if _, err := decodeRaw(sig); err != nil {
		return "", errors.New("is no signature that is known: not base64, PGP, SSH or a Sigstore bundle")
	}
	return Raw, nil
}

func recognizeJSON(data []byte) (Kind, error) {
	var probe struct {
		MediaType       string `json:"mediaType"`
		Base64Signature string `json:"base64Signature"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return "", fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	switch {
	case probe.MediaType != "":
		return Bundle, nil
	case probe.Base64Signature != "":
		return LegacyBundle, nil
	}
	return "", errors.New("is JSON, and no Sigstore bundle")
}

// decodeRaw decodes base64 with at most one newline behind it.
func decodeRaw(sig []byte) ([]byte, error) {
	text := bytes.TrimSuffix(bytes.TrimSuffix(sig, []byte("\n")), []byte("\r"))
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err == nil && len(raw) == 0 {
		err = errors.New("empty")
	}
	return raw, err
}

// Verify checks that the key made the signature over the message.
func Verify(sig, message []byte, key Key) (Evidence, error) {
	kind, err := Recognize(sig)
	if err != nil {
		return Evidence{}, err
	}
	if kind != Raw {
		return Evidence{}, fmt.Errorf("%s: %w", kind, ErrUnsupported)
	}
	raw, err := decodeRaw(sig)
	if err != nil {
		return Evidence{}, err
	}
	if !verifyRaw(raw, message, key.Public) {
		return Evidence{}, ErrMismatch
	}
	sum := sha256.Sum256(message)
	return Evidence{Raw, key.Fingerprint, "sha256:" + hex.EncodeToString(sum[:])}, nil
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
