package signer

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/trustomize/trustomize/internal/signature"
)

// KeylessMaker signs messages in the name of an identity, each with a key of its
// own.
type KeylessMaker struct {
	Keyless *Keyless
	// Trust is the identity that must come out: what else the surroundings' token
	// stands for signs nothing.
	Trust signature.Trust
	Now   time.Time
}

// ID names the identity.
func (k *KeylessMaker) ID() string { return "keyless " + k.Trust.String() }

// Deterministic is false.
func (k *KeylessMaker) Deterministic() bool { return false }

// Make returns a signature with its certificate, and the bundle that has the
// proofs of when it was made.
func (k *KeylessMaker) Make(ctx context.Context, message []byte) (Signature, error) {
	file, err := k.Keyless.SignFile(ctx, message)
	if err != nil {
		return Signature{}, err
	}
	s, err := fromBundle(file.Data)
	if err != nil {
		return Signature{}, err
	}
	if err := k.Check(s, message); err != nil {
		return Signature{}, fmt.Errorf("keyless signing: %s signed, where %s should: %w", file.Signer, k.Trust, err)
	}
	return s, nil
}

// Check verifies the bundle, offline, as the identity's. The others of the signature's
// parts are to be those of the bundle.
func (k *KeylessMaker) Check(sig Signature, message []byte) error {
	parts, err := fromBundle(sig.Bundle)
	if err != nil {
		return err
	}
	if !bytes.Equal(parts.Raw, sig.Raw) || !bytes.Equal(parts.Certificate, sig.Certificate) {
		return errors.New("its signature or certificate is not that of its bundle")
	}
	_, err = k.Trust.Verify(signature.Signature{Kind: signature.Bundle, Data: sig.Bundle}, message, signature.When{Now: k.Now})
	return err
}

// fromBundle takes a signature and its certificate out of a bundle.
func fromBundle(data []byte) (Signature, error) {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return Signature{}, err
	}
	raw, der := b.GetMessageSignature().GetSignature(), b.GetVerificationMaterial().GetCertificate().GetRawBytes()
	if raw == nil || der == nil {
		return Signature{}, errors.New("the bundle has no signature with a certificate")
	}
	return Signature{Raw: raw, Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Bundle: data}, nil
}

// Statement returns a bundle with an in-toto statement, signed by the identity and
// logged: the one that a store has, or a new one that all stores get.
func (k *KeylessMaker) Statement(ctx context.Context, payloadType string, statement []byte, identity string, stores ...Store) ([]byte, error) {
	name := keptName(k.ID()+"\n"+payloadType, statement)
	for _, store := range stores {
		data, err := store.Get(name)
		if err != nil {
			continue
		}
		if k.checkStatement(data, payloadType, statement, identity) == nil {
			return data, nil
		}
		store.Remove(name)
	}
	file, err := k.Keyless.SignStatement(ctx, payloadType, statement)
	if err != nil {
		return nil, err
	}
	if err := k.checkStatement(file.Data, payloadType, statement, identity); err != nil {
		return nil, fmt.Errorf("keyless signing: %w", err)
	}
	for _, store := range stores {
		if _, err := store.Add(name, file.Data); err != nil {
			return nil, fmt.Errorf("keeping a statement: %w", err)
		}
	}
	return file.Data, nil
}

// checkStatement verifies a bundle as the identity's, over exactly this statement.
func (k *KeylessMaker) checkStatement(data []byte, payloadType string, statement []byte, identity string) error {
	signer, err := k.Keyless.verify(data, verify.WithoutArtifactUnsafe())
	if err != nil {
		return err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return err
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case signer != identity:
		return fmt.Errorf("%s signed, where %s should", signer, identity)
	case envelope.GetPayloadType() != payloadType || !bytes.Equal(envelope.GetPayload(), statement):
		return errors.New("the bundle holds another statement")
	}
	return nil
}
