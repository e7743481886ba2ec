package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
)

// LogsSignatures reports whether the log can give a plain signature what verifiers
// of images ask for: a promise of inclusion, which Rekor v1 alone makes, and makes
// of no Ed25519 signature (its hashedrekord holds a hash, and not the message).
func (r *Recorder) LogsSignatures() bool {
	_, unhashed := r.Public.(ed25519.PublicKey)
	return r.Log != nil && r.Log.Version == 1 && !r.Spool && !unhashed
}

// LogSignature logs a signature that the signer's key made over the SHA-256 of a
// message, and returns the log's promise as cosign attaches it to
// images, after it and the proof of inclusion verified.
func (r *Recorder) LogSignature(ctx context.Context, sig, message []byte) ([]byte, error) {
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	pair, err := newKeypair(r.Signer, r.Public, false)
	if err != nil {
		return nil, err
	}
	options := sign.BundleOptions{Context: ctx, TransparencyLogs: []sign.Transparency{client}}
	pb, err := sign.Bundle(&sign.PlainData{Data: message}, &madeBefore{pair, sig}, options)
	if err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	promise, err := r.proven(pb, sig, message)
	if err != nil {
		return nil, &Error{r.Log.URL, fmt.Errorf("its answer does not verify: %w", err)}
	}
	return promise, nil
}

// proven returns the promise of a bundle's one entry.
func (r *Recorder) proven(pb *protobundle.Bundle, sig, message []byte) ([]byte, error) {
	entry, err := onlyEntry(pb)
	if err != nil {
		return nil, err
	}
	parsed, err := tlog.ParseTransparencyLogEntry(entry)
	if err != nil {
		return nil, err
	}
	verifier, err := signature.LoadVerifier(r.Log.Key, signatureHash(r.Log.Key))
	if err != nil {
		return nil, err
	}
	if err := tlog.VerifyInclusion(parsed, verifier); err != nil {
		return nil, err
	}
	promise, err := cosignEntry(entry)
	if err != nil {
		return nil, err
	}
	return promise, r.CheckSignature(promise, sig, message)
}

// CheckSignature checks that a promise in cosign's form is this log's, and is about
// this signature by the signer's key over this message.
func (r *Recorder) CheckSignature(promise, sig, message []byte) error {
	var p promised
	if err := json.Unmarshal(promise, &p); err != nil {
		return err
	}
	logID, err := hex.DecodeString(p.Payload.LogID)
	if err != nil {
		return err
	}
	entry, err := tlog.NewTlogEntry(&protorekor.TransparencyLogEntry{
		LogIndex: p.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: logID}, IntegratedTime: p.Payload.IntegratedTime,
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.1"},
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: p.SignedEntryTimestamp},
		CanonicalizedBody: p.Payload.Body,
	})
	if err != nil {
		return err
	}
	digest, algorithm, ok := entry.GetHashedRekordDigest()
	want := sha256.Sum256(message)
	switch {
	case !ok || algorithm != "sha256" || !bytes.Equal(digest, want[:]):
		return errors.New("the entry is of another message")
	case !bytes.Equal(entry.Signature(), sig):
		return errors.New("the entry is of another signature")
	case !samePublic(entry.PublicKey(), r.Public):
		return errors.New("the entry is of another key")
	}
	id, err := r.Log.id()
	if err != nil {
		return err
	}
	return tlog.VerifySET(entry, map[string]*root.TransparencyLog{hex.EncodeToString(id): r.Log.trusted(id)})
}

func samePublic(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *ecdsa.PublicKey:
		return a.Equal(b)
	case *rsa.PublicKey:
		return a.Equal(b)
	}
	return false
}

// promised is what cosign keeps of a Rekor v1's entry in an image's annotation
// dev.sigstore.cosign/bundle (its pkg/cosign/bundle, RekorBundle).
type promised struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"` // hexadecimal
	}
}

func cosignEntry(e *protorekor.TransparencyLogEntry) ([]byte, error) {
	var p promised
	if p.SignedEntryTimestamp = e.GetInclusionPromise().GetSignedEntryTimestamp(); p.SignedEntryTimestamp == nil {
		return nil, errors.New("the entry has no signed timestamp")
	}
	p.Payload.Body, p.Payload.IntegratedTime, p.Payload.LogIndex = e.GetCanonicalizedBody(), e.GetIntegratedTime(), e.GetLogIndex()
	p.Payload.LogID = hex.EncodeToString(e.GetLogId().GetKeyId())
	return json.Marshal(p)
}

// CosignEntry returns a record's promise of inclusion in the form in which cosign
// attaches it to an image; nil where its log makes none.
func (r *Record) CosignEntry() ([]byte, error) {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(r.Bundle); err != nil {
		return nil, err
	}
	for _, entry := range b.GetVerificationMaterial().GetTlogEntries() {
		if entry.GetInclusionPromise() != nil {
			return cosignEntry(entry)
		}
	}
	return nil, nil
}

// madeBefore shows sigstore-go a signature that is there already.
type madeBefore struct {
	*keypair
	sig []byte
}

// GetHashAlgorithm implements sign.Keypair. Images are signed over SHA-256,
// whatever the key.
func (m *madeBefore) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}

// SignData implements sign.Keypair.
func (m *madeBefore) SignData(_ context.Context, data []byte) (sig, digest []byte, err error) {
	sum := sha256.Sum256(data)
	return m.sig, sum[:], nil
}
