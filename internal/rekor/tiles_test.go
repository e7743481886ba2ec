package rekor_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trustomize/trustomize/internal/rekor"
	"github.com/trustomize/trustomize/internal/rekor/rekortest"
)

// envelope is something to log. It is not asked whether it verifies.
type envelope struct {
	pem       []byte
	der       []byte
	text, sig []byte
}

func newEnvelope(t *testing.T) *envelope {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &envelope{pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), der, []byte("text"), []byte("sig")}
}

func (e *envelope) bundle() *protobundle.Bundle {
	return &protobundle.Bundle{
		VerificationMaterial: &protobundle.VerificationMaterial{},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: e.text, PayloadType: "x", Signatures: []*protodsse.Signature{{Sig: e.sig}},
		}},
	}
}

// log asks a log for an entry.
func (e *envelope) log(log *rekortest.Log) (entry *protorekor.TransparencyLogEntry, known bool, err error) {
	client, err := rekor.New(log.URL, 2, log.Client)
	if err != nil {
		return nil, false, err
	}
	client.ReadBack(log.ID())
	b := e.bundle()
	if err := client.GetTransparencyLogEntry(context.Background(), e.pem, b); err != nil {
		return nil, false, err
	}
	return b.GetVerificationMaterial().GetTlogEntries()[0], client.Known(), nil
}

// proven checks an entry's proof against nothing but its own root.
func proven(t *testing.T, e *protorekor.TransparencyLogEntry) {
	t.Helper()
	var proof tlog.RecordProof
	for _, h := range e.GetInclusionProof().GetHashes() {
		proof = append(proof, tlog.Hash(h))
	}
	p := e.GetInclusionProof()
	if err := tlog.CheckRecord(proof, p.GetTreeSize(), tlog.Hash(p.GetRootHash()), e.GetLogIndex(), tlog.RecordHash(e.GetCanonicalizedBody())); err != nil {
		t.Error(err)
	}
}

// TestReadBack has equal entries at places where trees have their joints.
func TestReadBack(t *testing.T) {
	for _, tc := range []struct{ before, after int }{{0, 0}, {1, 0}, {0, 1}, {255, 0}, {255, 1}, {256, 0}, {3, 600}, {300, 300}, {511, 1}} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			log, e := rekortest.New(t), newEnvelope(t)
			fill := func(n int) {
				for i := range n {
					log.Append(fmt.Appendf(nil, "filler %d of %d", i, n))
				}
			}
			fill(tc.before)
			first, known, err := e.log(log)
			if err != nil || known {
				t.Fatalf("known %v, %v", known, err)
			}
			fill(tc.after)
			again, known, err := e.log(log)
			if err != nil || !known {
				t.Fatalf("known %v, %v", known, err)
			}
			if again.GetLogIndex() != int64(tc.before) || !bytes.Equal(again.GetCanonicalizedBody(), first.GetCanonicalizedBody()) ||
				!bytes.Equal(again.GetLogId().GetKeyId(), first.GetLogId().GetKeyId()) || again.GetInclusionProof().GetTreeSize() != int64(log.Len()) {
				t.Errorf("got %v, want %v", again, first)
			}
			proven(t, again)
		})
	}
}

// TestReadBackGrown has a log that grows while it is read, and keeps no partial
// tile that a full one has replaced.
func TestReadBackGrown(t *testing.T) {
	log, e := rekortest.New(t), newEnvelope(t)
	if _, _, err := e.log(log); err != nil {
		t.Fatal(err)
	}
	grown := false
	log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/tile/") && !grown {
			grown = true
			for i := range 400 {
				log.Append(fmt.Append(nil, i))
			}
		}
		if strings.Contains(r.URL.Path, ".p/") {
			http.NotFound(w, r)
			return true
		}
		return false
	}
	entry, known, err := e.log(log)
	if err != nil || !known || entry.GetInclusionProof().GetTreeSize() != 1 {
		t.Fatalf("%v, known %v, %v", entry, known, err)
	}
	proven(t, entry)
}

