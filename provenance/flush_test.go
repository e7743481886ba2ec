package provenance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustomize/trustomize/internal/rekor/rekortest"
)

// TestCrash leaves what a process leaves that is killed at each step of a
// delivery. The next one ends it, with one entry in the log.
func TestCrash(t *testing.T) {
	for name, crash := range map[string]func(b *bench){
		"before the log was asked": func(*bench) {},
		"before the log answered": func(b *bench) {
			b.log.Lose.Store(true)
			if d := b.one(); d.Err == nil {
				b.t.Errorf("%+v", d)
			}
			b.log.Lose.Store(false)
		},
		"while the bundle was stored": func(b *bench) {
			b.log.Lose.Store(true)
			b.flush()
			b.log.Lose.Store(false)
			if err := os.WriteFile(filepath.Join(b.store.Temp(), "put-1"), []byte(`{"media`), 0o600); err != nil {
				b.t.Fatal(err)
			}
		},
		"before the entry was removed": func(b *bench) {
			file := filepath.Join(b.dir, spooled, b.names(spooled)[0])
			data, err := os.ReadFile(file)
			if err != nil {
				b.t.Fatal(err)
			}
			b.flush()
			if err := os.WriteFile(file, data, 0o600); err != nil {
				b.t.Fatal(err)
			}
		},
		"with a bundle that a failing disk cut": func(b *bench) {
			b.log.Lose.Store(true)
			b.flush()
			b.log.Lose.Store(false)
			name := b.names(spooled)[0]
			if err := b.store.Put(bundles, name, func(w io.Writer) error { _, err := io.WriteString(w, "{"); return err }); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, newSigner(t).Signer)
			b.record(1)
			crash(b)
			posts := b.log.Posts()
			d := b.one()
			if d.Err != nil || d.Index != 0 || d.Known != (posts > 0) {
				t.Errorf("%+v after %d attempts", d, posts)
			}
			if b.log.Len() != 1 || len(b.names(spooled)) != 0 || len(b.names(bundles)) != 1 {
				t.Errorf("%d entries, left %v, bundles %v", b.log.Len(), b.names(spooled), b.names(bundles))
			}
			if record := b.record(1); !record.Known || record.Index != 0 {
				t.Errorf("%+v", record)
			}
		})
	}
}

// TestStranger holds what is promised of a spool that somebody else can write:
// what they have logged is in their name.
func TestStranger(t *testing.T) {
	b, stranger := newBench(t, newSigner(t).Signer), newSigner(t)
	theirs := &Recorder{Signer: stranger, Public: stranger.Public(), Store: b.store, Spool: true, Log: b.Log}
	if _, err := theirs.Record(context.Background(), statement(1)); err != nil {
		t.Fatal(err)
	}
	if d := b.one(); d.Err != nil {
		t.Fatal(d.Err)
	}
	// Ours is another, and theirs does not pass for it.
	if record := b.record(1); record.Known || !record.Spooled {
		t.Errorf("%+v", record)
	}
	if d := b.one(); d.Err != nil || d.Index != 1 {
		t.Errorf("%+v", d)
	}
}

