package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
)

// guard stands before the transport and lets no request pass to a place where
// none may go, whoever makes it: go-containerregistry tries plain http for
// private addresses and follows redirects of a handshake to any host.
type guard struct{ next http.RoundTripper }

// Guard returns a transport that keeps to the same rules, for clients of
// registries that are not this package's.
func Guard(next http.RoundTripper) http.RoundTripper { return guard{next} }

// networkError is why a request was not answered, in words that no server and
// no library around the guard had a hand in.
type networkError struct{ error }

func (e networkError) Unwrap() error { return e.error }

// strayError says that a handshake was redirected to another host.
type strayError struct{ from, to string }

func (e strayError) Error() string {
	return fmt.Sprintf("%s redirects its handshake to %s, another host", e.from, e.to)
}

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkRequest(req); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, networkError{err}
	}
	resp.Request = req // whose answer it is counts below; not every transport says so
	return resp, nil
}

func checkRequest(req *http.Request) error {
	if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !isLoopback(req.URL.Host)) {
		return networkError{fmt.Errorf("%s is not asked without encryption: plain http is for loopback addresses alone", req.URL.Host)}
	}
	// Set when http.Client follows a redirect. Those of a handshake stay where
	// they are, or its answer is someone else's; send follows the others.
	if from := req.Response; from != nil && origin(from.Request.URL) != origin(req.URL) {
		return strayError{from.Request.URL.Host, req.URL.Host}
	}
	return nil
}

// origin is scheme, host and port, so that two URLs with the same one are at
// the same server.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// maxRedirects is how often one request is sent elsewhere. Registries redirect
// once to their storage, some once more to a mirror.
const maxRedirects = 5

// send asks for something below the repository and follows redirects. The
// session's credentials go to the registry alone.
func (s *session) send(ctx context.Context, method, what string) (*http.Response, error) {
	target := s.base.JoinPath("v2", s.repository, what)
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
		if err != nil {
			return nil, errors.New("the registry's URL cannot be used")
		}
		req.Header.Set("Accept", accepted)
		// Else a gzipped layer could be unpacked on its way, and not be the
		// bytes that were hashed.
		req.Header.Set("Accept-Encoding", "identity")
		if s.authorization != "" && origin(target) == origin(s.base) {
			req.Header.Set("Authorization", s.authorization)
		}
		resp, err := s.transport.RoundTrip(req)
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", target.Host, err)
		}
		location := resp.Header.Get("Location")
		if !isRedirect(resp.StatusCode) || location == "" {
			return resp, nil
		}
		resp.Body.Close()
		if target, err = s.redirect(target, location); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the registry redirects more than %d times", maxRedirects)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect returns where a Location header leads. It may not lead out of
// https, nor from a registry on the network to an address inside it: what
// listens there trusts whoever can reach it. A name that a hostile registry
// gave such an address is not seen here.
func (s *session) redirect(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || to.Host == "" || to.User != nil {
		return nil, fmt.Errorf("%s redirects to a URL that cannot be used", from.Host)
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, fmt.Errorf("%s redirects to %s without encryption", from.Host, to.Host)
	}
	if isInternal(to.Host) && !isInternal(s.base.Host) {
		return nil, fmt.Errorf("%s redirects to the internal address %s", from.Host, to.Host)
	}
	return to, nil
}

// denial says what an answer other than 200 means. Of storage to which the
// registry redirected, only the status: its error pages quote signatures.
func (s *session) denial(resp *http.Response) error {
	if at := resp.Request.URL; origin(at) != origin(s.base) {
		return fmt.Errorf("the registry's storage at %s answers with status %d %s", at.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	detail := registryError(resp.Body)
	switch resp.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%w%s", ErrNotFound, detail)
	case http.StatusUnauthorized, http.StatusForbidden:
		if s.authorization == "" {
			detail += "; no credentials were sent, as none are given for this host"
		}
		return fmt.Errorf("the registry denies access (status %d)%s", resp.StatusCode, detail)
	}
	return fmt.Errorf("the registry answers with status %d %s%s", resp.StatusCode, http.StatusText(resp.StatusCode), detail)
}

// registryError reads the first error out of a registry's answer, in the form
// of the distribution specification, "Error Codes", for the end of a sentence.
func registryError(body io.Reader) string {
	const maxBody, maxText = 64 << 10, 200 // bytes, characters
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil || json.Unmarshal(data, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	text := []rune(answer.Errors[0].Code + " " + answer.Errors[0].Message)
	return ": " + refusal.Printable(string(text[:min(len(text), maxText)]))
}
