package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestVerifier signs what an Application renders, has ArgoCD's and the API
// server's changes made to it by a real server, and verifies it with the library
// of Kyverno's, and the key, the ignored fields and the dry run's namespace of
// its policy: as it was stored, and after each of some changes.
func TestVerifier(t *testing.T) {
	c := installed(t)
	dir := exampleKeys(t)
	verifier, err := goBuild("verifier", "deploy-verifier", ".")
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := json.Marshal(lowered(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ignored.json": ignored, "nothing.json": []byte("[]"), "kubeconfig": c.kubeconfig(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(o object, ignored string) (string, bool) {
		data, err := yaml.YAMLToJSON(o.yaml)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(verifier, "manifests.pub", ignored, "trustomize-dry-run")
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(data)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"), "HOME="+dir)
		said, err := cmd.CombinedOutput()
		return string(said), err == nil
	}
	changes := map[string][]string{
		"Deployment": {"spec: {replicas: 3}", "spec: {template: {spec: {hostNetwork: true}}}", "spec: {template: {metadata: {annotations: {a: b}}}}", "metadata: {annotations: {a: b}}",
			"metadata: {annotations: {trustomize.dev/origin: '{}'}}"},
		"Service":       {"spec: {selector: {app: other}}", "spec: {type: ExternalName, externalName: example.com}", "spec: {externalIPs: [192.0.2.1]}"},
		"ConfigMap":     {"data: {a: c}", "data: {b: b}", "metadata: {labels: {a: b}}"},
		"NetworkPolicy": {"spec: {ingress: [{ports: [{port: 80}]}]}", "spec: {podSelector: {matchLabels: {a: b}}}"},
	}
	for _, o := range rendered(t, dir) {
		o = merged(t, string(o.yaml), `
metadata:
  namespace: web
  labels: {app.kubernetes.io/instance: web}
  annotations:
    argocd.argoproj.io/tracking-id: "web:apps/Deployment:web/web"
    argocd.argoproj.io/installation-id: here
`)
		if err := c.store(o); err != nil {
			t.Fatal(err)
		}
		before := stored(t, c, o)
		if said, ok := verify(parse(t, before), "ignored.json"); !ok {
			t.Errorf("%s: %s\n%s", o, said, before)
			continue
		}
		if said, ok := verify(parse(t, before), "nothing.json"); ok || !strings.Contains(said, "argocd.argoproj.io/tracking-id") {
			t.Errorf("%s without the list of ignored fields: %s", o, said)
		}
		if len(changes[o.Kind]) == 0 {
			t.Errorf("nothing is changed in %s", o)
		}
		for _, change := range changes[o.Kind] {
			if said, ok := verify(merged(t, before, change), "ignored.json"); ok || !strings.Contains(said, "not verified") {
				t.Errorf("%s with %s: %s", o, change, said)
			}
		}
	}
}

// rendered is what the example's Application web comes to.
func rendered(t *testing.T, dir string) []object {
	t.Helper()
	work := t.TempDir()
	top := exampleRepository(t, work, "web")
	source := "https://git.example.com/platform/web.git"
	if _, said, status := trustomize(t, top, []string{"COSIGN_PASSWORD=x"}, "materials", "sign", "--key", filepath.Join(dir, "sources.key"), "--source", source, "."); status != 0 {
		t.Fatal(said)
	}
	out, said, status := trustomize(t, top, []string{"COSIGN_PASSWORD=x"}, "build", "--policy", filepath.Join(dir, "policy.yaml"),
		"--cache", filepath.Join(work, "cache"), "--source", source, "overlays/production")
	if status != 0 {
		t.Fatal(said)
	}
	var all []object
	for _, text := range strings.Split(out, "\n---\n") {
		all = append(all, parse(t, text))
	}
	if len(all) != 4 {
		t.Fatalf("%d resources:\n%s", len(all), out)
	}
	return all
}

// lowered is the policy's list with the library's names for its fields.
func lowered(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, one := range verifierRule(t).Validate.Manifests.IgnoreFields {
		all = append(all, map[string]any{"fields": one.Fields, "objects": one.Objects})
	}
	return all
}

// kubeconfig lets a client in.
func (c *cluster) kubeconfig(t *testing.T) []byte {
	t.Helper()
	certificate := filepath.Join(c.dir, "certs", "apiserver.crt")
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "it",
		"contexts": []any{map[string]any{"name": "it", "context": map[string]any{"cluster": "it", "user": "it"}}},
		"clusters": []any{map[string]any{"name": "it", "cluster": map[string]any{"server": c.url, "certificate-authority": certificate}}},
		"users":    []any{map[string]any{"name": "it", "user": map[string]any{"token": admin}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
