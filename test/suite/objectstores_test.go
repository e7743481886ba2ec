package suite

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

// What signs requests to the S3 server. It looks at who signed, and does not
// check the signature.
const (
	s3KeyID  = "SUITEKEYID"
	s3Secret = "suite-secret-key"
)

// startS3 serves the files in a directory as the S3 bucket "bucket", to whoever
// signs with S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY. S3_URL is the server's
// URL, S3_HOST its host and port.
func startS3(ts *testscript.TestScript, _ bool, args []string) {
	backend := s3mem.New()
	ts.Check(backend.CreateBucket("bucket"))
	files := os.DirFS(ts.MkAbs(args[0]))
	ts.Check(fs.WalkDir(files, ".", func(key string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, key)
		if err != nil {
			return err
		}
		_, err = backend.PutObject("bucket", key, nil, bytes.NewReader(data), int64(len(data)), nil)
		return err
	}))
	objects := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+s3KeyID+"/") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			return
		}
		objects.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("S3_URL", server.URL)
	ts.Setenv("S3_HOST", strings.TrimPrefix(server.URL, "http://"))
	ts.Setenv("S3_ACCESS_KEY_ID", s3KeyID)
	ts.Setenv("S3_SECRET_ACCESS_KEY", s3Secret)
}

// startGCS serves the files in a directory as the Google Cloud Storage bucket
// "bucket", each as its generation 1, and sets STORAGE_EMULATOR_HOST, with
// which Google's own library goes there, without credentials.
//
// It knows the one request of the XML API that reads an object.
// github.com/fsouza/fake-gcs-server knows all, and takes over a minute to
// build.
func startGCS(ts *testscript.TestScript, _ bool, args []string) {
	root := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, inBucket := strings.CutPrefix(r.URL.Path, "/bucket/")
		generation := r.URL.Query().Get("generation")
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(key)))
		if !inBucket || err != nil || generation != "" && generation != "1" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>")
			return
		}
		sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
		w.Header().Set("X-Goog-Hash", "crc32c="+base64.StdEncoding.EncodeToString(sum))
		w.Header().Set("X-Goog-Generation", "1")
		w.Header().Set("X-Goog-Metageneration", "1")
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(data)
	}))
	ts.Defer(server.Close)
	ts.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
}
