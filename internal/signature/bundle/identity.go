package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/trustomize/trustomize/internal/signature"
)

// Identity is who may sign: a subject, by the word of an OIDC issuer. Of each
// pair exactly one is given. Patterns are Go's regular expressions and match the
// whole text, whether or not they are anchored.
type Identity struct {
	Issuer  string // an OIDC issuer's URL
	Subject string // as in the certificate: an e-mail address, a URI of a workflow or a workload

	IssuerRegExp  string
	SubjectRegExp string

	// NoSCT takes certificates that no certificate log has seen. For private
	// instances of Fulcio without such a log.
	NoSCT bool
}

// identityTrust is an identity, and who attests it.
type identityTrust struct {
	text     string
	match    verify.CertificateIdentity
	noSCT    bool
	root     *Root
	verifier *verify.Verifier
}

// NewIdentity returns a trust in the signatures of an identity: Sigstore bundles
// and legacy ones with a certificate and, on commits and tags, gitsign's CMS.
//
// The root's authorities must have issued the certificate, one of its
// certificate logs have seen it, and one of its logs the signature. The
// certificate must have been valid at each time that a log or timestamp
// authority of the root gives, and there must be one; the earliest is
// [signature.Evidence.Proven]. Every log entry must be of this signature, also
// one of a log that the root does not hold.
func NewIdentity(id Identity, root *Root) (signature.Trust, error) {
	if root == nil {
		return nil, errors.New("an identity wants a trusted root")
	}
	roles := []Role{CertificateAuthority, SignatureLog}
	if !id.NoSCT {
		roles = append(roles, CertificateLog)
	}
	for _, role := range roles {
		if err := root.lacks(role); err != nil {
			return nil, err
		}
	}
	issuerPattern, err := pattern("issuer", id.Issuer, id.IssuerRegExp)
	if err != nil {
		return nil, err
	}
	subjectPattern, err := pattern("subject", id.Subject, id.SubjectRegExp)
	if err != nil {
		return nil, err
	}
	t := &identityTrust{text: id.String(), noSCT: id.NoSCT, root: root}
	if t.match, err = verify.NewShortCertificateIdentity(id.Issuer, issuerPattern, id.Subject, subjectPattern); err != nil {
		return nil, err
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)}
	if !id.NoSCT {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	t.verifier, err = verify.NewVerifier(root.material, options...)
	return t, err
}

// pattern anchors a regular expression. It is compiled by itself first: what
// closes a bracket that it did not open would otherwise leave the anchors.
func pattern(what, exact, expr string) (string, error) {
	switch {
	case (exact == "") == (expr == ""):
		return "", fmt.Errorf("want exactly one of an %s and a pattern for it", what)
	case expr == "":
		return "", nil
	}
	if _, err := regexp.Compile(expr); err != nil {
		return "", fmt.Errorf("the pattern for the %s: %w", what, err)
	}
	return "^(?:" + expr + ")$", nil
}

// String describes the identity: issuer and subject, patterns between slashes.
func (id Identity) String() string {
	show := func(exact, expr string) string {
		if exact == "" {
			return "/" + expr + "/"
		}
		return exact
	}
	return printable(show(id.Issuer, id.IssuerRegExp) + " " + show(id.Subject, id.SubjectRegExp))
}

func (t *identityTrust) String() string { return t.text }

// Keys returns nothing: a key is made anew for each signature.
func (t *identityTrust) Keys() []signature.KeyInfo { return nil }

func (t *identityTrust) Verify(sig signature.Signature, message []byte, when signature.When) (signature.Evidence, error) {
	var evidence signature.Evidence
	var err error
	switch {
	case sig.Kind == signature.Bundle, sig.Kind == signature.LegacyBundle:
		evidence, err = t.verifyBundle(sig, message)
	case sig.Kind == signature.CMS && when.Git:
		evidence, err = t.verifyCMS(sig.Data, message)
	case sig.Kind == signature.CMS:
		err = signature.Errorf(signature.OtherKind, "a CMS signature, which counts on commits and tags only")
	default:
		err = signature.Errorf(signature.OtherKind, "a signature of kind %s, where an identity makes bundles", sig.Kind)
	}
	if err != nil {
		return signature.Evidence{}, err
	}
	evidence.Kind, evidence.Digest = sig.Kind, signature.DigestOf(message)
	return evidence, nil
}

