package pgp

import (
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/trustomize/trustomize/internal/signature"
)

// TestExpiry verifies by a key that was valid for ten days.
func TestExpiry(t *testing.T) {
	e := newEntity(t, "alice", func(c *packet.Config) { c.KeyLifetimeSecs = 10 * days })
	ends := created.Add(10 * 24 * time.Hour)
	for name, c := range map[string]struct {
		made, at time.Time
		want     signature.Reason
		text     string
	}{
		"while it was valid":         {signedAt, ends.Add(-time.Hour), -1, ""},
		"and expired since":          {signedAt, now.AddDate(10, 0, 0), -1, ""},
		"in its last second":         {ends.Add(-time.Second), now, -1, ""},
		"when it had expired":        {ends, now, signature.Expired, "made on 2024-01-11T00:00:00Z by pgp:"},
		"long after":                 {ends.AddDate(0, 0, 1), now, signature.Expired, "expired on 2024-01-11T00:00:00Z"},
		"in its first second":        {created, now, -1, ""},
		"before it was made":         {created.Add(-time.Second), now, signature.Expired, "valid from 2024-01-01T00:00:00Z on"},
		"as far ahead as clocks are": {signedAt, signedAt.Add(-MaxSkew), -1, ""},
		"in the future":              {signedAt, signedAt.Add(-MaxSkew - time.Second), signature.Expired, "made on 2024-01-02T00:00:00Z, and it is 2024-01-01T23:54:59Z now"},
	} {
		got, err := verifyAt(mustParse(t, export(t, e)), sign(t, e.PrivateKey, message, madeAt(c.made)), message, c.at)
		if c.want < 0 {
			if err != nil || !got.Expires.Equal(ends) || !got.Claimed.Equal(c.made) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		if reasonOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
			continue
		}
		refusal{export(t, e), sign(t, e.PrivateKey, message, madeAt(c.made)), c.at, c.want, c.text, ""}.check(t)
	}
}

// TestNoClock refuses every signature where nobody says what time it is.
func TestNoClock(t *testing.T) {
	e := newEntity(t, "alice")
	if _, err := verifyAt(mustParse(t, export(t, e)), sign(t, e.PrivateKey, message), message, time.Time{}); reasonOf(err) != signature.Expired {
		t.Error(err)
	}
}

// TestEarliestEnd finds each of the ends that a signing key can have.
func TestEarliestEnd(t *testing.T) {
	lasts := func(s *packet.Signature) { s.KeyLifetimeSecs = seconds(20 * days) }
	for name, change := range map[string]func(*openpgp.Entity, *openpgp.Subkey){
		"the primary key's": func(e *openpgp.Entity, _ *openpgp.Subkey) { certify(t, e, lasts) },
		"the subkey's":      func(_ *openpgp.Entity, s *openpgp.Subkey) { bindAgain(t, s, lasts) },
		"its binding's": func(_ *openpgp.Entity, s *openpgp.Subkey) {
			bindAgain(t, s, func(s *packet.Signature) { s.SigLifetimeSecs = seconds(20 * days) })
		},
		"the user ID's": func(e *openpgp.Entity, _ *openpgp.Subkey) {
			certify(t, e, func(s *packet.Signature) { s.SigLifetimeSecs = seconds(20 * days) })
		},
		"its cross-signature's": func(e *openpgp.Entity, s *openpgp.Subkey) {
			bindAgain(t, s, func(b *packet.Signature) {
				b.EmbeddedSignature.SigLifetimeSecs = seconds(20 * days)
				if err := b.EmbeddedSignature.CrossSignKey(s.PublicKey, e.PrimaryKey, s.PrivateKey, unsalted); err != nil {
					t.Fatal(err)
				}
			})
		},
	} {
		e := newEntity(t, "alice", func(c *packet.Config) { c.KeyLifetimeSecs = 25 * days })
		sub := withSubkey(t, e)
		change(e, sub)
		got, err := verifyAt(mustParse(t, export(t, e)), sign(t, sub.PrivateKey, message), message, now)
		if want := created.Add(20 * 24 * time.Hour); err != nil || !got.Expires.Equal(want) {
			t.Errorf("%s: %+v, %v, want to expire %v", name, got, err, want)
		}
	}
}

