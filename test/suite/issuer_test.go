package suite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/rogpeppe/go-internal/testscript"
)

// issuer vouches for identities: an OpenID Connect provider on loopback that
// gives out tokens for whatever it is told, and no other way. It is two issuers,
// because Fulcio makes of each issuer's claims one kind of certificate.
type issuer struct {
	server *httptest.Server
	key    *ecdsa.PrivateKey
}

// The issuers' paths.
const (
	people = "/people" // identities are e-mail addresses
	ci     = "/ci"     // identities are workflows, claims as GitHub Actions has them
)

func startIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	for _, path := range []string{people, ci} {
		mux.HandleFunc(path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{
				"issuer": i.url(path), "jwks_uri": i.server.URL + "/keys",
				"authorization_endpoint": i.server.URL + "/none", "token_endpoint": i.server.URL + "/none",
				"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
				"id_token_signing_alg_values_supported": []string{"ES256"},
			})
		})
	}
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	i.server = httptest.NewServer(mux)
	return i, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// url is what one of the issuers is called.
func (i *issuer) url(path string) string { return i.server.URL + path }

// token mints a token that is good for ten minutes. Claims go over those that
// every token of the issuer has; exp is a duration from now.
func (i *issuer) token(path string, claims map[string]string) (string, error) {
	now := time.Now()
	all := map[string]any{"iss": i.url(path), "aud": "sigstore", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	switch path {
	case people:
		all["sub"], all["email_verified"] = "1", true
	case ci:
		maps.Copy(all, workflowClaims(claims))
	default:
		return "", fmt.Errorf("there is no issuer %q", path)
	}
	for name, value := range claims {
		if name == "exp" {
			after, err := time.ParseDuration(value)
			if err != nil {
				return "", err
			}
			all[name] = now.Add(after).Unix()
			continue
		}
		all[name] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", "1").WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(all).Serialize()
}

// workflowClaims are what a job of GitHub Actions has in its token (GitHub's
// OpenID Connect reference), for the repository and ref among the claims.
func workflowClaims(claims map[string]string) map[string]any {
	get := func(name, otherwise string) string {
		if v, ok := claims[name]; ok {
			return v
		}
		return otherwise
	}
	repository, ref := get("repository", "acme/app"), get("ref", "refs/heads/main")
	owner, _, _ := strings.Cut(repository, "/")
	commit := strings.Repeat("1", 40)
	workflow := repository + "/.github/workflows/sign.yaml@" + ref
	return map[string]any{
		"sub": "repo:" + repository + ":ref:" + ref, "repository": repository, "repository_owner": owner,
		"repository_id": "1", "repository_owner_id": "2", "repository_visibility": "public",
		"ref": ref, "sha": commit, "event_name": "push", "runner_environment": "github-hosted",
		"workflow": "sign", "workflow_ref": workflow, "workflow_sha": commit,
		"job_workflow_ref": workflow, "job_workflow_sha": commit, "run_id": "3", "run_attempt": "1",
	}
}

// mintToken is the command idtoken people|ci [CLAIM=VALUE...] FILE, after
// sigstore.
func mintToken(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: idtoken people|ci [CLAIM=VALUE...] FILE")
	}
	s, err := sigstoreServers()
	ts.Check(err)
	claims := map[string]string{}
	for _, arg := range args[1 : len(args)-1] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("idtoken: want CLAIM=VALUE, not %q", arg)
		}
		claims[name] = value
	}
	token, err := s.issuer.token("/"+args[0], claims)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[len(args)-1]), []byte(token), 0o600))
}
