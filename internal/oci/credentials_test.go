package oci

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

// authorizations returns what stood in the Authorization headers of requests,
// without those that had none.
func authorizations(requests []*http.Request) (found []string) {
	for _, r := range requests {
		if a := r.Header.Get("Authorization"); a != "" {
			found = append(found, a)
		}
	}
	return found
}

func wantsBasic(w http.ResponseWriter, r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok && user == "user" && password == "hunter2" {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestBasic(t *testing.T) {
	s := newServer(t)
	s.push(t, "v1", FluxLayer, []byte("files"))
	s.answer = wantsBasic
	if got, err := load(t, newClient(s.host()), s.reference(t)); err != nil || string(got) != "files" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := load(t, newClient("other.example"), s.reference(t))
	fails(t, err, "denies access", "no credentials were sent")
}

func TestKeychainFails(t *testing.T) {
	s := newServer(t)
	c := newClient("")
	c.Keychain = func(string) (authn.AuthConfig, error) { return authn.AuthConfig{}, errors.New("kept by a helper") }
	_, err := c.Resolve(t.Context(), s.reference(t))
	fails(t, err, "kept by a helper")
}

// TestRedirect has the registry send a download to storage on another host,
// and back.
func TestRedirect(t *testing.T) {
	s, storage := newServer(t), newServer(t)
	s.push(t, "v1", FluxLayer, []byte("files"))
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if wantsBasic(w, r) {
			return true
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, storage.URL+"/bucket?signature=abc", http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	storage.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") != "abc" {
			t.Errorf("%s", r.URL)
		}
		io.WriteString(w, "files")
		return true
	}
	if got, err := load(t, newClient(s.host()), s.reference(t)); err != nil || string(got) != "files" {
		t.Fatalf("%q, %v", got, err)
	}
	if got := authorizations(s.requests()); len(got) != 3 {
		t.Errorf("the registry was sent %q", got)
	}
	at := storage.requests()
	if len(at) != 1 || len(authorizations(at)) != 0 || at[0].Header.Get("Cookie")+at[0].Header.Get("Referer") != "" {
		t.Errorf("storage was sent %v", at)
	}

	storage.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "<Error>signature=abc</Error>", http.StatusForbidden)
		return true
	}
	_, err := load(t, newClient(s.host()), s.reference(t))
	fails(t, err, "storage at "+storage.host(), "403")
}

func TestRedirectRefused(t *testing.T) {
	for location, want := range map[string]string{
		"/v2/acme/bases/blobs/again?signature=abc": "more than 5 times",
		"http://u:hunter2@127.0.0.1/":              "cannot be used",
		"http:///x?signature=abc":                  "cannot be used",
		"http://cdn.example/?signature=abc":        "without encryption",
		"ftp://cdn.example/?signature=abc":         "without encryption",
		"http://%zz/?signature=abc":                "cannot be used",
	} {
		s := newServer(t)
		s.push(t, "v1", FluxLayer, []byte("files"))
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
			return true
		}
		_, err := load(t, newClient(s.host()), s.reference(t))
		fails(t, err, want)
	}
}

// TestRedirectFromHTTPS asks the rule itself: no test has a registry on the
// network.
func TestRedirectFromHTTPS(t *testing.T) {
	s := &session{base: &url.URL{Scheme: "https", Host: "ghcr.io"}}
	for location, want := range map[string]string{
		"https://cdn.example/x":        "",
		"/x":                           "",
		"http://cdn.example/x":         "without encryption",
		"http://127.0.0.1/x":           "without encryption",
		"https://127.0.0.1/x":          "internal address",
		"https://169.254.169.254/x":    "internal address",
		"https://[fe80::1%25eth0]/x":   "internal address",
		"https://2130706433/x":         "internal address",
		"https://vault.localhost/x":    "internal address",
		"https://u:p@cdn.example/x":    "cannot be used",
		"https://ghcr.io:443@evil/x":   "cannot be used",
		"//my_bucket.s3.amazonaws.com": "",
	} {
		to, err := s.redirect(s.base, location)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v, want %q", location, to, err, want)
		}
	}
}

func TestHandshakeRedirected(t *testing.T) {
	s, other := newServer(t), newServer(t)
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+"/v2/", http.StatusFound)
		return true
	}
	_, err := load(t, newClient(s.host()), s.reference(t))
	fails(t, err, "redirects its handshake to "+other.host())
	if at := other.requests(); len(at) != 0 {
		t.Errorf("the other host was asked %v", at)
	}
}

// plainOnly is a network on which nobody speaks https.
type plainOnly struct{ asked []string }

func (p *plainOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return nil, errors.New("connection refused")
	}
	p.asked = append(p.asked, r.URL.String())
	return nil, errors.New("was asked without encryption")
}

func TestPlainHTTP(t *testing.T) {
	for _, host := range []string{"10.0.0.1:5000", "192.168.1.1", "172.16.0.1:80", "a.localhost:5000", "registry.local:5000", "ghcr.io", "[fd00::1]:5000"} {
		network := &plainOnly{}
		ref, err := Parse("oci://" + host + "/acme/bases")
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(host)
		c.Transport = network
		_, err = c.Resolve(t.Context(), ref)
		fails(t, err, "does not answer")
		if len(network.asked) > 0 {
			t.Errorf("%s: %v", host, network.asked)
		}
	}
}

// TestHTTPSFirst has a registry on loopback that speaks https, and credentials
// that would go to it over http as well.
func TestHTTPSFirst(t *testing.T) {
	plain := newServer(t)
	plain.push(t, "v1", FluxLayer, []byte("files"))
	plain.answer = wantsBasic
	s := httptest.NewUnstartedServer(plain.Config.Handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "https://")
	ref, err := Parse("oci://" + host + "/acme/bases:v1")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(host)
	c.Transport = s.Client().Transport
	var wait sync.WaitGroup
	for range 4 { // one client, several goroutines
		wait.Go(func() {
			if got, err := load(t, c, ref); err != nil || string(got) != "files" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wait.Wait()
	for _, r := range plain.requests() {
		if r.TLS == nil {
			t.Errorf("%s was asked without encryption", r.URL)
		}
	}
	c = newClient(host) // does not know the certificate
	_, err = load(t, c, ref)
	fails(t, err, "certificate")
	if at := authorizations(plain.requests()); len(at) > 0 {
		t.Errorf("sent %q", at)
	}
}