// TestLastWord takes the newest self-signature, also for older signatures: the
// holder prolonged the key, or made an end to it.
func TestLastWord(t *testing.T) {
	for _, c := range []struct {
		old, new uint32
		ok       bool
	}{{5 * days, 20 * days, true}, {20 * days, 5 * days, false}} {
		e := newEntity(t, "alice", func(cfg *packet.Config) { cfg.KeyLifetimeSecs = c.old })
		id := e.Identities["alice <alice@example.com>"]
		again := *id.SelfCertifications[0].Packet
		again.CreationTime, again.KeyLifetimeSecs = created.Add(15*24*time.Hour), &c.new
		if err := again.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
		both := slices.Insert(id.SelfCertifications, 0, packet.NewVerifiableSig(&again))
		sig := sign(t, e.PrivateKey, message, madeAt(created.Add(10*24*time.Hour)))
		for _, order := range []int{0, 1} {
			id.SelfCertifications = slices.Clone(both)
			if order == 1 {
				slices.Reverse(id.SelfCertifications)
			}
			if _, err := verifyAt(mustParse(t, export(t, e)), sig, message, now); (err == nil) != c.ok {
				t.Errorf("%d then %d seconds: %v", c.old, c.new, err)
			}
		}
	}
}

func TestExpiredSignature(t *testing.T) {
	e := newEntity(t, "alice")
	ring := export(t, e)
	data := sign(t, e.PrivateKey, message, func(s *packet.Signature) { s.SigLifetimeSecs = seconds(days) })
	ends := signedAt.Add(24 * time.Hour)
	if _, err := verifyAt(mustParse(t, ring), data, message, ends.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	refusal{ring, data, ends, signature.Expired, "valid until 2024-01-03T00:00:00Z, and it is 2024-01-03T00:00:00Z now", ""}.check(t)
}

// TestRevoked refuses what was made by a revoked key, before and after, for
// whatever reason it was revoked.
func TestRevoked(t *testing.T) {
	late := &packet.Config{Time: func() time.Time { return now.AddDate(1, 0, 0) }}
	sha1 := func(e *openpgp.Entity) {
		s := e.Revocations[0].Packet
		s.Hash = crypto.SHA1
		if err := s.RevokeKey(e.PrimaryKey, e.PrivateKey, unsalted); err != nil {
			t.Fatal(err)
		}
	}
	for _, why := range []packet.ReasonForRevocation{packet.NoReason, packet.KeySuperseded, packet.KeyCompromised, packet.KeyRetired} {
		e := newEntity(t, "alice")
		sub := withSubkey(t, e)
		if err := e.Revoke(why, "", late); err != nil {
			t.Fatal(err)
		}
		for _, change := range []func(*openpgp.Entity){func(*openpgp.Entity) {}, sha1} {
			change(e)
			r := mustParse(t, export(t, e))
			for _, key := range []*packet.PrivateKey{e.PrivateKey, sub.PrivateKey} {
				refusal{ring: export(t, e), data: sign(t, key, message), reason: signature.Revoked, text: "revoked"}.check(t)
				refusal{ring: export(t, e), data: sign(t, key, []byte("x")), reason: signature.Mismatch}.check(t)
			}
			if len(r.Keys()) != 0 || r.String() != "PGP key ring whose keys are revoked" {
				t.Errorf("%v %v", r, r.Keys())
			}
		}
	}
}

func TestRevokedSubkey(t *testing.T) {
	e := newEntity(t, "alice")
	sub := withSubkey(t, e)
	if err := sub.Revoke(packet.KeyRetired, "", &packet.Config{Time: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	refusal{ring: export(t, e), data: sign(t, sub.PrivateKey, message), reason: signature.Revoked}.check(t)
	if _, err := verifyAt(mustParse(t, export(t, e)), sign(t, e.PrivateKey, message), message, now); err != nil {
		t.Errorf("the primary key: %v", err)
	}
}

// TestDirectSignature takes the flags from a key's signature over itself where
// the user ID's has none, and the end that is first.
func TestDirectSignature(t *testing.T) {
	e := newEntity(t, "alice", func(c *packet.Config) { c.KeyLifetimeSecs = 20 * days })
	direct := &packet.Signature{Version: 4, SigType: packet.SigTypeDirectSignature, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: created, IssuerKeyId: &e.PrimaryKey.KeyId, KeyLifetimeSecs: seconds(10 * days), FlagsValid: true, FlagSign: true}
	if err := direct.SignDirectKeyBinding(e.PrimaryKey, e.PrivateKey, nil); err != nil {
		t.Fatal(err)
	}
	e.DirectSignatures = append(e.DirectSignatures, packet.NewVerifiableSig(direct))
	certify(t, e, func(s *packet.Signature) { s.FlagsValid = false })
	got, err := verifyAt(mustParse(t, export(t, e)), sign(t, e.PrivateKey, message), message, now)
	if want := created.Add(10 * 24 * time.Hour); err != nil || !got.Expires.Equal(want) {
		t.Errorf("%+v, %v, want to expire %v", got, err, want)
	}
	certify(t, e, func(s *packet.Signature) { s.FlagsValid, s.FlagSign = true, false })
	refusal{ring: export(t, e, newEntity(t, "bob")), data: sign(t, e.PrivateKey, message), reason: signature.Stranger,
		text: "do not say", by: fingerprint(e.PrimaryKey.Fingerprint)}.check(t)
}

// TestOlderSubkey does not let a subkey sign before its primary key was there.
func TestOlderSubkey(t *testing.T) {
	e := newEntity(t, "alice")
	sub := withSubkey(t, e, func(c *packet.Config) { c.Time = func() time.Time { return created.AddDate(-1, 0, 0) } })
	refusal{ring: export(t, e), data: sign(t, sub.PrivateKey, message, madeAt(created.Add(-time.Second))),
		reason: signature.Expired, text: "valid from 2024-01-01T00:00:00Z on"}.check(t)
}

// TestUserIDs takes the user ID that is marked, or signed last, and none that
// is revoked.
func TestUserIDs(t *testing.T) {
	e := newEntity(t, "alice")
	add := func(name string, at time.Time) {
		if err := e.AddUserId(name, "", "", &packet.Config{Time: func() time.Time { return at }}); err != nil {
			t.Fatal(err)
		}
	}
	add("older", created)
	add("newer", created.Add(time.Hour))
	holder := func() string { return mustParse(t, export(t, e)).Keys()[0].Holder }
	if got := holder(); got != "alice <alice@example.com>" {
		t.Errorf("marked is alice, not %q", got)
	}
	revoke(t, e, "alice <alice@example.com>", created.Add(-time.Second))
	if got := holder(); got != "alice <alice@example.com>" {
		t.Errorf("signed again after it was revoked is alice, not %q", got)
	}
	revoke(t, e, "alice <alice@example.com>", created.Add(time.Hour))
	if got := holder(); got != "newer" {
		t.Errorf("signed last is newer, not %q", got)
	}
	revoke(t, e, "newer", created.Add(time.Hour))
	revoke(t, e, "older", created.Add(time.Hour))
	refusal{ring: export(t, e, newEntity(t, "bob")), data: sign(t, e.PrivateKey, message), reason: signature.Stranger,
		text: "no user ID", by: fingerprint(e.PrimaryKey.Fingerprint)}.check(t)
}

// revoke revokes a user ID.
func revoke(t *testing.T, e *openpgp.Entity, id string, at time.Time) {
	t.Helper()
	s := &packet.Signature{Version: 4, SigType: packet.SigTypeCertificationRevocation, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo,
		Hash: crypto.SHA256, CreationTime: at, IssuerKeyId: &e.PrimaryKey.KeyId}
	if err := s.SignUserId(id, e.PrimaryKey, e.PrivateKey, nil); err != nil {
		t.Fatal(err)
	}
	e.Identities[id].Revocations = append(e.Identities[id].Revocations, packet.NewVerifiableSig(s))
}
