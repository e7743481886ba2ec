package suite

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// startFront runs a Rekor v2 as one is deployed: behind a server that answers
// reads from the log's files (rekor-tiles, /api/v2/checkpoint and
// /api/v2/tile/...) and hands on writes. It writes the log's key to rekor.pub
// and sets REKOR_URL. What the file front.mode says, up, down or lose, becomes of
// each request: lose lets the log do it and drops the answer.
func startFront(ts *testscript.TestScript, _ bool, _ []string) {
	r, err := serveRekor(ts.MkAbs("rekor"), ts.MkAbs("rekor.pem"))
	ts.Check(err)
	ts.Defer(func() { stop(r.cmd) })
	der, err := x509.MarshalPKIXPublicKey(r.key)
	ts.Check(err)
	ts.Check(writePEM(ts.MkAbs("rekor.pub"), "PUBLIC KEY", der, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("front.mode"), []byte("up\n"), 0o644))
	front, err := frontOf(r.url, ts.MkAbs("rekor"), ts.MkAbs("front.mode"))
	ts.Check(err)
	ts.Defer(front.Close)
	_, port, err := net.SplitHostPort(front.Listener.Addr().String())
	ts.Check(err)
	ts.Setenv("REKOR_URL", "http://localhost:"+port)
}

func frontOf(backend, dir, mode string) (*httptest.Server, error) {
	u, err := url.Parse(backend)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	files := http.StripPrefix("/api/v2/", http.FileServer(http.Dir(dir)))
	mux.Handle("GET /api/v2/checkpoint", files)
	mux.Handle("GET /api/v2/tile/", files)
	mux.Handle("/", httputil.NewSingleHostReverseProxy(u))
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := os.ReadFile(filepath.Clean(mode))
		switch strings.TrimSpace(string(data)) {
		case "down":
			panic(http.ErrAbortHandler)
		case "lose":
			mux.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	})), nil
}
