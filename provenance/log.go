package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/trustomize/trustomize/internal/rekor"
)

// Log is one Rekor instance and the key that its proofs must verify with.
type Log struct {
	URL     string
	Version int // 1 or 2
	Key     crypto.PublicKey
}

// Signer is what a statement is signed with.
type Signer interface {
	PublicPEM() ([]byte, error)
	SignWith(message []byte, hash crypto.Hash) ([]byte, error)
	SignAfresh(message []byte, hash crypto.Hash) ([]byte, error)
}

// Store keeps bundles by name, where an equal build finds them. What it gives
// is verified before it is used.
type Store interface {
	Get(kind, name string) (io.ReadCloser, error)
	Put(kind, name string, write func(io.Writer) error) error
	Remove(kind, name string)
}

// Recorder signs statements and, where there is a log, logs them.
type Recorder struct {
	Signer Signer
	Public crypto.PublicKey // the signer's
	Log    *Log             // nil: statements are signed and not logged
	Store  Store
	Client *http.Client
}

// Record is a signed statement with the proof that it was logged.
type Record struct {
	Bundle []byte // a Sigstore bundle, JSON
	Index  int64  // in the log; -1 without one
	Known  bool   // the entry was there before
}

// Error says that a log gave no proof that verifies.
type Error struct {
	URL string
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("log %s: %v", e.URL, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

const bundles = "bundles"

// maxBundle bounds the size in bytes of a stored bundle.
const maxBundle = 64 << 20

// Record signs the statement and logs it, unless the store has a bundle for
// the same statement, key and log whose proof verifies.
func (r *Recorder) Record(ctx context.Context, statement []byte) (*Record, error) {
	pair, err := newKeypair(r.Signer, r.Public, r.Log != nil && r.Log.Version == 2)
	if err != nil {
		return nil, err
	}
	material, err := r.material(pair)
	if err != nil {
		return nil, err
	}
	name := r.name(statement, pair)
	if r.Log != nil {
		record, err := r.stored(name, statement, material)
		if err == nil {
			return record, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			r.Store.Remove(bundles, name) // damaged, or made with another key
		}
	}
	pb, err := r.sign(ctx, pair, statement)
	if err != nil {
		return nil, err
	}
	data, err := marshal(pb)
	if err != nil {
		return nil, err
	}
	record, err := r.verify(data, statement, material)
	if err != nil || r.Log == nil {
		return record, err
	}
	err = r.Store.Put(bundles, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return record, err
}

// name depends on all that makes a bundle good for this statement.
func (r *Recorder) name(statement []byte, pair *keypair) string {
	h := sha256.New()
	fmt.Fprintf(h, "%x\n%s\n", sha256.Sum256(statement), pair.hint)
	if r.Log != nil {
		der, _ := x509.MarshalPKIXPublicKey(r.Log.Key) // was parsed from such
		fmt.Fprintf(h, "%s\n%d\n%x\n", r.Log.URL, r.Log.Version, sha256.Sum256(der))
	}
	return hex.EncodeToString(h.Sum(nil)) + ".sigstore.json"
}

func (r *Recorder) stored(name string, statement []byte, material *material) (*Record, error) {
	f, err := r.Store.Get(bundles, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBundle))
	if err != nil {
		return nil, err
	}
	record, err := r.verify(data, statement, material)
	if err != nil {
		return nil, err
	}
	record.Known = true
	return record, nil
}

func (r *Recorder) sign(ctx context.Context, pair *keypair, statement []byte) (*protobundle.Bundle, error) {
	content := &sign.DSSEData{Data: statement, PayloadType: PayloadType}
	options := sign.BundleOptions{Context: ctx}
	if r.Log == nil {
		return sign.Bundle(content, pair, options)
	}
	client, err := rekor.New(r.Log.URL, r.Log.Version, r.Client)
	if err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	if id, err := r.Log.id(); err == nil {
		client.ReadBack(id)
	}
	options.TransparencyLogs = []sign.Transparency{client}
	pb, err := sign.Bundle(content, pair, options)
	if errors.Is(err, rekor.ErrDuplicate) {
		// The log has this entry and cannot give its proof back. It is not
		// believed; a signature that it does not know gets a proof of its own.
		pair.afresh = true
		pb, err = sign.Bundle(content, pair, options)
	}
	if err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	return pb, nil
}

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
		entries := b.GetVerificationMaterial().GetTlogEntries()
		if len(entries) != 1 || entries[0].GetInclusionProof() == nil {
			return nil, errors.New("there is no proof of inclusion")
		}
		index = entries[0].GetLogIndex()
		if err := r.Log.onlyProven(entries[0]); err != nil {
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

// marshal returns a bundle's JSON. protojson varies its white space on
// purpose, so that is taken out.
func marshal(pb *protobundle.Bundle) ([]byte, error) {
	loose, err := protojson.Marshal(pb)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Compact(&b, loose)
	b.WriteByte('\n')
	return b.Bytes(), err
}

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
	m.logs[hex.EncodeToString(id)] = &root.TransparencyLog{
		BaseURL: r.Log.URL, ID: id, PublicKey: r.Log.Key,
		HashFunc: crypto.SHA256, SignatureHashFunc: signatureHash(r.Log.Key),
		ValidityPeriodStart: time.Unix(0, 0),
	}
	return m, nil
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
