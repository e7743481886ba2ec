package signer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Signature is one signature over a message, with what keyless ones need
// besides to be verified.
type Signature struct {
	Raw         []byte `json:"signature"`
	Certificate []byte `json:"certificate,omitempty"` // PEM
	Bundle      []byte `json:"bundle,omitempty"`      // Sigstore bundle, JSON
}

// Maker makes signatures over messages.
type Maker interface {
	// ID names the key, or the identity and who vouches for it, among all others.
	ID() string
	Make(ctx context.Context, message []byte) (Signature, error)
	// Check reports whether the maker made the signature.
	Check(sig Signature, message []byte) error
	// Deterministic says that the same message always gets the same signature.
	Deterministic() bool
}

// ID is the key's fingerprint.
func (k *Key) ID() string { return k.Public.Fingerprint }

// Make signs as [Key.Sign] does.
func (k *Key) Make(_ context.Context, message []byte) (Signature, error) {
	raw, err := k.Sign(message)
	return Signature{Raw: raw}, err
}

// errMore says that somebody added to a key's signature.
var errMore = errors.New("a key's signature has no certificate and no bundle")

// Check verifies with the key's public half.
func (k *Key) Check(sig Signature, message []byte) error {
	if sig.Certificate != nil || sig.Bundle != nil {
		return errMore
	}
	_, err := k.Public.VerifyBytes(sig.Raw, message)
	return err
}

// Deterministic is true for every kind of key that [OpenKey] opens.
func (k *Key) Deterministic() bool { return true }

// ID is the key's fingerprint.
func (k *KMSKey) ID() string { return k.Public.Fingerprint }

// Make signs as [KMSKey.Sign] does.
func (k *KMSKey) Make(ctx context.Context, message []byte) (Signature, error) {
	raw, err := k.Sign(ctx, message)
	return Signature{Raw: raw}, err
}

// Check verifies with the key's public half.
func (k *KMSKey) Check(sig Signature, message []byte) error {
	if sig.Certificate != nil || sig.Bundle != nil {
		return errMore
	}
	_, err := k.Public.VerifyBytes(sig.Raw, message)
	return err
}

// Deterministic is false: nobody says how a KMS signs.
func (k *KMSKey) Deterministic() bool { return false }

// Store keeps small files under names of 64 hexadecimal digits. What it gives is
// verified before it is used.
type Store interface {
	// Get returns a file; an error that matches os.ErrNotExist where there is none.
	Get(name string) ([]byte, error)
	// Add keeps a file unless there is one of that name, which it then returns.
	Add(name string, data []byte) ([]byte, error)
	// Remove drops a file that turned out to be damaged.
	Remove(name string)
}

// Kept makes each signature once. Where a key signs in another way each time, the
// signature that was made first is the one that counts: YAML that changes with
// each build is a change to whoever compares it.
type Kept struct {
	Maker
	Stores []Store // asked in this order; what one has, the others get
}

// Keep wraps a maker that needs it.
func Keep(m Maker, stores ...Store) Maker {
	if m.Deterministic() {
		return m
	}
	return &Kept{m, stores}
}

// Deterministic is true as long as the stores keep what they get.
func (k *Kept) Deterministic() bool { return true }

// Make returns the signature that was made before, if there is one that
// verifies.
func (k *Kept) Make(ctx context.Context, message []byte) (Signature, error) {
	name := keptName(k.ID(), message)
	sig, lacking, err := k.find(name, message)
	if err != nil {
		return Signature{}, err
	}
	if sig == nil {
		made, err := k.Maker.Make(ctx, message)
		if err != nil {
			return Signature{}, err
		}
		sig = &made
	}
	for _, store := range lacking {
		data, err := json.Marshal(sig)
		if err != nil {
			return Signature{}, err
		}
		there, err := store.Add(name, data)
		if err != nil {
			return Signature{}, fmt.Errorf("keeping a signature: %w", err)
		}
		// Somebody else may have been faster.
		if other, ok := k.read(there, message); ok {
			sig = other
		}
	}
	return *sig, nil
}

// find returns the first signature that is kept, and the stores that lack it.
func (k *Kept) find(name string, message []byte) (*Signature, []Store, error) {
	for i, store := range k.Stores {
		data, err := store.Get(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("a kept signature: %w", err)
		}
		if sig, ok := k.read(data, message); ok {
			return sig, k.Stores[:i], nil
		}
		store.Remove(name)
	}
	return nil, k.Stores, nil
}

func (k *Kept) read(data, message []byte) (*Signature, bool) {
	var sig Signature
	if json.Unmarshal(data, &sig) != nil || k.Check(sig, message) != nil {
		return nil, false
	}
	return &sig, true
}

// KeptName is under which name a [Store] has the maker's signature of a message.
func KeptName(m Maker, message []byte) string { return keptName(m.ID(), message) }

func keptName(id string, message []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%x\n", id, sha256.Sum256(message))
	return hex.EncodeToString(h.Sum(nil))
}
