package signer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/trustomize/trustomize/internal/rekor"
)

// KeylessConfig says with whose help and in whose name files are signed
// without a key that is kept. All fields are needed.
type KeylessConfig struct {
	Services Services

	// Root is what the services are known by. Nothing is returned that does
	// not verify with it.
	Root root.TrustedMaterial

	// Token returns an identity token, once for each file.
	Token func(ctx context.Context) (string, error)

	// Transport carries requests. It is the one to try again where a server is
	// busy, and to keep cookies or proxies, if so wanted.
	Transport http.RoundTripper
}

// Keyless signs each file with a key that is made for it and forgotten. Fulcio
// certifies that the holder of an identity token had that key; logs and
// timestamp authorities prove when.
type Keyless struct {
	config   KeylessConfig
	verifier *verify.Verifier
}

// Limits of one keyless signature. Rekor v2 answers with its next checkpoint,
// in seconds.
const (
	keylessLimit = 2 * time.Minute
	requestLimit = 30 * time.Second
)

// OpenKeyless checks the configuration. It asks nobody for anything.
func OpenKeyless(config KeylessConfig) (*Keyless, error) {
	switch {
	case config.Root == nil:
		return nil, errors.New("keyless signing needs a trusted root, to check what it gets")
	case config.Token == nil:
		return nil, errors.New("keyless signing needs an identity token")
	case config.Transport == nil:
		return nil, errors.New("keyless signing needs an HTTP transport")
	}
	if err := config.Services.check(); err != nil {
		return nil, fmt.Errorf("keyless signing: %w", err)
	}
	verifier, err := newVerifier(config.Root, config.Services)
	if err != nil {
		return nil, err
	}
	return &Keyless{config, verifier}, nil
}

// newVerifier wants from a bundle what the services are to give: an entry of
// each log, a timestamp of each authority, and where there is none the logs'
// own time; and a signed certificate timestamp if the root knows a CT log.
func newVerifier(material root.TrustedMaterial, s Services) (*verify.Verifier, error) {
	options := []verify.VerifierOption{verify.WithTransparencyLog(len(s.Rekor))}
	if len(s.Timestamp) > 0 {
		options = append(options, verify.WithSignedTimestamps(len(s.Timestamp)))
	} else {
		options = append(options, verify.WithIntegratedTimestamps(1))
	}
	if len(material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return verify.NewVerifier(material, options...)
}

// SignFile returns a Sigstore bundle. The file's signer is the identity in the
// certificate and, in parentheses, who vouched for it.
func (k *Keyless) SignFile(ctx context.Context, message []byte) (File, error) {
	return k.sign(ctx, &sign.PlainData{Data: message}, verify.WithArtifact(bytes.NewReader(message)))
}

// SignStatement is [Keyless.SignFile] for an in-toto statement in a DSSE envelope.
func (k *Keyless) SignStatement(ctx context.Context, payloadType string, statement []byte) (File, error) {
	// What the envelope holds is what was put there; the statement's subject is no
	// file of ours.
	return k.sign(ctx, &sign.DSSEData{Data: statement, PayloadType: payloadType}, verify.WithoutArtifactUnsafe())
}

func (k *Keyless) sign(ctx context.Context, content sign.Content, artifact verify.ArtifactPolicyOption) (File, error) {
	ctx, cancel := context.WithTimeout(ctx, keylessLimit)
	defer cancel()
	token, err := k.config.Token(ctx)
	if err != nil {
		return File{}, fmt.Errorf("identity token: %w", err)
	}
	options, err := k.options(ctx, strings.TrimSpace(token))
	if err != nil {
		return File{}, fmt.Errorf("keyless signing: %w", err)
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return File{}, err
	}
	pb, err := sign.Bundle(content, pair, options)
	if err != nil {
		return File{}, fmt.Errorf("keyless signing: %w", err)
	}
	data, err := marshalBundle(pb)
	if err != nil {
		return File{}, err
	}
	identity, err := k.verify(data, artifact)
	if err != nil {
		return File{}, fmt.Errorf("keyless signing: what %s and the other services gave does not verify with the trusted root: %w", k.config.Services.Fulcio, err)
	}
	return File{Data: data, Bundle: true, Signer: identity}, nil
}

// options are for one signature: the clients hold its context.
func (k *Keyless) options(ctx context.Context, token string) (sign.BundleOptions, error) {
	transport := successful{ctx, k.config.Transport}
	options := sign.BundleOptions{
		Context:                    ctx,
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(k.config.Services.Fulcio, "/"), Timeout: requestLimit, Transport: transport}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, authority := range k.config.Services.Timestamp {
		options.TimestampAuthorities = append(options.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: authority, Timeout: requestLimit, Transport: transport}))
	}
	client := &http.Client{
		Transport: k.config.Transport, Timeout: requestLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, log := range k.config.Services.Rekor {
		log, err := rekor.New(log.URL, log.Version, client)
		if err != nil {
			return options, err
		}
		options.TransparencyLogs = append(options.TransparencyLogs, log)
	}
	return options, nil
}

// verify checks a bundle with nothing but the trusted root, and returns the
// identity in its certificate. Which identity that should be is its reader's to
// say.
func (k *Keyless) verify(data []byte, artifact verify.ArtifactPolicyOption) (string, error) {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return "", err
	}
	result, err := k.verifier.Verify(&b, verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return "", err
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return "", errors.New("there is no certificate")
	}
	c := result.Signature.Certificate
	return fmt.Sprintf("%s (%s)", c.SubjectAlternativeName, c.Issuer), nil
}

// marshalBundle returns a bundle's JSON. protojson varies its white space on
// purpose, so that is taken out.
func marshalBundle(pb *protobundle.Bundle) ([]byte, error) {
	loose, err := protojson.Marshal(pb)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Compact(&b, loose)
	b.WriteByte('\n')
	return b.Bytes(), err
}

// successful returns answers that say success, and makes errors of all others.
// sigstore-go's clients for Fulcio and timestamps would follow redirects, print
// whole error pages and not stop when the context does.
type successful struct {
	ctx  context.Context // of the signature; it ends when that is made
	next http.RoundTripper
}

func (s successful) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	context.AfterFunc(s.ctx, cancel)
	resp, err := s.next.RoundTrip(req.WithContext(ctx))
	if err != nil || resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		return resp, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxForeign))
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("status %s: %s", resp.Status, shorten(string(text)))
}
