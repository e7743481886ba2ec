package sshsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

var message = []byte("1f4e  kustomization.yaml\n")

// now is the time of every verification that does not say another.
var now = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)

func signerOf(t testing.TB, private crypto.Signer, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEd25519(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return signerOf(t, private, err)
}

func newECDSA(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	return signerOf(t, private, err)
}

// RSA keys take long to make: one of each size for all tests.
var (
	rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	rsa1024 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
)

func newRSA(t testing.TB, make func() (*rsa.PrivateKey, error)) ssh.Signer {
	t.Helper()
	private, err := make()
	return signerOf(t, private, err)
}

// withAlgorithm makes a signer use one algorithm, whatever it is asked for.
type withAlgorithm struct {
	ssh.Signer
	algorithm string
}

func (w withAlgorithm) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return w.SignWithAlgorithm(random, data, w.algorithm)
}

func (w withAlgorithm) SignWithAlgorithm(random io.Reader, data []byte, _ string) (*ssh.Signature, error) {
	return w.Signer.(ssh.AlgorithmSigner).SignWithAlgorithm(random, data, w.algorithm)
}

// securityKey signs as a security key does (PROTOCOL.u2f).
type securityKey struct {
	ssh.Signer // its plain key
	kind       string
	flags      byte
}

const application = "ssh:"

func (k securityKey) PublicKey() ssh.PublicKey {
	var blob []byte
	if k.kind == ssh.KeyAlgoSKED25519 {
		raw := k.Signer.PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
		blob = ssh.Marshal(struct{ Name, Key, Application string }{k.kind, string(raw), application})
	} else {
		plain := struct{ Name, Curve, Key string }{}
		if err := ssh.Unmarshal(k.Signer.PublicKey().Marshal(), &plain); err != nil {
			panic(err)
		}
		blob = ssh.Marshal(struct{ Name, Curve, Key, Application string }{k.kind, plain.Curve, plain.Key, application})
	}
	public, err := ssh.ParsePublicKey(blob)
	if err != nil {
		panic(err)
	}
	return public
}

func (k securityKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	fields := binary.BigEndian.AppendUint32([]byte{k.flags}, 7)
	app, digest := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	sig, err := k.Signer.Sign(random, bytes.Join([][]byte{app[:], fields, digest[:]}, nil))
	if err != nil {
		return nil, err
	}
	return &ssh.Signature{Format: k.kind, Blob: sig.Blob, Rest: fields}, nil
}

// certify gives a signer a user certificate for the principal alice, valid in
// 2024. The function may change it before it is signed.
func certify(t testing.TB, key, authority ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{"alice"},
		ValidAfter:  uint64(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
		ValidBefore: uint64(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return c
}

// certified is a signer with its certificate.
type certified struct {
	ssh.Signer
	cert *ssh.Certificate
}

func (c certified) PublicKey() ssh.PublicKey { return c.cert }

func sign(t testing.TB, key ssh.Signer, namespace string) []byte {
	t.Helper()
	s, err := wire.Sign(bytes.NewReader(message), key, wire.HashSHA512, namespace)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Armor(s)
}

// authorized is a key as it stands in a line, without a newline.
func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func parse(t testing.TB, text string, principals ...string) *Allowed {
	t.Helper()
	a, err := Parse([]byte(text), principals)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(a *Allowed, sig []byte, when signature.When) (signature.Evidence, error) {
	return a.Verify(signature.Signature{Kind: signature.SSH, Data: sig}, message, when)
}
