package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	getter "github.com/hashicorp/go-getter"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// Request says what to download, and within which bounds.
type Request struct {
	// URL is https://..., http://..., s3::https://... or
	// gcs::https://www.googleapis.com/storage/v1/BUCKET/OBJECT, the last perhaps
	// with #GENERATION. It names the archive itself, no //directory in it.
	URL string

	// Client is for http and https, and carries credentials, proxies and what
	// redirects may do. S3 and GCS have clients of their own.
	Client *http.Client

	MaxBytes int64         // over it, the error is a *gitobject.LimitError
	Timeout  time.Duration // for everything; not positive: ctx alone decides
	Temp     string        // an existing directory, for what is under way

	// S3 is for S3; nil stands for what the AWS SDK finds in the environment.
	// For GCS there is only what Google's library finds there.
	S3 *S3Credentials

	// Progress may be nil. It is called with the bytes so far, from another
	// goroutine, never after Download has returned.
	Progress func(n int64)
}

// S3Credentials are an AWS account's, or those of a server that speaks S3.
type S3Credentials struct {
	AccessKeyID, SecretAccessKey string
	SessionToken                 string // may be empty
}

// Download fetches an archive and copies its bytes, as they are, to w. Nothing
// is left in req.Temp. Errors name the URL without its query, and no
// credential.
func Download(ctx context.Context, req Request, w io.Writer) error {
	src, err := parseSource(req.URL)
	if err != nil {
		return err
	}
	if !src.isStore() && req.Client == nil {
		return errors.New("no HTTP client for archives") // go-getter would take one of its own
	}
	dir, err := os.MkdirTemp(req.Temp, "archive-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "archive")
	if err := fetch(ctx, req, src, file); err != nil {
		return fmt.Errorf("downloading %s: %w", src, err)
	}
	return copyFile(w, file)
}

func copyFile(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// fetch has go-getter write the file, and stops it when the file grows too
// large. Of go-getter's own limits, HTTP's cuts the file short without an
// error, and S3 and GCS have none.
func fetch(ctx context.Context, req Request, src source, file string) error {
	if req.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, req.Timeout, lateError(req.Timeout))
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tooLarge := &gitobject.LimitError{What: "bytes", Limit: req.MaxBytes}
	unwatch := watch(file, func(n int64) {
		if n > req.MaxBytes {
			cancel(tooLarge)
		} else if req.Progress != nil {
			req.Progress(n)
		}
	})
	err := client(ctx, req, src, file).Get()
	unwatch()
	size := fileSize(file)
	switch cause := context.Cause(ctx); {
	case size > req.MaxBytes, cause == error(tooLarge):
		return tooLarge
	case err != nil && cause != nil:
		return fmt.Errorf("%w: %s", cause, withoutSecrets(err.Error(), req.S3))
	case err != nil:
		return errors.New(withoutSecrets(err.Error(), req.S3))
	}
	if req.Progress != nil {
		req.Progress(size)
	}
	return nil
}

// lateError is a deadline's error that says how long it was.
type lateError time.Duration

func (e lateError) Error() string        { return fmt.Sprintf("took longer than %s", time.Duration(e)) }
func (e lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// client has one getter, the one that the URL asks for, and neither detectors
// nor decompressors: the URL and the bytes stay what they are.
func client(ctx context.Context, req Request, src source, file string) *getter.Client {
	var g getter.Getter
	switch src.getter {
	case "s3":
		g = &getter.S3Getter{Timeout: req.Timeout}
	case "gcs":
		g = &getter.GCSGetter{Timeout: req.Timeout}
	default:
		g = &getter.HttpGetter{
			Client:                req.Client,
			Netrc:                 false,
			XTerraformGetDisabled: true,
			DoNotCheckHeadFirst:   true, // it asks what a range request needs; there is no file yet to go on with
			ReadTimeout:           req.Timeout,
			MaxBytes:              req.MaxBytes + 1, // where it cuts the file, it is seen to be too large
			// Else Go would unpack what a server calls gzip-encoded, as many
			// call every .tar.gz.
			Header: http.Header{"Accept-Encoding": {"identity"}},
		}
	}
	return &getter.Client{
		Ctx:             ctx,
		Src:             src.forGetter(req.S3),
		Dst:             file,
		Mode:            getter.ClientModeFile,
		Getters:         map[string]getter.Getter{src.getter: g},
		Detectors:       []getter.Detector{},
		Decompressors:   map[string]getter.Decompressor{},
		DisableSymlinks: true,
		// No ProgressListener: with one, HttpGetter forgets MaxBytes.
	}
}

// forGetter returns the URL as go-getter takes it: credentials for S3 have no
// other way in than its query.
func (s source) forGetter(creds *S3Credentials) string {
	if !s.isStore() {
		return s.url.String()
	}
	u := *s.url
	if s.getter == "s3" && creds != nil {
		query := u.Query()
		query.Set("aws_access_key_id", creds.AccessKeyID)
		query.Set("aws_access_key_secret", creds.SecretAccessKey)
		query.Set("aws_access_token", creds.SessionToken)
		u.RawQuery = query.Encode()
	}
	return s.getter + "::" + u.String()
}

// watch calls grown with the size of a growing file, until the function that
// it returns is called. A file can get larger than grown allows by what comes
// in meanwhile.
func watch(file string, grown func(n int64)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				grown(fileSize(file))
			}
		}
	}()
	return func() { close(done); <-ended }
}

// fileSize is 0 for a file that is not there yet, or not any more.
func fileSize(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// query matches the query of a URL in an error's text, quoted or not.
var query = regexp.MustCompile(`(https?://[^\s?]*)\?\S*?(["']?[:,;)]?(?:\s|$))`)

// withoutSecrets removes queries, which may hold a signature or a token (a
// redirect's as well), and secrets that a server repeats.
func withoutSecrets(text string, creds *S3Credentials) string {
	text = query.ReplaceAllString(text, "$1$2")
	if creds == nil {
		return text
	}
	for _, secret := range []string{creds.SecretAccessKey, creds.SessionToken} {
		if secret != "" {
			text = strings.NewReplacer(secret, "(a secret)", url.QueryEscape(secret), "(a secret)").Replace(text)
		}
	}
	return text
}
