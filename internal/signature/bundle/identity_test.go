package bundle

import (
	"crypto/x509/pkix"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/trustomize/trustomize/internal/signature"
)

var acme = Identity{Issuer: issuer, Subject: subject}

func trust(t *testing.T, id Identity, r *Root) signature.Trust {
	t.Helper()
	trust, err := NewIdentity(id, r)
	must(t, err)
	return trust
}

// wantError checks why a signature does not count.
func wantError(t *testing.T, err error, reason signature.Reason, text string) *signature.Error {
	t.Helper()
	var e *signature.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *signature.Error", err)
	}
	if e.Reason != reason || !strings.Contains(e.Text, text) || strings.ContainsAny(e.Text, "\n\r") {
		t.Fatalf("got reason %d, %q, want %d, %q", e.Reason, e.Text, reason, text)
	}
	return e
}

func TestIdentity(t *testing.T) {
	v := newVirtual(t)
	s := v.sign(signing{extensions: []pkix.Extension{extension(t, 12, "https://github.com/acme/app")}})
	got, err := trust(t, acme, v.root()).Verify(file(t, s.pb()), message, signature.When{Now: v.started})
	if err != nil {
		t.Fatal(err)
	}
	want := signature.Evidence{
		Kind: signature.Bundle, Fingerprint: fingerprint(t, s.cert.PublicKey),
		Identity: subject, Issuer: issuer, Repository: "https://github.com/acme/app",
		Digest: signature.DigestOf(message), Proven: got.Proven,
	}
	above := []string{fingerprint(t, v.middle.PublicKey), fingerprint(t, v.top.PublicKey)}
	if len(got.Above) != 2 || got.Above[0] != above[0] || got.Above[1] != above[1] {
		t.Errorf("above: got %v, want %v", got.Above, above)
	}
	if got.Above = nil; !equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.Proven.Unix() != s.at.Unix() {
		t.Errorf("proven: got %s, want the log's %s", got.Proven, s.at)
	}
}

func equal(a, b signature.Evidence) bool {
	a.Above, b.Above = nil, nil
	return a.Kind == b.Kind && a.Fingerprint == b.Fingerprint && a.Identity == b.Identity && a.Issuer == b.Issuer &&
		a.Repository == b.Repository && a.Digest == b.Digest && a.Expires.Equal(b.Expires) && a.Claimed.Equal(b.Claimed) && a.Proven.Equal(b.Proven)
}

// TestForms takes one signature through the forms that bundles have.
func TestForms(t *testing.T) {
	v := newVirtual(t)
	s := v.sign(signing{})
	trust := trust(t, acme, v.root())
	for name, change := range map[string]func(*protobundle.Bundle){
		"0.3": func(*protobundle.Bundle) {},
		"0.3, proof without promise, with a timestamp": func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
			pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		},
		"0.3, Rekor v2 and a timestamp": func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.entry2()}
			pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		},
		"0.2 with a chain": func(pb *protobundle.Bundle) {
			pb.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.2"
			pb.VerificationMaterial.Content = chainOf(s.cert.Raw, v.middle.Raw)
		},
		"0.1, promise without proof": func(pb *protobundle.Bundle) {
			pb.MediaType = mediaType01
			pb.VerificationMaterial.TlogEntries[0].InclusionProof = nil
			pb.VerificationMaterial.Content = chainOf(s.cert.Raw, v.middle.Raw)
		},
		"a digest that is not the message's": func(pb *protobundle.Bundle) {
			pb.GetMessageSignature().MessageDigest.Digest = make([]byte, 32)
		},
		"no digest": func(pb *protobundle.Bundle) { pb.GetMessageSignature().MessageDigest = nil },
	} {
		pb := s.pb()
		change(pb)
		if _, err := trust.Verify(file(t, pb), message, signature.When{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := trust.Verify(file(t, pb), append([]byte("x"), message...), signature.When{})
		wantError(t, err, signature.Mismatch, "other bytes")
	}
}

func chainOf(ders ...[]byte) *protobundle.VerificationMaterial_X509CertificateChain {
	chain := &protocommon.X509CertificateChain{}
	for _, der := range ders {
		chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: der})
	}
	return &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
}

