package pgp

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/trustomize/trustomize/internal/signature"
)

// TestGood verifies what every kind of key signs, binary and armoured.
func TestGood(t *testing.T) {
	for name, change := range map[string]func(*packet.Config){
		"Ed25519":        func(*packet.Config) {},
		"Ed25519, old":   func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoEdDSA },
		"Ed25519, v6":    func(c *packet.Config) { c.V6Keys = true },
		"Ed448":          func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoEd448 },
		"RSA":            func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoRSA },
		"P-256":          func(c *packet.Config) { c.Algorithm, c.Curve = packet.PubKeyAlgoECDSA, packet.CurveNistP256 },
		"P-521":          func(c *packet.Config) { c.Algorithm, c.Curve = packet.PubKeyAlgoECDSA, packet.CurveNistP521 },
		"Brainpool P384": func(c *packet.Config) { c.Algorithm, c.Curve = packet.PubKeyAlgoECDSA, packet.CurveBrainpoolP384 },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEntity(t, "alice", change)
			hashes := strong
			if name != "Ed25519" { // the rest is slow
				hashes = []crypto.Hash{crypto.SHA512}
			}
			for _, ring := range [][]byte{export(t, e), armour(t, "PGP PUBLIC KEY BLOCK", export(t, e))} {
				r := mustParse(t, ring)
				for _, hash := range hashes {
					sig := sign(t, e.PrivateKey, message, func(s *packet.Signature) { s.Hash = hash })
					for _, data := range [][]byte{sig, armour(t, "PGP SIGNATURE", sig)} {
						got, err := verifyAt(r, data, message, now)
						if err != nil {
							t.Fatalf("%v: %v", hash, err)
						}
						if got.Fingerprint != fingerprint(e.PrimaryKey.Fingerprint) || got.Identity != "alice <alice@example.com>" ||
							got.Kind != signature.PGP || got.Digest != signature.DigestOf(message) || got.Above != nil ||
							!got.Claimed.Equal(signedAt) || !got.Expires.IsZero() || !got.Proven.IsZero() {
							t.Errorf("%+v", got)
						}
						if _, err := verifyAt(r, data, append(slices.Clone(message), '\n'), now); reasonOf(err) != signature.Mismatch {
							t.Errorf("over other bytes: %v", err)
						}
					}
				}
			}
		})
	}
}

func TestSubkey(t *testing.T) {
	e := newEntity(t, "alice")
	sub := withSubkey(t, e)
	r := mustParse(t, export(t, e))
	got, err := verifyAt(r, sign(t, sub.PrivateKey, message), message, now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Fingerprint != fingerprint(sub.PublicKey.Fingerprint) || !slices.Equal(got.Above, []string{fingerprint(e.PrimaryKey.Fingerprint)}) {
		t.Errorf("%+v", got)
	}
	if n := len(r.Keys()); n != 2 {
		t.Errorf("%d keys sign, want the primary key and the signing subkey", n)
	}
}

// refusal is a signature that does not count.
type refusal struct {
	ring   []byte
	data   []byte
	at     time.Time // now, unless set
	reason signature.Reason
	text   string // a part of the error's
	by     string
}

func (c refusal) check(t *testing.T) {
	t.Helper()
	at := c.at
	if at.IsZero() {
		at = now
	}
	_, err := verifyAt(mustParse(t, c.ring), c.data, message, at)
	if err == nil {
		t.Fatal("verifies")
	}
	if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("reason %d, %v; want reason %d, %q", reasonOf(err), err, c.reason, c.text)
	}
	if by := err.(*signature.Error).By; by != c.by {
		t.Errorf("by %q, want %q", by, c.by)
	}
}

