package pgp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/signature"
)

// gnupg is a GnuPG with a home of its own.
type gnupg struct {
	t    *testing.T
	home string
	env  []string
}

func newGnuPG(t *testing.T) *gnupg {
	t.Helper()
	for _, program := range []string{"gpg", "gpgconf"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no ", program)
		}
	}
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket lies there, and its path has a limit
	if err != nil {
		t.Fatal(err)
	}
	g := &gnupg{t, home, []string{"GNUPGHOME=" + home, "HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = g.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("gpgconf --kill all: %v: %s", err, out)
		}
		os.RemoveAll(home)
	})
	return g
}

// run calls gpg and returns what it prints.
func (g *gnupg) run(input []byte, args ...string) []byte {
	g.t.Helper()
	out, err := g.try(input, args...)
	if err != nil {
		g.t.Fatalf("gpg %v: %v", args, err)
	}
	return out
}

func (g *gnupg) try(input []byte, args ...string) ([]byte, error) {
	all := append([]string{"--quiet", "--no-tty", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)
	cmd := exec.Command("gpg", all...)
	var out, report bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = g.env, bytes.NewReader(input), &out, &report
	err := cmd.Run()
	if err != nil {
		g.t.Logf("%s", report.Bytes())
	}
	return out.Bytes(), err
}

// key makes a key and returns its fingerprint.
func (g *gnupg) key(user, algorithm, usage, expire string, options ...string) string {
	g.t.Helper()
	g.run(nil, append(options, "--batch", "--quick-generate-key", user, algorithm, usage, expire)...)
	return g.fingerprints(user)[0]
}

// fingerprints are those of a key and its subkeys, in upper case.
func (g *gnupg) fingerprints(user string) (all []string) {
	g.t.Helper()
	for line := range strings.Lines(string(g.run(nil, "--with-colons", "--list-keys", user))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			all = append(all, fields[9])
		}
	}
	return all
}

func (g *gnupg) sign(options ...string) []byte {
	g.t.Helper()
	return g.run(message, append(append([]string{"--batch"}, options...), "--detach-sign")...)
}

func (g *gnupg) ring(options ...string) *Ring {
	g.t.Helper()
	return mustParse(g.t, g.run(nil, append([]string{"--batch"}, append(options, "--export")...)...))
}

