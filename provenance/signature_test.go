package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/rekor/rekortest"
)

// TestLogSignature: a promise is for one signature, message and key, and of one
// log.
func TestLogSignature(t *testing.T) {
	message := []byte("a message")
	sum := sha256.Sum256(message)
	for name, key := range testKeys(t) {
		b, log := newBench(t, key), rekortest.NewV1(t)
		b.Spool, b.Client = false, log.Client
		if b.LogsSignatures() {
			t.Errorf("%s: a Rekor v2 promises nothing", name)
		}
		b.Log = &Log{URL: log.URL, Version: 1, Key: log.Key}
		if _, ed := key.(ed25519.PrivateKey); ed == b.LogsSignatures() {
			t.Errorf("%s: logs signatures: %v", name, b.LogsSignatures())
		} else if ed {
			continue
		}
		sig, err := key.Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		promise, err := b.LogSignature(context.Background(), sig, message)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := b.LogSignature(context.Background(), sig, message)
		if err != nil || b.CheckSignature(again, sig, message) != nil || log.Len() != 1 {
			t.Errorf("%s: again: %v, %d entries", name, err, log.Len())
		}
		if err := b.CheckSignature(promise, sig, message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.refuses(promise, sig, message)
	}
}

func (b *bench) refuses(promise, sig, message []byte) {
	b.t.Helper()
	other := *b.Recorder
	other.Public = newSigner(b.t).Public()
	elsewhere := *b.Recorder
	elsewhere.Log = &Log{URL: b.Log.URL, Version: 1, Key: rekortest.NewV1(b.t).Key}
	later := bytes.Replace(promise, []byte(`"integratedTime":17`), []byte(`"integratedTime":18`), 1)
	for name, err := range map[string]error{
		"another message":   b.CheckSignature(promise, sig, []byte("b")),
		"another signature": b.CheckSignature(promise, append([]byte{0}, sig...), message),
		"another key":       other.CheckSignature(promise, sig, message),
		"another log":       elsewhere.CheckSignature(promise, sig, message),
		"another time":      b.CheckSignature(later, sig, message),
		"nothing":           b.CheckSignature(nil, sig, message),
		"no promise":        b.CheckSignature([]byte("{}"), sig, message),
	} {
		if err == nil {
			b.t.Errorf("%s counts", name)
		}
	}
	if _, err := elsewhere.LogSignature(context.Background(), sig, message); err == nil || !strings.Contains(err.Error(), "does not verify") {
		b.t.Errorf("a log with another key: %v", err)
	}
}

// TestCosignEntry: a Rekor v1's record has a promise that cosign reads, and no other
// has.
func TestCosignEntry(t *testing.T) {
	b, log := newBench(t, newSigner(t).Signer), rekortest.NewV1(t)
	b.Spool = false
	if promise, err := b.record(1).CosignEntry(); promise != nil || err != nil {
		t.Errorf("version 2: %s, %v", promise, err)
	}
	b.Log, b.Client = &Log{URL: log.URL, Version: 1, Key: log.Key}, log.Client
	promise, err := b.record(1).CosignEntry()
	if err != nil || !bytes.HasPrefix(promise, []byte(`{"SignedEntryTimestamp":"`)) || !bytes.Contains(promise, []byte(`"logIndex":0,"logID":"`)) {
		t.Errorf("version 1: %s, %v", promise, err)
	}
	b.Log = nil
	if promise, err := b.record(1).CosignEntry(); promise != nil || err != nil {
		t.Errorf("no log: %s, %v", promise, err)
	}
}
