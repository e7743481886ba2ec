package pgp

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/trustomize/trustomize/internal/signature"
)

var (
	made    = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) // when keys were made
	signed  = made.AddDate(0, 1, 0)
	now     = made.AddDate(0, 6, 0)
	message = []byte("a list\nof two lines\n")
)

func at(t time.Time) *packet.Config {
	return &packet.Config{Time: func() time.Time { return t }, Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256}
}

func entity(t testing.TB, name string, change func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	cfg := at(made)
	if change != nil {
		change(cfg)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.com", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func export(t testing.TB, entities ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range entities {
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func ring(t testing.TB, entities ...*openpgp.Entity) *Ring {
	t.Helper()
	r, err := Parse(export(t, entities...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sign(t testing.TB, e *openpgp.Entity, cfg *packet.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.DetachSign(&b, e, bytes.NewReader(message), cfg); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armoured(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verify(r *Ring, data, message []byte) (signature.Evidence, error) {
	return r.Verify(signature.Signature{Kind: signature.PGP, Data: data}, message, signature.When{Now: now})
}

// accepts and reason tell how a verification ended.
const accepts = signature.Reason(-1)

func reason(err error) signature.Reason {
	var why *signature.Error
	switch {
	case err == nil:
		return accepts
	case errors.As(err, &why):
		return why.Reason
	}
	return -2
}

func TestVerify(t *testing.T) {
	alice, mallory := entity(t, "alice", nil), entity(t, "mallory", nil)
	r := ring(t, alice)
	good := sign(t, alice, at(signed))
	text := func() []byte {
		var b bytes.Buffer
		if err := openpgp.DetachSignText(&b, alice, bytes.NewReader(message), at(signed)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}()
	with := func(change func(*packet.Config)) []byte {
		cfg := at(signed)
		change(cfg)
		return sign(t, alice, cfg)
	}
	for name, tc := range map[string]struct {
		sig, message []byte
		want         signature.Reason
		text         string
	}{
		"binary":            {sig: good, want: accepts},
		"armoured":          {sig: armoured(t, "PGP SIGNATURE", good), want: accepts},
		"by somebody else":  {sig: sign(t, mallory, at(signed)), want: signature.Stranger, text: "not in the key ring"},
		"other bytes":       {sig: good, message: []byte("a list\r\nof two lines\r\n"), want: signature.Mismatch},
		"cut short":         {sig: good[:len(good)-3], want: signature.Malformed, text: "cut short"},
		"armour cut short":  {sig: armoured(t, "PGP SIGNATURE", good)[:90], want: signature.Malformed},
		"other armour":      {sig: armoured(t, "PGP MESSAGE", good), want: signature.Malformed},
		"with a tail":       {sig: append(bytes.Clone(good), 0), want: signature.Malformed},
		"with a key behind": {sig: append(bytes.Clone(good), export(t, mallory)...), want: signature.Malformed, text: "something else"},
		"with a key before": {sig: append(export(t, mallory), good...), want: signature.Malformed},
		"behind another's":  {sig: append(sign(t, mallory, at(signed)), good...), want: accepts},
		"before another's":  {sig: append(bytes.Clone(good), sign(t, mallory, at(signed))...), want: accepts},
		"over text":         {sig: text, want: signature.Malformed, text: "--textmode"},
		"with SHA-1":        {sig: withHash(t, good, 2), want: signature.Malformed, text: "SHA-1"},
		"with SHA-512":      {sig: with(func(c *packet.Config) { c.DefaultHash = crypto.SHA512 }), want: accepts},
		"for an hour":       {sig: with(func(c *packet.Config) { c.SigLifetimeSecs = 3600 }), want: signature.Expired, text: "was made to count until 2024-06-01"},
		"for long":          {sig: with(func(c *packet.Config) { c.SigLifetimeSecs = 3600 * 24 * 3650 }), want: accepts},
		"critical notation": {sig: with(func(c *packet.Config) {
			c.SignatureNotations = []*packet.Notation{{Name: "x@example.com", Value: []byte("y"), IsCritical: true, IsHumanReadable: true}}
		}), want: signature.Malformed, text: "x@example.com"},
		"from the future":  {sig: sign(t, alice, at(now.Add(time.Hour))), want: signature.Expired, text: "still to come"},
		"within clocks":    {sig: sign(t, alice, at(now.Add(time.Minute))), want: accepts},
		"older than a key": {sig: backdated(t, alice, made.AddDate(0, 0, -1)), want: signature.Expired, text: "2024-04-30"},
	} {
		if tc.message == nil {
			tc.message = message
		}
		e, err := verify(r, tc.sig, tc.message)
		if got := reason(err); got != tc.want || err != nil && !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if err == nil && (e.Identity != "alice <alice@example.com>" || !strings.HasPrefix(e.Fingerprint, "pgp:") || e.Claimed.IsZero() || e.Digest != signature.DigestOf(message)) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if _, err := r.Verify(signature.Signature{Kind: signature.SSH, Data: good}, message, signature.When{Now: now}); reason(err) != signature.OtherKind {
		t.Errorf("another kind: %v", err)
	}
}

// backdated signs as of a time at which the library would refuse to.
func backdated(t *testing.T, e *openpgp.Entity, when time.Time) []byte {
	t.Helper()
	sig := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: e.PrivateKey.PubKeyAlgo, Hash: crypto.SHA256, CreationTime: when,
		IssuerKeyId: &e.PrimaryKey.KeyId, IssuerFingerprint: e.PrimaryKey.Fingerprint,
	}
	h := crypto.SHA256.New()
	h.Write(message)
	check(t, sig.Sign(h, e.PrivateKey, at(when)))
	var b bytes.Buffer
	check(t, sig.Serialize(&b))
	return b.Bytes()
}

// withHash gives a version 4 signature another hash's id (RFC 9580, 9.5).
func withHash(t *testing.T, sig []byte, id byte) []byte {
	t.Helper()
	changed := bytes.Clone(sig)
	body := 2 // behind tag and a length of one byte
	if sig[1] >= 192 || sig[body] != 4 {
		t.Fatalf("not the packet that is expected: %x", sig[:4])
	}
	changed[body+3] = id
	return changed
}

// TestKeys tries what keys say of themselves.
func TestKeys(t *testing.T) {
	subkey := func(e *openpgp.Entity, lifetime uint32) {
		cfg := at(made)
		cfg.KeyLifetimeSecs = lifetime
		if err := e.AddSigningSubkey(cfg); err != nil {
			t.Fatal(err)
		}
	}
	const month = 30 * 24 * 3600
	for name, tc := range map[string]struct {
		change        func(*packet.Config)
		before, after func(*openpgp.Entity) // before and after it signs
		want          signature.Reason
		expires       time.Time
		above         int
	}{
		"plain":         {want: accepts},
		"expires later": {change: func(c *packet.Config) { c.KeyLifetimeSecs = 12 * month }, want: accepts, expires: made.Add(12 * month * time.Second)},
		"expired since": {change: func(c *packet.Config) { c.KeyLifetimeSecs = 2 * month }, want: accepts, expires: made.Add(2 * month * time.Second)},
		"expired when it signed": {after: func(e *openpgp.Entity) {
			check(t, selfSign(e, func(s *packet.Signature) { s.KeyLifetimeSecs = seconds(month / 2) }))
		}, want: signature.Expired},
		"subkey":                 {before: func(e *openpgp.Entity) { subkey(e, 0) }, want: accepts, above: 1},
		"subkey that expired":    {before: func(e *openpgp.Entity) { subkey(e, 2*month) }, want: accepts, above: 1, expires: made.Add(2 * month * time.Second)},
		"subkey of one that did": {change: func(c *packet.Config) { c.KeyLifetimeSecs = 2 * month }, before: func(e *openpgp.Entity) { subkey(e, 0) }, want: accepts, above: 1, expires: made.Add(2 * month * time.Second)},
		"revoked":                {after: func(e *openpgp.Entity) { check(t, e.RevokeKey(packet.KeyRetired, "", at(now))) }, want: signature.Revoked},
		"revoked subkey": {before: func(e *openpgp.Entity) { subkey(e, 0) }, after: func(e *openpgp.Entity) {
			check(t, e.RevokeSubkey(&e.Subkeys[1], packet.KeySuperseded, "", at(now)))
		}, want: signature.Revoked},
		"subkey of a revoked one": {before: func(e *openpgp.Entity) { subkey(e, 0) }, after: func(e *openpgp.Entity) {
			check(t, e.RevokeKey(packet.KeyRetired, "", at(now)))
		}, want: signature.Revoked},
		"RSA":              {change: func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 2048 }, want: accepts},
		"v6":               {change: func(c *packet.Config) { c.V6Keys, c.Algorithm = true, packet.PubKeyAlgoEd25519 }, want: accepts},
		"a certifying key": {after: func(e *openpgp.Entity) { check(t, selfSign(e, func(s *packet.Signature) { s.FlagSign = false })) }, want: unusable},
		"flags not said":   {after: func(e *openpgp.Entity) { check(t, selfSign(e, func(s *packet.Signature) { s.FlagsValid = false })) }, want: unusable},
		"no cross-signature": {before: func(e *openpgp.Entity) { subkey(e, 0) }, after: func(e *openpgp.Entity) {
			s := e.Subkeys[1]
			s.Sig.EmbeddedSignature = nil
			check(t, s.Sig.SignKey(s.PublicKey, e.PrivateKey, at(made)))
		}, want: signature.Stranger},
	} {
		e := entity(t, "alice", tc.change)
		if tc.before != nil {
			tc.before(e)
		}
		sig := sign(t, e, at(signed))
		if tc.after != nil {
			tc.after(e)
		}
		r, err := Parse(export(t, e))
		if tc.want == unusable {
			if err == nil {
				t.Errorf("%s: the ring is accepted", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		evidence, err := verify(r, sig, message)
		if got := reason(err); got != tc.want {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if err == nil && (!evidence.Expires.Equal(tc.expires) || len(evidence.Above) != tc.above) {
			t.Errorf("%s: %+v", name, evidence)
		}
	}
}

// unusable is for keys of which a ring cannot consist.
const unusable = signature.Reason(-3)

func seconds(n uint32) *uint32 { return &n }

// selfSign has a key say something else of itself.
func selfSign(e *openpgp.Entity, change func(*packet.Signature)) error {
	for _, id := range e.Identities {
		change(id.SelfSignature)
		if err := id.SelfSignature.SignUserId(id.UserId.Id, e.PrimaryKey, e.PrivateKey, at(made)); err != nil {
			return err
		}
	}
	return nil
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	alice, bob := entity(t, "alice", nil), entity(t, "bob", nil)
	public := export(t, alice)
	var private bytes.Buffer
	check(t, alice.SerializePrivate(&private, nil))
	block := armoured(t, openpgp.PublicKeyType, public)
	for name, tc := range map[string]struct {
		data []byte
		keys int
	}{
		"binary":              {public, 1},
		"two":                 {export(t, alice, bob), 2},
		"armoured":            {block, 1},
		"two blocks":          {append(append(bytes.Clone(block), "\n\n"...), armoured(t, openpgp.PublicKeyType, export(t, bob))...), 2},
		"private":             {private.Bytes(), 0},
		"private, armoured":   {armoured(t, openpgp.PrivateKeyType, private.Bytes()), 0},
		"private in armour":   {armoured(t, openpgp.PublicKeyType, private.Bytes()), 0},
		"empty":               {nil, 0},
		"words":               {[]byte("hello"), 0},
		"words before":        {append([]byte("hello\n"), block...), 0},
		"words behind":        {append(bytes.Clone(block), "\nhello"...), 0},
		"cut short":           {public[:len(public)-5], 0},
		"armour cut short":    {block[:100], 0},
		"a signature":         {sign(t, alice, at(signed)), 0},
		"with trust packets":  {trusting(t, export(t, alice, bob)), 2},
		"only trust packets":  {[]byte{0xb0, 1, 0}, 0},
		"too large":           {bytes.Repeat([]byte{0x99}, MaxSize+1), 0},
		"a key without users": {public[:60], 0},
	} {
		r, err := Parse(tc.data)
		if (err == nil) != (tc.keys > 0) || err == nil && len(r.Keys()) != tc.keys {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if got := ring(t, alice, bob).String(); got != "PGP alice <alice@example.com>, bob <bob@example.com>" {
		t.Error(got)
	}
}

// trusting puts a trust packet behind each packet, as GnuPG 1 keeps its rings.
func trusting(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	in := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return b.Bytes()
		}
		check(t, err)
		check(t, p.Serialize(&b))
		b.Write([]byte{0xb0, 1, 0})
	}
}

func TestVectors(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "vectors")
	list, err := os.ReadFile(filepath.Join(dir, "source-materials"))
	if err != nil {
		t.Skip("no vectors beside the project")
	}
	for _, name := range []string{"pgp-ed25519", "pgp-rsa"} {
		public, err1 := os.ReadFile(filepath.Join(dir, name+".asc"))
		sig, err2 := os.ReadFile(filepath.Join(dir, name+".sig"))
		r, err3 := Parse(public)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		when := signature.When{Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
		one := signature.Signature{Kind: signature.PGP, Data: sig}
		if e, err := r.Verify(one, list, when); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %+v", name, e)
		}
		if _, err := r.Verify(one, append(list, '\n'), when); reason(err) != signature.Mismatch {
			t.Errorf("%s over other bytes: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	e := entity(f, "alice", nil)
	f.Add(export(f, e))
	f.Add(armoured(f, openpgp.PublicKeyType, export(f, e)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err == nil && len(r.Keys()) == 0 {
			t.Error("a ring without a key")
		}
	})
}

func FuzzVerify(f *testing.F) {
	e := entity(f, "alice", nil)
	r := ring(f, e)
	good := sign(f, e, at(signed))
	f.Add(good)
	f.Add(armoured(f, "PGP SIGNATURE", good))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := verify(r, data, []byte("never signed")); err == nil {
			t.Errorf("%x verifies", data)
		}
	})
}
