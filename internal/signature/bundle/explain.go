package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/trustomize/trustomize/internal/signature"
)

// explain says why a signature in the right name did not verify. It goes
// through the steps that [verify.Verifier.Verify] takes, in the order that tells
// a person most; what it returns is always an error.
func (t *identityTrust) explain(e *entity, c *leafCertificate, cause error) error {
	if _, err := t.root.chains(c.cert, c.cert.NotBefore); err != nil {
		return failed(signature.Unproven, "its certificate", err)
	}
	key := signature.Key{Public: c.cert.PublicKey, Fingerprint: c.fingerprint}
	if _, err := key.VerifyBytes(e.raw(), e.message); err != nil {
		return signature.Errorf(signature.Mismatch, "was made over other bytes, or with another certificate")
	}
	if err := t.known(e); err != nil {
		return err
	}
	for _, entry := range e.entries {
		if at := entry.IntegratedTime(); !at.IsZero() {
			if err := validAt(c.cert, at); err != nil {
				return err
			}
		}
	}
	logged, err := t.verifier.VerifyTransparencyLogInclusion(e)
	if err != nil {
		return failed(signature.Unproven, "its log entry does not verify, or is of another signature", err)
	}
	times, err := t.verifier.VerifyObserverTimestamps(e, logged)
	if err != nil {
		return failed(signature.Unproven, "no log and no timestamp authority of the trusted root says when it was made", err)
	}
	return t.explainCertificate(c.cert, times, cause)
}

// known checks that there is an entry of a log that counts.
func (t *identityTrust) known(e *entity) error {
	if len(e.entries) == 0 {
		return signature.Errorf(signature.Unproven, "has no log entry; want one of a log of the trusted root")
	}
	for _, entry := range e.entries {
		if t.root.knows(entry.LogKeyID()) {
			return nil
		}
	}
	return signature.Errorf(signature.Unproven, "is logged in %s only, which the trusted root does not hold",
		hex.EncodeToString([]byte(e.entries[0].LogKeyID())))
}

// explainCertificate goes through what depends on a proven time.
func (t *identityTrust) explainCertificate(cert *x509.Certificate, times []verify.TimestampVerificationResult, cause error) error {
	for _, at := range times {
		if err := validAt(cert, at.Timestamp); err != nil {
			return err
		}
		chains, err := t.root.chains(cert, at.Timestamp)
		if err != nil {
			return failed(signature.Unproven, "its certificate, at "+at.Timestamp.UTC().Format(time.RFC3339), err)
		}
		if t.noSCT {
			continue
		}
		if !hasSCT(cert) {
			return signature.Errorf(signature.Unproven, "its certificate is in no certificate log: it has no SCT")
		}
		if err := verify.VerifySignedCertificateTimestamp(chains, 1, t.root.material); err != nil {
			return failed(signature.Unproven, "no certificate log of the trusted root has seen its certificate", err)
		}
	}
	return failed(signature.Unproven, "does not verify", cause)
}

func validAt(cert *x509.Certificate, at time.Time) error {
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return signature.Errorf(signature.Expired, "was made at %s, where its certificate was valid from %s to %s",
			at.UTC().Format(time.RFC3339), cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// oidSCTs is the extension that holds SCTs (RFC 6962, 3.3).
var oidSCTs = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

func hasSCT(cert *x509.Certificate) bool {
	for _, x := range cert.Extensions {
		if x.Id.Equal(oidSCTs) {
			return true
		}
	}
	return false
}

// logged checks once more that the log entries are of this signature and this
// certificate. sigstore-go compares them for Rekor v1 and rebuilds them for v2;
// that this holds for whatever mixture of both a bundle may come up with is not
// left to it alone.
func (e *entity) logged() error {
	for _, entry := range e.entries {
		if !e.isOf(entry) {
			return errors.New("is of another signature")
		}
	}
	return nil
}

func (e *entity) isOf(entry *tlog.Entry) bool {
	return bytes.Equal(entry.Signature(), e.raw()) && e.content.CompareKey(entry.PublicKey(), nil)
}
