package bundle

import (
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/signature"
)

// check holds what a trust says of any bytes to what it promises: evidence of
// the right kind over this message, or a reason on one line.
func check(t *testing.T, trust signature.Trust, sig signature.Signature, text []byte, key string) {
	t.Helper()
	got, err := trust.Verify(sig, text, signature.When{Git: true})
	if err == nil {
		if got.Kind != sig.Kind || got.Fingerprint != key || got.Digest != signature.DigestOf(text) {
			t.Fatalf("%+v", got)
		}
		return
	}
	var e *signature.Error
	if !errors.As(err, &e) || e.Text == "" || strings.ContainsAny(e.Text+e.By, "\n\r\x1b") {
		t.Fatalf("%#v", err)
	}
}

// fuzzed returns an instance's trusts in an identity and a key.
func fuzzed(f *testing.F) (v *virtual, identity, key signature.Trust, ours *signed) {
	f.Helper()
	t := &testing.T{}
	v = newVirtual(t)
	ours = v.sign(signing{key: newKey(t)})
	return v, trust(t, acme, v.root()), NewKey(keyOf(t, ours.key.Public()), v.root()), ours
}

func FuzzBundle(f *testing.F) {
	v, identity, key, ours := fuzzed(f)
	theirs := v.sign(signing{})
	for _, s := range []*signed{ours, theirs} {
		pb := s.pb()
		f.Add(file(v.t, pb).Data)
		pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		f.Add(file(v.t, pb).Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sig := signature.Signature{Kind: signature.Bundle, Data: data}
		check(t, identity, sig, message, fingerprint(t, theirs.cert.PublicKey))
		check(t, key, sig, message, fingerprint(t, ours.key.Public()))
	})
}

func FuzzLegacy(f *testing.F) {
	v, identity, key, ours := fuzzed(f)
	theirs := v.sign(signing{})
	f.Add(legacy(v.t, ours, true).Data)
	f.Add(legacy(v.t, theirs, true).Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		sig := signature.Signature{Kind: signature.LegacyBundle, Data: data}
		check(t, identity, sig, message, fingerprint(t, theirs.cert.PublicKey))
		check(t, key, sig, message, fingerprint(t, ours.key.Public()))
	})
}

// FuzzCMS varies what is inside of the armour.
func FuzzCMS(f *testing.F) {
	v, identity, _, _ := fuzzed(f)
	c := v.signCommit(signing{}, commit)
	block, _ := pem.Decode(c.file().Data)
	f.Add(block.Bytes)
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, identity, armour(data), commit, fingerprint(t, c.signed.cert.PublicKey))
		check(t, identity, signature.Signature{Kind: signature.CMS, Data: data}, commit, fingerprint(t, c.signed.cert.PublicKey))
	})
}

func FuzzParseRoot(f *testing.F) {
	v, _, _, _ := fuzzed(f)
	f.Add(v.rootJSON(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRoot(data)
		switch {
		case err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b"):
			t.Fatalf("%q", err)
		case err == nil && len(r.Parts()) == 0:
			t.Fatal("an empty root")
		case err == nil:
			r.Ends(time.Unix(1, 0))
		}
	})
}