func TestOtherPeople(t *testing.T) {
	alice, mallory := newEntity(t, "alice"), newEntity(t, "mallory")
	ring := export(t, alice)
	id := binary.BigEndian.AppendUint64(nil, mallory.PrimaryKey.KeyId)
	fromMallory := sign(t, mallory.PrivateKey, message)
	malloryIs := fingerprint(mallory.PrimaryKey.Fingerprint)
	for name, c := range map[string]refusal{
		"a stranger":          {ring: ring, data: fromMallory, reason: signature.Stranger, text: malloryIs, by: malloryIs},
		"known by his key ID": {ring: ring, data: signRaw(mallory.PrivateKey, message, 0, madeOn(signedAt), subpacket(16, id...)), reason: signature.Stranger, by: keyID(id)},
		"nameless":            {ring: ring, data: signRaw(mallory.PrivateKey, message, 0, madeOn(signedAt), nil), reason: signature.Stranger, text: "does not name"},
		"under a false name": {ring: ring, data: signRaw(mallory.PrivateKey, message, 0, madeOn(signedAt),
			subpacket(16, binary.BigEndian.AppendUint64(nil, alice.PrimaryKey.KeyId)...)), reason: signature.Mismatch, text: "does not verify"},
		"a key in front":         {ring: ring, data: slices.Concat(export(t, mallory), fromMallory), reason: signature.Malformed, text: "type 6"},
		"a key in front, armour": {ring: ring, data: armour(t, "PGP SIGNATURE", slices.Concat(export(t, mallory), fromMallory)), reason: signature.Malformed, text: "type 6"},
		"a key behind":           {ring: ring, data: slices.Concat(fromMallory, export(t, mallory)), reason: signature.Malformed, text: "type 6"},
		"key and good one":       {ring: ring, data: slices.Concat(export(t, mallory), sign(t, alice.PrivateKey, message)), reason: signature.Malformed, text: "type 6"},
		"an encryption subkey": {ring: ring, data: signRaw(alice.PrivateKey, message, 0, madeOn(signedAt), subpacket(16, binary.BigEndian.AppendUint64(nil, alice.Subkeys[0].PublicKey.KeyId)...)),
			reason: signature.Stranger, text: "its algorithm does not sign", by: fingerprint(alice.Subkeys[0].PublicKey.Fingerprint)},
	} {
		t.Run(name, c.check)
	}
	if _, err := mustParse(t, ring).Verify(signature.Signature{Kind: signature.Raw, Data: []byte("AAAA")}, message, signature.When{Now: now}); reasonOf(err) != signature.OtherKind {
		t.Errorf("a raw signature: %v", err)
	}
}

