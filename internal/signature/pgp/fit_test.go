package pgp

import (
	"crypto"
	"slices"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/trustomize/trustomize/internal/signature"
)

// TestUnfit refuses what is made by keys that may not sign, and a ring that
// holds no other.
func TestUnfit(t *testing.T) {
	weakRSA := func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 1024 }
	k1 := func(c *packet.Config) { c.Algorithm, c.Curve = packet.PubKeyAlgoECDSA, packet.CurveSecP256k1 }
	plain := func(*packet.Config) {}
	primary := func(e *openpgp.Entity) *packet.PrivateKey { return e.PrivateKey }
	sub := func(change func(*openpgp.Subkey)) func(*openpgp.Entity) *packet.PrivateKey {
		return func(e *openpgp.Entity) *packet.PrivateKey {
			s := withSubkey(t, e)
			change(s)
			return s.PrivateKey
		}
	}
	rebind := func(change func(*packet.Signature)) func(*openpgp.Entity) *packet.PrivateKey {
		return sub(func(s *openpgp.Subkey) { bindAgain(t, s, change) })
	}
	recertify := func(change func(*packet.Signature)) func(*openpgp.Entity) *packet.PrivateKey {
		return func(e *openpgp.Entity) *packet.PrivateKey { certify(t, e, change); return e.PrivateKey }
	}
	critical := []*packet.Notation{{Name: "x@example.com", IsCritical: true}}
	for name, c := range map[string]struct {
		config func(*packet.Config)
		signer func(*openpgp.Entity) *packet.PrivateKey
		text   string
	}{
		"RSA of 1024 bits":           {weakRSA, primary, "RSA key of fewer than the 2048 bits"},
		"secp256k1":                  {k1, primary, `curve "SecP256k1"`},
		"a subkey of RSA 1024":       {weakRSA, sub(func(*openpgp.Subkey) {}), "its primary key does not count: it is an RSA key"},
		"certifies only":             {plain, recertify(func(s *packet.Signature) { s.FlagSign = false }), "do not say that it signs"},
		"without flags":              {plain, recertify(func(s *packet.Signature) { s.FlagsValid = false }), "has no key flags"},
		"user ID by SHA-1":           {plain, recertify(func(s *packet.Signature) { s.Hash = crypto.SHA1 }), "SHA-1"},
		"user ID, critical notation": {plain, recertify(func(s *packet.Signature) { s.Notations = critical }), "x@example.com"},
		"no cross-signature":         {plain, rebind(func(s *packet.Signature) { s.EmbeddedSignature = nil }), "missing cross-signature"},
		"a subkey that encrypts":     {plain, rebind(func(s *packet.Signature) { s.FlagSign, s.FlagEncryptStorage = false, true }), "do not say that it signs"},
		"a subkey without flags":     {plain, rebind(func(s *packet.Signature) { s.FlagsValid, s.FlagSign = false, false }), "has no key flags"},
		"a binding by SHA-1":         {plain, rebind(func(s *packet.Signature) { s.Hash = crypto.SHA1 }), "SHA-1"},
		"a binding, critical":        {plain, rebind(func(s *packet.Signature) { s.Notations = critical }), "x@example.com"},
		"another's cross-signature": {plain, sub(func(s *openpgp.Subkey) {
			other := withSubkey(t, newEntity(t, "mallory"))
			bindAgain(t, s, func(b *packet.Signature) { b.EmbeddedSignature = other.Bindings[0].Packet.EmbeddedSignature })
		}), "cross-signature"},
		"cross-signature by SHA-1": {plain, sub(func(s *openpgp.Subkey) {
			bindAgain(t, s, func(b *packet.Signature) {
				b.EmbeddedSignature.Hash = crypto.SHA1
				if err := b.EmbeddedSignature.CrossSignKey(s.PublicKey, s.Primary.PrimaryKey, s.PrivateKey, unsalted); err != nil {
					t.Fatal(err)
				}
			})
		}), "SHA-1"},
		"bound by another": {plain, sub(func(s *openpgp.Subkey) {
			if err := s.Bindings[0].Packet.SignKey(s.PublicKey, newEntity(t, "mallory").PrivateKey, nil); err != nil {
				t.Fatal(err)
			}
		}), "not bound to its primary key"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntity(t, "alice", c.config)
			key := c.signer(e)
			ring := export(t, e, newEntity(t, "bob"))
			refusal{ring: ring, data: sign(t, key, message), reason: signature.Stranger, text: c.text, by: fingerprint(key.Fingerprint)}.check(t)
			for _, k := range mustParse(t, ring).Keys() {
				if k.Fingerprint == fingerprint(key.Fingerprint) {
					t.Errorf("may sign: %+v", k)
				}
			}
		})
	}
}

// TestDSA leaves an old key with its ElGamal subkey in a ring, and unused.
func TestDSA(t *testing.T) {
	number := []byte{0, 5, 23} // with its length in bits
	old := rawPacket(tagPublicKey, slices.Concat([]byte{4, 0, 0, 0, 0, 17}, number, number, number, number))
	old = append(old, rawPacket(tagPublicSubkey, slices.Concat([]byte{4, 0, 0, 0, 0, 16}, number, number, number))...)
	packets, err := split(old)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parseKey(packets[0])
	if err != nil {
		t.Fatal(err)
	}
	issuer := subpacket(subIssuer, k.public.Fingerprint[12:]...)
	sig := rawPacket(tagSignature, slices.Concat([]byte{4, 0, 17, 8, 0, 0, 0, 10}, issuer, []byte{0, 0}, number, number))
	ring := append(old, export(t, newEntity(t, "bob"))...)
	refusal{ring: ring, data: sig, reason: signature.Stranger, text: "it is a DSA key", by: k.fingerprint}.check(t)
}

// TestVersions keeps keys and signatures of the two versions apart.
func TestVersions(t *testing.T) {
	e := newEntity(t, "alice", func(c *packet.Config) { c.V6Keys = true })
	issuer := subpacket(subFingerprint, append([]byte{6}, e.PrimaryKey.Fingerprint...)...)
	refusal{ring: export(t, e), data: signRaw(e.PrivateKey, message, 0, slices.Concat(madeOn(signedAt), issuer), nil),
		reason: signature.Mismatch, text: "version 4 by a key of version 6"}.check(t)
	e.DirectSignatures = nil
	refusal{ring: export(t, e, newEntity(t, "bob")), data: sign(t, e.PrivateKey, message), reason: signature.Stranger,
		text: "no valid signature over itself", by: fingerprint(e.PrimaryKey.Fingerprint)}.check(t)
}
