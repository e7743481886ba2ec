package provenance

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// verify checks that a bundle holds this statement, signed with our key, and
// that its proof of inclusion verifies with the log's key.
func (r *Recorder) verify(data, statement []byte, material *material) (*Record, error) {
	record, err := r.verified(data, statement, material)
	if err != nil && r.Log != nil {
		return nil, &Error{r.Log.URL, fmt.Errorf("its answer does not verify: %w", err)}
	}
	return record, err
}

func (r *Recorder) verified(data, statement []byte, material *material) (*Record, error) {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	if !bytes.Equal(b.GetDsseEnvelope().GetPayload(), statement) {
		return nil, errors.New("the bundle holds another statement")
	}
	if err := onlyProven(b.Bundle, material.hint); err != nil {
		return nil, err
	}
	options := []verify.VerifierOption{verify.WithNoObserverTimestamps()}
	index := int64(-1)
	if r.Log != nil {
		options = append(options, verify.WithTransparencyLog(1))
		entry, err := onlyEntry(b.Bundle)
		if err != nil {
			return nil, err
		}
		index = entry.GetLogIndex()
		if err := r.Log.onlyProven(entry); err != nil {
			return nil, err
		}
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		return nil, err
	}
	// The payload was compared above, byte by byte.
	if _, err := verifier.Verify(&b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey())); err != nil {
		return nil, err
	}
	return &Record{Bundle: data, Index: index}, nil
}

// onlyProven refuses an entry that says more than is proven: in version 2 the
// inclusion proof covers body and index, in version 1 the promise covers time
// and index too.
func (l *Log) onlyProven(e *protorekor.TransparencyLogEntry) error {
	switch {
	case l.Version == 1 && len(e.GetInclusionPromise().GetSignedEntryTimestamp()) == 0:
		return errors.New("the entry has no signed timestamp")
	case l.Version == 2 && (e.GetLogIndex() != e.GetInclusionProof().GetLogIndex() || e.GetIntegratedTime() != 0 || e.GetInclusionPromise() != nil):
		return errors.New("the entry says more than its proof")
	}
	var body struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.GetCanonicalizedBody(), &body); err != nil {
		return fmt.Errorf("the entry's body: %w", err)
	}
	if kind := e.GetKindVersion(); kind.GetKind() != body.Kind || kind.GetVersion() != body.APIVersion {
		return errors.New("the entry is of another kind than its body")
	}
	return nil
}

// onlyProven refuses a bundle with parts that no signature and no proof covers:
// whoever reads it later would take them for ours.
func onlyProven(b *protobundle.Bundle, hint string) error {
	m := b.GetVerificationMaterial()
	switch {
	case len(b.GetDsseEnvelope().GetSignatures()) != 1, b.GetDsseEnvelope().GetSignatures()[0].GetKeyid() != "":
		return errors.New("the bundle's envelope has other than one plain signature")
	case m.GetPublicKey().GetHint() != hint:
		return errors.New("the bundle names another key")
	case m.GetTimestampVerificationData() != nil, b.GetMediaType() != bundleMediaType:
		return errors.New("the bundle has parts that nobody vouches for")
	}
	return nil
}

// bundleMediaType is what sigstore-go writes.
const bundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// material is what a bundle is verified with: our own key and the log's, as
// the policy has them, whatever the bundle says.
type material struct {
	root.BaseTrustedMaterial
	logs     map[string]*root.TransparencyLog
	verifier signature.Verifier
	hint     string // the name that a bundle has for our key
}

func (m *material) RekorLogs() map[string]*root.TransparencyLog { return m.logs }

func (m *material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return root.NewExpiringKey(m.verifier, time.Time{}, time.Time{}), nil
}

func (r *Recorder) material(pair *keypair) (*material, error) {
	verifier, err := pair.verifier()
	if err != nil {
		return nil, err
	}
	m := &material{verifier: verifier, hint: pair.hint, logs: map[string]*root.TransparencyLog{}}
	if r.Log == nil {
		return m, nil
	}
	id, err := r.Log.id()
	if err != nil {
		return nil, err
	}
	m.logs[hex.EncodeToString(id)] = r.Log.trusted(id)
	return m, nil
}

// trusted is the log as sigstore-go trusts it, under its id.
func (l *Log) trusted(id []byte) *root.TransparencyLog {
	return &root.TransparencyLog{
		BaseURL: l.URL, ID: id, PublicKey: l.Key,
		HashFunc: crypto.SHA256, SignatureHashFunc: signatureHash(l.Key),
		ValidityPeriodStart: time.Unix(0, 0),
	}
}

// onlyEntry returns a bundle's one log entry.
func onlyEntry(pb *protobundle.Bundle) (*protorekor.TransparencyLogEntry, error) {
	entries := pb.GetVerificationMaterial().GetTlogEntries()
	if len(entries) != 1 || entries[0].GetInclusionProof() == nil {
		return nil, errors.New("there is no proof of inclusion")
	}
	return entries[0], nil
}

// id returns the id under which the log's entries name it: for version 1 the
// SHA-256 of its key, for version 2 the key's id in its checkpoints.
func (l *Log) id() ([]byte, error) {
	if l.Version == 1 {
		der, err := x509.MarshalPKIXPublicKey(l.Key)
		sum := sha256.Sum256(der)
		return sum[:], err
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, err
	}
	_, id, err := note.KeyHash(u.Hostname(), l.Key)
	return id, err
}
