package oci

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// session is a repository, and how its registry wants to be talked to.
type session struct {
	transport     http.RoundTripper
	base          *url.URL // scheme and host of the registry
	repository    string
	authorization string // the header for base's host, and no other; "" for none
}

// session returns the session with a reference's repository, and whether it
// has been used before.
func (c *Client) session(ctx context.Context, ref Reference) (s *session, used bool, err error) {
	c.mutex.Lock()
	s, used = c.sessions[ref.Registry+"/"+ref.Repository]
	c.mutex.Unlock()
	if used {
		return s, true, nil
	}
	s, err = c.open(ctx, ref)
	return s, false, err
}

// open asks a registry how it wants to be talked to, and gets a token if that
// is the answer.
func (c *Client) open(ctx context.Context, ref Reference) (*session, error) {
	if c.Transport == nil {
		return nil, errors.New("no HTTP transport was given")
	}
	registry, err := ref.registry()
	if err != nil {
		return nil, err
	}
	s := &session{transport: guard{c.Transport}, base: &url.URL{Scheme: "https", Host: ref.Registry}, repository: ref.Repository}
	challenge, err := transport.Ping(ctx, registry, s.transport)
	if err != nil {
		return nil, fmt.Errorf("the registry does not answer at /v2/: %w", plain(err))
	}
	if challenge.Insecure {
		s.base.Scheme = "http"
	}
	if s.authorization, err = c.authorize(ctx, s, registry, challenge); err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.sessions == nil {
		c.sessions = map[string]*session{}
	}
	c.sessions[ref.Registry+"/"+ref.Repository] = s
	return s, nil
}

// authorize returns the Authorization header that answers a challenge. A
// registry that did not ask gets what Basic would give it: some ask for one
// repository and not for /v2/.
func (c *Client) authorize(ctx context.Context, s *session, registry name.Registry, challenge *transport.Challenge) (string, error) {
	var credentials authn.AuthConfig
	if c.Keychain != nil {
		var err error
		if credentials, err = c.Keychain(s.base.Host); err != nil {
			return "", err
		}
	}
	if credentials.RegistryToken != "" {
		return "Bearer " + credentials.RegistryToken, nil
	}
	switch strings.ToLower(challenge.Scheme) {
	case "bearer":
		return c.token(ctx, s, registry, challenge, credentials)
	case "basic", "":
		return basic(credentials), nil
	}
	return "", errors.New("the registry wants credentials in a way that is neither Basic nor Bearer")
}

func basic(credentials authn.AuthConfig) string {
	if credentials.Username == "" || credentials.Password == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials.Username+":"+credentials.Password))
}

// token exchanges credentials, or none, for a token that reads one repository;
// distribution's docs/spec/auth/token.md and oauth.md.
func (c *Client) token(ctx context.Context, s *session, registry name.Registry, challenge *transport.Challenge, credentials authn.AuthConfig) (string, error) {
	service, err := c.tokenService(s.base, challenge.Parameters["realm"])
	if err != nil {
		return "", err
	}
	scope := "repository:" + s.repository + ":" + transport.PullScope
	answer, err := transport.Exchange(ctx, registry, authn.FromConfig(credentials), s.transport, []string{scope}, challenge)
	if err != nil {
		return "", fmt.Errorf("the token service %s gave no token: %w", service, plain(err))
	}
	return "Bearer " + cmp.Or(answer.Token, answer.AccessToken), nil
}

// tokenService checks the URL to which a registry wants credentials sent, and
// returns its host.
func (c *Client) tokenService(registry *url.URL, realm string) (string, error) {
	u, err := url.Parse(realm)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", errors.New("the registry's challenge names no token service (realm) that can be used")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || registry.Scheme != "http") {
		return "", errors.New("the registry's token service (realm) is not at an https URL")
	}
	host, err := Host(u.Host)
	if err != nil {
		return "", fmt.Errorf("the registry's token service (realm): %w", err)
	}
	known := slices.Contains(c.TokenHosts[registry.Host], host) || registry.Host == dockerHub && host == dockerHubToken
	if host != registry.Host && !known {
		return "", fmt.Errorf("the registry wants credentials taken to another host, the token service %s; nothing was sent there: name it for %s if it is to be trusted with them", host, registry.Host)
	}
	if _, err := netip.ParseAddr(hostname(host)); err == nil && host != registry.Host {
		// go-containerregistry refuses these, some of them, in words of its own.
		return "", fmt.Errorf("the token service %s is an address; away from the registry, only a host's name will do", host)
	}
	return host, nil
}

// plain says what went wrong in a handshake, in words of this package, of the
// network or of HTTP. go-containerregistry's own can quote what a server wrote,
// a refresh token or a redirect's query among it. Of two errors, when https and
// then http were tried, it is that of https, unless plain http was the answer.
func plain(err error) error {
	var stray strayError
	if errors.As(err, &stray) {
		return stray
	}
	var network networkError
	var notTLS tls.RecordHeaderError
	hasNetwork := errors.As(err, &network)
	if hasNetwork && !errors.As(network, &notTLS) {
		return network
	}
	var status *transport.Error
	if errors.As(err, &status) {
		return fmt.Errorf("status %d %s", status.StatusCode, http.StatusText(status.StatusCode))
	}
	if hasNetwork {
		return network
	}
	return errors.New("its answer cannot be used")
}
