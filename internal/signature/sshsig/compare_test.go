package sshsig

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// part is one field of a generated line. The difference says why we refuse what
// ssh-keygen accepts; "" is for those on which both must agree.
type part struct {
	text       string
	difference string
}

const bob = "bob@example.com"

// long is a pattern that is too long: ssh-keygen's list then matches nothing.
var long = strings.Repeat("b", maxPattern)

var principalParts = []part{
	{text: bob}, {text: "alice"}, {text: "*"}, {text: "*@example.com"}, {text: "?ob@example.com"}, {text: "alice,bob*"},
	{text: "*,!bob*"}, {text: "!bob*,*"}, {text: "!alice"}, {text: "!alice,*"}, {text: "BOB@example.com"}, {text: "*@example.com*"},
	{text: "**b**@*.*"}, {text: "bob@example.co?m"}, {text: `"bob@example.com"`}, {text: `"x y,bob@example.com"`}, {text: `"bob@example.com`},
	{text: "b[o]b@example.com"}, {text: `bob@example\.com`}, {text: "bob"}, {text: "#" + bob}, {text: `"alice",bob@example.com`},
	{text: bob + ",", difference: "an empty pattern"},
	{text: "alice,," + bob, difference: "an empty pattern"},
	{text: bob + ",!", difference: "an empty pattern"},
	{text: `bob"@example.com"`, difference: "a quote within the field"},
	{text: bob + "," + long},
}

var optionParts = []part{
	{text: ""}, {text: "cert-authority"}, {text: "CERT-Authority"}, {text: `namespaces="file"`}, {text: `namespaces="git"`},
	{text: `NAMESPACES="git,f*"`}, {text: `namespaces="*,!file"`}, {text: `namespaces="file",cert-authority`}, {text: `namespaces="fi\"le,file"`},
	{text: `valid-after="20240101"`}, {text: `valid-after="20240601"`}, {text: `valid-after="20240601000001"`}, {text: `valid-after="20240701Z"`},
	{text: `valid-before="20240701"`}, {text: `valid-before="202406010001Z"`}, {text: `valid-before="20240531235959"`}, {text: `valid-before="20240101"`},
	{text: `valid-after="20240101",valid-before="20250101",cert-authority`}, {text: `valid-after="20250101",valid-before="20240101"`},
	{text: `cert-authority,valid-before="20240101"`}, {text: "namespaces=file"}, {text: `namespaces="file`}, {text: `namespaces="file"x`}, {text: "unknown"},
	{text: `unknown="x"`}, {text: "cert-authority,"}, {text: `namespaces="file", cert-authority`}, {text: `valid-after="2024"`}, {text: `valid-after="2024-01-01"`},
	{text: `valid-before="20241301"`}, {text: `valid-before=""`}, {text: `namespaces="file",namespaces="file"`}, {text: `valid-before="20250101",valid-before="20250101"`},
	{text: `namespaces=""`}, {text: `cert-authority="yes"`}, {text: `namespaces="file" `},
	{text: `valid-before="20240601"`, difference: "the second of valid-before"},
	{text: `valid-before="20250101z"`, difference: "a small z"},
	{text: `valid-before="20250101UTC"`, difference: "UTC written out"},
	{text: `valid-before="20250231"`, difference: "31 February"},
	{text: `valid-before="20241231235960"`, difference: "a leap second"},
	{text: "cert-authority,cert-authority", difference: "an option twice"},
	{text: `namespaces="file,"`, difference: "an empty pattern"},
}

// TestCompare holds our verdict on generated lines against that of ssh-keygen:
// we never accept what it refuses, and refuse what it accepts only for the
// differences above, each of which is seen.
func TestCompare(t *testing.T) {
	k := newKeygen(t)
	seen := map[string]bool{}
	key, authority := newEd25519(t), newEd25519(t)
	cert := func(change func(*ssh.Certificate)) []byte {
		return sign(t, certified{key, certify(t, key, authority, func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{"x", bob}
			if change != nil {
				change(c)
			}
		})}, NamespaceFile)
	}
	for _, c := range []struct {
		name string
		sig  []byte
		key  ssh.PublicKey // that the lines name
	}{
		{"key", sign(t, key, NamespaceFile), key.PublicKey()},
		{"certificate", cert(nil), authority.PublicKey()},
		{"certificate for another", cert(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*", "alice"} }), authority.PublicKey()},
		{"certificate's key", cert(nil), key.PublicKey()},
	} {
		accepted := 0
		try := func(principals, option part) {
			line := strings.Join([]string{principals.text, option.text, authorized(c.key)}, " ")
			difference := principals.difference + option.difference
			if compare(t, k, c.name, line, c.sig, difference, now) {
				accepted++
				seen[difference] = true
			}
		}
		for i, principals := range principalParts {
			try(principals, optionParts[i%2])
		}
		for i, option := range optionParts {
			try(principalParts[0], option)
			try(principalParts[i%len(principalParts)], option)
		}
		if want := strings.HasPrefix(c.name, "key") || c.name == "certificate"; want != (accepted > 5) {
			t.Errorf("%s: %d lines accepted", c.name, accepted)
		}
	}
	for _, p := range append(principalParts, optionParts...) {
		if !seen[p.difference] {
			t.Errorf("ssh-keygen accepts no line with %q: no difference", p.difference)
		}
	}
}

// TestCompareTimes does so around the ends of a key's and a certificate's
// validity.
func TestCompareTimes(t *testing.T) {
	k := newKeygen(t)
	key, authority := newEd25519(t), newEd25519(t)
	window := `valid-after="20240101",valid-before="20250101" `
	certificate := sign(t, certified{key, certify(t, key, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{bob} })}, NamespaceFile)
	for at, difference := range map[time.Time]string{
		date(2023, 12, 31): "", date(2024, 1, 1).Add(-time.Second): "", date(2024, 1, 1): "", date(2024, 6, 1): "",
		date(2025, 1, 1).Add(-time.Second): "", date(2025, 1, 1): "the second of valid-before", date(2025, 1, 1).Add(time.Second): "", date(2026, 1, 1): "",
	} {
		compare(t, k, "key", bob+" "+window+authorized(key.PublicKey()), sign(t, key, NamespaceFile), difference, at)
		// A certificate's last second is the one before, for ssh-keygen too.
		compare(t, k, "certificate", bob+" cert-authority "+authorized(authority.PublicKey()), certificate, "", at)
	}
}

// compare returns what ssh-keygen says.
func compare(t *testing.T, k keygen, name, line string, sig []byte, difference string, at time.Time) bool {
	t.Helper()
	ours := verdict(line, sig, at)
	theirs, out := k.verify(t, line+"\n", sig, bob, NamespaceFile, at)
	switch {
	case ours == nil && !theirs:
		t.Errorf("%s: we accept at %s what ssh-keygen refuses: %s\n%s", name, at, line, out)
	case ours != nil && theirs && difference == "":
		t.Errorf("%s: we refuse at %s what ssh-keygen accepts: %v\n%s", name, at, ours, line)
	}
	return theirs
}

// verdict is ours, with the expired taken as refused.
func verdict(line string, sig []byte, at time.Time) error {
	a, err := Parse([]byte(line), []string{bob})
	if err != nil {
		return err
	}
	e, err := verify(a, sig, signature.When{Now: at})
	if err == nil && !e.Expires.IsZero() && !at.Before(e.Expires) {
		return fmt.Errorf("expired at %s", e.Expires)
	}
	return err
}
