package signer

import (
	"context"
	"crypto"
)

// afresh makes signatures as a KMS does that signs at random.
type afresh struct{ random }

func (a afresh) Make(ctx context.Context, message []byte) (Signature, error) {
	raw, err := a.SignAfresh(ctx, message, crypto.SHA256)
	return Signature{Raw: raw}, err
}
