package argocd

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// signedKinds signs resources of many kinds, those that the suite of the API
// server has too.
func signedKinds(t *testing.T, w *world) []*unstructured.Unstructured {
	t.Helper()
	corpus, err := os.ReadFile("../deploy/testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return signAll(t, w, strings.ReplaceAll(string(corpus), "NAMESPACE", "kinds"))
}

func signAll(t *testing.T, w *world, text string) []*unstructured.Unstructured {
	t.Helper()
	write(t, w.file("plain.yaml"), text)
	signed, err := output(w, nil, "trustomize", "manifest", "sign", "--key", w.file("manifests.key"), "--application", "kinds", "--namespace", "kinds", w.file("plain.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.file("signed.yaml"), string(signed))
	var all []*unstructured.Unstructured
	for _, one := range strings.Split(string(signed), "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(one + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(data); err != nil { // keeps large numbers
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// output runs a program.
func output(w *world, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir, cmd.Stdin = w.dir, bytes.NewReader(stdin)
	cmd.Env = append(w.env, "HOME="+w.dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.Bytes())
	}
	return out, err
}

// peersVerdicts asks k8s-manifest-sigstore of each resource, in one process.
func peersVerdicts(t *testing.T, w *world, all []*unstructured.Unstructured) []string {
	t.Helper()
	out, err := output(w, documents(t, all), "manifest", append([]string{w.file("manifests.pub")}, argocdsFields...)...)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d verdicts on %d resources: %v", len(lines), len(all), err)
	}
	return lines
}

func accepted(verdict string) bool { return strings.HasSuffix(verdict, ": verified") }

// ourVerdicts asks trustomize of each resource.
func ourVerdicts(t *testing.T, w *world, all []*unstructured.Unstructured, flags ...string) []string {
	t.Helper()
	args := append([]string{"manifest", "verify", "--key", w.file("manifests.pub"), "--application", "kinds", "--namespace", "kinds", "--installation-id", "one"}, flags...)
	out, err := output(w, documents(t, all), "trustomize", args...)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d verdicts on %d resources: %v", len(lines), len(all), err)
	}
	return lines
}

func documents(t *testing.T, all []*unstructured.Unstructured) []byte {
	t.Helper()
	var docs [][]byte
	for _, one := range all {
		data, err := yaml.Marshal(one.Object)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, data)
	}
	return bytes.Join(docs, []byte("---\n"))
}

// normalised is what ArgoCD makes of resources before it applies them.
func normalised(t *testing.T, all []*unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, one := range all {
		one = one.DeepCopy()
		if err := argo.NewResourceTracking().SetAppInstance(one, "app.kubernetes.io/instance", "kinds", "kinds", v1alpha1.TrackingMethodAnnotationAndLabel, "one"); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

// spoil changes one value below a resource's own fields, the first in order.
func spoil(t *testing.T, one *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	one = one.DeepCopy()
	for _, field := range slices.Sorted(maps.Keys(one.Object)) {
		if slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, field) {
			continue
		}
		if changed, ok := spoiled(one.Object[field]); ok {
			one.Object[field] = changed
			return one
		}
	}
	labels := one.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["changed"] = "yes"
	one.SetLabels(labels)
	return one
}

func spoiled(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return v + "x", true
	case bool:
		return !v, true
	case int64:
		return v + 1, true
	case float64:
		return v + 1, true
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if changed, ok := spoiled(v[key]); ok {
				v[key] = changed
				return v, true
			}
		}
	case []any:
		for i := range v {
			if changed, ok := spoiled(v[i]); ok {
				v[i] = changed
				return v, true
			}
		}
	}
	return v, false
}

