package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// application is what an Application says to the plugin.
type application struct {
	Metadata struct{ Name string }
	Spec     struct {
		Project     string
		Destination struct{ Namespace string }
		Source      struct {
			RepoURL, Path, TargetRevision string
			Plugin                        struct {
				Name       string
				Parameters []map[string]any
			}
		}
	}
}

// TestExample renders the example's Applications by the example's policy, with
// keys that were made here, as the cmp-server has the plugin do it.
func TestExample(t *testing.T) {
	dir := exampleKeys(t)
	work := t.TempDir()
	applications := map[string]application{}
	for _, o := range build(t, "example/applications") {
		if o.Kind != "Application" {
			continue
		}
		var a application
		if err := yaml.Unmarshal(o.yaml, &a); err != nil {
			t.Fatal(err)
		}
		applications[a.Metadata.Name] = a
	}
	web := exampleRepository(t, work, "web")
	sign := []string{"materials", "sign", "--key", filepath.Join(dir, "sources.key"), "--source", applications["web"].Spec.Source.RepoURL, "."}
	if _, said, status := trustomize(t, web, []string{"COSIGN_PASSWORD=x"}, sign...); status != 0 {
		t.Fatal(said)
	}
	git(t, web, "add", ".")
	git(t, web, "commit", "-q", "-m", "signed")
	legacy := exampleRepository(t, work, "legacy")

	render := func(top, name string) (string, string, int) {
		a := applications[name]
		if a.Spec.Source.Plugin.Name != "trustomize" {
			t.Fatalf("%s: %+v", name, a)
		}
		parameters, err := json.Marshal(a.Spec.Source.Plugin.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		return trustomize(t, filepath.Join(top, a.Spec.Source.Path), []string{
			"TRUSTOMIZE_POLICY=" + filepath.Join(dir, "policy.yaml"), "TRUSTOMIZE_CACHE=" + filepath.Join(work, "cache"), "COSIGN_PASSWORD=x",
			"ARGOCD_CMP_WORKDIR=" + work, "ARGOCD_APP_NAME=" + name, "ARGOCD_APP_PROJECT_NAME=" + a.Spec.Project,
			"ARGOCD_APP_NAMESPACE=" + a.Spec.Destination.Namespace, "ARGOCD_APP_REVISION=" + git(t, top, "rev-parse", "HEAD"),
			"ARGOCD_APP_SOURCE_REPO_URL=" + a.Spec.Source.RepoURL, "ARGOCD_APP_SOURCE_PATH=" + a.Spec.Source.Path,
			"ARGOCD_APP_SOURCE_TARGET_REVISION=" + a.Spec.Source.TargetRevision, "ARGOCD_APP_PARAMETERS=" + string(parameters),
		}, "plugin", "generate")
	}
	for _, try := range []struct {
		top, name string
		want      []string
		signed    bool
	}{
		{web, "web", []string{"name: web\n", "image: nginx:1.28"}, true},
		{web, "demo-staging", []string{"name: web-staging\n", "image: registry.example.com/mirror/nginx:1.29", "replicas: 1", "team: web"}, true},
		{legacy, "legacy", []string{"name: web\n"}, false},
	} {
		out, said, status := render(try.top, try.name)
		if status != 0 {
			t.Fatalf("%s: %d %s", try.name, status, said)
		}
		for _, want := range try.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want %q in\n%s", try.name, want, out)
			}
		}
		if got := strings.Contains(out, "cosign.sigstore.dev/signature"); got != try.signed {
			t.Errorf("%s: signed %v\n%s", try.name, got, out)
		}
	}
	if err := os.WriteFile(filepath.Join(web, "base", "deployment.yaml"), []byte("changed: true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, web, "commit", "-q", "-a", "-m", "changed")
	out, said, status := render(web, "web")
	if status != 3 || out != "" || !strings.HasPrefix(said, "trustomize: refused [changed] ") {
		t.Errorf("a changed base: %d %q %q", status, out, said)
	}
}

// exampleKeys returns a folder with the example's policy and keys in place of
// the example's, without a log.
func exampleKeys(t *testing.T) string {
	t.Helper()
	files := policyFiles(t)
	log := regexp.MustCompile(`(?s)  log:\n.*`)
	key := "file: /etc/trustomize/signing/manifests.key"
	report := "file: /var/cache/trustomize/report.jsonl"
	policy := files["policy.yaml"]
	if !log.MatchString(policy) || !strings.Contains(policy, key) || !strings.Contains(policy, report) {
		t.Fatalf("the policy is another:\n%s", policy)
	}
	policy = log.ReplaceAllString(policy, "  log: {mode: none}\n")
	policy = strings.NewReplacer(key, "file: manifests.key", report, "file: report.jsonl").Replace(policy)
	dir := write(t, map[string]string{"policy.yaml": policy})
	for _, name := range []string{"sources", "manifests"} {
		if _, said, status := trustomize(t, dir, []string{"COSIGN_PASSWORD=x"}, "keys", "generate", "--output-key-prefix", name); status != 0 {
			t.Fatal(said)
		}
	}
	return dir
}

// exampleRepository is what the cmp-server unpacked for a call.
func exampleRepository(t *testing.T, work, name string) string {
	t.Helper()
	dir := filepath.Join(work, "_cmp_server", name)
	for path, text := range map[string]string{
		"base/kustomization.yaml": "resources: [deployment.yaml, others.yaml]\n",
		"base/others.yaml": `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: b}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, policyTypes: [Ingress]}
`,
		"base/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.28"}]}
`,
		"overlays/production/kustomization.yaml": "resources: [../../base]\n",
		"overlays/staging/kustomization.yaml":    "resources: [../../base]\n",
		"deploy/kustomization.yaml":              "resources: [../base]\n",
	} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "first")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}
