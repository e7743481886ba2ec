package signer

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

func keylessConfig(t *testing.T, url string) KeylessConfig {
	t.Helper()
	sigstore, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return KeylessConfig{
		Services:  Services{Fulcio: url, Rekor: []RekorService{{url, 2}}, Timestamp: []string{url + "/timestamp"}},
		Root:      sigstore,
		Token:     func(context.Context) (string, error) { return "x.eyJzdWIiOiJqb2UifQ.hunter2", nil },
		Transport: http.DefaultTransport,
	}
}

func TestOpenKeyless(t *testing.T) {
	if _, err := OpenKeyless(keylessConfig(t, "https://example.com")); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*KeylessConfig){
		"no root":      func(c *KeylessConfig) { c.Root = nil },
		"no token":     func(c *KeylessConfig) { c.Token = nil },
		"no transport": func(c *KeylessConfig) { c.Transport = nil },
		"no Fulcio":    func(c *KeylessConfig) { c.Services.Fulcio = "" },
		"no log":       func(c *KeylessConfig) { c.Services.Rekor = nil },
		"no log's URL": func(c *KeylessConfig) { c.Services.Rekor[0].URL = "" },
		"version 3":    func(c *KeylessConfig) { c.Services.Rekor[0].Version = 3 },
		"no time":      func(c *KeylessConfig) { c.Services.Timestamp = nil },
		"nothing":      func(c *KeylessConfig) { *c = KeylessConfig{} },
	} {
		c := keylessConfig(t, "https://example.com")
		change(&c)
		if _, err := OpenKeyless(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestFulcioFaults has a certificate authority that fails, or gives what nobody
// asked for. No error shows the token, and no answer is followed elsewhere.
func TestFulcioFaults(t *testing.T) {
	sigstore, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := sigstore.GenerateLeafCert("joe@example.com", "https://issuer.example.com")
	if err != nil {
		t.Fatal(err)
	}
	chain := func(p string) string {
		return fmt.Sprintf(`{"signedCertificateEmbeddedSct": {"chain": {"certificates": [%q]}}}`, p)
	}
	for name, tc := range map[string]struct {
		status     int
		body, want string
	}{
		"down":           {503, "out\nof order" + strings.Repeat("x", 5000), "status 503 Service Unavailable: out of order"},
		"denied":         {400, `{"message": "no such issuer"}`, "no such issuer"},
		"redirect":       {307, "", "status 307"},
		"not JSON":       {200, "<html>", "invalid character"},
		"empty":          {200, "{}", "no certificates"},
		"not PEM":        {200, chain("x"), "unable to parse"},
		"no certificate": {200, chain("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "timestamp"},
		"another key's":  {200, chain(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))), "timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v2/signingCert" {
					http.Error(w, "no timestamp today", http.StatusNotFound)
					return
				}
				if got := r.Header.Get("Authorization"); got != "Bearer x.eyJzdWIiOiJqb2UifQ.hunter2" {
					t.Errorf("authorization %q", got)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}))
			defer server.Close()
			k, err := OpenKeyless(keylessConfig(t, server.URL))
			if err != nil {
				t.Fatal(err)
			}
			file, err := k.SignFile(t.Context(), []byte("message"))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 1000 || file.Data != nil {
				t.Errorf("%+v, %v, want %q", file, err, tc.want)
			}
		})
	}
}

// TestKeylessGivenUp ends a signature while Fulcio thinks about it.
func TestKeylessGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	k, err := OpenKeyless(keylessConfig(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := k.SignFile(ctx, []byte("message")); done <- err }()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(requestLimit / 2):
		t.Error("the request goes on")
	}
}

func TestKeylessNoToken(t *testing.T) {
	c := keylessConfig(t, "http://127.0.0.1:1")
	c.Token = func(context.Context) (string, error) { return "", io.EOF }
	k, err := OpenKeyless(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.SignFile(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
