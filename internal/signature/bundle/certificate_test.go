package bundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/trustomize/trustomize/internal/signature"
)

// TestCurves signs with certificates of other keys than P-256, which take the
// hash that fits them.
func TestCurves(t *testing.T) {
	v := newVirtual(t)
	trust := trust(t, acme, v.root())
	leaf, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	if _, err := trust.Verify(file(t, v.sign(signing{leaf: leaf, hash: crypto.SHA384}).pb()), message, signature.When{}); err != nil {
		t.Error(err)
	}
	_, err = trust.Verify(file(t, v.sign(signing{leaf: leaf, hash: crypto.SHA256}).pb()), message, signature.When{})
	wantError(t, err, signature.Unproven, "failed to verify signature")
}

// TestCertificate gives certificates of the right authority that are not as
// they should be.
func TestCertificate(t *testing.T) {
	v := newVirtual(t)
	trust := trust(t, acme, v.root())
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	good := v.sign(signing{}).cert
	nobody := *good
	nobody.URIs, nobody.Extensions, nobody.ExtraExtensions = nil, nil, []pkix.Extension{extension(t, 8, issuer)}
	unknown := *good
	unknown.ExtraExtensions = nil
	for _, c := range []struct {
		name   string
		der    []byte
		reason signature.Reason
		text   string
	}{
		{"none", []byte{}, signature.Malformed, "neither a key nor a certificate"},
		{"cut short", good.Raw[:99], signature.Malformed, "cannot be read"},
		{"too large", make([]byte, maxPart+1), signature.Malformed, "more than"},
		{"a key that is not accepted", v.certificate(signing{}.defaults(v), p224.Public()).Raw, signature.Unproven, "a kind that is not accepted"},
		{"nobody's", v.issue(&nobody, v.middle, good.PublicKey, v.key).Raw, signature.Malformed, "no Subject Alternative Name"},
		{"by no issuer's word", v.issue(&unknown, v.middle, good.PublicKey, v.key).Raw, signature.Malformed, "names no OIDC issuer"},
		{"a line break", v.certificate(signing{issuer: "https://a\nb", subject: subject}.defaults(v), good.PublicKey).Raw, signature.Malformed, "cannot be printed"},
	} {
		pb := v.sign(signing{}).pb()
		pb.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: c.der}}
		_, err := trust.Verify(file(t, pb), message, signature.When{})
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.reason, c.text) })
	}
}

func TestNoSCT(t *testing.T) {
	v := newVirtual(t)
	id := acme
	id.NoSCT = true
	for _, s := range []*signed{v.sign(signing{}), v.sign(signing{noSCT: true})} {
		if _, err := trust(t, id, v.root()).Verify(file(t, s.pb()), message, signature.When{}); err != nil {
			t.Error(err)
		}
	}
}

func TestRepository(t *testing.T) {
	v := newVirtual(t)
	old := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 5}, Value: []byte("acme/app")}
	for _, c := range []struct {
		issuer     string
		extensions []pkix.Extension
		want       string
	}{
		{issuer, nil, "https://github.com/"}, // none: it fits no source
		{issuer + "/acme", []pkix.Extension{old}, "https://github.com/acme/app"},
		{issuer, []pkix.Extension{old}, "https://github.com/acme/app"},
		{"https://gitlab.com", []pkix.Extension{old}, ""},
		{"https://gitlab.com", []pkix.Extension{old, extension(t, 12, "https://gitlab.com/acme/app")}, "https://gitlab.com/acme/app"},
	} {
		s := v.sign(signing{issuer: c.issuer, extensions: c.extensions})
		got, err := trust(t, Identity{Issuer: c.issuer, Subject: subject}, v.root()).Verify(file(t, s.pb()), message, signature.When{})
		if err != nil || got.Repository != c.want {
			t.Errorf("%s, %d extensions: got %q, %v, want %q", c.issuer, len(c.extensions), got.Repository, err, c.want)
		}
	}
}