// TestGnuPG verifies what gpg signs with a primary key and a subkey.
func TestGnuPG(t *testing.T) {
	g := newGnuPG(t)
	alice := g.key("Alice <alice@example.com>", "ed25519", "cert,sign", "never")
	g.run(nil, "--batch", "--quick-add-key", alice, "rsa2048", "sign", "1y")
	g.run(nil, "--batch", "--quick-add-key", alice, "cv25519", "encr", "never")
	sub := g.fingerprints(alice)[1]
	bob := g.key("Bob <bob@example.com>", "nistp256", "default", "never")
	rings := map[string]*Ring{"binary": g.ring(), "armour": g.ring("--armor"), "pubring.gpg": mustParse(t, g.oldRing())}
	for name, c := range map[string]struct {
		data  []byte
		key   string
		above string
	}{
		"primary key":         {g.sign("-u", alice+"!"), alice, ""},
		"primary key, armour": {g.sign("-u", alice+"!", "--armor"), alice, ""},
		"subkey":              {g.sign("-u", sub+"!"), sub, alice},
		"subkey, armour":      {g.sign("-u", sub+"!", "--armor", "--comment", "x: y"), sub, alice},
		"SHA-256":             {g.sign("-u", sub+"!", "--digest-algo", "SHA256"), sub, alice},
		"notation":            {g.sign("-u", alice+"!", "--sig-notation", "x@example.com=y"), alice, ""},
		"two":                 {g.sign("-u", bob, "-u", alice+"!"), "", ""},
	} {
		for kind, r := range rings {
			e, err := verifyAt(r, c.data, message, time.Now())
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			if c.key != "" && e.Fingerprint != "pgp:"+strings.ToLower(c.key) || c.above != "" && (len(e.Above) != 1 || e.Above[0] != "pgp:"+strings.ToLower(c.above)) {
				t.Errorf("%s, %s: %+v", name, kind, e)
			}
			if e.Expires.IsZero() == (c.key == sub) {
				t.Errorf("%s, %s: expires %v", name, kind, e.Expires)
			}
			if _, err := verifyAt(r, c.data, message[1:], time.Now()); reasonOf(err) != signature.Mismatch {
				t.Errorf("%s, %s, over other bytes: %v", name, kind, err)
			}
		}
	}
	for name, c := range map[string]struct {
		data []byte
		at   time.Time
		want signature.Reason
	}{
		"text mode":             {g.sign("--textmode"), time.Now(), signature.Mismatch},
		"SHA-1":                 {g.sign("--digest-algo", "SHA1"), time.Now(), signature.Mismatch},
		"critical notation":     {g.sign("--sig-notation", "!x@example.com=y"), time.Now(), signature.Mismatch},
		"until tomorrow":        {g.sign("--default-sig-expire", "1d"), time.Now().AddDate(0, 0, 2), signature.Expired},
		"tomorrow":              {g.sign("--faked-system-time", time.Now().AddDate(0, 0, 1).UTC().Format("20060102T150405")), time.Now(), signature.Expired},
		"an inline signature":   {g.run(message, "--batch", "--sign"), time.Now(), signature.Malformed},
		"a clear-text document": {g.run(message, "--batch", "--clear-sign"), time.Now(), signature.Malformed},
	} {
		if e, err := verifyAt(rings["binary"], c.data, message, c.at); reasonOf(err) != c.want {
			t.Errorf("%s: %+v, %v, want reason %d", name, e, err, c.want)
		}
	}
}

// oldRing is a pubring.gpg of GnuPG before version 2.1, with its notes of trust.
func (g *gnupg) oldRing() []byte {
	g.t.Helper()
	name := filepath.Join(g.home, "old.gpg")
	g.run(g.run(nil, "--batch", "--export"), "--batch", "--no-default-keyring", "--keyring", "gnupg-ring:"+name, "--import")
	g.run(nil, "--batch", "--no-default-keyring", "--keyring", "gnupg-ring:"+name, "--check-sigs") // notes what it found
	data, err := os.ReadFile(name)
	if err != nil {
		g.t.Fatal(err)
	}
	return data
}

// TestGnuPGExpired verifies what a key signed that has expired since, and what
// it signed before it was prolonged, by a ring that holds only the newer
// self-signature.
func TestGnuPGExpired(t *testing.T) {
	g := newGnuPG(t)
	alice := g.key("Alice <alice@example.com>", "ed25519", "cert,sign", "1y", "--faked-system-time", "20200101T000000!")
	data := g.sign("--faked-system-time", "20200601T000000!")
	e, err := verifyAt(g.ring(), data, message, time.Now())
	if want := time.Date(2020, 12, 31, 0, 0, 0, 0, time.UTC); err != nil || !e.Expires.Equal(want) || !e.Claimed.Equal(time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, %v, want to expire %v", e, err, want)
	}
	g.run(nil, "--batch", "--faked-system-time", "20220101T000000!", "--quick-set-expire", alice, "1y")
	minimal := g.ring("--export-options", "export-minimal")
	e, err = verifyAt(minimal, data, message, time.Now())
	if want := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC); err != nil || !e.Expires.Equal(want) {
		t.Errorf("prolonged: %+v, %v, want to expire %v", e, err, want)
	}
	g.run(nil, "--batch", "--faked-system-time", "20220102T000000!", "--quick-set-expire", alice, "20200301T000000")
	if _, err := verifyAt(g.ring(), data, message, time.Now()); reasonOf(err) != signature.Expired {
		t.Errorf("made an end to: %v", err)
	}
}

