package bundle

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/trustomize/trustomize/internal/signature"
)

// keyTrust is one public key, and by whose word its signatures have a time.
type keyTrust struct {
	key  signature.Key
	root *Root // nil: nobody's
}

// NewKey returns a trust in the signatures of one key: raw ones, Sigstore
// bundles and legacy ones. Another key in a bundle is ignored, and a bundle with
// a certificate refused.
//
// With a root, log entries and timestamps in a bundle that its authorities made
// for this very signature show when it was made at the latest; the earliest is
// [signature.Evidence.Proven]. None is needed. One of a log or an authority that
// the root does not hold is passed over, like one that is not there. One that
// names a log of the root and does not verify, or that is of another signature,
// fails the signature: somebody tampered with it. (Timestamps do not name who
// made them, so one that doesn't verify is passed over.)
//
// Without a root, proofs are not verified.
func NewKey(key signature.Key, root *Root) signature.Trust { return &keyTrust{key, root} }

func (t *keyTrust) String() string { return t.key.String() }

func (t *keyTrust) Keys() []signature.KeyInfo { return t.key.Keys() }

func (t *keyTrust) Verify(sig signature.Signature, message []byte, when signature.When) (signature.Evidence, error) {
	switch sig.Kind {
	case signature.Raw:
		return t.key.Verify(sig, message, when)
	case signature.Bundle, signature.LegacyBundle:
	default:
		return signature.Evidence{}, signature.Errorf(signature.OtherKind, "a signature of kind %s, where the key makes raw ones and bundles", sig.Kind)
	}
	evidence, err := t.verify(sig, message)
	if err != nil {
		return signature.Evidence{}, err
	}
	return evidence, nil
}

func (t *keyTrust) verify(sig signature.Signature, message []byte) (signature.Evidence, error) {
	var none signature.Evidence
	pb, err := parse(sig)
	if err != nil {
		return none, err
	}
	if der := leafOf(pb); der != nil {
		return none, notAKeys(der)
	}
	evidence, err := t.key.VerifyBytes(pb.GetMessageSignature().GetSignature(), message)
	if err != nil {
		return none, t.stranger(pb.GetVerificationMaterial().GetPublicKey().GetHint(), err)
	}
	e, err := newEntity(pb, message, new(bundle.PublicKey))
	if err != nil {
		return none, err
	}
	evidence.Kind = sig.Kind
	evidence.Proven, err = t.proven(e)
	return evidence, err
}

// stranger returns a better error than that the signature does not verify, if
// the bundle names another key: Sigstore's clients name a key by the SHA-256 of
// its SubjectPublicKeyInfo in base64. The name is good for a refusal only.
func (t *keyTrust) stranger(hint string, err error) error {
	id, bad := base64.StdEncoding.DecodeString(hint)
	by := "sha256:" + hex.EncodeToString(id)
	if bad != nil || len(id) != sha256.Size || by == t.key.Fingerprint {
		return err
	}
	return &signature.Error{Reason: signature.Stranger, Text: "was made with another key", By: "key " + by}
}

// proven returns the earliest time at which the signature is proven to have
// existed, zero if nothing proves it. Each proof says "at T or before", so the
// earliest says most, and it holds however many others there are.
func (t *keyTrust) proven(e *entity) (time.Time, error) {
	var earliest time.Time
	if t.root == nil {
		return earliest, nil
	}
	note := func(at time.Time) {
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
	}
	for i, entry := range e.entries {
		if !t.root.knows(entry.LogKeyID()) {
			continue
		}
		times, err := verify.VerifyTlogEntry(e.only(i), keyMaterial{t.root.material, t.key}, 1, true)
		if err != nil {
			return earliest, failed(signature.Mismatch, "its log entry does not verify, or is of another signature", err)
		}
		for _, at := range times {
			note(at.Time)
		}
	}
	stamps, err := e.Timestamps()
	if err != nil {
		return earliest, failed(signature.Malformed, "its timestamps", err)
	}
	for _, stamp := range stamps {
		for _, tsa := range t.root.material.TimestampingAuthorities() {
			if at, err := tsa.Verify(stamp, e.raw()); err == nil {
				note(at.Time)
			}
		}
	}
	return earliest, nil
}

// keyMaterial is a trusted root in which every name that a bundle has for a key
// is our key's.
type keyMaterial struct {
	*root.TrustedRoot
	key signature.Key
}

func (m keyMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	v, err := sigstore.LoadVerifier(m.key.Public, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
}

// notAKeys refuses a bundle for its certificate.
func notAKeys(der []byte) error {
	stranger := &signature.Error{Reason: signature.Stranger, Text: "was made with a certificate, where a key's signature is wanted"}
	if c, err := parseCertificate(der); err == nil {
		stranger.By = c.by()
	}
	return stranger
}
