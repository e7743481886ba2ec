package resolver

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/trustomize/trustomize/internal/archive"
	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/policy"
)

// Credentials are chosen by the identity of the place that is asked, which a
// mirror may have put in place of the source's own.

func (r *run) timeout() time.Duration { return time.Duration(r.cfg.Policy.Spec.Limits.FetchTimeout) }

func (r *run) secret(s *policy.Secret) (string, error) {
	return r.cfg.Policy.ReadSecret(s, r.cfg.LookupEnv)
}

// authorization returns an Authorization header's value for an http or https
// place, or "".
func (r *run) authorization(c *policy.Credential) (string, error) {
	switch {
	case c.Basic != nil:
		password, err := r.secret(c.Basic.Password)
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.Username+":"+password)), err
	case c.Bearer != nil:
		token, err := r.secret(c.Bearer)
		return "Bearer " + token, err
	}
	return "", nil
}

// gitAccess returns what lets git in at a location.
func (r *run) gitAccess(location string) (git.Access, error) {
	u, err := giturl.ParseRepository(location)
	if err != nil {
		return git.Access{}, nil //nolint:nilerr // a directory, or a URL without an identity: nothing is offered
	}
	c, ok := r.cfg.Policy.CredentialFor(u.Identity)
	if !ok {
		return r.cfg.Askpass.offer(u), nil
	}
	var a git.Access
	if u.Scheme != "ssh" {
		a.Helper = c.Helper
		a.Header, err = r.authorization(c)
		return a, err
	}
	if c.SSH == nil {
		return a, nil
	}
	if a.SSHKey, err = r.file(c.SSH.Key); err == nil {
		a.KnownHosts, err = r.file(c.SSH.KnownHosts)
	}
	return a, err
}

// file returns the absolute path of a file that a credential names.
func (r *run) file(ref *policy.FileRef) (string, error) {
	if ref == nil {
		return "", nil
	}
	p, err := r.cfg.Policy.AbsolutePath(ref.File)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("credential: %w", err)
	}
	return p, nil
}

// httpClient returns a client for one http or https location. Its credentials
// go to that scheme and host alone, wherever redirects lead.
func (r *run) httpClient(location string) (*http.Client, error) {
	_, rest := splitGetter(location)
	u, err := url.Parse(rest)
	if err != nil {
		return nil, errors.New("not a URL to get a file from")
	}
	transport := r.cfg.HTTP
	if id, err := identity.New(strings.ToLower(u.Scheme), u.Host, u.EscapedPath()); err == nil {
		if c, ok := r.cfg.Policy.CredentialFor(id); ok {
			header, err := r.authorization(c)
			if err != nil {
				return nil, err
			}
			transport = &authorized{transport, u.Scheme, u.Host, header}
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: r.checkRedirect}, nil
}

func splitGetter(location string) (getter, rest string) {
	if getter, rest, ok := strings.Cut(location, "::"); ok {
		return getter, rest
	}
	return "", location
}

// authorized adds a header for exactly one scheme and host.
type authorized struct {
	http.RoundTripper
	scheme, host, header string
}

func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.header != "" && req.URL.Scheme == a.scheme && req.URL.Host == a.host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", a.header)
	}
	return a.RoundTripper.RoundTrip(req)
}

func (r *run) checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // its query may be a secret
	limit := *r.cfg.Policy.Spec.Limits.Redirects
	if len(via) > limit {
		return fmt.Errorf("more than %d redirects; the policy's spec.limits.redirects sets this limit", limit)
	}
	if req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return errors.New("an https server redirects to " + req.URL.Scheme)
	}
	return nil
}

// store returns the key for a bucket. Without a credential nothing is asked: the
// client's own would go to whatever host a reference names. A nil key has the
// client use what it finds in the environment, as the policy says.
func (r *run) store(location string) (*archive.S3Credentials, error) {
	getter, rest := splitGetter(location)
	if getter == "" {
		return nil, nil
	}
	u, err := url.Parse(rest)
	if err != nil {
		return nil, errors.New("not a URL to get an archive from")
	}
	id, err := identity.New(u.Scheme, u.Host, u.EscapedPath())
	if err != nil {
		return nil, err
	}
	c, ok := r.cfg.Policy.CredentialFor(id)
	switch {
	case ok && getter == "gcs" && c.GCS != nil && c.GCS.Environment:
		return nil, nil
	case !ok || getter != "s3" || c.S3 == nil:
		return nil, fmt.Errorf("no credential of the policy is for this bucket; spec.credentials with %s is wanted", getter)
	case c.S3.Environment && !strings.HasSuffix(u.Hostname(), ".amazonaws.com"):
		return nil, errors.New("the environment's credentials are for AWS, and this is another host")
	case c.S3.Environment:
		return nil, nil
	}
	return r.s3Key(c.S3)
}

func (r *run) s3Key(access *policy.S3Access) (*archive.S3Credentials, error) {
	var keys archive.S3Credentials
	for _, one := range []struct {
		secret *policy.Secret
		into   *string
	}{{access.AccessKeyID, &keys.AccessKeyID}, {access.SecretAccessKey, &keys.SecretAccessKey}, {access.SessionToken, &keys.SessionToken}} {
		if one.secret == nil {
			continue
		}
		var err error
		if *one.into, err = r.secret(one.secret); err != nil {
			return nil, err
		}
	}
	return &keys, nil
}

// registry returns the client for an artifact's repository, one in a run: it
// keeps what the registry gave it for an entry.
func (r *run) registry(ref oci.Reference) (*oci.Client, error) {
	name := ref.Registry + "/" + ref.Repository
	r.mu.Lock()
	defer r.mu.Unlock()
	if client, ok := r.registries[name]; ok {
		return client, nil
	}
	client, err := r.newRegistry(ref)
	if err == nil {
		r.registries[name] = client
	}
	return client, err
}

func (r *run) newRegistry(ref oci.Reference) (*oci.Client, error) {
	return RegistryClient(r.cfg.Policy, ref, r.cfg.HTTP)
}

// RegistryClient returns a client with the credentials that a policy has for a
// repository.
func RegistryClient(p *policy.Policy, ref oci.Reference, transport http.RoundTripper) (*oci.Client, error) {
	client := &oci.Client{Transport: transport}
	id, err := identity.New("oci", ref.Registry, ref.Repository)
	if err != nil {
		return nil, err
	}
	c, ok := p.CredentialFor(id)
	if !ok || c.RegistryConfig == nil {
		return client, nil
	}
	data, err := os.ReadFile(p.Path(c.RegistryConfig.File))
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	keychain, err := oci.LoadConfig(data)
	if err != nil {
		return nil, err
	}
	client.Keychain = func(registry string) (authn.AuthConfig, error) {
		if registry != ref.Registry {
			return authn.AuthConfig{}, nil
		}
		return keychain(registry)
	}
	client.TokenHosts = map[string][]string{}
	for _, host := range c.RegistryConfig.TokenHosts {
		if host, err = oci.Host(host); err != nil {
			return nil, fmt.Errorf("tokenHosts: %w", err)
		}
		client.TokenHosts[ref.Registry] = append(client.TokenHosts[ref.Registry], host)
	}
	return client, nil
}
