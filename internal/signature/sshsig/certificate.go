package sshsig

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// lastSecond is the end of the year 9999. Later times are refused: they cannot
// be written, and overflow when they are compared.
const lastSecond = 253402300799

// checkCertificate checks that a certificate is a user's, and signed by the
// authority that it names. Whether that is one to trust, and whose principals
// at what time, is not checked here.
func checkCertificate(c *ssh.Certificate) *signature.Error {
	switch {
	case c.CertType != ssh.UserCert:
		return signature.Errorf(signature.Stranger, "was made with a certificate of type %d, where a user's (%d) is wanted", c.CertType, ssh.UserCert)
	case len(c.ValidPrincipals) == 0:
		return signature.Errorf(signature.Stranger, "was made with a certificate that names no principal")
	case len(c.CriticalOptions) > 0:
		// PROTOCOL.certkeys: who does not honour such an option must refuse. None
		// of those that are defined can be honoured here.
		return signature.Errorf(signature.Stranger, "was made with a certificate that is limited by the critical option %q",
			shorten(slices.Min(slices.Collect(maps.Keys(c.CriticalOptions)))))
	case c.ValidAfter > lastSecond, c.ValidBefore > lastSecond && c.ValidBefore != ssh.CertTimeInfinity, c.ValidAfter >= c.ValidBefore:
		return signature.Errorf(signature.Malformed, "was made with a certificate that is valid from %d to %d, which is no time", c.ValidAfter, c.ValidBefore)
	}
	if err := CheckKey(c.Key); err != nil {
		return signature.Errorf(signature.Stranger, "was made with a certificate whose key is refused: %v", err)
	}
	if err := checkAuthority(c); err != nil {
		return signature.Errorf(signature.Stranger, "was made with a certificate that %s did not sign: %v", ssh.FingerprintSHA256(c.SignatureKey), err)
	}
	return nil
}

func checkAuthority(c *ssh.Certificate) error {
	if err := checkAlgorithm(c.SignatureKey, c.Signature); err != nil {
		return err
	}
	// Time and principal are judged elsewhere: any that the certificate itself
	// names will do.
	from := time.Unix(int64(c.ValidAfter), 0)
	checker := ssh.CertChecker{Clock: func() time.Time { return from }}
	return checker.CheckCert(c.ValidPrincipals[0], c)
}

// validity returns when a certificate that was checked begins and ends to be
// valid; zero is always and never.
func validity(c *ssh.Certificate) (from, until time.Time) {
	if c.ValidAfter != 0 {
		from = time.Unix(int64(c.ValidAfter), 0).UTC()
	}
	if c.ValidBefore != ssh.CertTimeInfinity {
		until = time.Unix(int64(c.ValidBefore), 0).UTC()
	}
	return from, until
}

// principal returns the first of a certificate's principals that the line
// accepts: it matches the line's patterns and is one of the names that alone
// count, where there are such.
func (l *line) principal(c *ssh.Certificate) (string, bool) {
	for _, p := range c.ValidPrincipals {
		if printable(p) && l.principals.match(p) && (l.names == nil || slices.Contains(l.names, p)) {
			return p, true
		}
	}
	return "", false
}

// principals shows those of a certificate.
func principals(c *ssh.Certificate) string {
	first := fmt.Sprintf("%q", shorten(c.ValidPrincipals[0]))
	if more := len(c.ValidPrincipals) - 1; more > 0 {
		return fmt.Sprintf("%s and %d more", first, more)
	}
	return first
}
