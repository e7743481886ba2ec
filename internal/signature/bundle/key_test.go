package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/trustomize/trustomize/internal/signature"
)

func keyOf(t *testing.T, pub crypto.PublicKey) signature.Key {
	t.Helper()
	key, err := signature.NewKey(pub)
	must(t, err)
	return key
}

// TestKeys takes a raw signature, bundles with and without proof through all
// kinds of keys and hashes.
func TestKeys(t *testing.T) {
	v := newVirtual(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for _, c := range []struct {
		name string
		key  crypto.Signer
		hash crypto.Hash
	}{
		{"P-256", newKey(t), crypto.SHA256},
		{"P-384 over SHA-256", p384, crypto.SHA256},
		{"P-384", p384, crypto.SHA384},
		{"P-521 over SHA-256", p521, crypto.SHA256},
		{"P-521", p521, crypto.SHA512},
		{"RSA", rsaKey, crypto.SHA256},
		{"Ed25519ph", edKey, crypto.SHA512},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := v.sign(signing{key: c.key, hash: c.hash})
			pb := s.pb()
			bare := proto.Clone(pb).(*protobundle.Bundle)
			bare.VerificationMaterial.TlogEntries = nil
			for _, sig := range []signature.Signature{
				{Kind: signature.Raw, Data: []byte(base64.StdEncoding.EncodeToString(s.raw))},
				file(t, bare), file(t, pb), legacy(t, s, true), legacy(t, s, false),
			} {
				for _, r := range []*Root{nil, v.root()} {
					trust := NewKey(keyOf(t, c.key.Public()), r)
					got, err := trust.Verify(sig, message, signature.When{})
					if err != nil || got.Kind != sig.Kind || got.Fingerprint != fingerprint(t, c.key.Public()) || got.Digest != signature.DigestOf(message) {
						t.Fatalf("%s: %+v, %v", sig.Kind, got, err)
					}
					if logged := bytes.Contains(sig.Data, []byte("hashedrekord")) || bytes.Contains(sig.Data, []byte("rekorBundle")); got.Proven.IsZero() == (r != nil && logged) {
						t.Errorf("%s: proven at %s", sig.Kind, got.Proven)
					}
					_, err = trust.Verify(sig, message[1:], signature.When{})
					wantError(t, err, signature.Mismatch, "other bytes")
				}
			}
		})
	}
}

// TestProven checks which times count as proof.
func TestProven(t *testing.T) {
	v, other := newVirtual(t), newVirtual(t)
	key := newKey(t)
	early := v.started.Add(-20 * time.Hour).Truncate(time.Second)
	s := v.sign(signing{key: key, logged: early})
	twin := v.sign(signing{key: key, logged: early})
	elsewhere := *s
	elsewhere.v = other
	for _, c := range []struct {
		name   string
		root   *Root
		change func(*protobundle.VerificationMaterial)
		want   time.Time
	}{
		{"a log's", v.root(), nil, early},
		{"no root", nil, nil, time.Time{}},
		{"another log's", other.root(), nil, time.Time{}},
		{"no proof", v.root(), func(m *protobundle.VerificationMaterial) { m.TlogEntries = nil }, time.Time{}},
		{"an inclusion proof, which has no time", v.root(), func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionPromise = nil }, time.Time{}},
		{"a later log's and an earlier one's", v.root(), func(m *protobundle.VerificationMaterial) {
			later := *s
			later.at = v.started
			entry := later.entry()
			m.TlogEntries = []*protorekor.TransparencyLogEntry{entry, m.TlogEntries[0]}
		}, early},
		{"an unknown log's, earlier", v.root(), func(m *protobundle.VerificationMaterial) {
			o := elsewhere
			o.at = early.Add(-time.Hour)
			m.TlogEntries = append(m.TlogEntries, o.entry())
		}, early},
		{"Rekor v2, which has no time", v.root(), func(m *protobundle.VerificationMaterial) {
			m.TlogEntries = []*protorekor.TransparencyLogEntry{s.entry2()}
		}, time.Time{}},
		{"a log's and a timestamp", v.root(), func(m *protobundle.VerificationMaterial) { m.TimestampVerificationData = s.stamp() }, early},
		{"another authority's timestamp", v.root(), func(m *protobundle.VerificationMaterial) {
			m.TlogEntries, m.TimestampVerificationData = nil, elsewhere.stamp()
		}, time.Time{}},
		{"another signature's timestamp", v.root(), func(m *protobundle.VerificationMaterial) {
			m.TlogEntries, m.TimestampVerificationData = nil, twin.stamp()
		}, time.Time{}},
	} {
		pb := s.pb()
		if c.change != nil {
			c.change(pb.VerificationMaterial)
		}
		got, err := NewKey(keyOf(t, key.Public()), c.root).Verify(file(t, pb), message, signature.When{})
		if err != nil || !got.Proven.Equal(c.want) {
			t.Errorf("%s: got %s, %v, want %s", c.name, got.Proven, err, c.want)
		}
	}
	pb := s.pb()
	pb.VerificationMaterial.TlogEntries, pb.VerificationMaterial.TimestampVerificationData = nil, s.stamp()
	got, err := NewKey(keyOf(t, key.Public()), v.root()).Verify(file(t, pb), message, signature.When{})
	if err != nil || got.Proven.Before(v.started.Add(-time.Second)) || got.Proven.After(time.Now()) {
		t.Errorf("a timestamp: got %s, %v", got.Proven, err)
	}
}

