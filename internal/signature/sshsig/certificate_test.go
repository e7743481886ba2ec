package sshsig

import (
	"crypto/elliptic"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

func TestCertificates(t *testing.T) {
	alice, authority, other := newEd25519(t), newECDSA(t, elliptic.P384()), newEd25519(t)
	ca := " cert-authority " + authorized(authority.PublicKey())
	for _, c := range []struct {
		name, file string
		names      []string
		by         ssh.Signer
		change     func(*ssh.Certificate)
		want       signature.Reason
		identity   string // or what the error says
	}{
		{"good", "alice" + ca, nil, authority, nil, -1, "alice"},
		{"pattern", "*" + ca, nil, authority, nil, -1, "alice"},
		{"named", "*" + ca, []string{"alice"}, authority, nil, -1, "alice"},
		{"second principal", "b*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"alice", "bob"} }, -1, "bob"},
		{"named second", "*" + ca, []string{"carol", "bob"}, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"alice", "bob"} }, -1, "bob"},
		{"another principal", "bob" + ca, nil, authority, nil, signature.Stranger, `for "alice", where bob`},
		{"another name", "*" + ca, []string{"bob"}, authority, nil, signature.Stranger, `for "alice", where bob`},
		{"principal taken out", "*,!alice" + ca, nil, authority, nil, signature.Stranger, "alice"},
		{"wildcard principal", "bob" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} }, signature.Stranger, `"*"`},
		{"principal that cannot be shown", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"a\nb"} }, signature.Stranger, `"a\nb"`},
		{"no principal", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidPrincipals = nil }, signature.Stranger, "no principal"},
		{"another authority", "*" + ca, nil, other, nil, signature.Stranger, ssh.FingerprintSHA256(other.PublicKey())},
		{"host certificate", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, signature.Stranger, "type 2"},
		{"type 0", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.CertType = 0 }, signature.Stranger, "type 0"},
		{"critical option", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "x"} }, signature.Stranger, "force-command"},
		{"extension", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} }, -1, "alice"},
		{"namespace", `* namespaces="git",cert-authority ` + authorized(authority.PublicKey()), nil, authority, nil, signature.Stranger, "git only"},
		{"expired line", `* cert-authority,valid-before="20240101" ` + authorized(authority.PublicKey()), nil, authority, nil, -1, "alice"},
		{"never valid", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter }, signature.Malformed, "no time"},
		{"begins beyond time", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 1<<63+5, ssh.CertTimeInfinity }, signature.Malformed, "no time"},
		{"ends beyond time", "*" + ca, nil, authority, func(c *ssh.Certificate) { c.ValidBefore = 1<<63 + 5 }, signature.Malformed, "no time"},
	} {
		key := certified{alice, certify(t, alice, c.by, c.change)}
		e, err := verify(parse(t, c.file, c.names...), sign(t, key, NamespaceFile), signature.When{Now: now})
		if got := reasonOf(t, err); got != c.want || err != nil && !strings.Contains(err.Error(), c.identity) {
			t.Errorf("%s: reason %d, %v; want %d, %q", c.name, got, err, c.want, c.identity)
		}
		if err != nil {
			continue
		}
		if e.Identity != c.identity || e.Fingerprint != ssh.FingerprintSHA256(alice.PublicKey()) || len(e.Above) != 1 || e.Above[0] != ssh.FingerprintSHA256(authority.PublicKey()) {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

func TestCertificateKeys(t *testing.T) {
	authority := newEd25519(t)
	ca := parse(t, "alice cert-authority "+authorized(authority.PublicKey()))
	for name, c := range map[string]struct {
		key  ssh.Signer
		want signature.Reason
	}{
		"P-256":               {newECDSA(t, elliptic.P256()), -1},
		"RSA of 2048 bits":    {withAlgorithm{newRSA(t, rsa2048), ssh.KeyAlgoRSASHA256}, -1},
		"RSA of 1024 bits":    {withAlgorithm{newRSA(t, rsa1024), ssh.KeyAlgoRSASHA256}, signature.Stranger},
		"security key":        {securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, userPresent}, -1},
		"untouched":           {securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, 0}, signature.Mismatch},
		"security key, P-256": {securityKey{newECDSA(t, elliptic.P256()), ssh.KeyAlgoSKECDSA256, userPresent}, -1},
	} {
		key := certified{c.key, certify(t, c.key, authority, nil)}
		_, err := verify(ca, sign(t, key, NamespaceFile), signature.When{Now: now})
		if got := reasonOf(t, err); got != c.want {
			t.Errorf("%s: reason %d, want %d: %v", name, got, c.want, err)
		}
	}
}

// TestCertificateValidity joins the certificate's time, the year 2024, with
// the line's.
func TestCertificateValidity(t *testing.T) {
	alice, authority := newEd25519(t), newEd25519(t)
	sig := sign(t, certified{alice, certify(t, alice, authority, nil)}, NamespaceFile)
	endless := sign(t, certified{alice, certify(t, alice, authority, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity })}, NamespaceFile)
	none := time.Time{}
	for _, c := range []struct {
		name, options string
		sig           []byte
		now, claimed  time.Time
		want          signature.Reason
		expires       time.Time
	}{
		{"within", "", sig, now, none, -1, date(2025, 1, 1)},
		{"before", "", sig, date(2023, 6, 1), none, signature.Expired, none},
		{"after", "", sig, date(2026, 6, 1), none, -1, date(2025, 1, 1)},
		{"after, claimed within", "", sig, date(2026, 6, 1), now, -1, date(2025, 1, 1)},
		{"after, claimed after", "", sig, date(2026, 6, 1), date(2025, 6, 1), signature.Expired, none},
		{"claimed at the end", "", sig, date(2026, 6, 1), date(2025, 1, 1), signature.Expired, none},
		{"line ends first", `,valid-before="20240701"`, sig, now, none, -1, date(2024, 7, 1)},
		{"line ends first, claimed between", `,valid-before="20240701"`, sig, date(2024, 9, 1), date(2024, 8, 1), signature.Expired, none},
		{"line ends last", `,valid-before="20260701"`, sig, now, none, -1, date(2025, 1, 1)},
		{"line begins last", `,valid-after="20240701"`, sig, now, none, signature.Expired, none},
		{"line begins first", `,valid-after="20200701"`, sig, date(2023, 1, 1), none, signature.Expired, none},
		{"endless", "", endless, now, none, -1, none},
		{"endless, line ends", `,valid-before="20240101"`, endless, now, none, -1, date(2024, 1, 1)},
	} {
		a := parse(t, "alice cert-authority"+c.options+" "+authorized(authority.PublicKey()))
		e, err := verify(a, c.sig, signature.When{Now: c.now, Claimed: c.claimed})
		if got := reasonOf(t, err); got != c.want {
			t.Errorf("%s: reason %d, want %d: %v", c.name, got, c.want, err)
		}
		if !e.Expires.Equal(c.expires) {
			t.Errorf("%s: expires %s, want %s", c.name, e.Expires, c.expires)
		}
	}
}
