package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/archive"
	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// fileTransport gets single files over http and https. A file's id is the
// SHA-256 of its bytes.
type fileTransport struct{ *run }

func (t *fileTransport) lookUp(ctx context.Context, at wanted) (git.Ref, error) {
	return t.current(&Source{Identity: at.Identity}, func(w io.Writer) error { return t.get(ctx, at.location, w) })
}

func (t *fileTransport) tree(ctx context.Context, at wanted, s *Source) (*materials.Tree, error) {
	data, err := t.blob(s, s.Commit, func(w io.Writer) error { return t.get(ctx, at.location, w) })
	if err != nil {
		return nil, err
	}
	if err := t.signatures(ctx, at, s, data); err != nil {
		return nil, err
	}
	return materials.NewTree([]materials.Entry{{Path: path.Base(at.Repository), Mode: materials.ModeFile, Data: data}})
}

// signatures gets the detached signature beside a file, if some rule wants
// one. What comes is evidence, so that it may be taken from the cache; what is
// there does not count for ever: a file can be signed again.
func (t *fileTransport) signatures(ctx context.Context, at wanted, s *Source, content []byte) error {
	var signers []*policy.NamedSigner
	for _, rule := range t.cfg.Policy.RulesFor(s.Identity) {
		signers = append(signers, rule.Signers...)
	}
	if len(signers) == 0 {
		return nil
	}
	for _, end := range fileSignatures {
		data := t.cachedSignature(s, end)
		if data != nil && (t.cfg.Offline || t.counts(s, data, content, signers)) {
			s.signatures = []signatureFile{{path.Base(at.Repository) + end, data}}
			return nil
		}
	}
	if t.cfg.Offline {
		return nil
	}
	for _, end := range fileSignatures {
		data, err := t.signature(ctx, at, s, end)
		if err != nil {
			return fmt.Errorf("its signature: %w", err)
		}
		if data != nil {
			s.signatures = []signatureFile{{path.Base(at.Repository) + end, data}}
			return nil
		}
	}
	return nil
}

// counts reports whether one of the signers made a signature.
func (t *fileTransport) counts(s *Source, data, content []byte, signers []*policy.NamedSigner) bool {
	v := &verification{source: s, policy: t.cfg.Policy, now: t.cfg.Now}
	return len(v.tryAll(signers, &signedList{data: content, signatures: []signatureFile{{"", data}}}).good) > 0
}

// fileSignatures are the ends of the names under which a file's signature may
// lie beside it. The first that is there counts.
var fileSignatures = []string{".sig", ".sigstore.json", ".bundle"}

// maxSignature is the size in bytes over which a signature is not read.
const maxSignature = 1 << 20

// cachedSignature returns a signature that was fetched before, or nothing.
func (t *fileTransport) cachedSignature(s *Source, end string) []byte {
	f, err := t.cfg.Cache.Get("signatures", cacheName(s)+end)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSignature))
	if err != nil {
		return nil
	}
	return data
}

// signature fetches one signature, or nothing where there is none.
func (t *fileTransport) signature(ctx context.Context, at wanted, s *Source, end string) ([]byte, error) {
	data := bounded{left: maxSignature}
	location, query, hasQuery := strings.Cut(at.location, "?")
	location += end
	if hasQuery {
		location += "?" + query
	}
	err := t.get(ctx, location, &data)
	var status *statusError
	if errors.Is(err, os.ErrNotExist) || errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return data.Bytes(), t.cfg.Cache.Put("signatures", cacheName(s)+end, func(w io.Writer) error {
		_, err := w.Write(data.Bytes())
		return err
	})
}

// statusError is an answer that is none.
type statusError struct {
	at   string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answers %d %s", e.at, e.code, http.StatusText(e.code))
}

// get copies what an http or https URL, or a mirror's absolute path, leads to.
func (r *run) get(ctx context.Context, location string, w io.Writer) error {
	if path.IsAbs(location) {
		f, err := os.Open(location)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
	client, err := r.httpClient(location)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return errors.New("not a URL to get a file from")
	}
	resp, err := client.Do(req)
	if err != nil {
		return plain(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &statusError{giturl.Redact(location), resp.StatusCode}
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return plain(ctx, err)
	}
	return nil
}

// plain takes the URL out of an HTTP client's error: its query may be a
// secret. What ended the context is the better cause.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var urlError *url.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}

// archiveTransport gets archives. An archive's id is the SHA-256 of its bytes.
type archiveTransport struct{ *run }

func (t *archiveTransport) lookUp(ctx context.Context, at wanted) (git.Ref, error) {
	return t.current(&Source{Identity: at.Identity}, func(w io.Writer) error { return t.fetch(ctx, at, w) })
}

func (t *archiveTransport) tree(ctx context.Context, at wanted, s *Source) (*materials.Tree, error) {
	data, err := t.blob(s, s.Commit, func(w io.Writer) error { return t.fetch(ctx, at, w) })
	if err != nil {
		return nil, err
	}
	return t.unpack(s, path.Base(at.Repository), data)
}

func (t *archiveTransport) fetch(ctx context.Context, at wanted, w io.Writer) error {
	if path.IsAbs(at.location) {
		return t.get(ctx, at.location, w)
	}
	req := archive.Request{URL: at.location, MaxBytes: t.cfg.Policy.Spec.Limits.BytesPerSource, Temp: t.cfg.Cache.Temp(), Timeout: t.timeout()}
	var err error
	if req.Client, err = t.httpClient(at.location); err != nil {
		return err
	}
	if req.S3, err = t.store(at.location); err != nil {
		return err
	}
	return archive.Download(ctx, req, w)
}

// unpack reads an archive in memory. One that cannot be read is refused: who
// made it may have meant two programs to read it differently.
func (r *run) unpack(s *Source, name string, data []byte) (*materials.Tree, error) {
	tree, err := archive.Read(name, bytes.NewReader(data), int64(len(data)), r.limits())
	if err != nil && !isLimit(err) {
		err = &refusal.Refusal{Code: refusal.Object, Source: string(s.Identity), Commit: s.Commit, Reason: "the archive cannot be read: " + err.Error()}
	}
	return tree, err
}

func isLimit(err error) bool {
	var limit *gitobject.LimitError
	return errors.As(err, &limit)
}

// location returns where a source's bytes come from, mirrors applied.
func (r *run) location(u *sourceurl.URL) string {
	return r.cfg.Policy.Mirror(u.Identity, u.Repository, u.Location)
}
