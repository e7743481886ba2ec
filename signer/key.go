// Package signer holds signing keys and signs resources one by one.
//
// Signatures are deterministic: the same key and bytes give the same
// signature, so that rendering again is no change. ECDSA uses RFC 6979, Ed25519
// and RSA with PKCS #1 v1.5 are so by themselves.
package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/trustomize/trustomize/internal/signature"
)

// PEM types of cosign's encrypted keys, the present and the former. Their
// content is the JSON of go-securesystemslib's encrypted: scrypt and NaCl's
// secretbox around a PKCS #8 key.
const (
	pemSigstore = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemCosign   = "ENCRYPTED COSIGN PRIVATE KEY"
	pemPKCS8    = "PRIVATE KEY"
)

// Key is an opened signing key.
type Key struct {
	Public signature.Key

	private crypto.Signer
}

// OpenKey opens a private key in PEM: one that cosign encrypted, or a plain
// PKCS #8 key (ECDSA, RSA or Ed25519). The password is asked for when it is
// needed, and appears in no error.
func OpenKey(data []byte, password func() ([]byte, error)) (*Key, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not a PEM private key")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("holds several PEM blocks, where one private key is wanted")
	}
	der := block.Bytes
	switch block.Type {
	case pemPKCS8:
	case pemSigstore, pemCosign:
		if password == nil {
			return nil, errors.New("the key is encrypted; name where its password is")
		}
		secret, err := password()
		if err != nil {
			return nil, err
		}
		if der, err = encrypted.Decrypt(block.Bytes, secret); err != nil {
			return nil, errors.New("the key cannot be decrypted: wrong password, or damaged")
		}
	default:
		return nil, fmt.Errorf("PEM type %q is not accepted; want %q or %q", block.Type, pemSigstore, pemPKCS8)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the key is not in PKCS #8")
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", private)
	}
	return newKey(signer)
}

func newKey(private crypto.Signer) (*Key, error) {
	public, err := signature.NewKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &Key{public, private}, nil
}

// PublicKey returns the public half.
func (k *Key) PublicKey() signature.Key { return k.Public }

// PublicPEM returns the public key in PEM.
func (k *Key) PublicPEM() ([]byte, error) {
	return cryptoutils.MarshalPublicKeyToPEM(k.Public.Public)
}

// Sign signs the message, hashed with SHA-256 whatever the key's curve, as
// cosign's verifiers assume; an Ed25519 key signs the message itself. The same
// message always gives the same signature.
func (k *Key) Sign(message []byte) ([]byte, error) {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return k.signWith(message, crypto.Hash(0))
	}
	return k.signWith(message, crypto.SHA256)
}

// SignWith is [Key.Sign] with a hash of the caller's choice. For an Ed25519
// key, SHA-512 selects Ed25519ph and no hash Ed25519.
func (k *Key) SignWith(_ context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	return k.signWith(message, hash)
}

func (k *Key) signWith(message []byte, hash crypto.Hash) ([]byte, error) {
	// Without a source of randomness, crypto/ecdsa derives the nonce from key
	// and message.
	return k.private.Sign(nil, digest(message, hash), hash)
}

// ErrDeterministic says that a key has one signature for a message.
var ErrDeterministic = errors.New("this kind of key signs a message in one way only")

// SignAfresh makes a signature that was not made before, for a log that takes
// the same one only once. Only ECDSA has such.
func (k *Key) SignAfresh(_ context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	if _, ok := k.private.(*ecdsa.PrivateKey); !ok {
		return nil, ErrDeterministic
	}
	return k.private.Sign(rand.Reader, digest(message, hash), hash)
}

func digest(message []byte, hash crypto.Hash) []byte {
	if hash == 0 {
		return message
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// GenerateKey makes a key pair as cosign does: ECDSA on P-256, the private key
// encrypted with the password.
func GenerateKey(password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, nil, err
	}
	private = pem.EncodeToMemory(&pem.Block{Type: pemSigstore, Bytes: sealed})
	public, err = cryptoutils.MarshalPublicKeyToPEM(key.Public())
	return private, public, err
}
