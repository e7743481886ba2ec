package signer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

const aToken = "e30.e30.c2ln"

func TestAmbientToken(t *testing.T) {
	if _, err := os.Stat("/var/run/sigstore/cosign/oidc-token"); err == nil {
		t.Skip("this machine has a token")
	}
	var asked *http.Request
	status, answer := 200, `{"value": "`+aToken+`"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	defer server.Close()
	for _, name := range []string{"SIGSTORE_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"} {
		t.Setenv(name, "") // so that it is put back
		os.Unsetenv(name)
	}
	get := func() (string, error) { return AmbientToken(t.Context(), server.Client().Transport) }
	refused := func(want string) {
		t.Helper()
		token, err := get()
		if err == nil || token != "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 1000 {
			t.Errorf("%q, %v, want %q", token, err, want)
		}
	}

	refused("there is no identity token")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2")
	refused("there is no identity token")

	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", server.URL+"/token?api-version=2.0")
	if token, err := get(); err != nil || token != aToken {
		t.Fatalf("%q, %v", token, err)
	}
	if q := asked.URL.Query(); q.Get("audience") != "sigstore" || q.Get("api-version") != "2.0" || asked.Header.Get("Authorization") != "bearer hunter2" {
		t.Errorf("%s, %v", asked.URL, asked.Header)
	}
	for _, tc := range []struct {
		status       int
		answer, want string
	}{
		{403, "no\npermission" + strings.Repeat("x", 5000), "status 403 Forbidden: no permission"},
		{302, "", "status 302"},
		{200, "", "malformed"},
		{200, "{}", "no identity token"},
		{200, `{"value": "hunter2"}`, "no identity token"},
		{200, `{"value": "` + strings.Repeat("x", maxToken) + `"}`, "malformed"},
	} {
		status, answer = tc.status, tc.answer
		refused(tc.want)
	}
	for _, url := range []string{"http://example.com/token", "ftp://127.0.0.1/", ":"} {
		t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", url)
		refused("")
	}

	// The variable goes before GitHub, good or not.
	t.Setenv("SIGSTORE_ID_TOKEN", " "+aToken+"\n")
	if token, err := get(); err != nil || token != aToken {
		t.Errorf("%q, %v", token, err)
	}
	for _, bad := range []string{"", "hunter2", "a.b.c.d", "a.b.hunter2\nX-Other: 1"} {
		t.Setenv("SIGSTORE_ID_TOKEN", bad)
		refused("no identity token")
	}
}
