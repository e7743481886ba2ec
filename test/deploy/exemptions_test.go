package deploy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestExemptions changes whom the policies leave alone, and changes it back.
// Without the object that says so, everything is refused.
func TestExemptions(t *testing.T) {
	c := installed(t)
	exemptions := find(t, build(t, "admission"), "ConfigMap", "trustomize-exemptions")
	unverified := merged(t, goodApplication, "spec: {project: legacy, source: {plugin: null}}")
	elsewhere := merged(t, goodApplication, "{metadata: {namespace: web}, spec: {source: {plugin: null}}}")
	t.Cleanup(func() {
		if err := c.store(exemptions); err != nil {
			t.Error(err)
		}
		eventually(t, "", func() error { return c.attempt(admin, parse(t, goodApplication), false) })
	})

	eventually(t, mustPlugin, func() error { return c.attempt(admin, unverified, false) })
	if err := c.store(merged(t, string(exemptions.yaml), `data: {projects: "other\n  legacy  \n", namespaces: "web\n"}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "", func() error { return c.attempt(admin, unverified, false) })
	eventually(t, "", func() error { return c.attempt(admin, elsewhere, false) })
	check(t, c.attempt(admin, merged(t, string(unverified.yaml), "spec: {project: leg}"), false), mustPlugin)
	check(t, c.attempt(admin, merged(t, string(unverified.yaml), "spec: {project: default}"), false), mustPlugin)

	path, err := c.path(exemptions, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.send(admin, http.MethodDelete, path, "", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no params found", func() error { return c.attempt(admin, parse(t, goodApplication), false) })
}

// eventually waits for an answer: the server learns of what policies depend on a
// little after it was stored.
func eventually(t *testing.T, want string, ask func() error) {
	t.Helper()
	for range 300 {
		err := ask()
		if want == "" && err == nil || want != "" && err != nil && strings.Contains(err.Error(), want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	check(t, ask(), want)
}

// TestGoBack: applying ArgoCD's own manifests again, as the README says, takes
// away everything that the component added to the repo-server.
func TestGoBack(t *testing.T) {
	c := installed(t)
	with := find(t, build(t, "example"), "Deployment", "argocd-repo-server")
	without := find(t, build(t, "plain"), "Deployment", "argocd-repo-server")
	t.Cleanup(func() {
		if err := c.store(with); err != nil {
			t.Error(err)
		}
	})
	if !strings.Contains(stored(t, c, with), "trustomize") {
		t.Fatal("the sidecar is not there")
	}
	if err := c.store(without); err != nil {
		t.Fatal(err)
	}
	var left struct{ Spec map[string]any }
	if err := yaml.Unmarshal([]byte(stored(t, c, with)), &left); err != nil {
		t.Fatal(err)
	}
	for _, added := range []string{"trustomize", "ask-pass", "ARGOCD_ASK_PASS_SOCK"} {
		if text, err := yaml.Marshal(left.Spec); err != nil || strings.Contains(string(text), added) {
			t.Errorf("%s is left: %v\n%s", added, err, text)
		}
	}
}
