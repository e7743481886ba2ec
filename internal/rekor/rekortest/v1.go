package rekortest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/tlog"

	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1" // what it takes
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
)

// LogV1 is a Rekor v1 behind a server.
type LogV1 struct {
	URL    string
	Key    crypto.PublicKey
	Client *http.Client

	// Lose makes the log do what is asked and break the connection.
	Lose atomic.Bool

	signer signature.Signer
	id     string

	mu      sync.Mutex
	entries [][]byte
	hashes  []tlog.Hash
}

// NewV1 runs a log until the test ends.
func NewV1(t *testing.T) *LogV1 {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	l := &LogV1{Key: key.Public(), id: hex.EncodeToString(id[:])}
	if l.signer, err = signature.LoadECDSASigner(key, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.URL, l.Client = server.URL, server.Client()
	return l
}

// Len is the number of entries.
func (l *LogV1) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// ServeHTTP implements http.Handler.
func (l *LogV1) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Lose.Load() {
		defer panic(http.ErrAbortHandler)
		w = httptest.NewRecorder()
	}
	const path = "/api/v1/log/entries"
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		for i, entry := range l.entries {
			if strings.TrimPrefix(r.URL.Path, path+"/") == uuid(entry) {
				json.NewEncoder(w).Encode(l.answer(i))
				return
			}
		}
		http.NotFound(w, r)
		return
	}
	body, err := canonical(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Location", path+"/"+uuid(body))
	for _, entry := range l.entries {
		if bytes.Equal(entry, body) {
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(map[string]any{"code": 409, "message": "an equivalent entry already exists"})
			return
		}
	}
	l.append(body)
	w.Header().Set("ETag", uuid(body))
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(l.answer(len(l.entries) - 1))
}

func uuid(body []byte) string {
	hash := tlog.RecordHash(body)
	return hex.EncodeToString(hash[:])
}

// canonical is the entry that Rekor makes of what is proposed.
func canonical(r *http.Request) ([]byte, error) {
	proposed, err := models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(r.Context(), entry)
}

func (l *LogV1) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		all := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			all[i] = l.hashes[x]
		}
		return all, nil
	})
}

func (l *LogV1) append(body []byte) {
	more, err := tlog.StoredHashes(int64(len(l.entries)), body, l.reader())
	if err != nil {
		panic(err)
	}
	l.entries, l.hashes = append(l.entries, body), append(l.hashes, more...)
}

// answer is an entry with its promise and its proof.
func (l *LogV1) answer(index int) map[string]any {
	size := int64(len(l.entries))
	proof, err := tlog.ProveRecord(size, int64(index), l.reader())
	if err != nil {
		panic(err)
	}
	root, _ := tlog.TreeHash(size, l.reader())
	hashes := []string{}
	for _, h := range proof {
		hashes = append(hashes, hex.EncodeToString(h[:]))
	}
	checkpoint, err := util.CreateAndSignCheckpoint(context.Background(), "localhost", 1, uint64(size), root[:], l.signer)
	if err != nil {
		panic(err)
	}
	entry := map[string]any{
		"body": base64.StdEncoding.EncodeToString(l.entries[index]), "integratedTime": 1700000000, "logIndex": index, "logID": l.id,
	}
	promised, _ := json.Marshal(entry) // sorts the keys
	promise, err := l.signer.SignMessage(bytes.NewReader(promised))
	if err != nil {
		panic(err)
	}
	entry["verification"] = map[string]any{
		"signedEntryTimestamp": base64.StdEncoding.EncodeToString(promise),
		"inclusionProof": map[string]any{
			"logIndex": index, "treeSize": size, "rootHash": hex.EncodeToString(root[:]), "hashes": hashes, "checkpoint": string(checkpoint),
		},
	}
	return map[string]any{uuid(l.entries[index]): entry}
}
