package pgp

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/trustomize/trustomize/internal/signature"
)

// fuzzKeys are keys of the common kinds. A fuzzer's processes must have the same
// ones, which RSA and ECDSA do not make of a given source of randomness.
func fuzzKeys(f *testing.F) (rings [][]byte, signers []*packet.PrivateKey) {
	source := rand.NewChaCha8([32]byte{})
	for _, change := range []func(*packet.Config){
		func(*packet.Config) {},
		func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoEdDSA },
		func(c *packet.Config) { c.V6Keys = true },
		func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoEd448 },
		func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoRSA },
		func(c *packet.Config) { c.Algorithm, c.Curve = packet.PubKeyAlgoECDSA, packet.CurveNistP256 },
	} {
		e := newEntity(f, "alice", change, func(c *packet.Config) { c.Rand = source })
		signers = append(signers, e.PrivateKey, withSubkey(f, e, func(c *packet.Config) { c.Rand = source }).PrivateKey)
		rings = append(rings, export(f, e))
	}
	return rings, signers
}

// FuzzParse reads anything, and holds a ring to what it promises.
func FuzzParse(f *testing.F) {
	rings, _ := fuzzKeys(f)
	for _, ring := range rings {
		f.Add(ring)
	}
	f.Add(armour(f, "PGP PUBLIC KEY BLOCK", rings[0]))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----"))
	f.Add(slices.Concat(rawPacket(tagTrust, nil), rings[0], rawPacket(tagUserAttribute, nil), rawPacket(tagSignature, []byte{4, 0x20, 1, 1, 0, 0, 0, 0, 0, 0})))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			if r != nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, %q", r, err)
			}
			return
		}
		if s := r.String(); len(s) > 1200 || strings.Contains(s, "\n") {
			t.Fatalf("%d bytes: %q", len(s), s)
		}
		for _, k := range r.Keys() {
			if n := len(k.Fingerprint); n != len("pgp:")+40 && n != len("pgp:")+64 || !k.Expires.IsZero() && k.Expires.Before(k.NotBefore) {
				t.Fatalf("%+v", k)
			}
		}
		if _, err := verifyAt(r, []byte("\xc2\x00"), message, now); err == nil {
			t.Fatal("verifies nothing")
		}
	})
}

// FuzzVerify changes signatures. Over a message that nobody signed none
// verifies; over the one that was signed, what still verifies is evidence of
// the same.
func FuzzVerify(f *testing.F) {
	rings, signers := fuzzKeys(f)
	r := mustParse(f, slices.Concat(rings...))
	made := map[string]bool{}
	for _, key := range signers {
		sig := sign(f, key, message)
		f.Add(sig)
		f.Add(armour(f, "PGP SIGNATURE", sig))
		made[fingerprint(key.Fingerprint)] = true
	}
	f.Add(slices.Concat(sign(f, signers[0], []byte("x")), sign(f, signers[1], message)))
	f.Add(signRaw(signers[0], message, 0, slices.Concat(madeOn(signedAt), subpacket(4, 1), subpacket(subEmbedded, 4, 0x19, 27, 8, 0, 0, 0, 0, 0, 0)), subpacket(33, 4)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := verifyAt(r, data, []byte("something else"), now); err == nil || reasonOf(err) < 0 || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%+v, %v", e, err)
		}
		e, err := verifyAt(r, data, message, now)
		if err == nil && (!made[e.Fingerprint] || !e.Claimed.Equal(signedAt) || e.Digest != signature.DigestOf(message)) {
			t.Fatalf("%+v", e)
		}
	})
}