// TestReadBackHostile has logs that say that an entry is there and then give
// something else.
func TestReadBackHostile(t *testing.T) {
	// answered changes what the log answers to one path.
	answered := func(part string, change func([]byte) []byte) func(*rekortest.Log, *envelope) {
		return func(log *rekortest.Log, _ *envelope) {
			log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, part) {
					return false
				}
				fault := log.Fault
				log.Fault = nil
				recorder := httptest.NewRecorder()
				log.ServeHTTP(recorder, r)
				log.Fault = fault
				w.WriteHeader(recorder.Code)
				w.Write(change(recorder.Body.Bytes()))
				return true
			}
		}
	}
	conflict := func(body string, header ...string) func(*rekortest.Log, *envelope) {
		return func(log *rekortest.Log, _ *envelope) {
			log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return false
				}
				if len(header) > 0 {
					w.Header().Set("X-Log-Index", header[0])
				}
				w.WriteHeader(http.StatusConflict)
				io.WriteString(w, body)
				return true
			}
		}
	}
	const at = "an equivalent entry already exists in the transparency log with index "
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	huge := func([]byte) []byte { return make([]byte, 20<<20) }
	text := func(s string) func([]byte) []byte { return func([]byte) []byte { return []byte(s) } }
	for name, tc := range map[string]struct {
		fault func(*rekortest.Log, *envelope)
		want  string // in the error; "" for none
	}{
		"honest":             {func(*rekortest.Log, *envelope) {}, ""},
		"index in a header":  {conflict("", "3"), ""},
		"no index":           {conflict("it exists"), "does not say where"},
		"index of letters":   {conflict("", "three"), "does not say where"},
		"negative index":     {conflict("", "-1"), "does not say where"},
		"another index":      {conflict(at + "2"), "it is malformed"},
		"index of another":   {conflict(at + "4"), "it is another entry"},
		"index past the end": {conflict(at + "5"), "has 5 entries"},
		"a huge index":       {conflict(at + "999999999999999"), "has 5 entries"},
		"no checkpoint":      {answered("checkpoint", text("")), "its checkpoint"},
		"a huge checkpoint":  {answered("checkpoint", huge), "more than 65536 bytes"},
		"a tree too large":   {answered("checkpoint", text("x\n18446744073709551615\nAAAA\n\n")), "malformed"},
		"a short root":       {answered("checkpoint", text("x\n5\nAAAA\n\n")), "malformed"},
		"another root":       {answered("checkpoint", text("x\n5\n"+strings.Repeat("A", 43)+"=\n\n")), "inconsistent"},
		"another size":       {answered("checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n5\n"), []byte("\n4\n"), 1) }), "inconsistent"},
		"a size of millions": {answered("checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n5\n"), []byte("\n5555555\n"), 1) }), "not found"},
		"no bundle":          {answered("tile/entries", text("")), "cut short"},
		"a cut bundle":       {answered("tile/entries", cut(600)), "cut short"},
		"a huge bundle":      {answered("tile/entries", huge), "more than"},
		"another bundle":     {answered("tile/entries", text(strings.Repeat("\x00\x02{}", 5))), "another entry"},
		"no tile":            {answered("tile/0", text("")), "has 0 bytes, want 160"},
		"a cut tile":         {answered("tile/0", cut(1)), "has 159 bytes, want 160"},
		"a huge tile":        {answered("tile/0", huge), "more than 8192 bytes"},
		"another tile":       {answered("tile/0", func(b []byte) []byte { b[0]++; return b }), "inconsistent"},
		"our hash missing":   {answered("tile/0", func(b []byte) []byte { b[3*32]++; return b }), "inconsistent"},
		"tiles elsewhere": {func(log *rekortest.Log, _ *envelope) {
			log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					return false
				}
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return true
			}
		}, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			log, e := rekortest.New(t), newEnvelope(t)
			for i := range 3 {
				log.Append(fmt.Append(nil, i))
			}
			if _, _, err := e.log(log); err != nil {
				t.Fatal(err)
			}
			log.Append(rekortest.Body(e.another()))
			tc.fault(log, e)
			entry, known, err := e.log(log)
			if tc.want == "" {
				if err != nil || !known || entry.GetLogIndex() != 3 {
					t.Fatalf("%v, known %v, %v", entry, known, err)
				}
				proven(t, entry)
				return
			}
			if !errors.Is(err, rekor.ErrDuplicate) || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 1000 {
				t.Errorf("%v, %v, want %q", entry, err, tc.want)
			}
		})
	}
}

// another is an entry of the same key and text, with another signature.
func (e *envelope) another() *rekortilespb.HashedRekordRequestV002 {
	digest := sha256.Sum256(dsse.PAE("x", e.text))
	return &rekortilespb.HashedRekordRequestV002{
		Digest: digest[:],
		Signature: &rekortilespb.Signature{
			Content: []byte("other"),
			Verifier: &rekortilespb.Verifier{
				Verifier:   &rekortilespb.Verifier_PublicKey{PublicKey: &rekortilespb.PublicKey{RawBytes: e.der}},
				KeyDetails: protocommon.PublicKeyDetails_PKIX_ED25519_PH,
			},
		},
	}
}

// TestReadBackEnds holds that a log which does not go on answering is given up
// with the context.
func TestReadBackEnds(t *testing.T) {
	log, e := rekortest.New(t), newEnvelope(t)
	if _, _, err := e.log(log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	log.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	client, err := rekor.New(log.URL, 2, log.Client)
	if err != nil {
		t.Fatal(err)
	}
	client.ReadBack(log.ID())
	if err := client.GetTransparencyLogEntry(ctx, e.pem, e.bundle()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestClientLeft has a log take one client for another that has left: its entry
// is there when it is asked again.
func TestClientLeft(t *testing.T) {
	log, e := rekortest.New(t), newEnvelope(t)
	left := 1
	log.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || left == 0 {
			return false
		}
		left--
		fault := log.Fault
		log.Fault = nil
		log.ServeHTTP(httptest.NewRecorder(), r)
		log.Fault = fault
		w.WriteHeader(499)
		return true
	}
	entry, known, err := e.log(log)
	if err != nil || !known || entry.GetLogIndex() != 0 || log.Len() != 1 {
		t.Errorf("%v, known %v, %v, %d entries", entry, known, err, log.Len())
	}
	// It does not go on for ever.
	left = 100
	if _, _, err := e.log(log); err == nil || !strings.Contains(err.Error(), "status 499") || left < 90 {
		t.Errorf("%v, asked %d times", err, 100-left)
	}
}
