package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// memoryStore is a Store.
type memoryStore map[string][]byte

func (m memoryStore) Get(_, name string) (io.ReadCloser, error) {
	data, ok := m[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m memoryStore) Put(_, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	m[name] = b.Bytes()
	return nil
}

func (m memoryStore) Remove(_, name string) { delete(m, name) }

// testSigner signs as signer.Key does, and counts.
type testSigner struct {
	crypto.Signer
	signed, afresh int
}

func (s *testSigner) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(s.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

func (s *testSigner) sign(random io.Reader, message []byte, hash crypto.Hash) ([]byte, error) {
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return s.Signer.Sign(random, message, hash)
}

func (s *testSigner) SignWith(_ context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	s.signed++
	return s.sign(nil, message, hash)
}

func (s *testSigner) SignAfresh(_ context.Context, message []byte, hash crypto.Hash) ([]byte, error) {
	s.afresh++
	return s.sign(rand.Reader, message, hash)
}

// statement returns one of many statements.
func statement(n int) []byte {
	s := New(Descriptor{Name: fmt.Sprint(n), Digest: map[string]string{"sha256": strings.Repeat("0", 64)}}, BuildDefinition{}, RunDetails{})
	data, _ := s.Bytes()
	return data
}

func newSigner(t *testing.T) *testSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &testSigner{Signer: key}
}

func TestUnlogged(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for _, key := range []crypto.Signer{newSigner(t).Signer, p384, ed, rsaKey} {
		store := memoryStore{}
		r := &Recorder{Signer: &testSigner{Signer: key}, Public: key.Public(), Store: store}
		first, err := r.Record(context.Background(), statement(1))
		if err != nil {
			t.Fatalf("%T: %v", key, err)
		}
		second, err := r.Record(context.Background(), statement(1))
		if err != nil || !bytes.Equal(first.Bundle, second.Bundle) || first.Index != -1 || len(store) != 0 {
			t.Errorf("%T: %v, %d stored", key, err, len(store))
		}
	}
}

// TestLogFaults has a log that does what no real one does on demand.
func TestLogFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		body, want string
		afresh     int
	}{
		"down":           {500, "out of order", "status 500", 0},
		"always there":   {409, "", "gives no proof of it", 1},
		"not found":      {404, "<html>", "status 404", 0},
		"redirect":       {307, "", "status 307", 0},
		"not JSON":       {201, "<html>", "malformed", 0},
		"nothing":        {201, "{}", "does not verify", 0},
		"no proof":       {201, `{"logIndex":"1","logId":{"keyId":"AAAA"},"kindVersion":{"kind":"hashedrekord","version":"0.0.2"},"canonicalizedBody":"e30="}`, "does not verify", 0},
		"made-up proof":  {201, `{"logIndex":"1","logId":{"keyId":"AAAA"},"kindVersion":{"kind":"hashedrekord","version":"0.0.2"},"canonicalizedBody":"e30=","inclusionProof":{"logIndex":"1","treeSize":"2","rootHash":"AAAA","hashes":["AAAA"],"checkpoint":{"envelope":"x\n1\nAAAA\n"}}}`, "does not verify", 0},
		"a long message": {503, strings.Repeat("x", 5000), "status 503", 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}))
			defer server.Close()
			client := server.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			public, _, _ := ed25519.GenerateKey(rand.Reader)
			s, store := newSigner(t), memoryStore{}
			r := &Recorder{Signer: s, Public: s.Public(), Store: store, Client: client, Log: &Log{URL: server.URL, Version: 2, Key: public}}
			record, err := r.Record(context.Background(), statement(1))
			var logError *Error
			if !errors.As(err, &logError) || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 1000 {
				t.Errorf("%v, %v, want %q", record, err, tc.want)
			}
			if s.afresh != tc.afresh {
				t.Errorf("signed afresh %d times, want %d", s.afresh, tc.afresh)
			}
			if len(store) > 0 {
				t.Error("what was not proven is stored")
			}
		})
	}
}

