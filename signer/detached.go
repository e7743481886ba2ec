package signer

import (
	"context"
	"encoding/base64"
)

// File is a detached signature as it lies beside what it is over.
type File struct {
	Data   []byte
	Bundle bool   // it is a Sigstore bundle, not a signature by itself
	Signer string // who made it: a fingerprint as in signature.Evidence, or an identity
}

// Detached makes detached signatures of files.
type Detached interface {
	SignFile(ctx context.Context, message []byte) (File, error)
}

// SignFile returns the signature in base64, as cosign sign-blob writes it.
func (k *Key) SignFile(_ context.Context, message []byte) (File, error) {
	sig, err := k.Sign(message)
	if err != nil {
		return File{}, err
	}
	return File{Data: []byte(base64.StdEncoding.EncodeToString(sig)), Signer: k.Public.Fingerprint}, nil
}