func (t *identityTrust) verifyBundle(sig signature.Signature, message []byte) (signature.Evidence, error) {
	pb, err := parse(sig)
	if err != nil {
		return signature.Evidence{}, err
	}
	der := leafOf(pb)
	if der == nil {
		return signature.Evidence{}, &signature.Error{Reason: signature.Stranger, Text: "was made with a key, where an identity's certificate is wanted", By: "a key"}
	}
	c, err := parseCertificate(der)
	if err != nil {
		return signature.Evidence{}, err
	}
	if err := t.recognize(c); err != nil {
		return signature.Evidence{}, err
	}
	return t.verify(pb, message, c)
}

// recognize checks that a certificate is in the name of the identity. Whether it
// is genuine is another question, asked afterwards.
func (t *identityTrust) recognize(c *leafCertificate) error {
	if err := t.match.Verify(c.Summary); err != nil {
		return &signature.Error{Reason: signature.Stranger, Text: "was made by " + c.by() + ", not by " + t.text, By: c.by()}
	}
	return nil
}

// verify is the one path to a verdict: all that has a certificate comes here, in
// the form of a Sigstore bundle.
func (t *identityTrust) verify(pb *protobundle.Bundle, message []byte, c *leafCertificate) (signature.Evidence, error) {
	e, err := newEntity(pb, message, bundle.NewCertificate(c.cert))
	if err != nil {
		return signature.Evidence{}, err
	}
	policy := verify.NewPolicy(verify.WithArtifact(bytes.NewReader(message)), verify.WithCertificateIdentity(t.match))
	result, err := t.verifier.Verify(e, policy)
	if err != nil {
		return signature.Evidence{}, t.explain(e, c, err)
	}
	if err := e.logged(); err != nil {
		return signature.Evidence{}, failed(signature.Unproven, "its log entry", err)
	}
	return t.evidence(c, earliest(result.VerifiedTimestamps))
}

func earliest(all []verify.TimestampVerificationResult) time.Time {
	var first time.Time
	for _, at := range all {
		if first.IsZero() || at.Timestamp.Before(first) {
			first = at.Timestamp
		}
	}
	return first
}

// evidence is called for a certificate that verified. All authorities of all its
// chains vouch for it, so revoking any revokes it.
func (t *identityTrust) evidence(c *leafCertificate, proven time.Time) (signature.Evidence, error) {
	chains, err := t.root.chains(c.cert, proven)
	if err != nil {
		return signature.Evidence{}, failed(signature.Unproven, "its certificate", err)
	}
	evidence := signature.Evidence{
		Fingerprint: c.fingerprint,
		Identity:    c.SubjectAlternativeName,
		Issuer:      c.Issuer,
		Repository:  repository(c.Extensions),
		Proven:      proven,
	}
	seen := map[string]bool{}
	for _, chain := range chains {
		for _, ca := range chain[1:] {
			key, err := signature.NewKey(ca.PublicKey)
			if err != nil {
				return signature.Evidence{}, failed(signature.Unproven, "its certificate's authority", err)
			}
			if !seen[key.Fingerprint] {
				seen[key.Fingerprint] = true
				evidence.Above = append(evidence.Above, key.Fingerprint)
			}
		}
	}
	return evidence, nil
}

// githubIssuer is GitHub Actions' OIDC issuer.
const githubIssuer = "https://token.actions.githubusercontent.com"

// repository returns the repository that a CI's certificate names (Fulcio's
// oid-info.md): SourceRepositoryURI, 1.3.6.1.4.1.57264.1.12, or from before that
// existed GithubWorkflowRepository, 1.3.6.1.4.1.57264.1.5, which has owner and
// name.
func repository(x certificate.Extensions) string {
	switch {
	case x.SourceRepositoryURI != "":
		return x.SourceRepositoryURI
	case x.Issuer != githubIssuer && !strings.HasPrefix(x.Issuer, githubIssuer+"/"):
		return ""
	}
	// An enterprise's issuer ends in its name. A certificate of GitHub's that names
	// no repository is for none: what is not empty fits nothing.
	return "https://github.com/" + x.GithubWorkflowRepository
}