func TestWho(t *testing.T) {
	v := newVirtual(t)
	r := v.root()
	for _, c := range []struct {
		name string
		id   Identity
		made signing
		good bool
	}{
		{"another issuer", acme, signing{issuer: "https://gitlab.com"}, false},
		{"another subject", acme, signing{subject: "https://github.com/acme-evil/app/.github/workflows/sign.yaml@refs/heads/main"}, false},
		{"an e-mail address", Identity{Issuer: issuer, Subject: "ann@example.com"}, signing{subject: "ann@example.com"}, true},
		{"a pattern", Identity{Issuer: issuer, SubjectRegExp: "https://github.com/acme/.*"}, signing{}, true},
		{"a pattern behind something else", Identity{Issuer: issuer, SubjectRegExp: "https://github.com/acme/.*"}, signing{subject: "https://evil/https://github.com/acme/app"}, false},
		{"a pattern before something else", Identity{Issuer: issuer, SubjectRegExp: "https://github.com/acme"}, signing{}, false},
		{"alternatives", Identity{Issuer: issuer, SubjectRegExp: "a@b.example|https://github.com/acme"}, signing{subject: "https://github.com/acme.evil.example/x"}, false},
		{"a flag for lines", Identity{Issuer: issuer, SubjectRegExp: "(?m)https://github.com/acme$"}, signing{subject: "https://github.com/acme/x"}, false},
		{"an issuer's pattern", Identity{IssuerRegExp: "https://token.actions.*", Subject: subject}, signing{}, true},
		{"another by the issuer's pattern", Identity{IssuerRegExp: "https://token.actions.*", Subject: subject}, signing{issuer: "https://evil.example/https://token.actions.githubusercontent.com"}, false},
	} {
		s := v.sign(c.made)
		_, err := trust(t, c.id, r).Verify(file(t, s.pb()), message, signature.When{})
		if c.good {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		made := c.made.defaults(v)
		e := wantError(t, err, signature.Stranger, made.subject)
		if want := made.issuer + " " + made.subject; e.By != want {
			t.Errorf("%s: by %q, want %q", c.name, e.By, want)
		}
	}
}

// TestUnproven takes away from a good bundle what proves it.
func TestUnproven(t *testing.T) {
	v, other := newVirtual(t), newVirtual(t)
	r := v.root()
	s, twin := v.sign(signing{}), v.sign(signing{})
	elsewhere := *v
	elsewhere.ctlog = newKey(t)
	for _, c := range []struct {
		name   string
		made   *signed
		change func(*protobundle.Bundle)
		reason signature.Reason
		text   string
	}{
		{"another instance", other.sign(signing{}), nil, signature.Unproven, "no authority of the trusted root issued it"},
		{"another instance, the log's entry ours", other.sign(signing{}), func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries = s.pb().VerificationMaterial.TlogEntries
		}, signature.Unproven, "no authority"},
		{"no SCT", v.sign(signing{noSCT: true}), nil, signature.Unproven, "it has no SCT"},
		{"an SCT of another log", elsewhere.sign(signing{}), nil, signature.Unproven, "no certificate log of the trusted root has seen"},
		{"no log entry", s, func(pb *protobundle.Bundle) { pb.VerificationMaterial.TlogEntries = nil }, signature.Unproven, "has no log entry"},
		{"no log entry, a timestamp", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries = nil
			pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		}, signature.Unproven, "has no log entry"},
		{"another log", s, func(pb *protobundle.Bundle) {
			o := *s
			o.v = other
			pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{o.entry()}
		}, signature.Unproven, "which the trusted root does not hold"},
		{"the entry of another signature", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{twin.entry()}
		}, signature.Unproven, "another signature"},
		{"the entry of another signature, in Rekor v2", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{twin.entry2()}
			pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		}, signature.Unproven, "another signature"},
		{"the entry of another signature beside its own", s, func(pb *protobundle.Bundle) {
			e := twin.entry()
			e.LogId.KeyId[0] ^= 1
			pb.VerificationMaterial.TlogEntries = append(pb.VerificationMaterial.TlogEntries, e)
		}, signature.Unproven, "another signature"},
		{"a promise of another time", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries[0].IntegratedTime++
		}, signature.Unproven, "its log entry does not verify"},
		{"a false inclusion proof", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries[0].InclusionProof.RootHash[0] ^= 1
		}, signature.Unproven, "its log entry does not verify"},
		{"nobody says when", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
		}, signature.Unproven, "says when it was made"},
		{"a timestamp of another signature", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
			pb.VerificationMaterial.TimestampVerificationData = twin.stamp()
		}, signature.Unproven, "says when it was made"},
		{"logged after its certificate ended", v.sign(signing{issued: v.started.Add(-time.Hour)}), nil, signature.Expired, "its certificate was valid from"},
		{"logged before its certificate began", v.sign(signing{logged: v.started.Add(-time.Hour)}), nil, signature.Expired, "its certificate was valid from"},
		{"another signature", s, func(pb *protobundle.Bundle) {
			pb.GetMessageSignature().Signature = twin.raw
		}, signature.Mismatch, "another certificate"},
		{"another certificate", s, func(pb *protobundle.Bundle) {
			pb.VerificationMaterial.GetCertificate().RawBytes = twin.cert.Raw
		}, signature.Mismatch, "another certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pb := proto.Clone(c.made.pb()).(*protobundle.Bundle)
			if c.change != nil {
				c.change(pb)
			}
			_, err := trust(t, acme, r).Verify(file(t, pb), message, signature.When{})
			wantError(t, err, c.reason, c.text)
		})
	}
}

