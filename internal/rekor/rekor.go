// Package rekor writes to Rekor, versions 1 and 2, over an HTTP client that is
// passed in. Sigstore's own clients make theirs.
package rekor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekorv1 "github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// ErrDuplicate says that a Rekor v2 has the entry already, and that its proof
// could not be had.
var ErrDuplicate = errors.New("the log has an equal entry and gives no proof of it")

// Log is sigstore-go's client for one log. It serves one goroutine at a time.
type Log struct {
	*sign.Rekor
	v1 *v1
	v2 *v2
}

// ReadBack lets the client of a Rekor v2 read an entry that the log has already
// out of the log's tiles. id is what the log's entries name it by. Without this,
// such an entry is ErrDuplicate.
func (l *Log) ReadBack(id []byte) {
	if l.v2 != nil {
		l.v2.id = id
	}
}

// Known reports whether the last entry that was asked for was in the log before.
func (l *Log) Known() bool { return l.v1 != nil && l.v1.known || l.v2 != nil && l.v2.known }

// New returns a client for the log at a URL. What the log answers is not
// verified.
func New(baseURL string, version int, client *http.Client) (*Log, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, err
	}
	l := &Log{}
	opts := &sign.RekorOptions{BaseURL: baseURL, Version: uint32(version)}
	switch version {
	case 1:
		transport := httptransport.NewWithClient(u.Host, rekorv1.DefaultBasePath, []string{u.Scheme}, client)
		l.v1 = &v1{ClientService: entries.New(transport, strfmt.Default)}
		opts.Client = l.v1
	case 2:
		l.v2 = &v2{base: u.JoinPath("api/v2"), client: client}
		opts.ClientV2 = l.v2
	default:
		return nil, fmt.Errorf("version %d is not known", version)
	}
	l.Rekor = sign.NewRekor(opts)
	return l, nil
}

// v1 narrows Rekor v1's generated client to what sigstore-go asks for, and
// holds back answers that would make it panic.
type v1 struct {
	entries.ClientService
	known bool
}

func (c *v1) CreateLogEntry(params *entries.CreateLogEntryParams, opts ...entries.ClientOption) (*entries.CreateLogEntryCreated, error) {
	c.known = false
	created, err := c.ClientService.CreateLogEntry(params, opts...)
	if err == nil {
		entry, ok := created.Payload[created.ETag]
		if !ok {
			return nil, errors.New("its answer is malformed: the entry that it names is not in it")
		}
		err = check(entry)
	}
	return created, err
}

func (c *v1) GetLogEntryByUUID(params *entries.GetLogEntryByUUIDParams, opts ...entries.ClientOption) (*entries.GetLogEntryByUUIDOK, error) {
	c.known = true
	found, err := c.ClientService.GetLogEntryByUUID(params, opts...)
	if err != nil {
		return nil, err
	}
	if len(found.Payload) != 1 {
		return nil, fmt.Errorf("its answer is malformed: %d entries, want 1", len(found.Payload))
	}
	for _, entry := range found.Payload {
		err = check(entry)
	}
	return found, err
}

// check holds an entry against the log's own schema, and wants the proof that
// the schema lets be absent.
func check(entry models.LogEntryAnon) error {
	if err := entry.Validate(strfmt.Default); err != nil {
		return fmt.Errorf("its answer is malformed: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if entry.Verification == nil || entry.Verification.InclusionProof == nil {
		return errors.New("its answer holds no proof of inclusion")
	}
	return nil
}

// v2 writes to Rekor v2's one endpoint (rekor-tiles, POST /api/v2/log/entries).
type v2 struct {
	base   *url.URL // of the API: .../api/v2
	client *http.Client
	id     []byte // the log's; nil: entries are not read back
	known  bool
}

// maxAnswer bounds the size in bytes of a log's answer.
const maxAnswer = 10 << 20

// Where one client of a Rekor v2 leaves while it waits, others that wait at the
// same time are told that they had (tessera v1.0.2, PublicationAwaiter.Await),
// until the log looks at its checkpoint the next time. Their entries are logged.
const (
	clientLeft = 499 // nginx's status, and grpc-gateway's for a cancelled call
	askAgain   = 2   // times, so long after one another
	askAfter   = 1100 * time.Millisecond
)

// Add implements sign.RekorV2Client.
func (c *v2) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	request, ok := entry.(*rekortilespb.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("an entry of type %T cannot be logged", entry)
	}
	body, err := protojson.Marshal(&rekortilespb.CreateEntryRequest{
		Spec: &rekortilespb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: request},
	})
	if err != nil {
		return nil, err
	}
	c.known = false
	for again := 0; ; again++ {
		resp, answer, err := c.post(ctx, body)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusConflict:
			return c.readBack(ctx, request, resp.Header, answer)
		case resp.StatusCode == http.StatusCreated:
			return parseEntry(answer)
		case resp.StatusCode != clientLeft || again == askAgain:
			return nil, fmt.Errorf("status %s: %.200q", resp.Status, answer)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(askAfter):
		}
	}
}

func (c *v2) post(ctx context.Context, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("log/entries").String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp, answer, err
}

func parseEntry(answer []byte) (*protorekor.TransparencyLogEntry, error) {
	var entry protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(answer, &entry); err != nil {
		return nil, fmt.Errorf("its answer is malformed: %w", err)
	}
	return &entry, nil
}
