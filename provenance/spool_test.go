package provenance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/rekor/rekortest"
)

// bench is a key, a log and a cache in a folder.
type bench struct {
	t     *testing.T
	dir   string
	store *cache.Cache
	log   *rekortest.Log
	*Recorder
}

func newBench(t *testing.T, key crypto.Signer) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), log: rekortest.New(t)}
	var err error
	if b.store, err = cache.Open(b.dir); err != nil {
		t.Fatal(err)
	}
	b.Recorder = &Recorder{
		Signer: &testSigner{Signer: key}, Public: key.Public(), Store: b.store, Client: b.log.Client, Spool: true,
		Log: &Log{URL: b.log.URL, Version: 2, Key: b.log.Key},
	}
	return b
}

func (b *bench) record(n int) *Record {
	b.t.Helper()
	record, err := b.Record(context.Background(), statement(n))
	if err != nil {
		b.t.Fatal(err)
	}
	return record
}

// flush delivers and returns what became of each entry, by name.
func (b *bench) flush() map[string]Delivery {
	b.t.Helper()
	all := map[string]Delivery{}
	f := &Flusher{Logs: []*Log{b.Log}, Store: b.store, Client: b.Client}
	if err := f.Flush(context.Background(), func(d Delivery) { all[d.Name] = d }); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// one delivers the only entry.
func (b *bench) one() Delivery {
	b.t.Helper()
	all := b.flush()
	if len(all) != 1 {
		b.t.Fatalf("%d entries, want 1: %v", len(all), all)
	}
	for _, d := range all {
		return d
	}
	return Delivery{}
}

func (b *bench) names(kind string) []string {
	b.t.Helper()
	names, err := b.store.List(kind)
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// down makes the log fail until the function that it returns is called.
func (b *bench) down() (up func()) {
	b.log.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	return func() { b.log.Fault = nil }
}

func testKeys(t *testing.T) map[string]crypto.Signer {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ECDSA": newSigner(t).Signer, "Ed25519": ed, "RSA": rsaKey}
}

// TestKnown has builds with an empty cache find the entry of an earlier one.
func TestKnown(t *testing.T) {
	for name, key := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, key)
			b.Spool = false
			b.log.Append([]byte("somebody's"))
			first := b.record(1)
			if first.Known || first.Index != 1 {
				t.Fatalf("%+v", first)
			}
			other := newBench(t, key)
			other.Spool, other.Log, other.Client = false, b.Log, b.Client
			again := other.record(1)
			if !again.Known || again.Index != 1 || b.log.Len() != 2 {
				t.Errorf("%+v, %d entries", again, b.log.Len())
			}
			// It is stored like any other.
			b.down()
			if again = other.record(1); !again.Known {
				t.Errorf("%+v", again)
			}
		})
	}
}

// TestKnownUnproven has logs whose tiles prove nothing: a key that can signs
// afresh, the others fail.
func TestKnownUnproven(t *testing.T) {
	for name, key := range testKeys(t) {
		b := newBench(t, key)
		b.Spool = false
		b.record(1)
		b.store.Remove(bundles, b.names(bundles)[0])
		b.log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				http.NotFound(w, r)
				return true
			}
			return false
		}
		record, err := b.Record(context.Background(), statement(1))
		var atLog *Error
		if name == "ECDSA" {
			if err != nil || record.Known || record.Index != 1 {
				t.Errorf("%s: %+v, %v", name, record, err)
			}
		} else if !errors.As(err, &atLog) || b.log.Len() != 1 {
			t.Errorf("%s: %v, %d entries", name, err, b.log.Len())
		}
	}
}

