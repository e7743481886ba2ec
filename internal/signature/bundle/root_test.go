package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

func TestRoot(t *testing.T) {
	v := newVirtual(t)
	r := v.root()
	roles := map[Role]int{}
	for _, p := range r.Parts() {
		roles[p.Role]++
		if p.Fingerprint == "" || p.NotBefore.IsZero() || p.Name == "" {
			t.Errorf("%+v", p)
		}
		if p.Role == CertificateAuthority && (p.Fingerprint != fingerprint(t, v.top.PublicKey) || !p.Expires.Equal(v.top.NotAfter) || p.Name != "https://fulcio.example") {
			t.Errorf("%+v", p)
		}
	}
	if roles[CertificateAuthority] != 1 || roles[CertificateLog] != 1 || roles[SignatureLog] != 2 || roles[TimestampAuthority] != 1 {
		t.Errorf("got %v", roles)
	}
	if r.Parts()[0].Name = "x"; r.Parts()[0].Name == "x" {
		t.Error("a root can be changed from outside")
	}
}

// TestEnds looks for the part that ends next.
func TestEnds(t *testing.T) {
	v := newVirtual(t)
	end := v.started.Add(time.Hour).Truncate(time.Second)
	data := v.rootJSON(func(p *rootParts) {
		p.stampers = nil
		i := 0
		for _, log := range p.logs {
			// One ends within the hour, the other ended before.
			log.ValidityPeriodEnd = []time.Time{end, v.started.Add(-time.Hour)}[i]
			i++
		}
	})
	r, err := ParseRoot(data)
	must(t, err)
	if p, ok := r.Ends(v.started); !ok || p.Role != SignatureLog || !p.Expires.Equal(end) {
		t.Errorf("got %+v, %t", p, ok)
	}
	if p, ok := r.Ends(end.Add(time.Minute)); !ok || p.Role != CertificateAuthority || !p.Expires.Equal(v.top.NotAfter) {
		t.Errorf("got %+v, %t", p, ok)
	}
	if p, ok := r.Ends(v.started.Add(72 * time.Hour)); ok {
		t.Errorf("got %+v after everything ended", p)
	}
}

func TestBadRoot(t *testing.T) {
	v := newVirtual(t)
	good := v.rootJSON(nil)
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	replace := func(from, to string) []byte {
		t.Helper()
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("no %s in %s", from, good)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	for _, c := range []struct {
		name string
		data []byte
		text string
	}{
		{"empty", nil, "not a trusted root"},
		{"cut short", good[:len(good)/2], "not a trusted root"},
		{"something behind", append(bytes.Clone(good), good...), "not a trusted root"},
		{"an unknown field", replace("{", `{"x":1,`), `unknown field "x"`},
		{"another type", replace("trustedroot", "bundle"), "media type"},
		{"no part", []byte(`{"mediaType":"` + root.TrustedRootMediaType01 + `"}`), "0 authorities and logs"},
		{"too large", make([]byte, MaxRootSize+1), "more than"},
		{"a log without a key", replace(`"rawBytes"`, `"keyDetails":"PKIX_ED25519","rawBytes"`), "not a trusted root"},
		{"an authority that is none", v.rootJSON(func(p *rootParts) {
			p.authorities[0].(*root.FulcioCertificateAuthority).Intermediates = []*x509.Certificate{v.sign(signing{}).cert}
		}), "not an authority's"},
		{"a small key", v.rootJSON(func(p *rootParts) {
			p.authorities[0].(*root.FulcioCertificateAuthority).Root = v.authority("small", small.Public(), nil, small)
		}), "P-224"},
		{"a timestamp authority's certificate alone", v.rootJSON(func(p *rootParts) {
			tsa := *p.stampers[0].(*root.SigstoreTimestampingAuthority)
			tsa.Intermediates, tsa.Root, tsa.Leaf = nil, tsa.Leaf, nil
			p.stampers = []root.TimestampingAuthority{&tsa}
		}), "no authority at the end"},
		{"a timestamp authority under what is none", v.rootJSON(func(p *rootParts) {
			tsa := *p.stampers[0].(*root.SigstoreTimestampingAuthority)
			tsa.Intermediates, tsa.Root = nil, v.sign(signing{}).cert
			p.stampers = []root.TimestampingAuthority{&tsa}
		}), "not an authority's"},
		{"a log's id twice", twice(t, v, good), "occurs twice"},
	} {
		_, err := ParseRoot(c.data)
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

// twice gives the second log the first one's id.
func twice(t *testing.T, v *virtual, good []byte) []byte {
	t.Helper()
	var ids [][]byte
	v.rootJSON(func(p *rootParts) {
		for id := range p.logs {
			raw, err := hex.DecodeString(id)
			must(t, err)
			ids = append(ids, []byte(base64.StdEncoding.EncodeToString(raw)))
		}
	})
	out := bytes.Replace(good, ids[0], ids[1], 1)
	if bytes.Equal(out, good) {
		t.Fatal("no such id")
	}
	return out
}

// TestLacking gives an identity roots without a part that it needs.
func TestLacking(t *testing.T) {
	v := newVirtual(t)
	for role, change := range map[Role]func(*rootParts){
		CertificateAuthority: func(p *rootParts) { p.authorities = nil },
		CertificateLog:       func(p *rootParts) { clear(p.ctlogs) },
		SignatureLog:         func(p *rootParts) { clear(p.logs) },
	} {
		r, err := ParseRoot(v.rootJSON(change))
		must(t, err)
		if _, err := NewIdentity(acme, r); err == nil || !strings.HasSuffix(err.Error(), "no "+string(role)) {
			t.Errorf("%s: %v", role, err)
		}
		id := acme
		id.NoSCT = true
		if _, err := NewIdentity(id, r); (err == nil) != (role == CertificateLog) {
			t.Errorf("%s, without SCTs: %v", role, err)
		}
	}
}
