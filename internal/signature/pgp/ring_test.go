package pgp

import (
	"bytes"
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// private is a key as gpg --export-secret-keys writes it.
func private(t *testing.T, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// revocation is a signature of some type by one key over another, for its block.
func revocation(t *testing.T, kind packet.SignatureType, by *packet.PrivateKey, over *packet.PublicKey) []byte {
	t.Helper()
	s := &packet.Signature{Version: 4, SigType: kind, PubKeyAlgo: by.PubKeyAlgo, Hash: crypto.SHA256, CreationTime: created, IssuerKeyId: &by.KeyId}
	if err := s.RevokeKey(over, by, nil); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lastPackets are the last packets of some.
func lastPackets(t *testing.T, data []byte, n int) []byte {
	t.Helper()
	packets, err := split(data)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, p := range packets[len(packets)-n:] {
		if err := p.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestParseRefuses(t *testing.T) {
	alice, bob := newEntity(t, "alice"), newEntity(t, "bob")
	a, b := export(t, alice), export(t, bob)
	block := armour(t, "PGP PUBLIC KEY BLOCK", a)
	weak := newEntity(t, "weak", func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 1024 })
	old := rawPacket(tagPublicKey, []byte{3, 0, 0, 0, 0, 0, 0, 1, 0, 8, 23, 0, 2, 3})
	twice := newEntity(t, "twice")
	sub := withSubkey(t, alice)
	twice.Subkeys = append(twice.Subkeys, *sub)
	for name, c := range map[string]struct {
		ring []byte
		text string
	}{
		"nothing":                         {nil, "is empty"},
		"white space":                     {[]byte(" \n"), "is empty"},
		"too much":                        {make([]byte, MaxRingSize+1), "more than the 67108864 allowed"},
		"text":                            {[]byte("alice\n"), `"alice"`},
		"a private key":                   {private(t, alice), "private key"},
		"a private key among others":      {slices.Concat(b, private(t, alice)), "private key"},
		"an armoured private key":         {armour(t, "PGP PRIVATE KEY BLOCK", private(t, alice)), "private key"},
		"a private key in public's dress": {armour(t, "PGP PUBLIC KEY BLOCK", private(t, alice)), "private key"},
		"a signature":                     {sign(t, alice.PrivateKey, message), "begins with a packet of type 2"},
		"an armoured signature":           {armour(t, "PGP SIGNATURE", sign(t, alice.PrivateKey, message)), "BEGIN PGP SIGNATURE"},
		"a keybox":                        {[]byte("\x00\x00\x00\x20\x01\x01\x00\x02KBXf\x00\x00\x00\x00"), "gpg --export"},
		"text around blocks":              {append(slices.Clone(block), "x"...), `"x"`},
		"bytes behind":                    {append(slices.Clone(a), 0), "is none"},
		"cut short":                       {a[:len(a)-1], "cut short"},
		"cut short, armoured":             {block[:len(block)-10], "cut short"},
		"a packet of a message":           {append(slices.Clone(a), rawPacket(11, []byte("b\x00\x00\x00\x00\x00"))...), "type 11"},
		"the same key twice":              {slices.Concat(a, b, a), "twice"},
		"a subkey of two keys":            {export(t, alice, twice), "twice"},
		"a malformed key":                 {rawPacket(tagPublicKey, []byte{4, 0, 0, 0, 0, 1, 0, 8}), "key 1"},
		"a key that goes on":              {append(rawPacket(tagPublicKey, append(slices.Clone(a[2:2+a[1]]), 0)), a[2+a[1]:]...), "goes on for 1 bytes"},
		"only a weak key":                 {export(t, weak), "no key that may sign: pgp:"},
		"only an old key":                 {old, "public key version 3"},
		"no key, but trust":               {rawPacket(tagTrust, []byte{0}), "holds no key"},
		"a key without user ID":           {a[:2+a[1]], "no user ID"},
		"a subkey's revocation without":   {slices.Concat(a[:2+a[1]], revocation(t, packet.SigTypeSubkeyRevocation, alice.PrivateKey, alice.PrimaryKey), a[2+a[1]:]), "follows none"},
		"a revocation by another":         {slices.Concat(a[:2+a[1]], revocation(t, packet.SigTypeKeyRevocation, bob.PrivateKey, alice.PrimaryKey), a[2+a[1]:]), "revocation that cannot be checked"},
		"the same at the end":             {slices.Concat(a, revocation(t, packet.SigTypeKeyRevocation, bob.PrivateKey, alice.PrimaryKey)), "revocation that cannot be checked"},
		"a revocation of version 3":       {slices.Concat(a, rawPacket(tagSignature, append([]byte{3, 5, 0x20}, make([]byte, 20)...))), "revocation that cannot be checked"},
		"a revocation by MD5":             {slices.Concat(b, a, rawPacket(tagSignature, []byte{4, 0x20, 1, 1, 0, 0, 0, 0, 0, 0})), "hash function 1"},
		"a subkey's, not its own":         {slices.Concat(a, revocation(t, packet.SigTypeSubkeyRevocation, bob.PrivateKey, alice.PrimaryKey)), "revocation that cannot be checked"},
		"a user ID's by MD5":              {slices.Concat(a[:len(a)-len(lastPackets(t, a, 2))], rawPacket(tagSignature, []byte{4, 0x30, 1, 1, 0, 0, 0, 0, 0, 0})), "hash function 1"},
		"an old one cut short":            {slices.Concat(a, rawPacket(tagSignature, []byte{3, 5, 0x20, 0, 0, 0, 0})), "cut short"},
		"an area cut short":               {slices.Concat(a, rawPacket(tagSignature, []byte{4, 0x10, 1, 8, 0, 0, 0})), "cut short"},
		"a signature of no version":       {slices.Concat(a, rawPacket(tagSignature, []byte{99, 0x20, 1, 8})), "version 99"},
		"a signature cut short":           {slices.Concat(a, rawPacket(tagSignature, []byte{4, 0x20, 1})), "cut short"},
	} {
		r, err := Parse(c.ring)
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") || r != nil {
			t.Errorf("%s: %v, %v, want %q", name, r, err, c.text)
		}
	}
}

// TestParse reads what stands in rings and does not matter.
func TestParse(t *testing.T) {
	alice, bob := newEntity(t, "alice"), newEntity(t, "bob")
	a, b := export(t, alice), export(t, bob)
	old := slices.Concat(
		rawPacket(tagPublicKey, []byte{3, 0, 0, 0, 0, 0, 0, 1, 0, 8, 23, 0, 2, 3}),
		rawPacket(tagTrust, []byte{0}), rawPacket(tagUserID, []byte("old")),
		rawPacket(tagSignature, append([]byte{3, 5, 0x10}, make([]byte, 20)...)))
	picture := slices.Concat(rawPacket(tagUserAttribute, []byte{1}), rawPacket(tagSignature, append([]byte{3, 5, 0x10}, make([]byte, 20)...)))
	pq := slices.Concat(rawPacket(tagPublicSubkey, []byte{4, 0, 0, 0, 0, 35, 1, 2, 3}), rawPacket(tagSignature, append([]byte{3, 5, 0x28}, make([]byte, 20)...)))
	if err := bob.SignIdentity("bob <bob@example.com>", alice, &packet.Config{Time: func() time.Time { return created }}); err != nil {
		t.Fatal(err)
	}
	block := armour(t, "PGP PUBLIC KEY BLOCK", a)
	for name, c := range map[string]struct {
		ring []byte
		keys int
	}{
		"one":                       {a, 1},
		"two":                       {slices.Concat(a, b), 2},
		"two blocks":                {slices.Concat(block, armour(t, "PGP PUBLIC KEY BLOCK", b)), 2},
		"two in one block":          {armour(t, "PGP PUBLIC KEY BLOCK", slices.Concat(a, b)), 2},
		"blank lines, CRLF":         {bytes.ReplaceAll(slices.Concat([]byte("\n\n"), block, []byte("\n \n")), []byte("\n"), []byte("\r\n")), 1},
		"GnuPG's trust and markers": {slices.Concat(rawPacket(tagMarker, []byte("PGP")), a, rawPacket(tagTrust, []byte{1, 2}), b, rawPacket(tagPadding, []byte{0})), 2},
		"a key of version 3":        {slices.Concat(old, a), 1},
		"a picture":                 {slices.Concat(a, picture, b), 2},
		"a subkey of times to come": {slices.Concat(a, pq, b), 2},
		"what others say of it":     {export(t, bob), 1},
	} {
		r, err := Parse(c.ring)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n := len(r.Keys()); n != c.keys {
			t.Errorf("%s: %d keys, want %d: %v", name, n, c.keys, r)
		}
	}
}

func TestKeysAndString(t *testing.T) {
	alice := newEntity(t, "alice", func(c *packet.Config) { c.KeyLifetimeSecs = days })
	sub := withSubkey(t, alice)
	late := created.Add(time.Hour)
	r := mustParse(t, export(t, alice))
	keys := r.Keys()
	if len(keys) != 2 || keys[0].Fingerprint != fingerprint(alice.PrimaryKey.Fingerprint) || keys[1].Fingerprint != fingerprint(sub.PublicKey.Fingerprint) {
		t.Fatalf("%+v", keys)
	}
	for _, k := range keys {
		if k.Holder != "alice <alice@example.com>" || !k.NotBefore.Equal(created) || !k.Expires.Equal(created.Add(24*time.Hour)) {
			t.Errorf("%+v", k)
		}
	}
	bob := newEntity(t, "bob", func(c *packet.Config) { c.Time = func() time.Time { return late } })
	one := mustParse(t, export(t, bob))
	if got, want := one.String(), "PGP key ring with 1 key: bob <bob@example.com> ("+fingerprint(bob.PrimaryKey.Fingerprint)+")"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !one.Keys()[0].NotBefore.Equal(late) || !one.Keys()[0].Expires.IsZero() {
		t.Errorf("%+v", one.Keys())
	}
}

// TestStringBounded keeps what is in user IDs on one short line.
func TestStringBounded(t *testing.T) {
	var all []*openpgp.Entity
	for range 5 {
		all = append(all, newEntity(t, strings.Repeat("long\n\x1b[31m\u202e\xff", 100)))
	}
	r := mustParse(t, export(t, all...))
	s := r.String()
	if len(s) > 1000 || !strings.HasPrefix(s, "PGP key ring with 5 keys: long\ufffd\ufffd[31m\ufffd\ufffdlong") || !strings.HasSuffix(s, " and 2 more") {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	for _, k := range r.Keys() {
		if strings.ContainsAny(k.Holder, "\n\x1b\u202e") || len(k.Holder) > 4*maxIdentity {
			t.Errorf("%q", k.Holder)
		}
	}
}
