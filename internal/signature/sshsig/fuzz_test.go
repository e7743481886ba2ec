package sshsig

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

func FuzzParse(f *testing.F) {
	key := authorized(newEd25519(f).PublicKey())
	for _, p := range principalParts {
		f.Add(p.text + " " + key)
	}
	for _, o := range optionParts {
		f.Add("alice " + o.text + " " + key + "\n# x\n\n*,!b " + key)
	}
	f.Add("alice " + authorized(newECDSA(f, elliptic.P521()).PublicKey()) + " comment")
	f.Fuzz(func(t *testing.T, file string) {
		a, err := Parse([]byte(file), nil)
		if err != nil {
			if a != nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 4*maxShown+200 {
				t.Fatalf("%q: %v, %v", file, a, err)
			}
			return
		}
		if len(a.lines) == 0 || !printable(a.String()) || len(a.Keys()) != len(a.lines) {
			t.Fatalf("%q: %s", file, a)
		}
		for _, l := range a.lines {
			if CheckKey(l.key) != nil || len(l.principals) == 0 || l.namespaces != nil && len(l.namespaces) == 0 {
				t.Fatalf("%q: %+v", file, l)
			}
		}
	})
}

// FuzzVerify looks for signatures that are accepted though nobody made them:
// what is accepted must be, byte for byte, one of those that it began with.
func FuzzVerify(f *testing.F) {
	// The same keys in each of the fuzzer's processes.
	alice, authority, other := seeded(f, 1), seeded(f, 2), seeded(f, 3)
	cert := certify(f, alice, authority, nil)
	if err := cert.SignCert(bytes.NewReader(make([]byte, 32)), authority); err != nil {
		f.Fatal(err)
	}
	touched := securityKey{other, ssh.KeyAlgoSKED25519, userPresent}
	a := parse(f, "alice "+authorized(alice.PublicKey())+"\n* cert-authority "+authorized(authority.PublicKey())+"\nalice "+authorized(touched.PublicKey()))
	good := map[string]bool{}
	for _, key := range []ssh.Signer{
		alice, other, touched, certified{alice, cert}, certified{other, cert}, securityKey{other, ssh.KeyAlgoSKED25519, 0},
	} {
		for _, namespace := range []string{NamespaceFile, NamespaceGit} {
			sig := sign(f, key, namespace)
			block, _ := pem.Decode(sig)
			f.Add(block.Bytes)
			if _, err := verify(a, sig, signature.When{Now: now}); err == nil {
				good[string(block.Bytes)] = true
			}
		}
	}
	if len(good) != 3 {
		f.Fatalf("%d signatures are good, want those of a key, a certificate and a security key", len(good))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		armoured := pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})
		e, err := verify(a, armoured, signature.When{Now: now})
		if good[string(blob)] != (err == nil) || err == nil && e.Identity != "alice" {
			t.Fatalf("%q: %+v, %v", blob, e, err)
		}
		var why *signature.Error
		if err != nil && (!errors.As(err, &why) || strings.Contains(why.Text, "\n") || !printable(why.By)) {
			t.Fatalf("%q: %v", blob, err)
		}
	})
}

func seeded(f *testing.F, seed byte) ssh.Signer {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return signerOf(f, private, nil)
}

// FuzzArmour looks for texts that are read as one of two signatures.
func FuzzArmour(f *testing.F) {
	sig := sign(f, seeded(f, 1), NamespaceFile)
	f.Add(sig)
	f.Add(bytes.ReplaceAll(sig, []byte("\n"), []byte("\n\n")))
	f.Add([]byte(armourBegin + "\n" + armourEnd))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decode(text)
		if err != nil {
			if s != nil || !printable(err.Error()) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := decode(wire.Armor(s.Signature))
		if err != nil || !bytes.Equal(again.Marshal(), s.Marshal()) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// FuzzMatch compares with the definition of a pattern.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "aXbYc")
	f.Add("**a", "bca")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 24 {
			return
		}
		if got, want := glob(pattern, text), slowGlob(pattern, text); got != want {
			t.Fatalf("%q with %q: %v", pattern, text, got)
		}
	})
}

func slowGlob(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slowGlob(pattern[1:], text) || text != "" && slowGlob(pattern, text[1:])
	case text == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == text[0]) && slowGlob(pattern[1:], text[1:])
}
