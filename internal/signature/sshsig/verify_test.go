package sshsig

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// reasonOf returns why a signature does not count, -1 for one that does.
func reasonOf(t *testing.T, err error) signature.Reason {
	t.Helper()
	if err == nil {
		return -1
	}
	var why *signature.Error
	if !errors.As(err, &why) {
		t.Fatalf("%T, not a *signature.Error: %v", err, err)
	}
	if strings.ContainsAny(why.Text, "\n\r") || why.Text == "" {
		t.Errorf("text %q", why.Text)
	}
	return why.Reason
}

func date(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func TestKinds(t *testing.T) {
	for name, key := range map[string]ssh.Signer{
		"ed25519":      newEd25519(t),
		"P-256":        newECDSA(t, elliptic.P256()),
		"P-384":        newECDSA(t, elliptic.P384()),
		"P-521":        newECDSA(t, elliptic.P521()),
		"RSA, SHA-512": newRSA(t, rsa2048),
		"RSA, SHA-256": withAlgorithm{newRSA(t, rsa2048), ssh.KeyAlgoRSASHA256},
		"sk ed25519":   securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, userPresent},
		"sk P-256":     securityKey{newECDSA(t, elliptic.P256()), ssh.KeyAlgoSKECDSA256, userPresent | 4},
	} {
		a := parse(t, "alice "+authorized(key.PublicKey()))
		sig := sign(t, key, NamespaceFile)
		e, err := verify(a, sig, signature.When{Now: now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := signature.Evidence{
			Kind: signature.SSH, Fingerprint: ssh.FingerprintSHA256(key.PublicKey()), Identity: "alice", Digest: signature.DigestOf(message),
		}
		if e.Above != nil || e.Fingerprint != want.Fingerprint || e.Identity != want.Identity || e.Kind != want.Kind || e.Digest != want.Digest || !e.Expires.IsZero() || !e.Claimed.IsZero() {
			t.Errorf("%s: %+v, want %+v", name, e, want)
		}
		_, err = a.Verify(signature.Signature{Kind: signature.SSH, Data: sig}, append(message, 'x'), signature.When{Now: now})
		if got := reasonOf(t, err); got != signature.Mismatch {
			t.Errorf("%s over other bytes: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	alice, bob, authority := newEd25519(t), newEd25519(t), newEd25519(t)
	line := "alice " + authorized(alice.PublicKey())
	untouchedKey := securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, 0}
	claims := certified{bob, certify(t, bob, authority, nil)}
	claims.cert.Key = alice.PublicKey() // the authority did not sign that
	for _, c := range []struct {
		name, file string
		key        ssh.Signer
		namespace  string
		when       signature.When
		want       signature.Reason
		text       string
	}{
		{"another key", line, bob, "file", signature.When{Now: now}, signature.Stranger, "not an allowed signer"},
		{"namespace of git", line, alice, "git", signature.When{Now: now}, signature.Stranger, `namespace "git", where "file"`},
		{"namespace of files", line, alice, "file", signature.When{Now: now, Git: true}, signature.Stranger, `namespace "file", where "git"`},
		{"namespace not allowed", `alice namespaces="git,email" ` + authorized(alice.PublicKey()), alice, "file", signature.When{Now: now}, signature.Stranger, `git,email only, not "file"`},
		{"namespace taken out", `alice namespaces="*,!file" ` + authorized(alice.PublicKey()), alice, "file", signature.When{Now: now}, signature.Stranger, "namespaces"},
		{"not yet valid", `alice valid-after="20250101" ` + authorized(alice.PublicKey()), alice, "file", signature.When{Now: now}, signature.Expired, "valid from 2025-01-01T00:00:00Z"},
		{"security key untouched", "alice " + authorized(untouchedKey.PublicKey()), untouchedKey, "file", signature.When{Now: now}, signature.Mismatch, "touched"},
		{"authority signs itself", "alice cert-authority " + authorized(authority.PublicKey()), authority, "file", signature.When{Now: now}, signature.Stranger, "certificate authority only"},
		{"certificate of an allowed key", line, certified{alice, certify(t, alice, authority, nil)}, "file", signature.When{Now: now}, signature.Stranger, "authority"},
		{"certificate altered", "alice cert-authority " + authorized(authority.PublicKey()), claims, "file", signature.When{Now: now}, signature.Stranger, "did not sign"},
	} {
		_, err := verify(parse(t, c.file), sign(t, c.key, c.namespace), c.when)
		if got := reasonOf(t, err); got != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: reason %d, %v; want %d, %q", c.name, got, err, c.want, c.text)
		}
		var why *signature.Error
		key := c.key.PublicKey()
		if cert, is := key.(*ssh.Certificate); is {
			key = cert.Key
		}
		if errors.As(err, &why); why.By != ssh.FingerprintSHA256(key) {
			t.Errorf("%s: by %q", c.name, why.By)
		}
	}
	_, err := parse(t, line).Verify(signature.Signature{Kind: signature.PGP}, message, signature.When{Now: now})
	if got := reasonOf(t, err); got != signature.OtherKind {
		t.Errorf("a PGP signature: %v", err)
	}
}

// TestKeySwapped puts a trusted key into a signature that another made.
func TestKeySwapped(t *testing.T) {
	alice, mallory := newEd25519(t), newEd25519(t)
	s, err := wire.Sign(bytes.NewReader(message), mallory, wire.HashSHA512, NamespaceFile)
	if err != nil {
		t.Fatal(err)
	}
	s.PublicKey = alice.PublicKey()
	_, err = verify(parse(t, "alice "+authorized(alice.PublicKey())), wire.Armor(s), signature.When{Now: now})
	if got := reasonOf(t, err); got != signature.Mismatch {
		t.Error(err)
	}
}

func TestAlgorithms(t *testing.T) {
	key := newRSA(t, rsa2048)
	s, err := wire.Sign(bytes.NewReader(message), withAlgorithm{key, ssh.KeyAlgoRSA}, wire.HashSHA512, NamespaceFile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = verify(parse(t, "alice "+authorized(key.PublicKey())), wire.Armor(s), signature.When{Now: now})
	if got := reasonOf(t, err); got != signature.Malformed {
		t.Errorf("RSA with SHA-1: %v", err)
	}

	authority := newEd25519(t)
	cert := certify(t, key, authority, nil)
	s.PublicKey = cert
	ca := parse(t, "alice cert-authority "+authorized(authority.PublicKey()))
	if _, err = verify(ca, wire.Armor(s), signature.When{Now: now}); reasonOf(t, err) != signature.Malformed {
		t.Errorf("RSA with SHA-1 and a certificate: %v", err)
	}

	rsaCA := newRSA(t, rsa2048)
	ca = parse(t, "alice cert-authority "+authorized(rsaCA.PublicKey()))
	alice := newEd25519(t)
	for algorithm, want := range map[string]signature.Reason{ssh.KeyAlgoRSA: signature.Stranger, ssh.KeyAlgoRSASHA256: -1, ssh.KeyAlgoRSASHA512: -1} {
		by := withAlgorithm{rsaCA, algorithm}
		_, err = verify(ca, sign(t, certified{alice, certify(t, alice, by, nil)}, NamespaceFile), signature.When{Now: now})
		if got := reasonOf(t, err); got != want {
			t.Errorf("certificate signed with %s: %v", algorithm, err)
		}
	}
}

func TestValidity(t *testing.T) {
	alice := newEd25519(t)
	sig := sign(t, alice, NamespaceFile)
	window := `alice valid-after="20240101",valid-before="20250101" ` + authorized(alice.PublicKey())
	none := time.Time{}
	for _, c := range []struct {
		name         string
		now, claimed time.Time
		want         signature.Reason
	}{
		{"before", date(2023, 12, 31), none, signature.Expired},
		{"at the first second", date(2024, 1, 1), none, -1},
		{"within", date(2024, 6, 1), none, -1},
		{"after, without a claim", date(2025, 6, 1), none, -1},
		{"after, claimed within", date(2025, 6, 1), date(2024, 6, 1), -1},
		{"after, claimed at the last second", date(2025, 6, 1), date(2025, 1, 1).Add(-time.Second), -1},
		{"after, claimed at the end", date(2025, 6, 1), date(2025, 1, 1), signature.Expired},
		{"after, claimed after", date(2025, 6, 1), date(2025, 2, 1), signature.Expired},
		{"within, claimed before", date(2024, 6, 1), date(2023, 6, 1), signature.Expired},
		{"before, claimed within", date(2023, 6, 1), date(2024, 6, 1), signature.Expired},
		{"no clock", none, none, signature.Expired},
	} {
		e, err := verify(parse(t, window), sig, signature.When{Now: c.now, Claimed: c.claimed})
		if got := reasonOf(t, err); got != c.want {
			t.Errorf("%s: reason %d, want %d: %v", c.name, got, c.want, err)
		}
		if err == nil && (!e.Expires.Equal(date(2025, 1, 1)) || !e.Claimed.Equal(c.claimed)) {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

// TestSeveralLines has one key on several lines: the one that is valid longest
// counts, and of errors the one that tells most.
func TestSeveralLines(t *testing.T) {
	alice := newEd25519(t)
	sig, key := sign(t, alice, NamespaceFile), " "+authorized(alice.PublicKey())+"\n"
	old, later, forever := `a valid-before="20240101"`+key, `b valid-before="20300101"`+key, "c"+key
	git, future := `d namespaces="git"`+key, `e valid-after="20300101"`+key
	for file, want := range map[string]string{
		old:                                     "a",
		old + later:                             "b",
		later + old:                             "b",
		later + forever + old:                   "c",
		git + old + future:                      "a",
		strings.Repeat(git, 2) + forever + git:  "c",
		strings.Repeat("# "+forever, 2) + later: "b",
	} {
		e, err := verify(parse(t, file), sig, signature.When{Now: now})
		if err != nil || e.Identity != want {
			t.Errorf("%s%q, %v; want %q", file, e.Identity, err, want)
		}
	}
	for _, file := range []string{git + future, future + git} {
		_, err := verify(parse(t, file), sig, signature.When{Now: now})
		if reasonOf(t, err) != signature.Expired {
			t.Errorf("%s%v", file, err)
		}
	}
}

func TestPrincipals(t *testing.T) {
	alice := newEd25519(t)
	sig := sign(t, alice, NamespaceFile)
	for _, c := range []struct {
		line  string
		names []string
		want  string // identity; "": refused when it is parsed
	}{
		{"alice", nil, "alice"},
		{"alice,bob", nil, "alice,bob"},
		{"*@example.com,!eve@example.com", nil, "*@example.com,!eve@example.com"},
		{`"alice b"`, nil, "alice b"},
		{"alice", []string{"alice"}, "alice"},
		{"alice,bob", []string{"bob"}, "bob"},
		{"*@example.com", []string{"a@example.com"}, "a@example.com"},
		{"*", []string{"carol", "bob"}, "carol"},
		{"alice", []string{"bob"}, ""},
		{"alice", []string{"alice", "bob"}, ""},
		{"*,!bob", []string{"bob"}, ""},
		{"Alice", []string{"alice"}, ""},
		{"alice", []string{""}, ""},
		{"*", []string{"*"}, ""},
		{"alice", []string{"alice", "alice"}, ""},
		{"*", []string{"a\nb"}, ""},
	} {
		a, err := Parse([]byte(c.line+" "+authorized(alice.PublicKey())), c.names)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s for %q: accepted", c.line, c.names)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s for %q: %v", c.line, c.names, err)
			continue
		}
		if e, err := verify(a, sig, signature.When{Now: now}); err != nil || e.Identity != c.want {
			t.Errorf("%s for %q: %q, %v; want %q", c.line, c.names, e.Identity, err, c.want)
		}
	}
}

// TestVectors verifies what ssh-keygen of OpenSSH 9.2 made.
func TestVectors(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "vectors")
	list, err := os.ReadFile(filepath.Join(dir, "source-materials"))
	if err != nil {
		t.Skip("no vectors beside the project")
	}
	var files [2][]byte
	for i, name := range []string{"ssh.sig", "allowed_signers"} {
		if files[i], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := signature.Split(files[0])
	if err != nil {
		t.Fatal(err)
	}
	a := parse(t, string(files[1]), "vectors@example.com")
	e, err := a.Verify(all[0], list, signature.When{Now: now})
	if err != nil || e.Identity != "vectors@example.com" || e.Fingerprint != a.Keys()[0].Fingerprint {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err = a.Verify(all[0], append(list, '\n'), signature.When{Now: now}); reasonOf(t, err) != signature.Mismatch {
		t.Errorf("over other bytes: %v", err)
	}
}