// TestFalseProof gives a keyed bundle an entry that names a log that counts and
// isn't good.
func TestFalseProof(t *testing.T) {
	v := newVirtual(t)
	key := newKey(t)
	s, twin, stranger := v.sign(signing{key: key}), v.sign(signing{key: key}), v.sign(signing{key: newKey(t)})
	for name, change := range map[string]func(*protobundle.VerificationMaterial){
		"another signature's": func(m *protobundle.VerificationMaterial) { m.TlogEntries[0] = twin.entry() },
		"another key's":       func(m *protobundle.VerificationMaterial) { m.TlogEntries[0] = stranger.entry() },
		"another signature's, in Rekor v2": func(m *protobundle.VerificationMaterial) {
			m.TlogEntries[0] = twin.entry2()
		},
		"a false time": func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].IntegratedTime -= 3600 },
		"a false promise": func(m *protobundle.VerificationMaterial) {
			m.TlogEntries[0].InclusionPromise.SignedEntryTimestamp[9] ^= 1
		},
		"a false inclusion proof": func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionProof.RootHash[9] ^= 1 },
		"a false one beside its own": func(m *protobundle.VerificationMaterial) {
			m.TlogEntries = append(m.TlogEntries, twin.entry())
		},
	} {
		pb := s.pb()
		change(pb.VerificationMaterial)
		_, err := NewKey(keyOf(t, key.Public()), v.root()).Verify(file(t, pb), message, signature.When{})
		t.Run(name, func(t *testing.T) { wantError(t, err, signature.Mismatch, "log entry") })
		if _, err := NewKey(keyOf(t, key.Public()), nil).Verify(file(t, pb), message, signature.When{}); err != nil {
			t.Errorf("%s, without a root: %v", name, err)
		}
	}
}

