package signer

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/trustomize/trustomize/internal/signature/sshsig"
)

// SSHKey makes SSH signatures of files (OpenSSH's PROTOCOL.sshsig), which
// `ssh-keygen -Y verify -n file` accepts: armoured, over SHA-512, of RSA keys
// with rsa-sha2-512. It is safe for concurrent use.
type SSHKey struct {
	// Fingerprint is what ssh-keygen -l prints of the key, also where it signs
	// with a certificate.
	Fingerprint string

	key    ssh.PublicKey // of a certificate, the key that it is for
	signer ssh.Signer    // its public key is what signatures carry
	conn   deadliner     // to an agent that may keep one waiting; nil: none
}

// deadliner is what of a net.Conn ends a wait.
type deadliner interface {
	SetDeadline(time.Time) error
}

// pemOpenSSH is the PEM type of OpenSSH's private keys (PROTOCOL.key).
const pemOpenSSH = "OPENSSH PRIVATE KEY"

// OpenSSHKey opens a private key as ssh-keygen writes it: Ed25519, ECDSA, or
// RSA of at least 2048 bits. The password is asked for when the key is
// encrypted, and appears in no error. The key of a security key is used through
// an agent: its file does not hold it.
func OpenSSHKey(data []byte, password func() ([]byte, error)) (*SSHKey, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not an OpenSSH private key")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("holds several PEM blocks, where one private key is wanted")
	}
	if block.Type != pemOpenSSH || len(block.Headers) > 0 {
		return nil, fmt.Errorf("PEM type %q is not accepted; want %q without headers", block.Type, pemOpenSSH)
	}
	private, err := ssh.ParseRawPrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		private, err = unlock(data, locked.PublicKey, password)
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, errUnreadable
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, errUnreadable
	}
	if err := sshsig.CheckKey(key.PublicKey()); err != nil {
		return nil, err
	}
	return newSSHKey(key.PublicKey(), key), nil
}

var errUnreadable = errors.New("the key cannot be read: damaged, or of a kind that is not accepted (want Ed25519, ECDSA or RSA; a security key's is used through an agent)")

func unlock(data []byte, public ssh.PublicKey, password func() ([]byte, error)) (any, error) {
	// Nobody is asked for the password of a key that would be refused.
	if err := sshsig.CheckKey(public); err != nil {
		return nil, err
	}
	if strings.HasPrefix(public.Type(), "sk-") {
		return nil, errUnreadable
	}
	secret, err := password()
	if err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, errors.New("the key is encrypted, and the password is empty")
	}
	private, err := ssh.ParseRawPrivateKeyWithPassphrase(data, secret)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errors.New("the key cannot be decrypted: wrong password, or damaged")
	}
	if err != nil {
		return nil, errUnreadable
	}
	return private, nil
}

// newSSHKey takes a key that [sshsig.CheckKey] accepts.
func newSSHKey(key ssh.PublicKey, signer ssh.Signer) *SSHKey {
	return &SSHKey{Fingerprint: ssh.FingerprintSHA256(key), key: key, signer: signer}
}

// AgentKey takes a key that an SSH agent holds (draft-miller-ssh-agent), named
// by its public half: one line as in authorized_keys, without options, of the
// key or of a user certificate for it. With a certificate, signatures carry
// that, whether the agent holds it or the key alone.
//
// The connection stays the caller's to close; nothing else may use it. Where it
// is a net.Conn, SignFile sets its deadline to stop waiting for the agent.
func AgentKey(conn io.ReadWriter, public []byte) (*SSHKey, error) {
	carried, key, err := parsePublic(public)
	if err != nil {
		return nil, err
	}
	// Without a Close that it could see, the client starts no goroutine that
	// would read on.
	client := agent.NewClient(struct{ io.ReadWriter }{conn})
	held, err := client.List()
	if err != nil {
		return nil, fmt.Errorf("the agent does not list its keys: %w", err)
	}
	with := holds(held, carried)
	if with == nil {
		with = holds(held, key)
	}
	if with == nil {
		return nil, fmt.Errorf("the agent does not hold the key %s; it holds %d others", ssh.FingerprintSHA256(key), len(held))
	}
	k := newSSHKey(key, &agentSigner{client, with, carried, sshsig.Algorithm(key)})
	k.conn, _ = conn.(deadliner)
	return k, nil
}

