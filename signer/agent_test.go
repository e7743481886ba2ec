package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// certificate gives the key one for the principal alice.
func certificate(t testing.TB, key any, kind uint32) *ssh.Certificate {
	t.Helper()
	return certificateBy(t, key, kind, newEd25519(t))
}

func certificateBy(t testing.TB, key any, kind uint32, authority crypto.Signer) *ssh.Certificate {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	by, err := ssh.NewSignerFromSigner(authority)
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: s.PublicKey(), CertType: kind, ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, by); err != nil {
		t.Fatal(err)
	}
	return c
}

// startAgent runs the real ssh-agent and returns how to connect to it.
func startAgent(t *testing.T) func() net.Conn {
	t.Helper()
	path, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Skip("ssh-agent is not installed")
	}
	// A socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "-D", "-a", socket)
	cmd.Env = []string{"HOME=" + dir}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	dial := func() (net.Conn, error) { return net.Dial("unix", socket) }
	for range 500 {
		conn, err := dial()
		if err == nil {
			conn.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() net.Conn {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func TestAgentKey(t *testing.T) {
	connect := startAgent(t)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	authority := newEd25519(t)
	ca := "alice cert-authority " + string(publicLine(t, authority))
	for _, c := range []struct {
		name string
		key  any
	}{{"ed25519", newEd25519(t)}, {"P-256", p256}, {"RSA", newRSA(t, rsa2048)}} {
		add := func(key agent.AddedKey) {
			t.Helper()
			if err := agent.NewClient(connect()).Add(key); err != nil {
				t.Fatal(err)
			}
		}
		open := func(public []byte) *SSHKey {
			t.Helper()
			k, err := AgentKey(connect(), public)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			return k
		}
		public, cert := publicLine(t, c.key), certificateBy(t, c.key, ssh.UserCert, authority)
		certLine := ssh.MarshalAuthorizedKey(cert)
		if _, err := AgentKey(connect(), public); err == nil || !strings.Contains(err.Error(), "does not hold") {
			t.Errorf("%s, before it is added: %v", c.name, err)
		}
		add(agent.AddedKey{PrivateKey: c.key})
		k := open(public)
		signs(t, k, "alice "+string(public))
		signs(t, k, "alice "+string(public)) // over the same connection
		signs(t, open(certLine), ca)         // a certificate that the agent does not hold
		add(agent.AddedKey{PrivateKey: c.key, Certificate: cert})
		signs(t, open(certLine), ca)

		remove := agent.NewClient(connect())
		if err := errors.Join(remove.Remove(cert), remove.Remove(cert.Key)); err != nil {
			t.Fatal(err)
		}
		if f, err := k.SignFile(context.Background(), listed); err == nil || f.Data != nil {
			t.Errorf("%s: signs after it was removed", c.name)
		}
	}
}

func TestAgentLocked(t *testing.T) {
	connect := startAgent(t)
	key := newEd25519(t)
	client := agent.NewClient(connect())
	if err := errors.Join(client.Add(agent.AddedKey{PrivateKey: key}), client.Lock([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, err := AgentKey(connect(), publicLine(t, key)); err == nil {
		t.Error("a locked agent's key")
	}
}

// liar is an agent that signs something else than it is asked for.
type liar struct {
	agent.Agent
	sign func(ssh.PublicKey, []byte) (*ssh.Signature, error)
}

func (l liar) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) { return l.sign(key, data) }

func TestAgentLies(t *testing.T) {
	key, other := newRSA(t, rsa2048), newEd25519(t)
	public := publicLine(t, key)
	keyring := agent.NewKeyring()
	if err := errors.Join(keyring.Add(agent.AddedKey{PrivateKey: key}), keyring.Add(agent.AddedKey{PrivateKey: other})); err != nil {
		t.Fatal(err)
	}
	by, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	otherSigner, err := ssh.NewSignerFromKey(other)
	if err != nil {
		t.Fatal(err)
	}
	sha512 := func(data []byte) (*ssh.Signature, error) {
		return by.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	}
	for name, c := range map[string]struct {
		sign func(ssh.PublicKey, []byte) (*ssh.Signature, error)
		want string
	}{
		"honest":      {func(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) { return sha512(data) }, ""},
		"SHA-1":       {func(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) { return by.Sign(rand.Reader, data) }, `did with "ssh-rsa"`},
		"another key": {func(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) { return otherSigner.Sign(rand.Reader, data) }, "ssh-ed25519"},
		"other bytes": {func(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) { return sha512(append(data, 'x')) }, "does not verify"},
		"refusal":     {func(ssh.PublicKey, []byte) (*ssh.Signature, error) { return nil, errors.New("no") }, "does not sign"},
	} {
		here, there := net.Pipe()
		go func() {
			_ = agent.ServeAgent(liar{keyring, c.sign}, there)
			there.Close()
		}()
		k, err := AgentKey(here, public)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := k.SignFile(context.Background(), listed)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || f.Data != nil) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		here.Close()
	}
}

// TestAgentWaits ends the context while the agent waits for its user.
func TestAgentWaits(t *testing.T) {
	key := newEd25519(t)
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	asked, released := make(chan struct{}), make(chan struct{})
	defer close(released)
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		_ = agent.ServeAgent(liar{keyring, func(ssh.PublicKey, []byte) (*ssh.Signature, error) {
			close(asked)
			<-released
			return nil, errors.New("late")
		}}, there)
		there.Close()
	}()
	k, err := AgentKey(here, publicLine(t, key))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; cancel() }()
	if _, err := k.SignFile(ctx, listed); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestAgentAnswers gives an agent's answers that are none.
func TestAgentAnswers(t *testing.T) {
	public := publicLine(t, newEd25519(t))
	for _, answer := range []string{"", "\x00", "\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x05\x0c\xff\xff\xff\xff", "\x00\x00\x00\x01\x05", "\x00\x00\x00\x01\x06"} {
		conn := struct {
			io.Reader
			io.Writer
		}{strings.NewReader(answer), io.Discard}
		if _, err := AgentKey(conn, public); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", answer, err)
		}
	}
}