// TestOtherKeyInside gives bundles that somebody else made, in all the ways in
// which a bundle can bring a key with it (GHSA-fx35-mq7g-6g98).
func TestOtherKeyInside(t *testing.T) {
	v := newVirtual(t)
	ours := newKey(t)
	theirs := v.sign(signing{key: newKey(t)})
	cert := v.sign(signing{})
	hinted := theirs.pb()
	hinted.VerificationMaterial.GetPublicKey().Hint = base64.StdEncoding.EncodeToString(keyID(t, ours.Public()))
	chained := cert.pb()
	chained.MediaType = mediaType01
	chained.VerificationMaterial.Content = chainOf(cert.cert.Raw, v.middle.Raw)
	// The key that signed is ours, so that only the certificate speaks against it.
	certified := v.sign(signing{key: ours})
	certified.cert = cert.cert
	their := "key " + fingerprint(t, theirs.key.Public())
	for _, c := range []struct {
		name   string
		sig    signature.Signature
		reason signature.Reason
		by     string
	}{
		{"their hint", file(t, theirs.pb()), signature.Stranger, their},
		{"our hint", file(t, hinted), signature.Mismatch, ""},
		{"legacy", legacy(t, theirs, true), signature.Mismatch, ""},
		{"a certificate", file(t, cert.pb()), signature.Stranger, issuer + " " + subject},
		{"a chain", file(t, chained), signature.Stranger, issuer + " " + subject},
		{"legacy with a certificate", legacy(t, cert, true), signature.Stranger, issuer + " " + subject},
		{"a certificate with our signature", legacy(t, certified, false), signature.Stranger, issuer + " " + subject},
	} {
		for _, r := range []*Root{nil, v.root()} {
			_, err := NewKey(keyOf(t, ours.Public()), r).Verify(c.sig, message, signature.When{})
			t.Run(c.name, func(t *testing.T) {
				if e := wantError(t, err, c.reason, "was made"); e.By != c.by {
					t.Errorf("by %q, want %q", e.By, c.by)
				}
			})
		}
	}
}

func TestNotForKey(t *testing.T) {
	v := newVirtual(t)
	key := newKey(t)
	s := v.sign(signing{key: key})
	trust := NewKey(keyOf(t, key.Public()), v.root())
	good := file(t, s.pb())
	nobody := s.pb()
	nobody.VerificationMaterial = nil
	old := s.pb()
	old.VerificationMaterial.TlogEntries[0].InclusionProof = nil
	newer := s.pb()
	newer.MediaType = "application/vnd.dev.sigstore.bundle.v0.9+json"
	many := s.pb()
	for range maxCount {
		many.VerificationMaterial.TlogEntries = append(many.VerificationMaterial.TlogEntries, many.VerificationMaterial.TlogEntries[0])
	}
	large := s.pb()
	large.VerificationMaterial.TlogEntries[0].CanonicalizedBody = make([]byte, maxPart+1)
	nested := s.pb()
	nested.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: make([]byte, maxTimestamp+1)}},
	}
	for _, c := range []struct {
		name   string
		sig    signature.Signature
		reason signature.Reason
		text   string
	}{
		{"PGP", signature.Signature{Kind: signature.PGP}, signature.OtherKind, "pgp"},
		{"CMS", signature.Signature{Kind: signature.CMS}, signature.OtherKind, "cms"},
		{"DSSE", file(t, dsse(s.pb())), signature.OtherKind, "want a signature over the list itself"},
		{"cut short", signature.Signature{Kind: signature.Bundle, Data: good.Data[:len(good.Data)-9]}, signature.Malformed, "not a well-formed bundle"},
		{"nobody's", file(t, nobody), signature.Malformed, "neither a key nor a certificate"},
		{"0.3 without an inclusion proof", file(t, old), signature.Malformed, "inclusion proof missing"},
		{"a newer version", file(t, newer), signature.Malformed, "v0.9"},
		{"too many entries", file(t, many), signature.Malformed, "33 log entries"},
		{"too large an entry", file(t, large), signature.Malformed, "more than the 16384"},
		{"too large a timestamp", file(t, nested), signature.Malformed, "more than the 32768"},
		{"raw, not base64", signature.Signature{Kind: signature.Raw, Data: []byte("?")}, signature.Malformed, "base64"},
	} {
		_, err := trust.Verify(c.sig, message, signature.When{})
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.reason, c.text) })
	}
	if trust.String() != fingerprint(t, key.Public()) || len(trust.Keys()) != 1 || trust.Keys()[0].Fingerprint != trust.String() {
		t.Errorf("got %s, %v", trust, trust.Keys())
	}
}