func TestSpool(t *testing.T) {
	for name, key := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, key)
			up := b.down()
			first := b.record(1)
			if !first.Spooled || first.Index != -1 || first.Known || bytes.Contains(first.Bundle, []byte("tlogEntries")) {
				t.Fatalf("%+v", first)
			}
			again := b.record(1)
			if !again.Spooled || !bytes.Equal(first.Bundle, again.Bundle) || len(b.names(spooled)) != 1 {
				t.Errorf("%s\n%s\n%d entries", first.Bundle, again.Bundle, len(b.names(spooled)))
			}
			var atLog *Error
			if d := b.one(); !errors.As(d.Err, &atLog) || d.Index != -1 || d.Log != b.log.URL {
				t.Errorf("%+v", d)
			}
			up()
			if d := b.one(); d.Err != nil || d.Index != 0 || d.Known {
				t.Errorf("%+v", d)
			}
			if left := b.flush(); len(left) != 0 || b.log.Len() != 1 {
				t.Errorf("left %v, %d entries", left, b.log.Len())
			}
			b.down()
			if last := b.record(1); !last.Known || last.Spooled || last.Index != 0 {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestDamaged has files in the spool that no build wrote. Each is moved aside,
// nothing of it is logged, and what lies beside it is delivered.
func TestDamaged(t *testing.T) {
	stranger := newSigner(t)
	strange, err := stranger.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	// signed is a spool entry for a payload, validly signed by a stranger.
	signed := func(b *bench, payloadType string, payload []byte) (name, file string) {
		pair, err := newKeypair(stranger, stranger.Public(), true)
		if err != nil {
			t.Fatal(err)
		}
		pb, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: payloadType}, pair, sign.BundleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := marshal(pb)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := json.Marshal(spoolEntry{b.Log.named(), string(strange), data})
		if err != nil {
			t.Fatal(err)
		}
		named := b.Log.named()
		return nameOf(payload, pair.hint, &named), string(entry)
	}
	replace := func(old, new string) func(*bench, string, string) (string, string) {
		return func(_ *bench, name, file string) (string, string) {
			if !strings.Contains(file, old) {
				t.Fatalf("no %s in %s", old, file)
			}
			return name, strings.Replace(file, old, new, 1)
		}
	}
	for name, damage := range map[string]func(b *bench, name, file string) (string, string){
		"empty":         func(_ *bench, name, _ string) (string, string) { return name, "" },
		"cut":           func(_ *bench, name, file string) (string, string) { return name, file[:len(file)/2] },
		"more":          func(_ *bench, name, file string) (string, string) { return name, file + "{}" },
		"null":          func(_ *bench, name, _ string) (string, string) { return name, "null" },
		"another field": replace(`{"log":`, `{"note":"x","log":`),
		"another name": func(_ *bench, name, file string) (string, string) {
			return strings.Repeat("0", 64) + ".sigstore.json", file
		},
		"another log's key": func(b *bench, name, file string) (string, string) {
			return name, strings.Replace(file, b.Log.named().Key, strings.Repeat("0", 64), 1)
		},
		"another version": replace(`"version":2`, `"version":1`),
		"no key":          replace(`PUBLIC KEY-----`, `PRIVATE KEY-----`),
		"another key": func(b *bench, name, file string) (string, string) {
			var entry spoolEntry
			if err := json.Unmarshal([]byte(file), &entry); err != nil {
				t.Fatal(err)
			}
			entry.PublicKey = string(strange)
			data, _ := json.Marshal(entry)
			return name, string(data)
		},
		"another statement": replace(base64.StdEncoding.EncodeToString(statement(1)), base64.StdEncoding.EncodeToString(statement(2))),
		"logged by its word": replace(`"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[{"logIndex":"1","inclusionPromise":{"signedEntryTimestamp":"AAAA"},`+
			`"inclusionProof":{"checkpoint":{"envelope":"x"}},"canonicalizedBody":"e30="}],`),
		"with a timestamp":        replace(`"verificationMaterial":{`, `"verificationMaterial":{"timestampVerificationData":{},`),
		"a stranger's other type": func(b *bench, _, _ string) (string, string) { return signed(b, "text/plain", statement(1)) },
		"a stranger's text":       func(b *bench, _, _ string) (string, string) { return signed(b, PayloadType, []byte("text")) },
		"a stranger's other claim": func(b *bench, _, _ string) (string, string) {
			return signed(b, PayloadType, bytes.Replace(statement(1), []byte(BuildType), []byte("https://example.com/build"), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, newSigner(t).Signer)
			b.record(1)
			good := b.names(spooled)[0]
			data, err := os.ReadFile(filepath.Join(b.dir, spooled, good))
			if err != nil {
				t.Fatal(err)
			}
			b.store.Remove(spooled, good)
			name, file := damage(b, good, string(data))
			if err := os.WriteFile(filepath.Join(b.dir, spooled, name), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			b.record(3)
			all := b.flush()
			d := all[name]
			var damaged *DamagedError
			if !errors.As(d.Err, &damaged) || d.Index != -1 {
				t.Errorf("%+v", d)
			}
			_, place, _ := strings.Cut(d.Err.Error(), "it lies in ")
			if kept, err := os.ReadFile(strings.TrimSuffix(place, " now")); err != nil || string(kept) != file {
				t.Errorf("it was not kept: %v", err)
			}
			if len(all) != 2 || b.log.Len() != 1 || len(b.names(spooled)) != 0 {
				t.Errorf("%v, %d entries, left %v", all, b.log.Len(), b.names(spooled))
			}
		})
	}
}

// TestDamagedHere has a build find a damaged entry in its place: it writes its
// own.
func TestDamagedHere(t *testing.T) {
	b := newBench(t, newSigner(t).Signer)
	first := b.record(1)
	file := filepath.Join(b.dir, spooled, b.names(spooled)[0])
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := b.record(1); !again.Spooled || !bytes.Equal(first.Bundle, again.Bundle) {
		t.Errorf("%+v", again)
	}
	if d := b.one(); d.Err != nil {
		t.Error(d.Err)
	}
	// A folder in an entry's place is moved aside as well.
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if d := b.one(); !errors.As(d.Err, &damaged) || len(b.names(spooled)) != 0 {
		t.Errorf("%+v", d)
	}
}

// FuzzSpool feeds spool entries to the parser. What it accepts is the statement
// of a build, signed with the key that it names.
func FuzzSpool(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	log := &Log{URL: "http://localhost", Version: 2, Key: key.Public()}
	f.Add([]byte(fmt.Sprintf(`{"log":{"url":"http://localhost","version":2,"key":%q},"publicKey":"","bundle":{}}`, log.named().Key)))
	f.Add([]byte(`{"bundle":{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"signatures":[{}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := parseSpool(data, strings.Repeat("0", 64)+".sigstore.json", []*Log{log})
		if err == nil {
			t.Errorf("accepted: %s", w.data)
		}
	})
}
