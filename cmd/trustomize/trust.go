package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/signature/bundle"
	"github.com/trustomize/trustomize/internal/signature/pgp"
	"github.com/trustomize/trustomize/internal/signature/sshsig"
)

// verifyWith says whose signatures count where no policy is asked. Names are
// those of cosign verify-blob where it has the same.
type verifyWith struct {
	keys                                  []string
	identity, identityRegExp              string
	issuer, issuerRegExp, trustedRootFile string
	noSCT                                 bool
}

func (w *verifyWith) flags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&w.keys, "key", nil, "public key in PEM, PGP key ring, or allowed_signers file of SSH; may be given several times")
	flags.StringVar(&w.identity, "certificate-identity", "", "keyless: subject of the certificate")
	flags.StringVar(&w.identityRegExp, "certificate-identity-regexp", "", "keyless: regular expression for the whole subject")
	flags.StringVar(&w.issuer, "certificate-oidc-issuer", "", "keyless: issuer of the token behind the certificate")
	flags.StringVar(&w.issuerRegExp, "certificate-oidc-issuer-regexp", "", "keyless: regular expression for the whole issuer")
	flags.StringVar(&w.trustedRootFile, "trusted-root", "", "trusted_root.json: who vouches for certificates and times")
	flags.BoolVar(&w.noSCT, "insecure-ignore-sct", false, "keyless: do not ask that the certificate is in a log of certificates")
}

func (w *verifyWith) signers() ([]signature.Trust, error) {
	root, err := w.trustedRoot()
	if err != nil {
		return nil, err
	}
	var signers []signature.Trust
	for _, file := range w.keys {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		trust, err := trustIn(data, root)
		if err != nil {
			return nil, fmt.Errorf("--key %s: %w", file, err)
		}
		signers = append(signers, trust)
	}
	if w.identity+w.identityRegExp+w.issuer+w.issuerRegExp != "" {
		if root == nil {
			return nil, errors.New("--trusted-root: nothing vouches for certificates without one")
		}
		id := bundle.Identity{Issuer: w.issuer, IssuerRegExp: w.issuerRegExp, Subject: w.identity, SubjectRegExp: w.identityRegExp, NoSCT: w.noSCT}
		trust, err := bundle.NewIdentity(id, root)
		if err != nil {
			return nil, err
		}
		signers = append(signers, trust)
	}
	if len(signers) == 0 {
		return nil, errors.New("--key: name the public key to verify with, or an identity with --certificate-identity and --certificate-oidc-issuer")
	}
	return signers, nil
}

func (w *verifyWith) trustedRoot() (*bundle.Root, error) {
	if w.trustedRootFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(w.trustedRootFile)
	if err != nil {
		return nil, fmt.Errorf("--trusted-root: %w", err)
	}
	root, err := bundle.ParseRoot(data)
	if err != nil {
		return nil, fmt.Errorf("--trusted-root %s: %w", w.trustedRootFile, err)
	}
	return root, nil
}

// trustIn tells a key's file by its content.
func trustIn(data []byte, root *bundle.Root) (signature.Trust, error) {
	switch {
	case bytes.Contains(data, []byte("-----BEGIN PGP ")) || len(data) > 0 && data[0]&0x80 != 0:
		ring, err := pgp.Parse(data)
		if err != nil {
			return nil, err
		}
		return ring, nil
	case bytes.Contains(data, []byte("-----BEGIN ")):
		key, err := signature.ParseKey(data)
		if err != nil {
			return nil, err
		}
		return bundle.NewKey(key, root), nil
	}
	allowed, err := sshsig.Parse(data, nil)
	if err != nil {
		return nil, fmt.Errorf("neither a PEM key nor a PGP key ring, and as an allowed_signers file: %w", err)
	}
	return allowed, nil
}
