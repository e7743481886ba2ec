package oci

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

// withToken makes s a registry that wants a token of the service at realm.
func withToken(s *server, realm string, token *string) {
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			return issue(w, r, *token)
		}
		if r.Header.Get("Authorization") == "Bearer "+*token {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="test"`, realm))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func issue(w http.ResponseWriter, r *http.Request, token string) bool {
	if wantsBasic(w, r) {
		return true
	}
	if got := r.FormValue("scope"); got != "repository:acme/bases:pull" {
		http.Error(w, got, http.StatusForbidden)
		return true
	}
	fmt.Fprintf(w, `{"access_token":%q}`, token)
	return true
}

func TestToken(t *testing.T) {
	s := newServer(t)
	s.push(t, "v1", FluxLayer, []byte("files"))
	token := "token-of-today"
	withToken(s, s.URL+"/token", &token)
	c := newClient(s.host())
	if got, err := load(t, c, s.reference(t)); err != nil || string(got) != "files" {
		t.Fatalf("%q, %v", got, err)
	}
	if got := authorizations(s.requests()); len(got) != 4 {
		t.Errorf("one token, three requests: %q", got)
	}
	token = "token-of-tomorrow" // today's has expired
	if got, err := load(t, c, s.reference(t)); err != nil || string(got) != "files" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := load(t, newClient(""), s.reference(t))
	fails(t, err, "gave no token: status 401")
}

// TestTokenElsewhere has the registry name a token service on another host. It
// has the same address and another port: names alone would not tell them apart.
func TestTokenElsewhere(t *testing.T) {
	s, other := newServer(t), newServer(t)
	s.push(t, "v1", FluxLayer, []byte("files"))
	token := "token-of-today"
	otherHost := strings.Replace(other.host(), "127.0.0.1", "localhost", 1)
	withToken(s, "http://"+otherHost+"/token", &token)
	other.answer = func(w http.ResponseWriter, r *http.Request) bool { return issue(w, r, token) }

	for _, c := range []*Client{newClient(s.host()), newClient("")} {
		c.TokenHosts = map[string][]string{"other.example": {otherHost}, s.host(): {"localhost"}}
		_, err := load(t, c, s.reference(t))
		fails(t, err, "another host, the token service "+otherHost, "nothing was sent there", s.host())
	}
	if at := other.requests(); len(at) != 0 || len(authorizations(s.requests())) != 0 {
		t.Errorf("the other host was asked %v", at)
	}

	c := newClient(s.host())
	c.TokenHosts = map[string][]string{s.host(): {otherHost}}
	if got, err := load(t, c, s.reference(t)); err != nil || string(got) != "files" {
		t.Errorf("%q, %v", got, err)
	}
	if got := authorizations(other.requests()); len(got) != 1 || !strings.HasPrefix(got[0], "Basic ") {
		t.Errorf("the token service was sent %q", got)
	}
	for _, a := range authorizations(s.requests()) {
		if !strings.HasPrefix(a, "Bearer ") {
			t.Errorf("the registry was sent %q", a)
		}
	}
}

func TestTokenService(t *testing.T) {
	c := &Client{TokenHosts: map[string][]string{"registry.gitlab.com": {"gitlab.com", "10.0.0.1"}}}
	for _, test := range []struct{ registry, realm, want string }{
		{"https://ghcr.io", "https://ghcr.io/token", ""},
		{"https://ghcr.io", "https://GHCR.io:443/token", ""},
		{"https://index.docker.io", "https://auth.docker.io/token", ""},
		{"https://ghcr.io", "https://auth.docker.io/token", "another host"},
		{"https://registry.gitlab.com", "https://gitlab.com/jwt/auth", ""},
		{"https://registry.gitlab.com", "https://10.0.0.1/", "is an address"},
		{"https://registry.gitlab.com", "https://x.gitlab.com/jwt/auth", "another host"},
		{"https://ghcr.io", "https://gitlab.com/jwt/auth", "another host"},
		{"https://ghcr.io", "https://ghcr.io:444/token", "another host"},
		{"https://ghcr.io", "http://ghcr.io/token", "not at an https URL"},
		{"https://ghcr.io", "file:///etc/passwd", "names no token service"},
		{"https://ghcr.io", "https://u@ghcr.io/token", "names no token service"},
		{"https://ghcr.io", "", "names no token service"},
		{"http://localhost:5000", "ftp://localhost:5000/", "not at an https URL"},
	} {
		registry, err := url.Parse(test.registry)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.tokenService(registry, test.realm)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s of %s: %v, want %q", test.realm, test.registry, err, test.want)
		}
	}
}

// TestTokenAnswers has a token service that answers with something else, or
// sends its visitors on.
func TestTokenAnswers(t *testing.T) {
	other := newServer(t)
	for want, answer := range map[string]http.HandlerFunc{
		"its answer cannot be used": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"refresh_token":"token-of-today"}`) },
		"gave no token: ":           func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "token-of-today") },
		"status 418":                func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "token-of-today", http.StatusTeapot) },
		"another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"?signature=abc", http.StatusPermanentRedirect)
		},
	} {
		for _, credentials := range []authn.AuthConfig{{Username: "user", Password: "hunter2"}, {IdentityToken: "hunter2"}} {
			s := newServer(t)
			token := "token-of-today"
			withToken(s, s.URL+"/token", &token)
			registry := s.answer
			s.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/token" {
					return registry(w, r)
				}
				answer(w, r)
				return true
			}
			c := newClient("")
			c.Keychain = func(string) (authn.AuthConfig, error) { return credentials, nil }
			_, err := load(t, c, s.reference(t))
			fails(t, err, want)
		}
	}
	if at := other.requests(); len(at) != 0 {
		t.Errorf("the other host was asked %v", at)
	}
}
