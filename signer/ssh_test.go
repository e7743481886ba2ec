package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/signature/sshsig"
)

var listed = []byte("1f4e  kustomization.yaml\n")

// sshPrivate returns an OpenSSH private key.
func sshPrivate(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "comment")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// lockedKey is encrypted with lockedPassword; that takes seconds under the race
// detector.
var lockedKey = sync.OnceValues(func() (*pem.Block, error) {
	return ssh.MarshalPrivateKeyWithPassphrase(lockedPrivate, "comment", []byte(lockedPassword))
})

var lockedPrivate = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

const lockedPassword = "tell nobody"

func locked(t testing.TB) []byte {
	t.Helper()
	block, err := lockedKey()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// sealed is an encrypted key with this public half, which nothing opens
// (OpenSSH's PROTOCOL.key).
func sealed(public ssh.PublicKey) []byte {
	blob := ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      string
	}{"aes256-ctr", "bcrypt", "", 1, string(public.Marshal()), "x"})
	return pem.EncodeToMemory(&pem.Block{Type: pemOpenSSH, Bytes: append([]byte("openssh-key-v1\x00"), blob...)})
}

// securityKey is the public half of one (PROTOCOL.u2f).
func securityKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct{ Name, Key, Application string }{ssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// RSA keys take long to make: one of each size for all tests.
var (
	rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	rsa1024 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
)

func newRSA(t testing.TB, make func() (*rsa.PrivateKey, error)) *rsa.PrivateKey {
	t.Helper()
	private, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// dsaLine is a public key of the size that DSA keys have, and no more.
func dsaLine(t testing.TB) string {
	t.Helper()
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(2), big.NewInt(3)}))
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

func publicOf(t testing.TB, key any) ssh.PublicKey {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s.PublicKey()
}

func publicLine(t testing.TB, key any) []byte {
	t.Helper()
	return ssh.MarshalAuthorizedKey(publicOf(t, key))
}

// signs makes a signature and verifies it with this project and, where it is
// installed, with the real ssh-keygen.
func signs(t testing.TB, k *SSHKey, allowed string) File {
	t.Helper()
	f, err := k.SignFile(context.Background(), listed)
	if err != nil {
		t.Fatal(err)
	}
	if f.Signer != k.Fingerprint || f.Bundle {
		t.Errorf("%+v", f)
	}
	all, err := signature.Split(f.Data)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := sshsig.Parse([]byte(allowed), []string{"alice"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := trust.Verify(all[0], listed, signature.When{Now: time.Now()})
	if err != nil || e.Fingerprint != f.Signer {
		t.Errorf("%+v, %v; want %s", e, err, f.Signer)
	}
	keygenVerifies(t, f.Data, allowed)
	return f
}

func keygenVerifies(t testing.TB, sig []byte, allowed string) {
	t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Log("ssh-keygen is not installed")
		return
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"sig": sig, "allowed": []byte(allowed)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "-Y", "verify", "-f", "allowed", "-I", "alice", "-n", "file", "-s", "sig")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, []string{"HOME=" + dir}, bytes.NewReader(listed)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ssh-keygen: %v\n%s", err, out)
	}
}

func TestOpenSSHKey(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	for _, private := range []any{newEd25519(t), p256, p384, p521, newRSA(t, rsa2048)} {
		allowed := "alice " + string(publicLine(t, private))
		open, err := OpenSSHKey(sshPrivate(t, private), nil)
		if err != nil {
			t.Fatalf("%T: %v", private, err)
		}
		first := signs(t, open, allowed)
		if again, err := open.SignFile(context.Background(), listed); err != nil || !bytes.Equal(first.Data, again.Data) {
			t.Errorf("%T: two signatures, %v", private, err)
		}
	}
}

func TestEncryptedKey(t *testing.T) {
	asked := 0
	k, err := OpenSSHKey(locked(t), func() ([]byte, error) { asked++; return []byte(lockedPassword), nil })
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	signs(t, k, "alice "+string(publicLine(t, lockedPrivate)))
}

