package archive

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDownloadS3(t *testing.T) {
	var got *http.Request
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		switch r.URL.Path {
		case "/bucket/dir/a.zip":
			fmt.Fprint(w, "archive")
		case "/bucket/mean.zip": // repeats what it was told
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>Denied</Code><Message>%s</Message></Error>", r.Header.Get("X-Amz-Security-Token"))
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>No such key</Message></Error>")
		}
	})
	creds := &S3Credentials{"OURKEYID", "our/secret+key", "our token/="}
	body, err := download(t, Request{URL: "s3::" + host + "/bucket/dir/a.zip?region=eu-west-1&version=v7", S3: creds})
	must(t, err)
	if body != "archive" {
		t.Errorf("got %q", body)
	}
	if auth := got.Header.Get("Authorization"); !strings.Contains(auth, "Credential=OURKEYID/") || !strings.Contains(auth, "/eu-west-1/s3/") {
		t.Errorf("Authorization %q", auth)
	}
	if got.URL.Query().Get("versionId") != "v7" || strings.Contains(got.URL.RawQuery, "aws") || got.Header.Get("X-Amz-Security-Token") != creds.SessionToken {
		t.Errorf("request %s with %v", got.URL, got.Header)
	}
	for path, want := range map[string]string{
		"/bucket/none.zip": "NoSuchKey",
		"/bucket/mean.zip": "Denied",
		"/bucket":          "not a valid S3",
	} {
		_, err := download(t, Request{URL: "s3::" + host + path, S3: creds})
		wantError(t, err, want)
		for _, secret := range []string{creds.SecretAccessKey, creds.SessionToken} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%v: tells a secret", err)
			}
		}
	}
	_, err = download(t, Request{URL: "s3::http://127.0.0.1:1/bucket/a.zip", S3: creds})
	wantError(t, err, `"http://127.0.0.1:1/bucket/a.zip": dial`)
}

// Without credentials in the request, those of the environment are used.
func TestDownloadS3Environment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "THEIRKEYID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var auth string
	host := serve(t, func(w http.ResponseWriter, r *http.Request) { auth = r.Header.Get("Authorization") })
	_, err := download(t, Request{URL: "s3::" + host + "/bucket/a.zip"})
	must(t, err)
	if !strings.Contains(auth, "THEIRKEYID") {
		t.Errorf("Authorization %q", auth)
	}
}

func TestDownloadS3Limit(t *testing.T) {
	var sent int64
	_, err := download(t, Request{URL: "s3::" + serve(t, endless(&sent)) + "/bucket/a.zip", S3: &S3Credentials{"id", "secret", ""}})
	wantTooLarge(t, err, 1<<20)
	body := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "12345") })
	_, err = download(t, Request{URL: "s3::" + body + "/bucket/a.zip", MaxBytes: 4, S3: &S3Credentials{"id", "secret", ""}})
	wantTooLarge(t, err, 4)
}

const gcs = "gcs::https://www.googleapis.com/storage/v1/bucket/"

func TestDownloadGCS(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/bucket/dir/a.zip" && r.URL.Query().Get("generation") == "12":
			fmt.Fprint(w, "older")
		case r.URL.Path == "/bucket/dir/a.zip":
			fmt.Fprint(w, "archive")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	for url, want := range map[string]string{gcs + "dir/a.zip": "archive", gcs + "dir/a.zip#12": "older"} {
		got, err := download(t, Request{URL: url})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
	_, err := download(t, Request{URL: gcs + "none.zip"})
	wantError(t, err, "object doesn't exist")
}

func TestDownloadGCSLimit(t *testing.T) {
	var sent int64
	t.Setenv("STORAGE_EMULATOR_HOST", serve(t, endless(&sent)))
	_, err := download(t, Request{URL: gcs + "a.zip"})
	wantTooLarge(t, err, 1<<20)
	t.Setenv("STORAGE_EMULATOR_HOST", serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "12345") }))
	_, err = download(t, Request{URL: gcs + "a.zip", MaxBytes: 4})
	wantTooLarge(t, err, 4)
}

// lending is refusing, but for Google's library: where http.DefaultTransport
// can be cloned, it takes a clone to fetch tokens with.
type lending struct{ refusing }

func (lending) Clone() *http.Transport { return &http.Transport{} }

// With a service account's key, a token is fetched first: through
// http.DefaultTransport or a clone of it.
func TestDownloadGCSServiceAccount(t *testing.T) {
	tokens := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "secret-token", "expires_in": 3600, "token_type": "Bearer"}`)
	})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, url))
	_, err := download(t, Request{URL: gcs + "a.zip", Timeout: time.Second})
	wantError(t, err, "")
	if tokens != 0 {
		t.Error("a token came through the refusing transport")
	}
	http.DefaultTransport = lending{}
	defer func() { http.DefaultTransport = refusing{} }()
	_, err = download(t, Request{URL: gcs + "a.zip", Timeout: time.Second})
	wantError(t, err, "") // there is no way to the real GCS
	if tokens == 0 {
		t.Errorf("no token was fetched: %v", err)
	}
	if strings.Contains(err.Error(), "secret-token") {
		t.Errorf("%v: tells a secret", err)
	}
}

func serviceAccount(t *testing.T, tokenURL string) (file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@example.com", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	must(t, err)
	file = filepath.Join(t.TempDir(), "key.json")
	must(t, os.WriteFile(file, text, 0o600))
	return file
}

// A workload's own account needs no lending.
func TestDownloadGCSMetadataServer(t *testing.T) {
	tokens := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		if strings.HasSuffix(r.URL.Path, "/token") {
			tokens++
			fmt.Fprint(w, `{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(url, "http://"))
	_, err := download(t, Request{URL: gcs + "a.zip", Timeout: time.Second})
	wantError(t, err, "")
	if tokens == 0 {
		t.Errorf("no token was fetched: %v", err)
	}
}