// TestSeveral verifies files with several signatures: one good one is enough,
// and the evidence is of that one.
func TestSeveral(t *testing.T) {
	alice, bob, mallory := newEntity(t, "alice"), newEntity(t, "bob"), newEntity(t, "mallory")
	r := mustParse(t, export(t, alice, bob))
	stranger, good := sign(t, mallory.PrivateKey, message), sign(t, bob.PrivateKey, message)
	other := sign(t, alice.PrivateKey, []byte("something else"))
	blocks := slices.Concat(armour(t, "PGP SIGNATURE", stranger), []byte("\n"), armour(t, "PGP SIGNATURE", good))
	for name, data := range map[string][]byte{
		"after a stranger's":   slices.Concat(stranger, good),
		"after a bad one":      slices.Concat(other, good),
		"before a bad one":     slices.Concat(good, other),
		"after an unknown one": slices.Concat(rawPacket(tagSignature, []byte{4, 0, 99, 8, 0, 0, 0, 0, 0, 0}), good),
		"in the second block":  blocks,
	} {
		e, err := verifyAt(r, data, message, now)
		if err != nil || e.Identity != "bob <bob@example.com>" || e.Fingerprint != fingerprint(bob.PrimaryKey.Fingerprint) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for name, c := range map[string]refusal{
		"the greatest reason":       {data: slices.Concat(stranger, other, stranger), reason: signature.Mismatch, text: fingerprint(alice.PrimaryKey.Fingerprint)},
		"one good one, one cut":     {data: slices.Concat(good, stranger[:len(stranger)-1]), reason: signature.Malformed, text: "packet 2"},
		"too many":                  {data: slices.Concat(bytes.Repeat(stranger, maxPackets), good), reason: signature.Malformed, text: "17 signatures"},
		"a block of another kind":   {data: slices.Concat(blocks, armour(t, "PGP MESSAGE", good)), reason: signature.Malformed, text: "PGP MESSAGE"},
		"text behind":               {data: append(slices.Clone(blocks), "x"...), reason: signature.Malformed, text: `"x"`},
		"text before":               {data: append([]byte("x\n"), blocks...), reason: signature.Malformed, text: `"x"`},
		"a block in a block":        {data: bytes.Replace(blocks, []byte("-----END"), []byte("-----BEGIN PGP SIGNATURE-----\n\n-----END"), 1), reason: signature.Malformed, text: "inside another"},
		"more behind the checksum":  {data: []byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n =AAAA\nAAAA\n-----END PGP SIGNATURE-----"), reason: signature.Malformed, text: "checksum"},
		"another end":               {data: []byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n -----END X-----\nAAAA\n-----END PGP SIGNATURE-----"), reason: signature.Malformed, text: "inside another"},
		"no base64":                 {data: []byte("-----BEGIN PGP SIGNATURE-----\n\n????\n-----END PGP SIGNATURE-----"), reason: signature.Malformed, text: "cannot be read"},
		"no line under the headers": {data: []byte("-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----"), reason: signature.Malformed, text: "headers"},
		"an empty armour":           {data: []byte("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----"), reason: signature.Malformed, text: "0 signatures"},
		"nothing":                   {data: nil, reason: signature.Malformed, text: "0 signatures"},
		"too much":                  {data: make([]byte, signature.MaxSize+1), reason: signature.Malformed, text: "1048577 bytes"},
	} {
		c.ring = export(t, alice, bob)
		t.Run(name, c.check)
	}
}

// TestTruncated cuts a signature everywhere.
func TestTruncated(t *testing.T) {
	e := newEntity(t, "alice")
	r := mustParse(t, export(t, e))
	sig := sign(t, e.PrivateKey, message)
	armoured := bytes.TrimSpace(armour(t, "PGP SIGNATURE", sig))
	for _, data := range [][]byte{sig, armoured} {
		for n := range data {
			if _, err := verifyAt(r, data[:n], message, now); reasonOf(err) != signature.Malformed {
				t.Fatalf("%d of %d bytes: %v", n, len(data), err)
			}
		}
	}
	for _, junk := range []string{"\x00", "x", "\xd0\x01\x00"} {
		if _, err := verifyAt(r, append(slices.Clone(sig), junk...), message, now); reasonOf(err) != signature.Malformed {
			t.Errorf("%q behind it: %v", junk, err)
		}
	}
	body := append(slices.Clone(sig[2:]), 0)
	if _, err := verifyAt(r, rawPacket(tagSignature, body), message, now); reasonOf(err) != signature.Malformed {
		t.Errorf("a byte at its end: %v", err)
	}
}

// TestForm refuses good signatures of forms that do not count.
func TestForm(t *testing.T) {
	e := newEntity(t, "alice")
	ring, key := export(t, e), e.PrivateKey
	id := subpacket(subIssuer, binary.BigEndian.AppendUint64(nil, key.KeyId)...)
	made := slices.Concat(madeOn(signedAt), id)
	unread := func(version, hash byte) []byte {
		return rawPacket(tagSignature, slices.Concat([]byte{version, 0, 1, hash, 0, 0, 0, byte(len(id))}, id, []byte{0, 0}))
	}
	nested := make([]byte, 0)
	for range 3 {
		area := subpacket(subEmbedded, nested...)
		nested = slices.Concat([]byte{4, 0x19, 27, 8, 0, byte(len(area))}, area, []byte{0, 0, 0, 0})
	}
	one := signRaw(key, message, 0x19, made, nil)[6:]
	for name, c := range map[string]refusal{
		"SHA-1":                {data: sign(t, key, message, func(s *packet.Signature) { s.Hash = crypto.SHA1 }), reason: signature.Mismatch, text: "SHA-1"},
		"MD5":                  {data: unread(4, 1), reason: signature.Mismatch, text: "MD5"},
		"RIPEMD-160":           {data: unread(4, 3), reason: signature.Mismatch, text: "RIPEMD-160"},
		"an unknown hash":      {data: unread(4, 77), reason: signature.Mismatch, text: "hash function 77"},
		"a certification":      {data: signRaw(key, message, 0x10, made, nil), reason: signature.Mismatch, text: "type 0x10"},
		"a standalone one":     {data: signRaw(key, nil, 0x02, made, nil), reason: signature.Mismatch, text: "type 0x02"},
		"version 3":            {data: rawPacket(tagSignature, append([]byte{3, 5, 0, 0, 0, 0, 0}, make([]byte, 20)...)), reason: signature.Stranger, text: "key ID 0", by: "key ID 0000000000000000"},
		"version 3, the key's": {data: rawPacket(tagSignature, slices.Concat([]byte{3, 5, 0, 0, 0, 0, 0}, key.Fingerprint[12:], make([]byte, 20))), reason: signature.Mismatch, text: "version 3"},
		"version 5":            {data: unread(5, 8), reason: signature.Mismatch, text: "v5"},
		"version 9":            {data: rawPacket(tagSignature, []byte{9, 0, 27, 8, 0, 0, 0, 0, 0, 0}), reason: signature.Malformed, text: "version 9"},
		"a critical notation": {data: sign(t, key, message, func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "a\nb@example.com", IsCritical: true}}
		}), reason: signature.Mismatch, text: `"a\nb@example.com"`},
		"a critical subpacket":  {data: signRaw(key, message, 0, slices.Concat(made, subpacket(0x80|100, 1)), nil), reason: signature.Mismatch, text: "critical signature subpacket type 100"},
		"no time":               {data: signRaw(key, message, 0, id, nil), reason: signature.Malformed, text: "no creation time"},
		"time not hashed":       {data: signRaw(key, message, 0, id, made), reason: signature.Malformed, text: "no creation time"},
		"an empty subpacket 4":  {data: signRaw(key, message, 0, slices.Concat(made, subpacket(4)), nil), reason: signature.Malformed, text: "type 4 with 0 bytes"},
		"a length past its end": {data: rawPacket(tagSignature, []byte{6, 0, 27, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), reason: signature.Malformed, text: "cut short"},
		"a subpacket past it":   {data: rawPacket(tagSignature, []byte{4, 0, 27, 8, 0, 2, 0xff, 0xff, 0, 0, 0, 0}), reason: signature.Malformed, text: "truncated"},
		"of five makers":        {data: signRaw(key, message, 0, made, bytes.Repeat(id, 4)), reason: signature.Malformed, text: "names 5 keys"},
		"one in it":             {data: signRaw(key, message, 0, made, subpacket(subEmbedded, one...)), reason: signature.Malformed, text: "embeds another"},
		"one in one in one":     {data: rawPacket(tagSignature, nested), reason: signature.Malformed, text: "in a signature"},
	} {
		c.ring = ring
		t.Run(name, c.check)
	}
	for name, data := range map[string][]byte{
		"a notation":           sign(t, key, message, func(s *packet.Signature) { s.Notations = []*packet.Notation{{Name: "a@example.com"}} }),
		"an unknown subpacket": signRaw(key, message, 0, slices.Concat(made, subpacket(100, 1)), nil),
	} {
		if _, err := verifyAt(mustParse(t, ring), data, message, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestText shows why text signatures are refused: two files share one.
func TestText(t *testing.T) {
	e := newEntity(t, "alice")
	lf, crlf := []byte("a\nb\n"), []byte("a\r\nb\r\n")
	sig := sign(t, e.PrivateKey, crlf, func(s *packet.Signature) { s.SigType = packet.SigTypeText })
	c := &packet.Config{Time: func() time.Time { return now }}
	for _, over := range [][]byte{lf, crlf} {
		if _, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{e}, bytes.NewReader(over), bytes.NewReader(sig), c); err != nil {
			t.Errorf("%q is not what was signed: %v", over, err)
		}
		_, err := verifyAt(mustParse(t, export(t, e)), sig, over, now)
		if reasonOf(err) != signature.Mismatch || !strings.Contains(err.Error(), "line ends") {
			t.Errorf("%q: %v", over, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	e := newEntity(t, "alice")
	sub := withSubkey(t, e)
	r := mustParse(t, export(t, e))
	data := slices.Concat(sign(t, e.PrivateKey, []byte("x")), sign(t, sub.PrivateKey, message))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := verifyAt(r, data, message, now); err != nil {
				t.Error(err)
			}
			_ = r.String()
		})
	}
	all.Wait()
}