func TestOtherLog(t *testing.T) {
	b := newBench(t, newSigner(t).Signer)
	b.record(1)
	named := *b.Log
	for name, change := range map[string]func(l *Log){
		"URL":     func(l *Log) { l.URL += "/" },
		"version": func(l *Log) { l.Version = 1 },
		"key":     func(l *Log) { l.Key = newSigner(t).Public() },
	} {
		other := named
		change(&other)
		b.Log = &other
		if d := b.one(); !errors.Is(d.Err, ErrOtherLog) || !strings.Contains(d.Err.Error(), named.URL) || len(b.names(spooled)) != 1 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	b.Log = &named
	if d := b.one(); d.Err != nil {
		t.Error(d.Err)
	}
}

// TestPatience has a log that is down be asked a few times, and entries that it
// does not take not stand in the way of others for ever.
func TestPatience(t *testing.T) {
	const all = 3 * atOnce
	b := newBench(t, newSigner(t).Signer)
	for n := range all {
		b.record(n)
	}
	var asked atomic.Int64
	b.log.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		asked.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		return true
	}
	refused := map[string]bool{}
	for name, d := range b.flush() {
		if d.Err == nil {
			t.Errorf("%+v", d)
		}
		if !errors.Is(d.Err, ErrNotTried) {
			refused[name] = true
		}
	}
	if n := len(refused); n < patience || n >= patience+atOnce || int64(n) != asked.Load() {
		t.Errorf("asked %d times, for %d entries", asked.Load(), n)
	}
	// What was not tried comes first now.
	for i, name := range b.names(spooled) {
		if refused[name] != (i >= all-len(refused)) {
			t.Errorf("entry %d of %d: refused %v", i, all, refused[name])
		}
	}
	b.log.Fault = nil
	for name, d := range b.flush() {
		if d.Err != nil {
			t.Errorf("%s: %v", name, d.Err)
		}
	}
	if b.log.Len() != all || len(b.names(spooled)) != 0 {
		t.Errorf("%d entries, left %v", b.log.Len(), b.names(spooled))
	}
}

// TestFlushEnds holds that nothing is asked once the time is over.
func TestFlushEnds(t *testing.T) {
	b := newBench(t, newSigner(t).Signer)
	b.record(1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := &Flusher{Logs: []*Log{b.Log}, Store: b.store, Client: b.Client}
	err := f.Flush(ctx, func(d Delivery) {
		if !errors.Is(d.Err, ErrNotTried) {
			t.Errorf("%+v", d)
		}
	})
	if err != nil || b.log.Posts() != 0 {
		t.Errorf("%v, %d attempts", err, b.log.Posts())
	}
}

// TestSpoolRace has builds and deliveries at once.
func TestSpoolRace(t *testing.T) {
	key := newSigner(t).Signer
	b := newBench(t, key)
	var wait sync.WaitGroup
	for i := range 20 {
		r := *b.Recorder
		r.Signer = &testSigner{Signer: key}
		wait.Go(func() {
			if _, err := r.Record(context.Background(), statement(i%3)); err != nil {
				t.Error(err)
			}
			f := &Flusher{Logs: []*Log{b.Log}, Store: b.store, Client: b.Client}
			err := f.Flush(context.Background(), func(d Delivery) {
				if d.Err != nil {
					t.Error(d.Err)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	b.flush()
	if b.log.Len() != 3 || len(b.names(spooled)) != 0 || len(b.names(bundles)) != 3 {
		t.Errorf("%d entries, left %v, bundles %v", b.log.Len(), b.names(spooled), b.names(bundles))
	}
}

// TestSpoolV1 does with a Rekor v1 what the others do with a v2.
func TestSpoolV1(t *testing.T) {
	for name, key := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			b, log := newBench(t, key), rekortest.NewV1(t)
			b.Log, b.Client = &Log{URL: log.URL, Version: 1, Key: log.Key}, log.Client
			for n := range 3 {
				if record := b.record(n); !record.Spooled {
					t.Errorf("%+v", record)
				}
			}
			log.Lose.Store(true)
			for _, d := range b.flush() {
				if d.Err == nil {
					t.Errorf("%+v", d)
				}
			}
			log.Lose.Store(false)
			for _, d := range b.flush() {
				if d.Err != nil || !d.Known || d.Index < 0 {
					t.Errorf("%+v", d)
				}
			}
			if log.Len() != 3 || len(b.names(spooled)) != 0 {
				t.Errorf("%d entries, left %v", log.Len(), b.names(spooled))
			}
			b.Spool = false
			other := newBench(t, key)
			other.Log, other.Client, other.Spool = b.Log, b.Client, false
			if record := other.record(1); !record.Known || log.Len() != 3 {
				t.Errorf("%+v, %d entries", record, log.Len())
			}
			if record := other.record(4); record.Known || record.Index != 3 {
				t.Errorf("%+v", record)
			}
		})
	}
}
