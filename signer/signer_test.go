package signer

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/signature"
)

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func open(t testing.TB, key any) *Key {
	t.Helper()
	k, err := OpenKey(pkcs8(t, key), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDeterministic(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("message")
	for _, private := range []any{p256, p384, ed, rsaKey} {
		k := open(t, private)
		one, err1 := k.Sign(message)
		two, err2 := k.Sign(message)
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%T: %v %v, two signatures", private, err1, err2)
		}
		if _, err := k.Public.VerifyBytes(one, message); err != nil {
			t.Errorf("%T: %v", private, err)
		}
	}
	k := open(t, p256)
	hashed, _ := k.Sign(message)
	afresh, err := k.SignAfresh(t.Context(), message, 5) // crypto.SHA256
	if err != nil || bytes.Equal(afresh, hashed) {
		t.Errorf("not afresh: %v", err)
	}
	if _, err := open(t, ed).SignAfresh(t.Context(), message, 0); !errors.Is(err, ErrDeterministic) {
		t.Error(err)
	}
}

func TestOpenKeyRefuses(t *testing.T) {
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	good, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec, _ := x509.MarshalECPrivateKey(good)
	for name, data := range map[string][]byte{
		"nothing":    nil,
		"no PEM":     []byte("hunter2"),
		"SEC 1":      pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}),
		"a public":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ec}),
		"damaged":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
		"two":        append(pkcs8(t, good), pkcs8(t, good)...),
		"P-224":      pkcs8(t, p224),
		"bad cosign": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte("{}")}),
	} {
		if _, err := OpenKey(data, func() ([]byte, error) { return []byte("hunter2"), nil }); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGenerateKey(t *testing.T) {
	private, public, err := GenerateKey([]byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKey(private, func() ([]byte, error) { return []byte("right"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := k.PublicPEM(); !bytes.Equal(got, public) {
		t.Error("the halves do not fit")
	}
	if _, err := OpenKey(private, func() ([]byte, error) { return []byte("wrong"), nil }); err == nil || strings.Contains(err.Error(), "wrong\x00") {
		t.Error(err)
	}
}

// TestCosignKey opens a key that cosign made.
func TestCosignKey(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "vectors")
	private, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	if err != nil {
		t.Skip("no vectors beside the project")
	}
	public, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenKey(private, func() ([]byte, error) { return []byte("vectors"), nil })
	if err != nil {
		t.Fatal(err)
	}
	want, err := signature.ParseKey(public)
	if err != nil || want.Fingerprint != k.Public.Fingerprint {
		t.Errorf("%v: %s, want %s", err, k.Public.Fingerprint, want.Fingerprint)
	}
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    keep: me
  name: web
  namespace: prod
spec:
  replicas: 3
  big: 12345678901234567890
  text: "1e3"
`

func TestSign(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s := &Signer{Maker: open(t, p256), Origin: Origin{Source: "github.com/acme/app//prod", Application: "web", Namespace: "prod"}}
	r := kyaml.MustParse(deployment)
	message, err := s.Sign(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	// The message is the resource with its origin, and nothing else.
	want := kyaml.MustParse(deployment)
	if err := want.PipeE(kyaml.SetAnnotation(AnnotationOrigin, `{"source":"github.com/acme/app//prod","application":"web","namespace":"prod"}`)); err != nil {
		t.Fatal(err)
	}
	wantYAML, _ := AsYAML(want)
	if !bytes.Equal(message, wantYAML) {
		t.Errorf("got\n%s\nwant\n%s", message, wantYAML)
	}
	annotations := r.GetAnnotations()
	packed, err := base64.StdEncoding.DecodeString(annotations[AnnotationMessage])
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(unpacked, message) {
		t.Errorf("%v: unpacked\n%s", err, unpacked)
	}
	raw := signature.Signature{Kind: signature.Raw, Data: []byte(annotations[AnnotationSignature])}
	if _, err := s.Maker.(*Key).Public.Verify(raw, message, signature.When{}); err != nil {
		t.Error(err)
	}
	if annotations["keep"] != "me" || len(annotations) != 4 {
		t.Errorf("annotations %v", annotations)
	}
	if err := CheckReserved(r); err == nil {
		t.Error("a signed resource passes for an unsigned one")
	}
	if err := CheckReserved(kyaml.MustParse(deployment)); err != nil {
		t.Error(err)
	}
}

func TestSignRefuses(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s := &Signer{Maker: open(t, p256)}
	var size *SizeError
	large := configMap(noise(MaxMessage))
	if _, err := s.Sign(t.Context(), large); !errors.As(err, &size) || !strings.Contains(err.Error(), "v1/ConfigMap/-/a") {
		t.Errorf("%v", err)
	}
	if err := checkAnnotations(kyaml.MustParse("metadata: {annotations: {x: " + strings.Repeat("x", MaxAnnotations) + "}}\n")); !errors.As(err, &size) {
		t.Errorf("%v", err)
	}
}

func TestSelects(t *testing.T) {
	parse := func(s string) *kyaml.RNode { return kyaml.MustParse(s) }
	web := parse(deployment)
	secret := parse("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n")
	cm := parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-config}\n")
	for _, tc := range []struct {
		match           []Selector
		web, secret, cm bool
	}{
		{nil, true, false, true},
		{[]Selector{{}}, true, false, true},
		{[]Selector{{Kind: "*"}}, true, false, true},
		{[]Selector{{Kind: "Secret"}}, false, true, false},
		{[]Selector{{Kind: "Deployment"}, {Kind: "Secret"}}, true, true, false},
		{[]Selector{{Group: "apps", Version: "v1", Namespace: "prod", Name: "web"}}, true, false, false},
		{[]Selector{{Group: "batch"}}, false, false, false},
		{[]Selector{{Name: "web*"}}, true, false, true},
		{[]Selector{{Name: "*config"}}, false, false, true},
		{[]Selector{{Namespace: "p*d", Kind: "ConfigMap"}}, false, false, false},
	} {
		s := &Signer{Match: tc.match}
		if got := [3]bool{s.Selects(web), s.Selects(secret), s.Selects(cm)}; got != [3]bool{tc.web, tc.secret, tc.cm} {
			t.Errorf("%+v: %v", tc.match, got)
		}
	}
}