// TestForgedStore holds that a stored bundle is not believed.
func TestForgedStore(t *testing.T) {
	s := newSigner(t)
	unlogged := &Recorder{Signer: s, Public: s.Public(), Store: memoryStore{}}
	record, err := unlogged.Record(context.Background(), statement(1))
	if err != nil {
		t.Fatal(err)
	}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	store := memoryStore{}
	r := &Recorder{Signer: s, Public: s.Public(), Store: store, Client: down.Client(), Log: &Log{URL: down.URL, Version: 2, Key: public}}
	pair, err := newKeypair(s, s.Public(), true)
	if err != nil {
		t.Fatal(err)
	}
	name := r.name(statement(1), pair)
	store[name] = record.Bundle // validly signed, never logged
	if got, err := r.Record(context.Background(), statement(1)); err == nil {
		t.Errorf("a bundle without a proof counts as logged: %s", got.Bundle)
	}
	if _, there := store[name]; there {
		t.Error("the forged bundle is kept")
	}
}

func TestOnlyProven(t *testing.T) {
	s := newSigner(t)
	r := &Recorder{Signer: s, Public: s.Public(), Store: memoryStore{}}
	first := statement(1)
	record, err := r.Record(context.Background(), first)
	if err != nil {
		t.Fatal(err)
	}
	pair, _ := newKeypair(s, s.Public(), false)
	m, err := r.material(pair)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.verify(record.Bundle, first, m); err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string][2]string{
		"another key's name":  {pair.hint, "c29tZWJvZHkgZWxzZQ=="},
		"a timestamp":         {`"publicKey":{`, `"timestampVerificationData":{"rfc3161Timestamps":[]},"publicKey":{`},
		"another statement":   {base64.StdEncoding.EncodeToString(first), base64.StdEncoding.EncodeToString(statement(2))},
		"a key id":            {`"sig":`, `"keyid":"x","sig":`},
		"another media type":  {"v0.3+json", "v0.2+json"},
		"another signature":   {`"sig":"MEU`, `"sig":"MEV`},
		"another signature 2": {`"sig":"MEQ`, `"sig":"MER`},
	} {
		forged := bytes.Replace(record.Bundle, []byte(replace[0]), []byte(replace[1]), 1)
		if bytes.Equal(forged, record.Bundle) {
			continue // one of the two signature prefixes
		}
		if _, err := r.verify(forged, first, m); err == nil {
			t.Errorf("%s: accepted: %s", name, forged)
		}
	}
}

func TestStatementBytes(t *testing.T) {
	s := New(Descriptor{Name: "m", Digest: map[string]string{"sha256": "00"}}, BuildDefinition{ExternalParameters: ExternalParameters{Source: "a/b<c>"}}, RunDetails{})
	got, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"00"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"https://trustomize.dev/kustomize-build/v1","externalParameters":{"source":"a/b<c>"},"internalParameters":{"policyDigest":""},"resolvedDependencies":null},"runDetails":{"builder":{"id":"https://trustomize.dev/trustomize"}}}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestEntryOnlyProven holds what an entry says of itself against what its body
// and its proof cover.
func TestEntryOnlyProven(t *testing.T) {
	entry := func(change func(*protorekor.TransparencyLogEntry)) *protorekor.TransparencyLogEntry {
		e := &protorekor.TransparencyLogEntry{
			LogIndex:          7,
			KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
			InclusionProof:    &protorekor.InclusionProof{LogIndex: 7},
			CanonicalizedBody: []byte(`{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{}}`),
		}
		change(e)
		return e
	}
	promise := &protorekor.InclusionPromise{SignedEntryTimestamp: []byte("x")}
	none := func(*protorekor.TransparencyLogEntry) {}
	for name, tc := range map[string]struct {
		version int
		change  func(*protorekor.TransparencyLogEntry)
		ok      bool
	}{
		"version 2":       {2, none, true},
		"another index":   {2, func(e *protorekor.TransparencyLogEntry) { e.LogIndex = 8 }, false},
		"a time":          {2, func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime = 1 }, false},
		"a promise":       {2, func(e *protorekor.TransparencyLogEntry) { e.InclusionPromise = promise }, false},
		"another kind":    {2, func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Kind = "dsse" }, false},
		"another version": {2, func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Version = "0.0.1" }, false},
		"no body":         {2, func(e *protorekor.TransparencyLogEntry) { e.CanonicalizedBody = nil }, false},
		"version 1": {1, func(e *protorekor.TransparencyLogEntry) {
			e.InclusionPromise = promise
			e.IntegratedTime = 1
			e.LogIndex = 9
		}, true},
		"version 1, unpromised":  {1, func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime = 1 }, false},
		"version 1, other  kind": {1, func(e *protorekor.TransparencyLogEntry) { e.InclusionPromise = promise; e.KindVersion.Kind = "intoto" }, false},
	} {
		err := (&Log{Version: tc.version}).onlyProven(entry(tc.change))
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
