package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// refusing is what the program puts in place of http.DefaultTransport.
type refusing struct{}

func (refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	return nil, errors.New("no connection through http.DefaultTransport")
}

// The tests run as the program does: without programs, without a default
// transport. What the clouds' libraries read from the environment is nobody's.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "archive-test-")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"HOME": home, "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_MAX_ATTEMPTS": "1",
		"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required", // else the SDK writes to standard error
		"AWS_ACCESS_KEY_ID":                "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "GOOGLE_APPLICATION_CREDENTIALS": "",
	} {
		os.Setenv(name, value)
	}
	http.DefaultTransport = refusing{}
	status := m.Run()
	os.RemoveAll(home)
	os.Exit(status)
}

// download downloads into memory and checks that nothing is left behind.
func download(t *testing.T, req Request) (string, error) {
	t.Helper()
	req.Temp = t.TempDir()
	if req.MaxBytes == 0 {
		req.MaxBytes = 1 << 20
	}
	if req.Timeout == 0 {
		req.Timeout = 10 * time.Second
	}
	if req.Client == nil {
		req.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	t.Setenv("PATH", "")
	var got bytes.Buffer
	err := Download(t.Context(), req, &got)
	left, readErr := os.ReadDir(req.Temp)
	must(t, readErr)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err != nil && got.Len() > 0 {
		t.Errorf("%d bytes written with an error", got.Len())
	}
	return got.String(), err
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestDownloadHTTP(t *testing.T) {
	var mu sync.Mutex
	var requests []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept-Encoding"))
		// A directory elsewhere, and an encoding that the file has anyway.
		w.Header().Set("X-Terraform-Get", "file:///etc")
		w.Header().Set("Content-Encoding", "gzip")
		fmt.Fprint(w, "archive")
	})
	var seen int64
	got, err := download(t, Request{URL: url + "/a%2Fb/c.tar.gz?b=2&a=1", Progress: func(n int64) { seen = n }})
	must(t, err)
	if got != "archive" || seen != int64(len(got)) {
		t.Errorf("got %q, progress %d", got, seen)
	}
	if want := "GET /a%2Fb/c.tar.gz?a=1&b=2 identity"; len(requests) != 1 || requests[0] != want {
		t.Errorf("requests %q, want %q", requests, want)
	}
}

func TestDownloadHTTPErrors(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone.zip":
			http.Error(w, "secret", http.StatusGone)
		case "/redirect.zip":
			http.Redirect(w, r, "http://127.0.0.1:1/x.zip?token=secret", http.StatusFound)
		case "/short.zip":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "short")
		case "/slow.zip":
			fmt.Fprint(w, "slow")
			w.(http.Flusher).Flush()
			select {
			case <-block:
			case <-r.Context().Done():
			}
		}
	})
	for path, want := range map[string]string{
		"/gone.zip":     "/gone.zip: bad response code: 410",
		"/redirect.zip": `/redirect.zip: Get "http://127.0.0.1:1/x.zip": dial`,
		"/short.zip":    "/short.zip: unexpected EOF",
		"/slow.zip":     "took longer than 300ms",
	} {
		t.Run(path, func(t *testing.T) {
			_, err := download(t, Request{URL: url + path + "?token=secret", Timeout: 300 * time.Millisecond})
			wantError(t, err, want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: tells a secret", err)
			}
		})
	}
	_, err := download(t, Request{URL: url + "/slow.zip", Timeout: 100 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a deadline's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = Download(ctx, Request{URL: url + "/slow.zip", Client: &http.Client{Transport: &http.Transport{}}, Temp: t.TempDir(), MaxBytes: 9}, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a cancellation's", err)
	}
	err = Download(t.Context(), Request{URL: url + "/a.zip", Temp: t.TempDir()}, io.Discard)
	wantError(t, err, "no HTTP client")
}

// endless answers with more bytes than anyone wants, and says how many it got
// rid of.
func endless(sent *int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(8<<30))
		chunk := make([]byte, 64<<10)
		for *sent < 8<<30 && r.Context().Err() == nil {
			n, err := w.Write(chunk)
			*sent += int64(n)
			if err != nil {
				return
			}
		}
	}
}

func wantTooLarge(t *testing.T, err error, limit int64) {
	t.Helper()
	var got *gitobject.LimitError
	if !errors.As(err, &got) || *got != (gitobject.LimitError{What: "bytes", Limit: limit}) {
		t.Errorf("error %v, want a limit of %d bytes", err, limit)
	}
}

func TestDownloadHTTPLimit(t *testing.T) {
	body := strings.Repeat("x", 1000)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked.zip" {
			w.(http.Flusher).Flush() // no Content-Length
		}
		fmt.Fprint(w, body)
	})
	for _, path := range []string{"/chunked.zip", "/sized.zip"} {
		got, err := download(t, Request{URL: url + path, MaxBytes: 1000})
		if err != nil || got != body {
			t.Errorf("%s at its limit: %d bytes, %v", path, len(got), err)
		}
		_, err = download(t, Request{URL: url + path, MaxBytes: 999})
		wantTooLarge(t, err, 999)
	}
	var sent int64
	_, err := download(t, Request{URL: serve(t, endless(&sent)) + "/a.zip"})
	wantTooLarge(t, err, 1<<20)
}
