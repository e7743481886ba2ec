package signer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

func configMap(value string) *kyaml.RNode {
	return kyaml.MustParse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: " + value + "}\n")
}

// noise is text that does not compress to less than half.
func noise(n int) string {
	data := make([]byte, n)
	rand.Read(data)
	return hex.EncodeToString(data)
}

func newP256(t testing.TB) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, private)
}

// TestArchived has a resource whose YAML is too large for a pipe, and which
// compresses well.
func TestArchived(t *testing.T) {
	s := &Signer{Maker: newP256(t)}
	var texts []string
	for range 2 {
		r := configMap(strings.Repeat("many words ", 20_000))
		message, err := s.Sign(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := Carried(r)
		if err != nil || !bytes.Equal(signed.Message, message) || len(message) > MaxMessage {
			t.Fatalf("%v, %d bytes", err, len(message))
		}
		text, err := Unarchive(message)
		if err != nil || !strings.Contains(string(text), "many words many") {
			t.Fatalf("%v, %.100s", err, text)
		}
		if err := s.Maker.Check(signed.Signatures[0], message); err != nil {
			t.Error(err)
		}
		texts = append(texts, r.MustString())
	}
	if texts[0] != texts[1] {
		t.Error("the same resource is signed in two ways")
	}
}

func TestUnarchiveRefuses(t *testing.T) {
	good, err := archived([]byte("a: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	bomb, err := archived(bytes.Repeat([]byte("x"), MaxYAML+1))
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"cut": good[:len(good)/2], "only a header": []byte("\x1f\x8b"), "damaged": append([]byte("\x1f\x8b"), make([]byte, 100)...), "too large": bomb,
	} {
		if text, err := Unarchive(message); err == nil {
			t.Errorf("%s: %.100s", name, text)
		}
	}
}

func TestCarriedRefuses(t *testing.T) {
	good, err := Pack([]byte("a: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	large, err := Pack(make([]byte, MaxYAML+1))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"nothing":          {nil, "carries no signature"},
		"only a message":   {map[string]string{AnnotationMessage: good}, "carries no signature"},
		"only the second":  {map[string]string{AnnotationMessage: good, AnnotationSignature + "_1": "AAAA"}, "carries no signature"},
		"message, no zip":  {map[string]string{AnnotationMessage: "AAAA", AnnotationSignature: "AAAA"}, "message: is not compressed"},
		"message, no text": {map[string]string{AnnotationMessage: "%", AnnotationSignature: "AAAA"}, "message: is not base64"},
		"message, cut":     {map[string]string{AnnotationMessage: good[:20], AnnotationSignature: "AAAA"}, "message: is not compressed"},
		"message, a bomb":  {map[string]string{AnnotationMessage: large, AnnotationSignature: "AAAA"}, "more than"},
		"signature":        {map[string]string{AnnotationMessage: good, AnnotationSignature: "%"}, "signature: is not base64"},
		"certificate":      {map[string]string{AnnotationMessage: good, AnnotationSignature: "AAAA", AnnotationCertificate: "AAAA"}, "certificate: is not compressed"},
	} {
		if s, err := CarriedIn(tc.annotations); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v, want %q", name, s, err, tc.want)
		}
	}
}

func TestCountersign(t *testing.T) {
	one, two := &Signer{Maker: newP256(t)}, &Signer{Maker: newP256(t)}
	r := kyaml.MustParse(deployment)
	if _, err := two.Countersign(t.Context(), r); !errors.Is(err, ErrUnsigned) {
		t.Fatal(err)
	}
	message, err := one.Sign(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		for _, s := range []*Signer{one, two} {
			if again, err := s.Countersign(t.Context(), r); err != nil || !bytes.Equal(again, message) {
				t.Fatal(err)
			}
		}
	}
	signed, err := Carried(r)
	if err != nil || len(signed.Signatures) != 2 {
		t.Fatalf("%+v, %v", signed, err)
	}
	for i, s := range []*Signer{one, two} {
		if err := s.Maker.Check(signed.Signatures[i], message); err != nil {
			t.Error(i, err)
		}
	}
	if r.GetAnnotations()["cosign.sigstore.dev/signature_1"] == "" {
		t.Error(r.GetAnnotations())
	}
	names, err := ClearReserved(r)
	if err != nil || len(names) != 3 || len(r.GetAnnotations()) != 1 {
		t.Errorf("%v, %v, %v", names, r.GetAnnotations(), err)
	}
	if err := CheckReserved(r); err != nil {
		t.Error(err)
	}
}

func TestIsSignature(t *testing.T) {
	for name, want := range map[string]bool{
		AnnotationMessage: true, AnnotationSignature: true, AnnotationCertificate: true, AnnotationBundle: true,
		AnnotationSignature + "_1": true, AnnotationBundle + "_12": true,
		AnnotationOrigin: false, AnnotationMessage + "_1": false, AnnotationSignature + "_0": false, AnnotationSignature + "x": false,
		"cosign.sigstore.dev/resourceBundleRef": false, "cosign_sigstore.dev/message": false,
	} {
		if IsSignature(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// TestStray: an annotation of a signature that is not there is no part of anything.
func TestStray(t *testing.T) {
	r := kyaml.MustParse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	if _, err := (&Signer{Maker: newP256(t)}).Sign(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{AnnotationBundle + "_9", AnnotationSignature + "_2", AnnotationCertificate + "_1"} {
		annotations := r.GetAnnotations()
		annotations[name] = "anything"
		if _, err := CarriedIn(annotations); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSecret holds the message of a Secret against what an API server makes of
// it.
func TestSecret(t *testing.T) {
	s := &Signer{Maker: newP256(t), Origin: Origin{Source: "github.com/acme/app"}}
	written := kyaml.MustParse("apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {}}\nstringData: {b: text}\ndata: {a: QQ==, b: QQ==}\n")
	message, err := s.Sign(t.Context(), written)
	if err != nil {
		t.Fatal(err)
	}
	if _, embedded := written.GetAnnotations()[AnnotationMessage]; embedded {
		t.Error("its message is embedded")
	}
	signature := written.GetAnnotations()[AnnotationSignature]
	stored := kyaml.MustParse(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  annotations:\n    %s: '%s'\n    %s: %s\ntype: Opaque\ndata: {a: QQ==, b: %s}\n",
		AnnotationOrigin, `{"source":"github.com/acme/app"}`, AnnotationSignature, signature, base64.StdEncoding.EncodeToString([]byte("text"))))
	again, err := SecretMessage(stored)
	if err != nil || !bytes.Equal(again, message) {
		t.Errorf("%v\n%s\nwant\n%s", err, again, message)
	}
	s.EmbedSecrets = true
	if _, err := s.Sign(t.Context(), written); err != nil || written.GetAnnotations()[AnnotationMessage] == "" {
		t.Error(err)
	}
	if _, err := SecretMessage(kyaml.MustParse("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: 1}\n")); err == nil {
		t.Error("a number for a text")
	}
}

// store is a Store in memory, and counts.
type store struct {
	files map[string][]byte
	added int
	fails error
}

func (s *store) Get(name string) ([]byte, error) {
	data, ok := s.files[name]
	if s.fails != nil {
		return nil, s.fails
	}
	if !ok {
		return nil, os.ErrNotExist
	}
	return data, nil
}

func (s *store) Add(name string, data []byte) ([]byte, error) {
	if old, ok := s.files[name]; ok {
		return old, nil
	}
	s.added++
	s.files[name] = data
	return data, nil
}

func (s *store) Remove(name string) { delete(s.files, name) }

// random signs in another way each time.
type random struct{ *Key }

func (random) Deterministic() bool { return false }

func TestKept(t *testing.T) {
	key := newP256(t)
	near, far := &store{files: map[string][]byte{}}, &store{files: map[string][]byte{}}
	message := []byte("message")
	made := func(m Maker) string {
		t.Helper()
		sig, err := m.Make(t.Context(), message)
		if err != nil || m.Check(sig, message) != nil {
			t.Fatal(err, m.Check(sig, message))
		}
		return string(sig.Raw)
	}
	if Keep(key) != Maker(key) {
		t.Error("a deterministic key is kept")
	}
	kept := Keep(afresh{random{key}}, near, far)
	first := made(kept)
	if again := made(kept); again != first || near.added != 1 || far.added != 1 {
		t.Errorf("another signature; %d and %d were added", near.added, far.added)
	}
	near.files = map[string][]byte{}
	if again := made(kept); again != first || near.added != 2 {
		t.Error("the second store was not asked, or the first not told")
	}
	// What is damaged, or another's, is replaced.
	for name := range near.files {
		near.files[name] = []byte(`{"signature": "AAAA"}`)
	}
	if again := made(kept); again != first {
		t.Error("a damaged file counts")
	}
	// Nor does one with more in it than a key makes.
	for name, data := range near.files {
		near.files[name] = []byte(strings.Replace(string(data), "{", `{"bundle": "e30=", `, 1))
	}
	if sig, err := kept.Make(t.Context(), message); err != nil || sig.Bundle != nil || string(sig.Raw) != first {
		t.Errorf("%v: %s", err, sig.Bundle)
	}
	other := Keep(afresh{random{newP256(t)}}, near, far)
	if made(other) == first || len(far.files) != 2 {
		t.Error("one key's signature for another's")
	}
	far.fails = errors.New("out of order")
	near.files = map[string][]byte{}
	if _, err := kept.Make(t.Context(), message); err == nil {
		t.Error("a store that fails is passed over")
	}
}
