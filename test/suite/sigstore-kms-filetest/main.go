// Command sigstore-kms-filetest is a KMS plugin of Sigstore's for tests: the key
// filetest:///DIR/KEY.pem lies in that file, PKCS #8 in PEM.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sigstore-kms-filetest:", err)
		os.Exit(1)
	}
}

func run() error {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		return err
	}
	key := &fileKey{file: args.InitOptions.KeyResourceID}
	if args.PublicKey != nil || args.SignMessage != nil || args.VerifySignature != nil {
		if key.SignerVerifier, err = open(key.file, args.InitOptions.HashFunc); err != nil {
			return handler.WriteErrorResponse(os.Stdout, err)
		}
	}
	_, err = handler.Dispatch(os.Stdout, os.Stdin, args, key)
	return err
}

func open(file string, hash crypto.Hash) (signature.SignerVerifier, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(data, nil)
	if err != nil {
		return nil, err
	}
	return signature.LoadSignerVerifier(private, hash)
}

// fileKey is a kms.SignerVerifier.
type fileKey struct {
	signature.SignerVerifier
	file string
}

const algorithm = "ecdsa-p256-sha256"

// DefaultAlgorithm implements kms.SignerVerifier.
func (*fileKey) DefaultAlgorithm() string { return algorithm }

// SupportedAlgorithms implements kms.SignerVerifier.
func (*fileKey) SupportedAlgorithms() []string { return []string{algorithm} }

// CryptoSigner implements kms.SignerVerifier; the protocol has no call for it.
func (*fileKey) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.ErrUnsupported
}

// CreateKey writes a new key, and never over another.
func (k *fileKey) CreateKey(_ context.Context, name string) (crypto.PublicKey, error) {
	if name != algorithm {
		return nil, fmt.Errorf("algorithm %q is not known", name)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	data, err := cryptoutils.MarshalPrivateKeyToPEM(private)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(k.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	return private.Public(), errors.Join(err, f.Close())
}
