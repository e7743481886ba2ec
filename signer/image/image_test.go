package image

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/signature"
)

// testKey signs another way each time.
type testKey struct {
	private *ecdsa.PrivateKey
	public  signature.Key
	made    int
}

func newKey(t *testing.T) *testKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := signature.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return &testKey{private: private, public: public}
}

func (k *testKey) Make(_ context.Context, message []byte) ([]byte, error) {
	k.made++
	sum := sha256.Sum256(message)
	return ecdsa.SignASN1(rand.Reader, k.private, sum[:])
}

func (k *testKey) Check(raw, message []byte) error {
	_, err := k.public.VerifyBytes(raw, message)
	return err
}

// start runs a registry in this process.
func start(t *testing.T, referrers bool) (*oci.Client, string) {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
	t.Cleanup(s.Close)
	return &oci.Client{Transport: http.DefaultTransport}, strings.TrimPrefix(s.URL, "http://") + "/acme/manifests"
}

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func TestPush(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		client, name := start(t, referrers)
		repository, err := Open(client, name)
		if err != nil {
			t.Fatal(err)
		}
		i, err := New([]byte(manifest))
		if err != nil {
			t.Fatal(err)
		}
		key, other := newKey(t), newKey(t)
		att := Attestation{Envelope: []byte(`{"payloadType":"a","payload":"","signatures":[]}`), PredicateType: "https://example.com/a"}
		at, err := repository.Push(t.Context(), i, other, nil, Attestation{}, "latest")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := repository.Push(t.Context(), i, key, nil, att, "latest"); err != nil {
				t.Fatal(err)
			}
		}
		if key.made != 1 {
			t.Errorf("signed %d times", key.made)
		}
		for _, k := range []*testKey{key, other} {
			got, err := Verify(t.Context(), client, at, []signature.Key{newKey(t).public, k.public})
			if err != nil || string(got.YAML) != manifest || got.Reference != at || got.Fingerprint != k.public.Fingerprint {
				t.Errorf("%+v, %v", got, err)
			}
		}
		if got, err := Verify(t.Context(), client, name+":latest", []signature.Key{key.public}); err != nil || got.Reference != at {
			t.Errorf("by tag: %+v, %v", got, err)
		}
		if _, err := Verify(t.Context(), client, at, []signature.Key{newKey(t).public}); !errors.Is(err, ErrUnsigned) {
			t.Errorf("a stranger: %v", err)
		}
		referring(t, repository, i, 3)
		text, err := repository.Published(t.Context(), "latest")
		if err != nil || string(text) != manifest {
			t.Errorf("published: %q, %v", text, err)
		}
		if _, err := repository.Published(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("no tag: %v", err)
		}
	}
}

