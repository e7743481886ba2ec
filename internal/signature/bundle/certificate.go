package bundle

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/trustomize/trustomize/internal/signature"
)

// leafCertificate is a signer's certificate, which may or may not be genuine.
type leafCertificate struct {
	certificate.Summary // in whose name it is
	cert                *x509.Certificate
	fingerprint         string // of its key
}

// by describes whose certificate it is.
func (c *leafCertificate) by() string {
	return printable(c.Issuer + " " + c.SubjectAlternativeName)
}

// parseCertificate reads a certificate in DER. The error is an
// *[signature.Error].
func parseCertificate(der []byte) (*leafCertificate, error) {
	if len(der) > maxPart {
		return nil, signature.Errorf(signature.Malformed, "its certificate has %d bytes, more than the %d allowed", len(der), maxPart)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, failed(signature.Malformed, "its certificate cannot be read", err)
	}
	c, err := summarize(cert)
	if err != nil {
		return nil, failed(signature.Malformed, "its certificate cannot be read", err)
	}
	// sigstore-go knows these kinds of keys only, which keeps a key of a million
	// bits from being tried before its certificate is found to be false.
	if _, err := sigstore.GetDefaultPublicKeyDetails(cert.PublicKey); err != nil {
		return nil, signature.Errorf(signature.Unproven, "its certificate's key is of a kind that is not accepted")
	}
	key, err := signature.NewKey(cert.PublicKey)
	if err != nil {
		return nil, failed(signature.Unproven, "its certificate's key", err)
	}
	c.fingerprint = key.Fingerprint
	// A subject that is neither URI nor e-mail address is one that crypto/x509
	// does not know and marked critical; it was read above.
	cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool {
		return id.Equal(cryptoutils.SANOID)
	})
	return c, nil
}

func summarize(cert *x509.Certificate) (*leafCertificate, error) {
	s, err := certificate.SummarizeCertificate(cert)
	if err != nil {
		return nil, err
	}
	if s.Issuer == "" {
		return nil, errors.New("it names no OIDC issuer")
	}
	for _, text := range []string{s.Issuer, s.SubjectAlternativeName, s.SourceRepositoryURI, s.GithubWorkflowRepository} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, fmt.Errorf("it says %q, which cannot be printed", printable(text))
		}
	}
	return &leafCertificate{Summary: s, cert: cert}, nil
}
