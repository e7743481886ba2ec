package rekor

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/sign"
)

// whole is an answer of version 1 that has all its parts. Whether it proves
// anything is not asked here. BODY stands for what was sent.
const whole = `{"24296fb24b8ad77a": {
	"body": "BODY",
	"integratedTime": 1700000000,
	"logID": "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d",
	"logIndex": 0,
	"verification": {
		"inclusionProof": {"checkpoint": "c", "hashes": [], "logIndex": 0, "rootHash": "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d", "treeSize": 1},
		"signedEntryTimestamp": "AAAA"}}}`

// TestAnswers has logs that answer what no real one does. None makes the
// client panic.
func TestAnswers(t *testing.T) {
	const entry = "/api/v1/log/entries/24296fb24b8ad77a"
	without := func(field string) string { return strings.Replace(whole, `"`+field+`"`, `"other"`, 1) }
	for name, tc := range map[string]struct {
		version, status int
		location, body  string
		want            string // in the error; "" for none
	}{
		"v1 whole":              {1, 201, entry, whole, ""},
		"v1 another entry":      {1, 201, entry, strings.Replace(whole, "24296f", "00000f", 1), "not in it"},
		"v1 empty":              {1, 201, entry, "{}", "not in it"},
		"v1 null":               {1, 201, entry, "null", "not in it"},
		"v1 no log":             {1, 201, entry, without("logID"), "logID"},
		"v1 no time":            {1, 201, entry, without("integratedTime"), "integratedTime"},
		"v1 no index":           {1, 201, entry, without("logIndex"), "logIndex"},
		"v1 no verification":    {1, 201, entry, without("verification"), "no proof"},
		"v1 no proof":           {1, 201, entry, without("inclusionProof"), "no proof"},
		"v1 no checkpoint":      {1, 201, entry, without("checkpoint"), "checkpoint"},
		"v1 no tree":            {1, 201, entry, without("treeSize"), "treeSize"},
		"v1 not JSON":           {1, 201, entry, "<html>", "invalid character"},
		"v1 duplicate":          {1, 409, entry, whole, ""},
		"v1 duplicate, gone":    {1, 409, entry, "{}", "0 entries"},
		"v1 duplicate, several": {1, 409, entry, `{"a":{},"b":{}}`, "2 entries"},
		"v1 duplicate, empty":   {1, 409, entry, `{"a":{}}`, "malformed"},
		"v1 down":               {1, 500, "", "", "500"},
		"v2 duplicate":          {2, 409, "", "", ErrDuplicate.Error()},
		"v2 down":               {2, 500, "", strings.Repeat("x", 5000), "status 500"},
		"v2 not JSON":           {2, 201, "", "<html>", "malformed"},
		"v3":                    {3, 201, "", "", "version 3"},
	} {
		t.Run(name, func(t *testing.T) {
			var body string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Location", tc.location)
				w.Header().Set("ETag", tc.location[strings.LastIndex(tc.location, "/")+1:])
				if r.Method == http.MethodPost {
					sent, _ := io.ReadAll(r.Body)
					body = base64.StdEncoding.EncodeToString(sent)
					w.WriteHeader(tc.status)
				}
				io.WriteString(w, strings.Replace(tc.body, "BODY", body, 1))
			}))
			defer server.Close()
			err := add(t, server, tc.version)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 1000) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if errors.Is(err, ErrDuplicate) != (name == "v2 duplicate") {
				t.Errorf("%v", err)
			}
		})
	}
}

// add logs a signature with a key of its own.
func add(t *testing.T, server *httptest.Server, version int) error {
	t.Helper()
	log, err := New(server.URL, version, server.Client())
	if err != nil {
		return err
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sign.Bundle(&sign.PlainData{Data: []byte("message")}, pair, sign.BundleOptions{Context: context.Background(), TransparencyLogs: []sign.Transparency{log}})
	return err
}