// parsePublic reads the line of a public key that is accepted: what signatures
// are to carry, and the key itself, which differ for a certificate.
func parsePublic(line []byte) (carried, key ssh.PublicKey, err error) {
	line = bytes.TrimSpace(line)
	if bytes.ContainsAny(line, "\r\n") {
		return nil, nil, errors.New("holds several lines, where one public key is wanted")
	}
	carried, _, options, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, nil, errors.New("not an SSH public key")
	}
	if len(options) > 0 {
		return nil, nil, errors.New("options before the public key; want it alone")
	}
	key = carried
	if cert, is := carried.(*ssh.Certificate); is {
		if cert.CertType != ssh.UserCert {
			return nil, nil, fmt.Errorf("a certificate of type %d, where a user's (%d) is wanted", cert.CertType, ssh.UserCert)
		}
		key = cert.Key
	}
	return carried, key, sshsig.CheckKey(key)
}

// holds returns the key as the agent lists it, nil where it does not.
func holds(held []*agent.Key, key ssh.PublicKey) ssh.PublicKey {
	for _, h := range held {
		if bytes.Equal(h.Blob, key.Marshal()) {
			return h
		}
	}
	return nil
}

// agentSigner signs in an agent, with one algorithm.
type agentSigner struct {
	agent     agent.ExtendedAgent
	held      ssh.PublicKey // what the agent knows it by
	carried   ssh.PublicKey // what signatures carry
	algorithm string
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.carried }

func (s *agentSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	if s.algorithm == ssh.KeyAlgoRSASHA512 {
		flags = agent.SignatureFlagRsaSha512
	}
	return s.agent.SignWithFlags(s.held, data, flags)
}

func (s *agentSigner) SignWithAlgorithm(random io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if algorithm != s.algorithm {
		return nil, fmt.Errorf("signs with %s, not %s", s.algorithm, algorithm)
	}
	return s.Sign(random, data)
}

// SignFile returns an armoured SSHSIG in namespace "file". A key from a file
// gives the same signature for the same message; what an agent does is its own
// affair. When the context ends while an agent is asked, the connection to it
// is of no more use.
func (k *SSHKey) SignFile(ctx context.Context, message []byte) (File, error) {
	if err := ctx.Err(); err != nil {
		return File{}, err
	}
	if k.conn != nil {
		stop := context.AfterFunc(ctx, func() { _ = k.conn.SetDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	// Without a source of randomness, crypto/ecdsa derives the nonce from key
	// and message.
	sig, err := wire.SignWithRand(bytes.NewReader(message), nil, k.signer, wire.HashSHA512, sshsig.NamespaceFile)
	if ctx.Err() != nil {
		return File{}, ctx.Err()
	}
	if err != nil {
		return File{}, fmt.Errorf("the key %s does not sign: %w", k.Fingerprint, err)
	}
	if err := k.check(sig, message); err != nil {
		return File{}, err
	}
	return File{Data: wire.Armor(sig), Signer: k.Fingerprint}, nil
}

// check verifies what an agent, or a damaged key, made.
func (k *SSHKey) check(sig *wire.Signature, message []byte) error {
	if want := sshsig.Algorithm(k.key); sig.Signature.Format != want {
		return fmt.Errorf("the key %s was asked to sign with %s, and did with %q", k.Fingerprint, want, sig.Signature.Format)
	}
	if err := wire.Verify(bytes.NewReader(message), sig, k.signer.PublicKey(), wire.HashSHA512, sshsig.NamespaceFile); err != nil {
		return fmt.Errorf("the key %s made a signature that does not verify", k.Fingerprint)
	}
	return nil
}
