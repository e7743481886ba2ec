package suite

import (
	"archive/zip"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// startWeb serves a directory over https until the script ends, and sets a
// variable to its host and port: "webserver DIR VARIABLE [AUTHORIZATION]". With
// an authorization, it answers only those that bring exactly that header.
//
// A file NAME.redirect makes NAME a redirect to the URL that it holds. A
// path that ends in /hang is never answered. DIR.log gets a line for every
// request: its path, and its Authorization header or "-".
func startWeb(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	authorization := strings.Join(args[2:], " ")
	done := make(chan struct{})
	var mu sync.Mutex
	log := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(dir+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return
		}
		defer f.Close()
		header := r.Header.Get("Authorization")
		if header == "" {
			header = "-"
		}
		fmt.Fprintln(f, r.URL.Path, header)
	}
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log(r)
		if authorization != "" && r.Header.Get("Authorization") != authorization {
			w.Header().Set("WWW-Authenticate", "Basic realm=suite")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/hang") {
			<-done
			return
		}
		if to, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)) + ".redirect"); err == nil {
			http.Redirect(w, r, strings.TrimSpace(string(to)), http.StatusFound)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(func() { close(done); server.Close() })
	ca := ts.MkAbs("ca.pem")
	ts.Check(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
	ts.Setenv("SSL_CERT_FILE", ca)
	ts.Setenv(args[1], server.Listener.Addr().String())
}

// expandFiles replaces $NAMEs of the script's environment in files.
func expandFiles(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// zipDir writes a directory's files to a zip: "zip DIR FILE PREFIX".
func zipDir(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	w := zip.NewWriter(f)
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		out, err := w.Create(args[2] + "/" + filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		_, err = out.Write(data)
		return err
	}))
	ts.Check(w.Close())
}
