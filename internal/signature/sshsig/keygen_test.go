package sshsig

import (
	"bytes"
	"crypto/elliptic"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// keygen runs the real ssh-keygen in one directory.
type keygen struct {
	path, dir string
}

func newKeygen(t testing.TB) keygen {
	t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	return keygen{path, t.TempDir()}
}

// command has an environment of its own: times without Z are UTC there too.
func (k keygen) command(args ...string) *exec.Cmd {
	cmd := exec.Command(k.path, args...)
	cmd.Dir, cmd.Env = k.dir, []string{"TZ=UTC", "HOME=" + k.dir}
	return cmd
}

func (k keygen) run(t testing.TB, args ...string) {
	t.Helper()
	if out, err := k.command(args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
}

func (k keygen) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (k keygen) read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(k.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// newKey makes a key pair in files name and name.pub and returns the public
// half as it stands in a line.
func (k keygen) newKey(t testing.TB, name string, args ...string) string {
	t.Helper()
	k.run(t, append([]string{"-q", "-N", "", "-C", "", "-f", name}, args...)...)
	return strings.TrimSpace(k.read(t, name+".pub"))
}

// sign signs the message with the key of a file, or its certificate.
func (k keygen) sign(t testing.TB, key string, args ...string) []byte {
	t.Helper()
	k.write(t, "message", message)
	os.Remove(filepath.Join(k.dir, "message.sig"))
	k.run(t, append([]string{"-q", "-Y", "sign", "-f", key}, append(args, "message")...)...)
	return []byte(k.read(t, "message.sig"))
}

// verify returns whether ssh-keygen accepts a signature, and what it says.
func (k keygen) verify(t testing.TB, file string, sig []byte, principal, namespace string, at time.Time) (bool, string) {
	t.Helper()
	k.write(t, "allowed_signers", []byte(file))
	k.write(t, "sig", sig)
	cmd := k.command("-Y", "verify", "-f", "allowed_signers", "-I", principal, "-n", namespace, "-s", "sig",
		"-O", "verify-time="+at.UTC().Format("20060102150405Z"))
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// TestKeygenSigns verifies what ssh-keygen signs with each kind of key.
func TestKeygenSigns(t *testing.T) {
	k := newKeygen(t)
	for name, args := range map[string][]string{
		"ed25519": {"-t", "ed25519"},
		"p256":    {"-t", "ecdsa", "-b", "256"},
		"p384":    {"-t", "ecdsa", "-b", "384"},
		"p521":    {"-t", "ecdsa", "-b", "521"},
		"rsa":     {"-t", "rsa", "-b", "2048"},
	} {
		a := parse(t, "alice "+k.newKey(t, name, args...))
		for _, hash := range []string{"sha256", "sha512"} {
			sig := k.sign(t, name, "-n", "file", "-O", "hashalg="+hash)
			e, err := verify(a, sig, signature.When{Now: now})
			if err != nil {
				t.Errorf("%s, %s: %v", name, hash, err)
				continue
			}
			out, err := k.command("-l", "-f", name+".pub").Output()
			if err != nil || e.Fingerprint != strings.Fields(string(out))[1] {
				t.Errorf("fingerprint %s, want %s, %v", e.Fingerprint, out, err)
			}
			if _, err := verify(a, sig, signature.When{Now: now, Git: true}); reasonOf(t, err) != signature.Stranger {
				t.Errorf("%s as git's: %v", name, err)
			}
			if _, err := verify(a, sig[:len(sig)-60], signature.When{Now: now}); reasonOf(t, err) != signature.Malformed {
				t.Errorf("%s cut short: %v", name, err)
			}
		}
		if _, err := verify(a, k.sign(t, name, "-n", "git"), signature.When{Now: now, Git: true}); err != nil {
			t.Errorf("%s, git: %v", name, err)
		}
	}
}

// TestKeygenCertificates verifies what ssh-keygen signs with certificates that
// it made.
func TestKeygenCertificates(t *testing.T) {
	k := newKeygen(t)
	ca, other := k.newKey(t, "ca", "-t", "ecdsa"), k.newKey(t, "other", "-t", "ed25519")
	for _, c := range []struct {
		name     string
		make     []string // the arguments that make the certificate
		want     signature.Reason
		identity string
	}{
		{"good", []string{"-s", "ca", "-n", "alice,bob"}, -1, "bob"},
		{"expired", []string{"-s", "ca", "-n", "bob", "-V", "20200101:20210101"}, -1, "bob"},
		{"not yet", []string{"-s", "ca", "-n", "bob", "-V", "20300101:20310101"}, signature.Expired, ""},
		{"another principal", []string{"-s", "ca", "-n", "alice"}, signature.Stranger, ""},
		{"another authority", []string{"-s", "other", "-n", "bob"}, signature.Stranger, ""},
		{"no principal", []string{"-s", "ca"}, signature.Stranger, ""},
		{"host", []string{"-s", "ca", "-n", "bob", "-h"}, signature.Stranger, ""},
		{"critical option", []string{"-s", "ca", "-n", "bob", "-O", "source-address=127.0.0.1"}, signature.Stranger, ""},
	} {
		name := strings.ReplaceAll(c.name, " ", "-")
		k.newKey(t, name, "-t", "ed25519")
		k.run(t, append([]string{"-q", "-I", "test"}, append(c.make, name+".pub")...)...)
		sig := k.sign(t, name+"-cert.pub", "-n", "file")
		file := "bob cert-authority " + ca + "\n# bob " + other
		e, err := verify(parse(t, file, "bob"), sig, signature.When{Now: now})
		if got := reasonOf(t, err); got != c.want || e.Identity != c.identity {
			t.Errorf("%s: reason %d, want %d: %v, %+v", c.name, got, c.want, err, e)
		}
		ours := err == nil && (e.Expires.IsZero() || now.Before(e.Expires))
		if theirs, out := k.verify(t, file, sig, "bob", "file", now); ours && !theirs || ours != (c.name == "good") {
			t.Errorf("%s: we say %v, ssh-keygen %v: %s", c.name, ours, theirs, out)
		}
	}
}

// TestKeygenSecurityKeys holds our idea of a security key's signature against
// ssh-keygen's.
func TestKeygenSecurityKeys(t *testing.T) {
	k := newKeygen(t)
	for _, c := range []struct {
		name         string
		key          ssh.Signer
		ours, theirs bool
	}{
		{"ed25519", securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, userPresent}, true, true},
		{"P-256", securityKey{newECDSA(t, elliptic.P256()), ssh.KeyAlgoSKECDSA256, userPresent}, true, true},
		// ssh-keygen does not ask for a touch.
		{"ed25519 untouched", securityKey{newEd25519(t), ssh.KeyAlgoSKED25519, 0}, false, true},
		{"P-256 untouched", securityKey{newECDSA(t, elliptic.P256()), ssh.KeyAlgoSKECDSA256, 0}, false, true},
	} {
		file := "alice " + authorized(c.key.PublicKey())
		sig := sign(t, c.key, NamespaceFile)
		_, err := verify(parse(t, file), sig, signature.When{Now: now})
		theirs, out := k.verify(t, file, sig, "alice", "file", now)
		if (err == nil) != c.ours || theirs != c.theirs {
			t.Errorf("%s: we say %v, ssh-keygen %v: %s", c.name, err, theirs, out)
		}
	}
}
