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
	"os"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// A spool entry is a JSON object in a file of the store's spool, whose name is
// that under which the bundle is stored once it is logged:
//
//	{"log": {"url": URL, "version": 1 or 2, "key": SHA-256 of the log's key},
//	 "publicKey": PEM of the key that signed, "bundle": the Sigstore bundle}
//
// It is all that delivery needs: the signature is not made again, so that a log
// which has it already says so.
type spoolEntry struct {
	Log       spoolLog        `json:"log"`
	PublicKey string          `json:"publicKey"`
	Bundle    json.RawMessage `json:"bundle"`
}

// spoolLog names a log in a spool entry.
type spoolLog struct {
	URL     string `json:"url"`
	Version int    `json:"version"`
	Key     string `json:"key"` // SHA-256 of its DER, hexadecimal
}

const spooled = "spool"

// spool leaves a signed statement for delivery, unless it waits already.
func (r *Recorder) spool(ctx context.Context, name string, statement []byte, pair *keypair) (*Record, error) {
	waiting, err := readSpool(r.Store, name, []*Log{r.Log})
	if err == nil {
		return &Record{Bundle: waiting.data, Index: -1, Spooled: true}, nil
	}
	unlogged := &Recorder{Signer: r.Signer, Public: r.Public}
	pb, _, err := unlogged.sign(ctx, pair, statement)
	if err != nil {
		return nil, err
	}
	data, err := marshal(pb)
	if err != nil {
		return nil, err
	}
	material, err := unlogged.material(pair)
	if err != nil {
		return nil, err
	}
	record, err := unlogged.verify(data, statement, material)
	if err != nil {
		return nil, err
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(r.Public)
	if err != nil {
		return nil, err
	}
	entry, err := json.Marshal(spoolEntry{r.Log.named(), string(public), data})
	if err != nil {
		return nil, err
	}
	record.Spooled = true
	return record, r.Store.Put(spooled, name, func(w io.Writer) error {
		_, err := w.Write(entry)
		return err
	})
}

func (l *Log) named() spoolLog {
	return spoolLog{l.URL, l.Version, keyDigest(l.Key)}
}

// keyDigest is the SHA-256 of a public key's DER.
func keyDigest(key crypto.PublicKey) string {
	der, _ := x509.MarshalPKIXPublicKey(key) // was parsed from such
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// waiting is a spool entry that was checked.
type waiting struct {
	recorder  *Recorder // of its key and log, without a signer
	pair      *keypair  // without a signer
	bundle    *protobundle.Bundle
	data      []byte // the bundle's JSON
	statement []byte
}

// ErrOtherLog says that an entry waits for a log that is not among those named.
var ErrOtherLog = errors.New("it waits for a log that the policy does not name")

// DamagedError says that a file of the spool is not what a build wrote there.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string { return "it is damaged: " + e.Err.Error() }

// Unwrap returns what is wrong with it.
func (e *DamagedError) Unwrap() error { return e.Err }

// readSpool reads a spool entry and checks that it is the signed statement of a
// build, for one of some logs, under its own name. Errors are os.ErrNotExist,
// [ErrOtherLog], and those of type *[DamagedError].
func readSpool(store Store, name string, logs []*Log) (*waiting, error) {
	f, err := store.Get(spooled, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, &DamagedError{err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBundle+1))
	if err != nil {
		return nil, &DamagedError{err}
	}
	if len(data) > maxBundle {
		return nil, &DamagedError{fmt.Errorf("it has more than %d bytes", maxBundle)}
	}
	return parseSpool(data, name, logs)
}

func parseSpool(data []byte, name string, logs []*Log) (*waiting, error) {
	var entry spoolEntry
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&entry); err != nil {
		return nil, &DamagedError{err}
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, &DamagedError{errors.New("something follows its end")}
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(entry.PublicKey))
	if err != nil {
		return nil, &DamagedError{fmt.Errorf("its key: %w", err)}
	}
	w, err := checkWaiting(entry, public, name)
	if err != nil {
		return nil, &DamagedError{err}
	}
	for _, log := range logs {
		if log.named() == entry.Log {
			w.recorder.Log = log
			return w, nil
		}
	}
	return nil, fmt.Errorf("%w: %.200s, version %d", ErrOtherLog, entry.Log.URL, entry.Log.Version)
}

// checkWaiting holds a spool entry against all that can be known without the
// log: form, signature and name.
func checkWaiting(entry spoolEntry, public crypto.PublicKey, name string) (*waiting, error) {
	pair, err := newKeypair(nil, public, entry.Log.Version == 2)
	if err != nil {
		return nil, err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(entry.Bundle); err != nil {
		return nil, err
	}
	envelope := b.GetDsseEnvelope()
	if len(b.GetVerificationMaterial().GetTlogEntries()) > 0 {
		return nil, errors.New("it is logged already, by what it says")
	}
	if err := isBuild(envelope.GetPayloadType(), envelope.GetPayload()); err != nil {
		return nil, err
	}
	if want := nameOf(envelope.GetPayload(), pair.hint, &entry.Log); name != want {
		return nil, fmt.Errorf("by what it holds, its name is %s", want)
	}
	r := &Recorder{Public: public}
	material, err := r.material(pair)
	if err != nil {
		return nil, err
	}
	if _, err := r.verify(entry.Bundle, envelope.GetPayload(), material); err != nil {
		return nil, err
	}
	return &waiting{recorder: r, pair: pair, bundle: b.Bundle, data: append(entry.Bundle, '\n'), statement: envelope.GetPayload()}, nil
}

// isBuild checks that a payload is the statement of a build.
func isBuild(payloadType string, payload []byte) error {
	var s Statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return fmt.Errorf("its statement: %w", err)
	}
	if payloadType != PayloadType || s.Type != StatementType || s.PredicateType != PredicateType || s.Predicate.BuildDefinition.BuildType != BuildType {
		return errors.New("it holds other than the statement of a build")
	}
	return nil
}
