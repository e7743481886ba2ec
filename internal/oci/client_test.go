package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
)

// server is a registry in this process. What it is asked is kept, and a
// request can be answered before the registry sees it.
type server struct {
	*httptest.Server
	mutex sync.Mutex
	asked []*http.Request
	// answer reports whether it has answered; nil leaves all to the registry.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		s.asked = append(s.asked, r.Clone(context.Background()))
		s.mutex.Unlock()
		if s.answer == nil || !s.answer(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

// requests returns what was asked since the last call.
func (s *server) requests() []*http.Request {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// put pushes one blob or manifest past whatever answers first.
func (s *server) put(t *testing.T, method, path, contentType string, body []byte) {
	t.Helper()
	answer := s.answer
	s.answer = nil
	defer func() { s.answer = answer; s.requests() }()
	req, err := http.NewRequest(method, s.URL+"/v2/acme/bases/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// push stores an artifact with the files and returns its manifest's digest.
func (s *server) push(t *testing.T, tag, mediaType string, files []byte) string {
	t.Helper()
	for _, blob := range [][]byte{[]byte("{}"), files} {
		s.put(t, "POST", "blobs/uploads/?digest=sha256:"+digestOf(blob), "application/octet-stream", blob)
	}
	manifest := []byte(manifestWith(layerJSON(mediaType, digestOf(files), int64(len(files)))))
	s.put(t, "PUT", "manifests/"+tag, imageManifest, manifest)
	return digestOf(manifest)
}

func (s *server) reference(t *testing.T) Reference {
	t.Helper()
	ref, err := Parse("oci://" + s.host() + "/acme/bases:v1")
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// newClient knows one registry's credentials.
func newClient(host string) *Client {
	return &Client{Transport: &http.Transport{}, Keychain: func(registry string) (authn.AuthConfig, error) {
		if registry != host {
			return authn.AuthConfig{}, nil
		}
		return authn.AuthConfig{Username: "user", Password: "hunter2"}, nil
	}}
}

// load goes the whole way from a reference to an artifact's files.
func load(t *testing.T, c *Client, ref Reference) ([]byte, error) {
	t.Helper()
	digest, err := c.Resolve(t.Context(), ref)
	if err != nil {
		return nil, err
	}
	manifest, err := c.Manifest(t.Context(), ref, digest)
	if err != nil {
		return nil, err
	}
	layer, err := LayerOf(manifest, digest, maxLayer)
	if err != nil {
		return nil, err
	}
	var files bytes.Buffer
	err = c.Fetch(t.Context(), ref, layer, &files)
	return files.Bytes(), err
}

// fails wants an error with some words, and without a secret.
func fails(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v\nlacks %q", err, word)
		}
	}
	for _, secret := range []string{"hunter2", encoded("user:hunter2"), "signature=", "token-of-"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v\nholds %q", err, secret)
		}
	}
}

func TestRead(t *testing.T) {
	for _, mediaType := range []string{FluxLayer, OCILayer} {
		s := newServer(t)
		digest := s.push(t, "v1", mediaType, []byte("files"))
		ref := s.reference(t)
		if got, err := load(t, newClient(""), ref); err != nil || string(got) != "files" {
			t.Errorf("%q, %v", got, err)
		}
		s.requests()
		if got, err := newClient("").Resolve(t.Context(), ref.at(digest)); err != nil || got != digest || len(s.requests()) > 0 {
			t.Errorf("by digest: %s, %v", got, err)
		}
	}
}

func TestMovingTag(t *testing.T) {
	s, c := newServer(t), newClient("")
	ref := s.reference(t)
	first := s.push(t, "v1", FluxLayer, []byte("first"))
	if got, err := c.Resolve(t.Context(), ref); err != nil || got != first {
		t.Fatal(got, err)
	}
	second := s.push(t, "v1", FluxLayer, []byte("second"))
	if got, err := c.Resolve(t.Context(), ref); err != nil || got != second || got == first {
		t.Fatal(got, err)
	}
	if manifest, err := c.Manifest(t.Context(), ref, first); err != nil || digestOf(manifest) != first {
		t.Error(err)
	}
}

func TestResolveWithoutDigestHeader(t *testing.T) {
	for _, header := range []string{"", "sha512:" + someDigest + someDigest, "sha256:x"} {
		s := newServer(t)
		digest := s.push(t, "v1", FluxLayer, []byte("files"))
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "HEAD" {
				w.Header().Set("Docker-Content-Digest", header)
			}
			return r.Method == "HEAD"
		}
		if got, err := newClient("").Resolve(t.Context(), s.reference(t)); err != nil || got != digest {
			t.Errorf("%q: %s, %v", header, got, err)
		}
	}
}

func TestTampered(t *testing.T) {
	for _, test := range []struct{ where, body, want string }{
		{"/blobs/", "FILES", "expected sha256:" + digestOf([]byte("files"))},
		{"/blobs/", "file", "expected 5 bytes, found 4"},
		{"/blobs/", "files!", "expected 5 bytes, found 6"},
		{"/manifests/sha256:", manifestWith(""), "the manifest that came back is another"},
		{"/manifests/sha256:", strings.Repeat(" ", MaxManifest+1), "more than 4194304 bytes"},
	} {
		for _, chunked := range []bool{false, true} {
			s := newServer(t)
			s.push(t, "v1", FluxLayer, []byte("files"))
			s.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, test.where) {
					return false
				}
				if chunked { // no length is announced
					w.WriteHeader(http.StatusOK)
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, test.body)
				return true
			}
			want := test.want
			if chunked {
				want = strings.Replace(want, "found 6", "found more", 1)
			}
			_, err := load(t, newClient(""), s.reference(t))
			fails(t, err, s.host()+"/acme/bases", want)
		}
	}
}

