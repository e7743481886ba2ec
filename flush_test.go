package trustomize

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/rekor/rekortest"
)

// spooling is a fixture whose policy spools for a log in the process.
func spooling(t *testing.T) (*fixture, *rekortest.Log) {
	t.Helper()
	f, log := newFixture(t), rekortest.New(t)
	der, err := x509.MarshalPKIXPublicKey(log.Key)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "rekor.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	f.write(t, "policy.yaml", strings.NewReplacer(
		"DIR", f.dir, "{mode: none}", `{mode: spool, rekor: [{url: "`+log.URL+`", version: 2, publicKey: {file: rekor.pub}}]}`).Replace(fixturePolicy))
	f.req.HTTPClient = log.Client
	return f, log
}

// spool builds and leaves the statement in the cache.
func (f *fixture) spool(t *testing.T) *Result {
	t.Helper()
	result, err := Build(context.Background(), f.req)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestFlushAfter(t *testing.T) {
	f, log := spooling(t)
	ctx := context.Background()
	result := f.spool(t)
	if !result.Record.Spooled || log.Posts() != 0 {
		t.Fatalf("%+v, asked %d times", result.Record, log.Posts())
	}
	// Who only looks, or has no network, delivers nothing.
	offline := f.req
	offline.Offline = true
	if err := FlushAfter(ctx, offline, result); err != nil || log.Posts() != 0 {
		t.Errorf("%v, asked %d times", err, log.Posts())
	}
	if err := Flush(ctx, offline, nil); err == nil {
		t.Error("flushed offline")
	}
	// Nor does who finds another at it.
	store, err := cache.Open(f.req.CacheDir)
	if err != nil {
		t.Fatal(err)
	}
	release, ok, err := store.TryLock(spool)
	if !ok || err != nil {
		t.Fatal(err)
	}
	if err := FlushAfter(ctx, f.req, result); err != nil || log.Posts() != 0 {
		t.Errorf("%v, asked %d times", err, log.Posts())
	}
	waits, cancel := context.WithCancel(ctx)
	cancel()
	if err := Flush(waits, f.req, nil); err == nil {
		t.Error("flushed while another does")
	}
	release()
	// A failure is a warning, and for a minute nobody tries again.
	log.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if err := FlushAfter(ctx, f.req, result); err == nil || !strings.Contains(err.Error(), "statements that wait to be logged: 1;") {
		t.Error(err)
	}
	log.Fault = nil
	soon := f.req
	soon.Now = soon.Now.Add(flushPause - time.Second)
	if err := FlushAfter(ctx, soon, result); err != nil || log.Posts() != 0 {
		t.Errorf("%v, asked %d times", err, log.Posts())
	}
	later := f.req
	later.Now = later.Now.Add(flushPause)
	if err := FlushAfter(ctx, later, result); err != nil || log.Len() != 1 {
		t.Errorf("%v, %d entries", err, log.Len())
	}
	if again := f.spool(t); !again.Record.Known || again.Record.Index != 0 || !bytes.Equal(again.YAML, result.YAML) {
		t.Errorf("%+v", again.Record)
	}
}

// TestFlushAfterEnds has a log that never answers.
func TestFlushAfterEnds(t *testing.T) {
	f, log := spooling(t)
	log.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body) // else the server does not notice that the client left
		<-r.Context().Done()
		return true
	}
	if err := FlushAfter(context.Background(), f.req, f.spool(t)); err == nil {
		t.Error("delivered")
	}
}

// TestFlushAfterSlow has a log that takes one statement and keeps the next one
// waiting: it works, so that is no failure, and the next build goes on.
func TestFlushAfterSlow(t *testing.T) {
	f, log := spooling(t)
	result := f.spool(t)
	f.req.Options.Reorder = "legacy" // another statement
	f.spool(t)
	var taken atomic.Int64
	log.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if taken.Add(1) != 2 {
			return false
		}
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	}
	for want := 1; want <= 2; want++ {
		if err := FlushAfter(context.Background(), f.req, result); err != nil || log.Len() != want {
			t.Errorf("%v, %d entries, want %d", err, log.Len(), want)
		}
	}
}

func TestFlush(t *testing.T) {
	f, log := spooling(t)
	f.spool(t)
	// The signing key is not needed.
	f.write(t, "out.key", "gone")
	var all []Delivery
	if err := Flush(context.Background(), f.req, func(d Delivery) { all = append(all, d) }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Err != nil || all[0].Index != 0 || log.Len() != 1 {
		t.Errorf("%+v, %d entries", all, log.Len())
	}
	none := f.req
	none.PolicyFile = ""
	if err := Flush(context.Background(), none, nil); err == nil {
		t.Error("flushed without a policy")
	}
}
