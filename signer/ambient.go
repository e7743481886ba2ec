package signer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/cosign/v2/pkg/cosign/env"
	"github.com/sigstore/cosign/v2/pkg/providers"
	_ "github.com/sigstore/cosign/v2/pkg/providers/envvar"     // SIGSTORE_ID_TOKEN
	_ "github.com/sigstore/cosign/v2/pkg/providers/filesystem" // /var/run/sigstore/cosign/oidc-token
)

// Audience is what Fulcio wants an identity token to be made for.
const Audience = "sigstore"

// AmbientToken returns the identity token that the surroundings offer, as
// cosign finds it: in the variable SIGSTORE_ID_TOKEN, in the file
// /var/run/sigstore/cosign/oidc-token, or from GitHub Actions in a job with
// the permission "id-token: write". The first that is there decides, whether
// its token is good or not. A token is not verified here; Fulcio does that.
//
// The transport is for GitHub Actions. cosign's own provider for it uses
// http.DefaultClient, takes any answer for a token and prints to standard error.
func AmbientToken(ctx context.Context, transport http.RoundTripper) (string, error) {
	for _, name := range []string{"envvar", "filesystem"} {
		p, err := providers.ProvideFrom(ctx, name)
		if err != nil {
			return "", err
		}
		if p.Enabled(ctx) {
			token, err := p.Provide(ctx, Audience)
			return checkToken(name, token, err)
		}
	}
	endpoint, key := env.Getenv(env.VariableGitHubRequestURL), env.Getenv(env.VariableGitHubRequestToken)
	if endpoint == "" || key == "" {
		return "", errors.New("there is no identity token: neither SIGSTORE_ID_TOKEN nor a file /var/run/sigstore/cosign/oidc-token, and this is no GitHub Actions job with the permission id-token: write")
	}
	token, err := githubToken(ctx, transport, endpoint, key)
	return checkToken("GitHub Actions", token, err)
}

// checkToken refuses what cannot be a signed JWT (RFC 7519: three parts in
// base64url, joined by dots), without showing it.
func checkToken(from, token string, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	token = strings.TrimSpace(token)
	if strings.Count(token, ".") != 2 || strings.ContainsFunc(token, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", r)
	}) {
		return "", fmt.Errorf("%s: what is there is no identity token", from)
	}
	return token, nil
}

// Bounds on GitHub's answer.
const (
	tokenLimit = 30 * time.Second
	maxToken   = 1 << 20 // bytes
)

// githubToken asks for a token as GitHub's documentation on OpenID Connect in
// Actions has it: a GET of the URL in ACTIONS_ID_TOKEN_REQUEST_URL with
// &audience=, and ACTIONS_ID_TOKEN_REQUEST_TOKEN as bearer token.
func githubToken(ctx context.Context, transport http.RoundTripper, endpoint, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenLimit)
	defer cancel()
	u, err := url.Parse(endpoint)
	if err != nil || !secret(endpoint) {
		return "", fmt.Errorf("%s: want an https URL", env.VariableGitHubRequestURL)
	}
	query := u.Query()
	query.Set("audience", Audience)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("%s: want an https URL", env.VariableGitHubRequestURL)
	}
	req.Header.Set("Authorization", "bearer "+key)
	resp, err := successful{ctx, transport}.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer); err != nil {
		return "", fmt.Errorf("its answer is malformed: %w", err)
	}
	return answer.Value, nil
}