// TestPeers: k8s-manifest-sigstore accepts what is signed here, of every kind,
// before and after ArgoCD's tracking was added, and neither it nor trustomize
// accepts it changed.
func TestPeers(t *testing.T) {
	w := newWorld(t)
	all := signedKinds(t, w)
	kinds := map[string]bool{}
	for _, one := range all {
		kinds[one.GetKind()] = true
	}
	if len(kinds) < 25 {
		t.Errorf("%d kinds", len(kinds))
	}
	signed := slices.DeleteFunc(all, func(one *unstructured.Unstructured) bool {
		return one.GetKind() == "Secret" // not selected: it carries no signature
	})
	for name, set := range map[string][]*unstructured.Unstructured{"as signed": signed, "normalised": normalised(t, signed)} {
		for _, verdict := range peersVerdicts(t, w, set) {
			if !accepted(verdict) {
				t.Errorf("%s: the peer: %s", name, verdict)
			}
		}
		for _, verdict := range ourVerdicts(t, w, set) {
			if !strings.HasPrefix(verdict, "ok ") {
				t.Errorf("%s: %s", name, verdict)
			}
		}
		var changed []*unstructured.Unstructured
		for _, one := range set {
			changed = append(changed, spoil(t, one))
		}
		for _, verdict := range peersVerdicts(t, w, changed) {
			if accepted(verdict) {
				t.Errorf("%s, changed: the peer: %s", name, verdict)
			}
		}
		for _, verdict := range ourVerdicts(t, w, changed) {
			if !strings.HasPrefix(verdict, "no ") {
				t.Errorf("%s, changed: %s", name, verdict)
			}
		}
	}
}

// TestStricter: what the peer lets pass, trustomize refuses.
func TestStricter(t *testing.T) {
	w := newWorld(t)
	all := signedKinds(t, w)
	for name, test := range map[string]struct {
		kind, named string
		value       any
		path        []string // nil value: removed
	}{
		"a name that begins with status": {"ConfigMap", "config", "evil", []string{"data", "statusPage"}},
		"an empty list that is gone":     {"Widget", "widget", nil, []string{"spec", "list"}},
		"an empty mapping that came":     {"ServiceAccount", "robot", map[string]any{}, []string{"metadata", "labels"}},
		"a rule for everybody":           {"NetworkPolicy", "deny", []any{map[string]any{}}, []string{"spec", "ingress"}},
		"another namespace":              {"Deployment", "web", "other", []string{"metadata", "namespace"}},
	} {
		var one *unstructured.Unstructured
		for _, o := range all {
			if o.GetKind() == test.kind && o.GetName() == test.named {
				one = o.DeepCopy()
			}
		}
		if test.value == nil {
			unstructured.RemoveNestedField(one.Object, test.path...)
		} else if err := unstructured.SetNestedField(one.Object, test.value, test.path...); err != nil {
			t.Fatal(err)
		}
		changed := []*unstructured.Unstructured{one}
		// Of its two ways, that for resources in a cluster counts.
		if verdict := peersVerdicts(t, w, changed)[0]; !accepted(verdict) && !strings.Contains(verdict, ": not verified as a manifest: ") {
			t.Errorf("%s: the peer is stricter than it was: %s", name, verdict)
		}
		if verdict := ourVerdicts(t, w, changed)[0]; !strings.HasPrefix(verdict, "no ") {
			t.Errorf("%s: %s", name, verdict)
		}
	}
}

// TestThousand: a thousand Deployments stay small, and each verifies.
func TestThousand(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, namespace: kinds}\nspec:\n  replicas: %d\n  selector: {matchLabels: {app: d%d}}\n  template:\n    metadata: {labels: {app: d%d}}\n    spec:\n      containers:\n      - name: d%d\n        image: registry.example.com/d%d:1.2.%d\n---\n", i, i%7, i, i, i, i, i)
	}
	all := signAll(t, w, text.String())
	info, err := os.Stat(w.file("signed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1000 || info.Size() >= 2<<20 {
		t.Errorf("%d Deployments in %d bytes", len(all), info.Size())
	}
	t.Logf("%d Deployments: %d bytes signed", len(all), info.Size())
	var some []*unstructured.Unstructured // the peer takes a quarter of a second for each
	for i := 0; i < len(all); i += 50 {
		some = append(some, all[i])
	}
	for _, verdicts := range [][]string{peersVerdicts(t, w, some), ourVerdicts(t, w, all)} {
		for _, verdict := range verdicts {
			if !accepted(verdict) && !strings.HasPrefix(verdict, "ok ") {
				t.Error(verdict)
			}
		}
	}
}