// TestGnuPGRevoked refuses what a key signed that was revoked since.
func TestGnuPGRevoked(t *testing.T) {
	g := newGnuPG(t)
	alice := g.key("Alice <alice@example.com>", "ed25519", "cert,sign", "never")
	g.run(nil, "--batch", "--quick-add-key", alice, "ed25519", "sign", "never")
	primary, sub := g.sign("-u", alice+"!"), g.sign()
	g.run([]byte("key 1\nrevkey\ny\n3\n\ny\nsave\n"), "--command-fd", "0", "--edit-key", alice)
	if e, err := verifyAt(g.ring(), sub, message, time.Now()); reasonOf(err) != signature.Revoked {
		t.Errorf("subkey: %+v, %v", e, err)
	}
	if _, err := verifyAt(g.ring(), primary, message, time.Now()); err != nil {
		t.Errorf("primary key: %v", err)
	}
	certificate, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", alice+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	g.run(bytes.Replace(certificate, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), "--batch", "--import")
	for _, data := range [][]byte{primary, sub} {
		if e, err := verifyAt(g.ring(), data, message, time.Now()); reasonOf(err) != signature.Revoked {
			t.Errorf("key: %+v, %v", e, err)
		}
	}
}

// TestGnuPGWeak leaves out of a ring what gpg still makes.
func TestGnuPGWeak(t *testing.T) {
	g := newGnuPG(t)
	weak := []string{
		g.key("RSA <rsa@example.com>", "rsa1024", "cert,sign", "never"),
		g.key("DSA <dsa@example.com>", "dsa1024", "cert,sign", "never"),
		g.key("SHA1 <sha1@example.com>", "ed25519", "cert,sign", "never", "--cert-digest-algo", "SHA1"),
		g.key("K1 <k1@example.com>", "secp256k1", "cert,sign", "never"),
	}
	g.key("Good <good@example.com>", "ed25519", "cert,sign", "never")
	r := g.ring()
	if n := len(r.Keys()); n != 1 {
		t.Errorf("%v", r)
	}
	for _, fingerprint := range weak {
		_, err := verifyAt(r, g.sign("-u", fingerprint, "--digest-algo", "SHA256"), message, time.Now())
		if reasonOf(err) != signature.Stranger || !strings.Contains(err.Error(), "which may not sign") {
			t.Errorf("%s: %v", fingerprint, err)
		}
	}
}

// TestGnuPGCommit verifies a commit that git had gpg sign.
func TestGnuPGCommit(t *testing.T) {
	g := newGnuPG(t)
	alice := g.key("Alice <alice@example.com>", "ed25519", "cert,sign", "never")
	dir := t.TempDir()
	git := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x", "-c", "gpg.format=openpgp"}, args...)...)
		cmd.Env = append(g.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	git("init", "--quiet")
	git("commit", "--quiet", "--allow-empty", "-m", "signed", "--gpg-sign="+alice)
	signed, sig := cutSignature(git("cat-file", "commit", "HEAD"))
	when := signature.When{Now: time.Now(), Git: true}
	e, err := g.ring().Verify(signature.Signature{Kind: signature.PGP, Data: sig}, signed, when)
	if err != nil || e.Fingerprint != "pgp:"+strings.ToLower(alice) {
		t.Errorf("%+v, %v", e, err)
	}
	other := bytes.Replace(signed, []byte("\n\nsigned"), []byte("\n\nforged"), 1)
	if _, err := g.ring().Verify(signature.Signature{Kind: signature.PGP, Data: sig}, other, when); reasonOf(err) != signature.Mismatch {
		t.Errorf("forged: %v", err)
	}
}

// cutSignature takes a commit's signature out of its headers, where each line but
// the first begins with a space.
func cutSignature(commit []byte) (signed, sig []byte) {
	inside := false
	for line := range bytes.Lines(commit) {
		value, begins := bytes.CutPrefix(line, []byte("gpgsig "))
		inside = begins || inside && line[0] == ' '
		if inside {
			sig = append(sig, bytes.TrimPrefix(value, []byte(" "))...)
		} else {
			signed = append(signed, line...)
		}
	}
	return signed, sig
}