// TestNotUnpackedOnTheWay has a server that marks a layer as compressed for
// transport, as some storage does; the bytes stay what was hashed.
func TestNotUnpackedOnTheWay(t *testing.T) {
	s := newServer(t)
	s.push(t, "v1", FluxLayer, []byte("files"))
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Encoding", "gzip")
		return false
	}
	if got, err := load(t, newClient(""), s.reference(t)); err != nil || string(got) != "files" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOtherDocuments(t *testing.T) {
	flux := layerJSON(FluxLayer, someDigest, 10)
	for _, test := range []struct{ contentType, body, want string }{
		{imageIndex, `{"schemaVersion":2,"mediaType":"` + imageIndex + `","manifests":[]}`, "index"},
		{imageManifest, manifestWith(flux + "," + flux), "2 layers"},
		{imageManifest, manifestWith(layerJSON(FluxLayer, someDigest, 1<<40)), "more than 1048576 bytes"},
	} {
		s := newServer(t)
		s.put(t, "PUT", "manifests/v1", test.contentType, []byte(test.body))
		_, err := load(t, newClient(""), s.reference(t))
		fails(t, err, test.want)
	}
}

func TestDenials(t *testing.T) {
	s := newServer(t)
	ref := s.reference(t)
	_, err := newClient("").Manifest(t.Context(), ref, someDigest)
	fails(t, err, "NAME_UNKNOWN", ref.at(someDigest).String())
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	_, err = newClient("").Resolve(t.Context(), ref)
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for status, want := range map[int]string{403: "denies access (status 403): DENIED no\\x1b[2J", 401: "none are given for this host", 500: "status 500"} {
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return false
			}
			w.WriteHeader(status)
			io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no\u001b[2J`+strings.Repeat("x", 999)+`"}]}`)
			return true
		}
		_, err := newClient("").Manifest(t.Context(), ref, someDigest)
		fails(t, err, want)
		if len(err.Error()) > 600 {
			t.Errorf("%d bytes: %v", len(err.Error()), err)
		}
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, strings.Repeat("page ", 9999), http.StatusBadGateway)
		return true
	}
	_, err = newClient("").Resolve(t.Context(), ref)
	fails(t, err, "does not answer at /v2/: status 502 Bad Gateway")
	if strings.Contains(err.Error(), "page") {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient("").Resolve(ctx, s.reference(t)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := (&Client{}).Resolve(t.Context(), s.reference(t)); err == nil {
		t.Error("went on without a transport")
	}
}
