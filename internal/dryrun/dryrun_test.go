package dryrun

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// open writes a kubeconfig for a server that answers as told, which a real one
// does not on demand.
func open(t *testing.T, handler http.HandlerFunc) *Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a,
contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: missing, user: a}}],
clusters: [{name: a, cluster: {server: %q}}], users: [{name: a, user: {token: s3cret}}]}`, server.URL+"/prefix")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, "b"); err == nil {
		t.Error("a context without a cluster is opened")
	}
	if _, err := Open(file, "c"); err == nil || !strings.Contains(err.Error(), "c") {
		t.Errorf("no such context: %v", err)
	}
	return s
}

func TestOpenFaults(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "missing"), ""); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("missing file: %v", err)
	}
	for name, text := range map[string]string{"empty": "", "list": "[1]", "broken": "a: [", "nothing": "{apiVersion: v1, kind: Config}"} {
		file := filepath.Join(dir, name)
		os.WriteFile(file, []byte(text), 0o600)
		if _, err := Open(file, ""); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var (
	signed = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}, "data": map[string]any{"a": "b"}}
	live   = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "n", "resourceVersion": "1", "uid": "u"}}
)

const kinds = `{"resources": [{"name": "configmaps/status", "kind": "ConfigMap"}, {"name": "configmaps", "kind": "ConfigMap", "namespaced": true}]}`

func TestRequests(t *testing.T) {
	var asked []string
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		json.NewDecoder(r.Body).Decode(&body)
		of, _ := body["metadata"].(map[string]any)
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.URL.RawQuery, " ", of["resourceVersion"], ",", of["uid"]))
		switch r.Method {
		case http.MethodGet:
			fmt.Fprint(w, kinds)
		case http.MethodPut:
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"message": "field is immutable"}`)
		default:
			w.WriteHeader(http.StatusCreated)
			json.NewEncoder(w).Encode(body)
		}
	})
	made, err := s.DryRun(t.Context(), signed, live)
	if err != nil {
		t.Fatal(err)
	}
	if name := text(metadata(made), "name"); name != "a" {
		t.Errorf("the result is called %s", name)
	}
	query := "dryRun=All&fieldManager=trustomize&fieldValidation=Strict"
	want := []string{"GET /prefix/api/v1  <nil>,<nil>", "PUT /prefix/api/v1/namespaces/n/configmaps/a " + query + " 1,u",
		"POST /prefix/api/v1/namespaces/n/configmaps " + query + " <nil>,<nil>"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked\n%s, want\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
	if text(metadata(signed), "resourceVersion") != "" {
		t.Error("the signed object was changed")
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"forbidden":    {403, `{"message": "configmaps \"a\" is forbidden"}`, "update and create on configmaps in the namespace n"},
		"unauthorized": {401, `{"message": "Unauthorized"}`, "credentials"},
		"conflict":     {409, `{"message": "the object has been modified"}`, "read the object again"},
		"gone":         {404, `{"message": "not found"}`, "deleted since"},
		"a page":       {502, "<html>\x1b[31m" + strings.Repeat("x", 5000), "says 502: Bad Gateway"},
		"no JSON":      {200, "<html>", "no JSON"},
		"another":      {200, `{"apiVersion": "v1", "kind": "Secret"}`, "another kind"},
		"too large":    {200, strings.Repeat(" ", maxAnswer+1), "more than 8 MiB"},
		"a list":       {200, `[]`, "no JSON"},
		"elsewhere":    {302, ``, "sends elsewhere"},
	} {
		s := open(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				fmt.Fprint(w, kinds)
				return
			}
			w.Header().Set("Location", "/else")
			w.WriteHeader(test.status)
			fmt.Fprint(w, test.body)
		})
		_, err := s.DryRun(t.Context(), signed, live)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsAsked(t *testing.T) {
	s := open(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, kinds) })
	object := func(apiVersion, kind string) map[string]any {
		return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{}}
	}
	for want, test := range map[string][2]map[string]any{
		"knows no Widget":    {object("v1", "Widget"), live},
		"no resourceVersion": {signed, signed},
		"no namespace":       {signed, with(signed, map[string]any{"resourceVersion": "1"})},
	} {
		if _, err := s.DryRun(t.Context(), test[0], test[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	down := open(t, nil)
	down.base.Host = "127.0.0.1:1"
	if _, err := down.DryRun(t.Context(), signed, live); err == nil || strings.Contains(err.Error(), "Get \"") {
		t.Errorf("a server that is down: %v", err)
	}
}
