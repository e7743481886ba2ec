package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
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
	SignWith(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error)
	SignAfresh(ctx context.Context, message []byte, hash crypto.Hash) ([]byte, error)
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
	Spool  bool             // leave what is not logged yet to [Flusher]
	Store  Store
	Client *http.Client
}

// Record is a signed statement with the proof that it was logged.
type Record struct {
	Bundle  []byte // a Sigstore bundle, JSON
	Index   int64  // in the log; -1 without one
	Known   bool   // the entry was there before
	Spooled bool   // the bundle waits for being logged
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
// the same statement, key and log whose proof verifies. Where it is to be
// spooled, the log is not asked.
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
	if r.Log != nil && r.Spool {
		return r.spool(ctx, name, statement, pair)
	}
	pb, known, err := r.sign(ctx, pair, statement)
	if err != nil {
		return nil, err
	}
	return r.keep(pb, known, name, statement, material)
}

// keep verifies what was signed, and stores what was logged.
func (r *Recorder) keep(pb *protobundle.Bundle, known bool, name string, statement []byte, material *material) (*Record, error) {
	data, err := marshal(pb)
	if err != nil {
		return nil, err
	}
	record, err := r.verify(data, statement, material)
	if err != nil || r.Log == nil {
		return record, err
	}
	record.Known = known
	err = r.Store.Put(bundles, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return record, err
}

// name depends on all that makes a bundle good for this statement.
func (r *Recorder) name(statement []byte, pair *keypair) string {
	if r.Log == nil {
		return nameOf(statement, pair.hint, nil)
	}
	named := r.Log.named()
	return nameOf(statement, pair.hint, &named)
}

func nameOf(statement []byte, hint string, log *spoolLog) string {
	h := sha256.New()
	fmt.Fprintf(h, "%x\n%s\n", sha256.Sum256(statement), hint)
	if log != nil {
		fmt.Fprintf(h, "%s\n%d\n%s\n", log.URL, log.Version, log.Key)
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

// sign signs a statement and logs it where there is a log. It reports whether
// the log had the entry before.
func (r *Recorder) sign(ctx context.Context, pair *keypair, statement []byte) (*protobundle.Bundle, bool, error) {
	content := &sign.DSSEData{Data: statement, PayloadType: PayloadType}
	options := sign.BundleOptions{Context: ctx}
	if r.Log == nil {
		pb, err := sign.Bundle(content, pair, options)
		return pb, false, err
	}
	client, err := r.client()
	if err != nil {
		return nil, false, err
	}
	options.TransparencyLogs = []sign.Transparency{client}
	pb, err := sign.Bundle(content, pair, options)
	if errors.Is(err, rekor.ErrDuplicate) && ctx.Err() == nil {
		// The log has this entry and cannot give its proof back. It is not
		// believed; a signature that it does not know gets a proof of its own.
		pair.afresh = true
		pb, err = sign.Bundle(content, pair, options)
	}
	if err != nil {
		return nil, false, &Error{r.Log.URL, err}
	}
	return pb, client.Known(), nil
}

// client returns a client of the log, for one goroutine.
func (r *Recorder) client() (*rekor.Log, error) {
	client, err := rekor.New(r.Log.URL, r.Log.Version, r.Client)
	if err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	id, err := r.Log.id()
	if err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	client.ReadBack(id)
	return client, nil
}

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
