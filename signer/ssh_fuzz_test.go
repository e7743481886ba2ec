package signer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature/sshsig"
)

func FuzzOpenSSHKey(f *testing.F) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, data := range [][]byte{
		sshPrivate(f, newEd25519(f)), sealed(publicOf(f, newEd25519(f))), sshPrivate(f, p256), sshPrivate(f, newRSA(f, rsa2048)),
	} {
		block, _ := pem.Decode(data)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		none := errors.New("none")
		k, err := OpenSSHKey(pem.EncodeToMemory(&pem.Block{Type: pemOpenSSH, Bytes: blob}), func() ([]byte, error) { return nil, none })
		if (k == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", blob, k, err)
		}
		if err == nil {
			if f, err := k.SignFile(t.Context(), listed); (f.Data == nil) == (err == nil) {
				t.Fatalf("%q: %+v, %v", blob, f, err)
			}
		}
	})
}

func FuzzParsePublic(f *testing.F) {
	key := newEd25519(f)
	f.Add(publicLine(f, key))
	f.Add(ssh.MarshalAuthorizedKey(certificate(f, key, ssh.UserCert)))
	f.Add(append([]byte(`a="b c",d `), publicLine(f, key)...))
	f.Fuzz(func(t *testing.T, line []byte) {
		carried, key, err := parsePublic(line)
		if err == nil && (carried == nil || sshsig.CheckKey(key) != nil || sshsig.Algorithm(key) == "") {
			t.Fatalf("%q: %v", line, key)
		}
	})
}
