// Package rekortest has a Rekor v2 for tests: small, in the process, and as
// hostile as a test wants it.
package rekortest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// Log is a Rekor v2 behind a server.
type Log struct {
	URL    string
	Key    ed25519.PublicKey
	Client *http.Client

	// Fault, if there is one, is asked before each request is answered; what it
	// has answered itself is done with.
	Fault func(w http.ResponseWriter, r *http.Request) (done bool)

	// Lose makes the log do what is asked and break the connection.
	Lose atomic.Bool

	t      *testing.T
	signer note.Signer
	id     []byte

	mu      sync.Mutex
	entries [][]byte
	hashes  []tlog.Hash
	posts   int
}

// New runs a log until the test ends.
func New(t *testing.T) *Log {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{t: t, Key: public}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.URL, l.Client = server.URL, server.Client()
	l.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	u, _ := url.Parse(l.URL)
	loaded, err := signature.LoadED25519Signer(private)
	if err != nil {
		t.Fatal(err)
	}
	if l.signer, err = rekornote.NewNoteSigner(context.Background(), u.Hostname(), loaded); err != nil {
		t.Fatal(err)
	}
	if _, l.id, err = rekornote.KeyHash(u.Hostname(), public); err != nil {
		t.Fatal(err)
	}
	return l
}

// ID is what the log's entries name it by.
func (l *Log) ID() []byte { return l.id }

// Len is the number of entries.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Posts is the number of attempts to write an entry.
func (l *Log) Posts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posts
}

// Append adds an entry as it is.
func (l *Log) Append(body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(body)
}

func (l *Log) append(body []byte) {
	more, err := tlog.StoredHashes(int64(len(l.entries)), body, l.reader())
	if err != nil {
		panic(err)
	}
	l.entries, l.hashes = append(l.entries, body), append(l.hashes, more...)
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		all := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			all[i] = l.hashes[x]
		}
		return all, nil
	})
}

// ServeHTTP implements http.Handler.
func (l *Log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.Fault != nil && l.Fault(w, r) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Lose.Load() {
		defer panic(http.ErrAbortHandler)
		w = httptest.NewRecorder()
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v2/")
	switch {
	case r.Method == http.MethodPost:
		l.posts++
		l.post(w, r)
	case path == "checkpoint":
		w.Write(l.checkpoint())
	default:
		l.tile(w, r, path)
	}
}

func (l *Log) post(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	var request rekortilespb.CreateEntryRequest
	if err == nil {
		err = protojson.Unmarshal(data, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := Body(request.GetHashedRekordRequestV002())
	for i, entry := range l.entries {
		if bytes.Equal(entry, body) {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintf(w, `{"code":6,"message":"an equivalent entry already exists in the transparency log with index %d"}`, i)
			return
		}
	}
	l.append(body)
	w.WriteHeader(http.StatusCreated)
	answer, _ := protojson.Marshal(l.entry(len(l.entries) - 1))
	w.Write(answer)
}

// Body is the entry that a log makes of a request.
func Body(request *rekortilespb.HashedRekordRequestV002) []byte {
	algorithm := map[int]protocommon.HashAlgorithm{
		32: protocommon.HashAlgorithm_SHA2_256, 48: protocommon.HashAlgorithm_SHA2_384, 64: protocommon.HashAlgorithm_SHA2_512,
	}[len(request.GetDigest())]
	loose, err := protojson.Marshal(&rekortilespb.Entry{
		Kind: "hashedrekord", ApiVersion: "0.0.2",
		Spec: &rekortilespb.Spec{Spec: &rekortilespb.Spec_HashedRekordV002{HashedRekordV002: &rekortilespb.HashedRekordLogEntryV002{
			Signature: request.GetSignature(),
			Data:      &protocommon.HashOutput{Digest: request.GetDigest(), Algorithm: algorithm},
		}}},
	})
	var value any
	if err == nil {
		err = json.Unmarshal(loose, &value)
	}
	body, _ := json.Marshal(value) // sorts the keys
	if err != nil {
		panic(err)
	}
	return body
}

// entry returns an entry with its proof.
func (l *Log) entry(index int) *protorekor.TransparencyLogEntry {
	size := int64(len(l.entries))
	proof, err := tlog.ProveRecord(size, int64(index), l.reader())
	if err != nil {
		panic(err)
	}
	root, _ := tlog.TreeHash(size, l.reader())
	var hashes [][]byte
	for _, h := range proof {
		hashes = append(hashes, h[:])
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: int64(index), LogId: &protocommon.LogId{KeyId: l.id},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		CanonicalizedBody: l.entries[index],
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: int64(index), TreeSize: size, RootHash: root[:], Hashes: hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: string(l.checkpoint())},
		},
	}
}

func (l *Log) checkpoint() []byte {
	size := int64(len(l.entries))
	root, _ := tlog.TreeHash(size, l.reader())
	text := fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		panic(err)
	}
	return signed
}

// tile answers for tiles and bundles of the tree as it is, and for no others.
func (l *Log) tile(w http.ResponseWriter, r *http.Request, path string) {
	path = strings.Replace(path, "tile/entries/", "tile/data/", 1)
	tile, err := tlog.ParseTilePath(strings.Replace(path, "tile/", "tile/8/", 1))
	first := tile.N << 8
	if err != nil || tile.L < 1 && first+int64(tile.W) > int64(len(l.entries)) {
		http.NotFound(w, r)
		return
	}
	if tile.L < 0 {
		for _, entry := range l.entries[first : first+int64(tile.W)] {
			w.Write([]byte{byte(len(entry) >> 8), byte(len(entry))})
			w.Write(entry)
		}
		return
	}
	data, err := tlog.ReadTileData(tile, l.reader())
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Write(data)
}