// TestKeygenKeys opens what the real ssh-keygen wrote.
func TestKeygenKeys(t *testing.T) {
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	for name, args := range map[string][]string{
		"ed25519": {"-t", "ed25519"}, "p256": {"-t", "ecdsa"}, "rsa": {"-t", "rsa", "-b", "2048"},
		"encrypted": {"-t", "ed25519", "-N", lockedPassword, "-a", "1"}, "cbc": {"-t", "ed25519", "-N", lockedPassword, "-a", "1", "-Z", "aes256-cbc"},
	} {
		file := filepath.Join(t.TempDir(), name)
		if out, err := exec.Command(path, append([]string{"-q", "-N", "", "-f", file}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		private, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		public, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		k, err := OpenSSHKey(private, func() ([]byte, error) { return []byte(lockedPassword), nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		signs(t, k, "alice "+string(public))
	}
}

func TestOpenSSHKeyRefuses(t *testing.T) {
	good := sshPrivate(t, newEd25519(t))
	block, _ := pem.Decode(good)
	changed := func(change func(*pem.Block)) []byte {
		b := *block
		change(&b)
		return pem.EncodeToMemory(&b)
	}
	mixed := bytes.Clone(newEd25519(t))
	copy(mixed[32:], newEd25519(t)[32:])
	none := errors.New("no terminal")
	for name, c := range map[string]struct {
		data     []byte
		password func() ([]byte, error)
		want     string
	}{
		"empty":             {nil, nil, "not an OpenSSH"},
		"public key":        {publicLine(t, newEd25519(t)), nil, "not an OpenSSH"},
		"PKCS #8":           {pkcs8(t, newEd25519(t)), nil, `"PRIVATE KEY"`},
		"two":               {append(bytes.Clone(good), good...), nil, "several"},
		"headers":           {changed(func(b *pem.Block) { b.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED"} }), nil, "headers"},
		"cut short":         {changed(func(b *pem.Block) { b.Bytes = b.Bytes[:len(b.Bytes)-9] }), nil, "cannot be read"},
		"RSA of 1024 bits":  {sshPrivate(t, newRSA(t, rsa1024)), nil, "1024 bits"},
		"the same, locked":  {sealed(publicOf(t, newRSA(t, rsa1024))), nil, "1024 bits"},
		"a security key's":  {sealed(securityKey(t)), nil, "through an agent"},
		"damaged, locked":   {sealed(publicOf(t, newEd25519(t))), func() ([]byte, error) { return []byte("tell all"), nil }, "cannot be read"},
		"wrong password":    {locked(t), func() ([]byte, error) { return []byte("tell everybody"), nil }, "wrong password"},
		"empty password":    {locked(t), func() ([]byte, error) { return nil, nil }, "password is empty"},
		"no password asked": {locked(t), func() ([]byte, error) { return nil, none }, "no terminal"},
	} {
		k, err := OpenSSHKey(c.data, c.password)
		if k != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "tell") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// A key whose halves do not belong together signs nothing.
	k, err := OpenSSHKey(sshPrivate(t, ed25519.PrivateKey(mixed)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := k.SignFile(context.Background(), listed); err == nil || f.Data != nil {
		t.Errorf("mixed halves: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.SignFile(ended, listed); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestParsePublic(t *testing.T) {
	key := newEd25519(t)
	line := string(publicLine(t, key))
	for text, want := range map[string]string{
		line:                                "",
		strings.TrimSpace(line) + " me@x\n": "",
		"":                                  "not an SSH public key",
		line + line:                         "several lines",
		"restrict " + line:                  "options",
		"# " + line:                         "not an SSH public key",
		string(sshPrivate(t, key)):          "several lines",
		dsaLine(t):                          "ssh-dss",
		string(publicLine(t, newRSA(t, rsa1024))):                           "1024 bits",
		string(ssh.MarshalAuthorizedKey(certificate(t, key, ssh.HostCert))): "type 2",
		string(ssh.MarshalAuthorizedKey(certificate(t, key, ssh.UserCert))): "",
	} {
		_, got, err := parsePublic([]byte(text))
		if want == "" {
			if err != nil || !bytes.Equal(ssh.MarshalAuthorizedKey(got), []byte(line)) {
				t.Errorf("%.60q: %v", text, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}
