package argocd

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
)

// TestCredentials renders an Application whose bases lie on its own host, which
// wants the credentials that ArgoCD has for it. Its helper for git is stood in
// for by a script, which answers, as that does, whoever asks.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	var asked atomic.Bool
	w.guard = func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		asked.Store(asked.Load() || ok)
		return user == "argo" && password == "hunter2"
	}
	write(t, w.file("helper/argocd"), "#!/bin/sh\n[ -n \"$ARGOCD_GIT_ASKPASS_NONCE\" ] && [ \"$ARGOCD_BINARY_NAME\" = argocd-git-ask-pass ] || exit 1\ncase $1 in\nUsername*) echo argo ;;\n*) echo hunter2 ;;\nesac\n")
	if err := os.Chmod(w.file("helper/argocd"), 0o755); err != nil {
		t.Fatal(err)
	}
	own := strings.TrimPrefix(w.server, "https://")
	write(t, w.file("git/acme/app/deploy/kustomization.yaml"), "resources: [\"https://"+own+"/acme/root//k8s?ref=main\"]\n")
	data, err := os.ReadFile(w.file("policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "  sources: [", "  sources: [{match: \""+own+"/acme/*\", signedBy: [team]}, ", 1)
	write(t, w.file("policy.yaml"), strings.Replace(text, `repository: "github.com/acme/*//**"`, `repository: "*/acme/**"`, 1))
	for _, name := range []string{"root", "app"} {
		os.Remove(w.file("git/acme/" + name + "/trustomize.source"))
		w.run(w.file("git/acme/"+name), "trustomize", "materials", "sign", "--key", w.file("sources.key"), "--unbound")
		w.commit(name)
	}
	env := []string{"PATH=" + w.file("helper") + ":" + bin + ":" + os.Getenv("PATH"), "GIT_ASKPASS=argocd", "ARGOCD_GIT_ASKPASS_NONCE=1", "ARGOCD_ASK_PASS_SOCK=/none"}
	sockets := w.cmpServer("one", "cache", env...)
	at := func(repository string) func(*apiclient.ManifestRequest) {
		return func(q *apiclient.ManifestRequest) { q.Repo = &v1alpha1.Repository{Repo: repository} }
	}

	objects, err := w.generate(t, sockets, application(at(w.server+"/acme/app")))
	if err != nil || len(objects) != 3 || !asked.Load() {
		t.Fatalf("%d objects, asked %v: %v", len(objects), asked.Load(), err)
	}
	// An Application from elsewhere does not get them for this host.
	asked.Store(false)
	_, err = w.generate(t, w.cmpServer("two", "cache-two", env...), application(at("https://github.com/acme/app")))
	if err == nil || asked.Load() || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("asked %v: %v", asked.Load(), err)
	}
}