// referring counts what names the image as its subject: two signatures and an
// attestation.
func referring(t *testing.T, r *Repository, i *Image, want int) {
	t.Helper()
	index, err := remote.Referrers(r.repo.Digest(i.Digest()), r.options...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := index.IndexManifest()
	if err != nil || len(all.Manifests) != want {
		t.Errorf("%d referrers, want %d: %v", len(all.Manifests), want, err)
	}
}

// TestAttestations: one's own is replaced, and others' stay.
func TestAttestations(t *testing.T) {
	client, name := start(t, true)
	repository, _ := Open(client, name)
	i, _ := New([]byte(manifest))
	key, other := newKey(t), newKey(t)
	envelope := func(k *testKey, text string) Attestation {
		pae := fmt.Sprintf("DSSEv1 1 a %d %s", len(text), text)
		raw, err := k.Make(t.Context(), []byte(pae))
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(map[string]any{"payloadType": "a", "payload": []byte(text), "signatures": []any{map[string]any{"sig": raw}}})
		if err != nil {
			t.Fatal(err)
		}
		return Attestation{Envelope: data, PredicateType: "p"}
	}
	for _, one := range []struct {
		key  *testKey
		text string
	}{{other, "1"}, {key, "2"}, {key, "3"}} {
		if _, err := repository.Push(t.Context(), i, one.key, nil, envelope(one.key, one.text)); err != nil {
			t.Fatal(err)
		}
	}
	layers, _, err := repository.read(t.Context(), repository.tagged(legacy(i.digest, "att")), maxAttachment)
	if err != nil || len(layers) != 2 || !bytes.Contains(layers[0].data, []byte("MQ==")) || !bytes.Contains(layers[1].data, []byte("Mw==")) {
		t.Errorf("%d layers: %v", len(layers), err)
	}
}

// testLog promises what it has seen.
type testLog struct{ asked int }

func (l *testLog) LogSignature(_ context.Context, raw, message []byte) ([]byte, error) {
	l.asked++
	return fmt.Appendf(nil, "%x %x", raw, message), nil
}

func (l *testLog) CheckSignature(promise, raw, message []byte) error {
	if string(promise) != fmt.Sprintf("%x %x", raw, message) {
		return errors.New("not promised")
	}
	return nil
}

// TestLogged: a signature that no log has seen is logged as it is, and takes its
// own place; one that is logged stays.
func TestLogged(t *testing.T) {
	client, name := start(t, true)
	repository, _ := Open(client, name)
	i, _ := New([]byte(manifest))
	key, other, log := newKey(t), newKey(t), &testLog{}
	push := func(key Key, log Log) {
		t.Helper()
		if _, err := repository.Push(t.Context(), i, key, log, Attestation{}); err != nil {
			t.Fatal(err)
		}
	}
	push(key, nil)
	push(other, nil)
	push(key, log)
	push(key, log)
	push(key, nil)
	layers, _, err := repository.read(t.Context(), repository.tagged(legacy(i.digest, "sig")), maxAttachment)
	if err != nil || len(layers) != 2 || key.made != 1 || log.asked != 1 {
		t.Fatalf("%d layers, %d made, %d logged: %v", len(layers), key.made, log.asked, err)
	}
	if layers[0].Annotations[annotationBundle] != "" || layers[1].Annotations[annotationBundle] == "" {
		t.Errorf("%v", layers)
	}
}

// TestTampered: what another image's signature says does not count for this one.
func TestTampered(t *testing.T) {
	client, name := start(t, true)
	repository, _ := Open(client, name)
	key := newKey(t)
	good, _ := New([]byte(manifest))
	bad, _ := New([]byte(manifest + "data: {a: b}\n"))
	for _, i := range []*Image{good, bad} {
		k := key
		if i == bad {
			k = newKey(t)
		}
		if _, err := repository.Push(t.Context(), i, k, nil, Attestation{}); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := remote.Image(repository.repo.Tag(legacy(good.digest, "sig")), repository.options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.repo.Tag(legacy(bad.digest, "sig")), taken, repository.options...); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), client, name+"@"+bad.Digest(), []signature.Key{key.public}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("with another's signature: %v", err)
	}
	if _, err := Verify(t.Context(), client, name+"@"+good.Digest(), []signature.Key{key.public}); err != nil {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), client, name+":"+legacy(good.digest, "sig"), []signature.Key{key.public}); err == nil || !strings.Contains(err.Error(), "no manifest image") {
		t.Errorf("a signature as an image: %v", err)
	}
}

func TestFaults(t *testing.T) {
	i, _ := New([]byte(manifest))
	for status, want := range map[int]string{401: "denies access", 403: "denies access", 500: "status 500", 404: "status 404"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.WriteHeader(status)
			fmt.Fprint(w, `{"errors": [{"code": "DENIED", "message": "no\u001b[31m"}]}`)
		}))
		repository, err := Open(&oci.Client{Transport: http.DefaultTransport}, strings.TrimPrefix(s.URL, "http://")+"/a/b")
		if err != nil {
			t.Fatal(err)
		}
		_, err = repository.Push(t.Context(), i, newKey(t), nil, Attestation{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "http://") {
			t.Errorf("%d: %v", status, err)
		}
		s.Close()
	}
	for _, name := range []string{"", "a", "host/a", "https://host.example/a", "h.example/A", "h.example/a//b"} {
		if r, err := Open(&oci.Client{}, name); err == nil && r.String() == name {
			t.Errorf("%q is opened as %s", name, r)
		}
	}
	if _, err := New(nil); err == nil {
		t.Error("an empty image")
	}
	w := &writing{http.DefaultTransport, []string{"a.example"}}
	req, _ := http.NewRequest(http.MethodGet, "https://b.example/token", nil)
	req.Header.Set("Authorization", "Basic x")
	if _, err := w.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "tokenHosts") {
		t.Errorf("credentials for another host: %v", err)
	}
}

// TestDeterministic holds the digest: who pins an image pins what made it.
func TestDeterministic(t *testing.T) {
	i, err := New([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := New([]byte(manifest))
	if i.Digest() != again.Digest() {
		t.Error("another digest")
	}
	if _, err := v1.NewHash(i.Digest()); err != nil {
		t.Error(err)
	}
}