// TestEarliest checks that of several proven times the earliest counts.
func TestEarliest(t *testing.T) {
	v := newVirtual(t)
	for _, c := range []struct {
		logged time.Duration // after the beginning, about which the timestamp is
		first  bool
	}{{-30 * time.Second, true}, {5 * time.Minute, false}} {
		s := v.sign(signing{logged: v.started.Add(c.logged)})
		pb := s.pb()
		pb.VerificationMaterial.TimestampVerificationData = s.stamp()
		got, err := trust(t, acme, v.root()).Verify(file(t, pb), message, signature.When{})
		if err != nil || (got.Proven.Unix() == s.at.Unix()) != c.first || got.Proven.Unix() > s.at.Unix() {
			t.Errorf("logged %s after the beginning: proven at %s, %v", c.logged, got.Proven, err)
		}
	}
}

// TestStampedTwice checks that each proven time must be within the
// certificate's, not some one.
func TestStampedTwice(t *testing.T) {
	v := newVirtual(t)
	s := v.sign(signing{issued: v.started.Add(-time.Hour), logged: v.started.Add(-55 * time.Minute)})
	pb := s.pb()
	if _, err := trust(t, acme, v.root()).Verify(file(t, pb), message, signature.When{}); err != nil {
		t.Fatal(err)
	}
	pb.VerificationMaterial.TimestampVerificationData = s.stamp()
	_, err := trust(t, acme, v.root()).Verify(file(t, pb), message, signature.When{})
	wantError(t, err, signature.Expired, "its certificate was valid from")
}

func TestConcurrent(t *testing.T) {
	v := newVirtual(t)
	s, key := v.sign(signing{}), v.sign(signing{key: newKey(t)})
	trusts := map[signature.Trust]signature.Signature{
		trust(t, acme, v.root()):                     file(t, s.pb()),
		NewKey(keyOf(t, key.key.Public()), v.root()): file(t, key.pb()),
	}
	var wg sync.WaitGroup
	for range 4 {
		for trust, sig := range trusts {
			wg.Go(func() {
				if _, err := trust.Verify(sig, message, signature.When{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

func TestNotForIdentity(t *testing.T) {
	v := newVirtual(t)
	trust := trust(t, acme, v.root())
	good := file(t, v.sign(signing{}).pb())
	for _, c := range []struct {
		name   string
		sig    signature.Signature
		reason signature.Reason
		text   string
	}{
		{"raw", signature.Signature{Kind: signature.Raw, Data: []byte("AAAA")}, signature.OtherKind, "raw"},
		{"a key's", file(t, v.sign(signing{key: newKey(t)}).pb()), signature.Stranger, "made with a key"},
		{"DSSE", file(t, dsse(v.sign(signing{}).pb())), signature.OtherKind, "want a signature over the list itself"},
		{"cut short", signature.Signature{Kind: signature.Bundle, Data: good.Data[:len(good.Data)/2]}, signature.Malformed, "not a well-formed bundle"},
		{"not JSON", signature.Signature{Kind: signature.Bundle, Data: []byte("{]")}, signature.Malformed, "not a well-formed bundle"},
		{"empty", signature.Signature{Kind: signature.Bundle, Data: []byte("{}")}, signature.Malformed, "no signature"},
		{"an unknown field", signature.Signature{Kind: signature.Bundle, Data: append([]byte(`{"x":1,`), good.Data[1:]...)}, signature.Malformed, "unknown field"},
		{"too large", signature.Signature{Kind: signature.Bundle, Data: make([]byte, signature.MaxSize+1)}, signature.Malformed, "more than"},
	} {
		_, err := trust.Verify(c.sig, message, signature.When{})
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.reason, c.text) })
	}
}

func dsse(pb *protobundle.Bundle) *protobundle.Bundle {
	pb.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: message, PayloadType: "text/plain", Signatures: []*protodsse.Signature{{Sig: []byte("x")}},
	}}
	return pb
}

func TestNewIdentity(t *testing.T) {
	r := newVirtual(t).root()
	for name, id := range map[string]Identity{
		"no issuer":        {Subject: subject},
		"two issuers":      {Issuer: issuer, IssuerRegExp: ".*", Subject: subject},
		"no subject":       {Issuer: issuer},
		"two subjects":     {Issuer: issuer, Subject: subject, SubjectRegExp: ".*"},
		"a bad pattern":    {Issuer: issuer, SubjectRegExp: "("},
		"leaves the group": {Issuer: issuer, SubjectRegExp: "a)|(?:b"},
	} {
		if _, err := NewIdentity(id, r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewIdentity(acme, nil); err == nil {
		t.Error("no root: accepted")
	}
	got := trust(t, Identity{Issuer: issuer, SubjectRegExp: "https://github.com/acme/.*"}, r)
	if want := issuer + " /https://github.com/acme/.*/"; got.String() != want || len(got.Keys()) != 0 {
		t.Errorf("got %q, %v, want %q and no keys", got, got.Keys(), want)
	}
}
