package strict

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/signer"
)

func newKey(t testing.TB) *signer.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signer.OpenKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var web = signer.Origin{Source: "github.com/acme/web//prod", Application: "web", Namespace: "prod"}

// signed returns a signed resource as JSON values.
func signed(t testing.TB, key *signer.Key, origin signer.Origin, text string) Object {
	t.Helper()
	r := kyaml.MustParse(text)
	s := &signer.Signer{Maker: key, Origin: origin, Match: []signer.Selector{{}, {Kind: "Secret"}}}
	if _, err := s.Sign(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	objects, err := Read([]byte(r.MustString()))
	if err != nil || len(objects) != 1 {
		t.Fatal(err)
	}
	return objects[0]
}

// with returns a copy, changed.
func with(o Object, change func(o, metadata, annotations map[string]any)) Object {
	c := deepCopy(map[string]any(o)).(map[string]any)
	metadata := c["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	change(c, metadata, annotations)
	return c
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec: {replicas: 2, template: {spec: {containers: [{name: a, image: a}]}}}
`

// asCluster is what a cluster with ArgoCD adds to every resource.
func asCluster(o Object) Object {
	return with(o, func(o, metadata, annotations map[string]any) {
		metadata["uid"], metadata["resourceVersion"], metadata["generation"] = "1-2-3", "12", json.Number("1")
		metadata["creationTimestamp"], metadata["managedFields"] = "2026-01-01T00:00:00Z", []any{map[string]any{"manager": "argocd"}}
		metadata["namespace"] = "prod"
		group, _, ok := strings.Cut(text(o, "apiVersion"), "/")
		if !ok {
			group = ""
		}
		annotations[annotationTracking] = fmt.Sprintf("web:%s/%s:prod/%s", group, text(o, "kind"), text(o, "metadata", "name"))
		o["status"] = map[string]any{"observedGeneration": json.Number("1")}
	})
}

// TestAdded has what others than the signer add, at the values that it should
// have, and at others.
func TestAdded(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	live := asCluster(signed(t, key, web, deployment))
	if verdict := v.Verify(t.Context(), live); !verdict.OK() || len(verdict.Explained) < 8 {
		t.Fatalf("%v, %v, %v", verdict.Refusals, verdict.Failure, verdict.Explained)
	}
	applied := func(o Object, change func(o map[string]any)) string {
		copied := deepCopy(map[string]any(signed(t, key, web, deployment))).(map[string]any)
		change(copied)
		data, _ := json.Marshal(copied)
		return string(data)
	}
	for name, tc := range map[string]struct {
		change func(o, metadata, annotations map[string]any)
		code   refusal.Code // "" accepts
		field  string
	}{
		"nothing":                 {func(o, m, a map[string]any) {}, "", ""},
		"another application":     {func(o, m, a map[string]any) { a[annotationTracking] = "api:apps/Deployment:prod/web" }, refusal.Changed, "tracking-id"},
		"tracked in another":      {func(o, m, a map[string]any) { a[annotationTracking] = "web:apps/Deployment:test/web" }, refusal.Changed, "tracking-id"},
		"tracked as another kind": {func(o, m, a map[string]any) { a[annotationTracking] = "web:apps/StatefulSet:prod/web" }, refusal.Changed, "tracking-id"},
		"untracked":               {func(o, m, a map[string]any) { delete(a, annotationTracking) }, "", ""},
		"another namespace":       {func(o, m, a map[string]any) { m["namespace"] = "test"; delete(a, annotationTracking) }, refusal.WrongOrigin, "metadata.namespace"},
		"no namespace":            {func(o, m, a map[string]any) { delete(m, "namespace") }, "", ""},
		"an installation":         {func(o, m, a map[string]any) { a[annotationInstallation] = "x" }, refusal.Changed, "installation-id"},
		"the label":               {func(o, m, a map[string]any) { m["labels"].(map[string]any)[labelInstance] = "web" }, "", ""},
		"another label":           {func(o, m, a map[string]any) { m["labels"].(map[string]any)[labelInstance] = "api" }, refusal.Changed, "labels"},
		"a revision":              {func(o, m, a map[string]any) { a[annotationRevision] = "12" }, "", ""},
		"no revision":             {func(o, m, a map[string]any) { a[annotationRevision] = "twelve" }, refusal.Changed, "revision"},
		"a DaemonSet's":           {func(o, m, a map[string]any) { a[annotationGeneration] = "1" }, refusal.Changed, "generation"},
		"one more annotation":     {func(o, m, a map[string]any) { a["x"] = "" }, refusal.Changed, "annotations.x"},
		"a near signature":        {func(o, m, a map[string]any) { a[signer.AnnotationSignature+"s"] = "x" }, refusal.Changed, "signatures"},
		"a second message":        {func(o, m, a map[string]any) { a[signer.AnnotationMessage+"_1"] = "x" }, refusal.Changed, "message_1"},
		"a bundle reference":      {func(o, m, a map[string]any) { a["cosign.sigstore.dev/resourceBundleRef"] = "x" }, refusal.Changed, "resourceBundleRef"},
		"another origin":          {func(o, m, a map[string]any) { a[signer.AnnotationOrigin] = `{"source":"x"}` }, refusal.Changed, "origin"},
		"no origin":               {func(o, m, a map[string]any) { delete(a, signer.AnnotationOrigin) }, refusal.Changed, "origin"},
		"a finalizer":             {func(o, m, a map[string]any) { m["finalizers"] = []any{"x"} }, refusal.Changed, "metadata.finalizers"},
		"an owner":                {func(o, m, a map[string]any) { m["ownerReferences"] = []any{} }, refusal.Changed, "metadata.ownerReferences"},
		"a status elsewhere":      {func(o, m, a map[string]any) { o["spec"].(map[string]any)["status"] = "x" }, refusal.Changed, "spec.status"},
		"an empty list":           {func(o, m, a map[string]any) { o["spec"].(map[string]any)["x"] = []any{} }, refusal.Changed, "spec.x"},
		"a null":                  {func(o, m, a map[string]any) { o["spec"].(map[string]any)["x"] = nil }, refusal.Changed, "spec.x"},
		"a longer list": {func(o, m, a map[string]any) {
			pod := o["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
			pod["containers"] = append(slices.Clone(pod["containers"].([]any)), map[string]any{"name": "b"})
		}, refusal.Changed, "spec.template.spec.containers[1]"},
		"what was applied": {func(o, m, a map[string]any) { a[annotationApplied] = applied(o, func(map[string]any) {}) }, "", ""},
		"something else applied": {func(o, m, a map[string]any) {
			a[annotationApplied] = applied(o, func(o map[string]any) { o["spec"].(map[string]any)["replicas"] = 3 })
		}, refusal.Changed, "last-applied"},
		"nonsense applied": {func(o, m, a map[string]any) { a[annotationApplied] = "{" }, refusal.Changed, "last-applied"},
		"nothing applied":  {func(o, m, a map[string]any) { a[annotationApplied] = "null" }, refusal.Changed, "last-applied"},
	} {
		verdict := v.Verify(t.Context(), with(live, tc.change))
		if tc.code == "" {
			if !verdict.OK() {
				t.Errorf("%s: %v", name, verdict.Refusals[0])
			}
			continue
		}
		if len(verdict.Refusals) != 1 || verdict.Refusals[0].Code != tc.code || !strings.Contains(verdict.Refusals[0].File, tc.field) {
			t.Errorf("%s: %v, want one %s at %s", name, verdict.Refusals, tc.code, tc.field)
		}
	}
	v.Installation = "here"
	if verdict := v.Verify(t.Context(), with(live, func(o, m, a map[string]any) { a[annotationInstallation] = "here" })); !verdict.OK() {
		t.Error(verdict.Refusals)
	}
}

// TestGenerated has names that an API server completes.
func TestGenerated(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	job := signed(t, key, signer.Origin{}, "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: run-}\nspec: {suspend: true}\n")
	for name, want := range map[string]bool{"": true, "run-x2bcd": true, "run-": false, "run-x2bcde": false, "run-xaeio": false, "ran-x2bcd": false, "run": false} {
		verdict := v.Verify(t.Context(), with(job, func(o, m, a map[string]any) {
			if name != "" {
				m["name"] = name
				m["uid"], m["resourceVersion"], m["creationTimestamp"] = "01234567-0123-0123-0123-0123456789ab", "12", "2026-01-01T00:00:00Z"
			}
		}))
		if verdict.OK() != want {
			t.Errorf("%q: %v", name, verdict.Refusals)
		}
	}
	named := with(job, func(o, m, a map[string]any) { m["name"] = "run-x2bcd" })
	if v.Verify(t.Context(), named).OK() {
		t.Error("a name that no API server completed")
	}
}

func TestSecret(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	secret := signed(t, key, web, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n")
	stored := asCluster(with(secret, func(o, m, a map[string]any) {
		delete(o, "stringData")
		o["data"], o["type"] = map[string]any{"password": "aHVudGVyMg=="}, "Opaque"
	}))
	for name, tc := range map[string]struct {
		change func(o, metadata, annotations map[string]any)
		code   refusal.Code
	}{
		"as stored":         {func(o, m, a map[string]any) {}, ""},
		"applied":           {func(o, m, a map[string]any) { a[annotationApplied] = "{}" }, ""},
		"labelled":          {func(o, m, a map[string]any) { m["labels"] = map[string]any{labelInstance: "web"} }, ""},
		"another value":     {func(o, m, a map[string]any) { o["data"] = map[string]any{"password": "aHVudGVyMw=="} }, refusal.BadSignature},
		"one more value":    {func(o, m, a map[string]any) { o["data"].(map[string]any)["x"] = "" }, refusal.BadSignature},
		"another type":      {func(o, m, a map[string]any) { o["type"] = "x" }, refusal.BadSignature},
		"immutable":         {func(o, m, a map[string]any) { o["immutable"] = false }, refusal.BadSignature},
		"another label":     {func(o, m, a map[string]any) { m["labels"] = map[string]any{labelInstance: "api"} }, refusal.BadSignature},
		"another namespace": {func(o, m, a map[string]any) { m["namespace"] = "test"; delete(a, annotationTracking) }, refusal.WrongOrigin},
		"another tracking":  {func(o, m, a map[string]any) { a[annotationTracking] = "x" }, refusal.BadSignature},
		"another origin":    {func(o, m, a map[string]any) { a[signer.AnnotationOrigin] = `{"source":"x"}` }, refusal.BadSignature},
		"another kind":      {func(o, m, a map[string]any) { o["kind"] = "ConfigMap" }, refusal.Malformed},
	} {
		verdict := v.Verify(t.Context(), with(stored, tc.change))
		if tc.code == "" && !verdict.OK() || tc.code != "" && (len(verdict.Refusals) == 0 || verdict.Refusals[0].Code != tc.code) {
			t.Errorf("%s: %v, want %q", name, verdict.Refusals, tc.code)
		}
		if s := fmt.Sprint(verdict.Refusals, verdict.Explained); strings.Contains(s, "aHVudGVy") || strings.Contains(s, "hunter") {
			t.Errorf("%s: shows a value: %s", name, s)
		}
	}
}

// TestMessages has messages that other programs could have made.
func TestMessages(t *testing.T) {
	key := newKey(t)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	live := Object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "x"}, "data": map[string]any{"k": "v"}}
	const a = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: x}\ndata: {k: v}\n"
	const b = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: z}\ndata: {k: w}\n"
	for message, code := range map[string]refusal.Code{
		a: "", a + "---\n" + b: "", b + "---\n" + a: "", a + "---\n" + a: refusal.Changed, b: refusal.Changed, "": refusal.Changed,
		"a: b\n": refusal.Malformed, "- a\n": refusal.Malformed, "{": refusal.Malformed, "\x1f\x8b": refusal.Malformed,
		strings.Replace(a, "name: a,", "name: a, annotations: {cosign.sigstore.dev/signature: x},", 1): refusal.Malformed,
		strings.Replace(a, "{k: v}", "{k: v, k: v}", 1):                                                refusal.Malformed,
	} {
		sig, err := key.Make(t.Context(), []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		o := with(live, func(o, m, _ map[string]any) {
			m["annotations"] = map[string]any{signer.AnnotationMessage: packed(t, message), signer.AnnotationSignature: string(base64Of(sig.Raw))}
		})
		verdict := v.Verify(t.Context(), o)
		if code == "" && !verdict.OK() || code != "" && (len(verdict.Refusals) == 0 || verdict.Refusals[0].Code != code) {
			t.Errorf("%q: %v, want %q", message, verdict.Refusals, code)
		}
		if verdict := (&Verifier{}).Verify(t.Context(), o); verdict.OK() {
			t.Errorf("%q: somebody's signature counts though nobody is trusted", message)
		}
	}
}

// packed makes an annotation of a message, by the signer's own means.
func packed(t *testing.T, message string) string {
	t.Helper()
	text, err := signer.Pack([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDryRun has a server that fills in a default.
func TestDryRun(t *testing.T) {
	key := newKey(t)
	made := func(_ context.Context, signed, live map[string]any) (map[string]any, error) {
		return with(signed, func(o, m, _ map[string]any) {
			o["spec"].(map[string]any)["paused"] = false
			m["uid"], m["namespace"] = "other", "prod"
		}), nil
	}
	v := &Verifier{Trust: []signature.Trust{key.Public}, DryRun: made}
	live := asCluster(signed(t, key, web, deployment))
	for value, want := range map[any]bool{false: true, true: false, nil: false} {
		verdict := v.Verify(t.Context(), with(live, func(o, _, _ map[string]any) {
			if value != nil {
				o["spec"].(map[string]any)["paused"] = value
			}
		}))
		if verdict.OK() != want {
			t.Errorf("%v: %v", value, verdict.Refusals)
		}
	}
	v.DryRun = func(context.Context, map[string]any, map[string]any) (map[string]any, error) {
		return nil, fmt.Errorf("down")
	}
	if verdict := v.Verify(t.Context(), live); verdict.OK() || verdict.Failure == nil {
		t.Error(verdict)
	}
}

func TestEqualNumbers(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true}, {"1e3", "1000", true}, {"12345678901234567890123", "12345678901234567890123", true},
		{"12345678901234567890123", "12345678901234567890124", false}, {"0.1", "0.10", true}, {"1e400", "1e401", false}, {"1e999999999", "1e999999998", false}, {"-0", "0", true},
	} {
		if got := len(compare(json.Number(tc.a), json.Number(tc.b))) == 0; got != tc.want {
			t.Errorf("%s and %s: %v", tc.a, tc.b, got)
		}
	}
	for _, pair := range [][2]any{{json.Number("1"), "1"}, {true, "true"}, {nil, ""}, {nil, false}, {map[string]any{}, nil}, {[]any{}, map[string]any{}}, {[]any{}, nil}} {
		if len(compare(pair[0], pair[1])) == 0 || len(compare(pair[1], pair[0])) == 0 {
			t.Errorf("%v and %v are one", pair[0], pair[1])
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(deployment))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: A}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("a: yes\n---\n{}\n"))
	key := newKey(f)
	v := &Verifier{Trust: []signature.Trust{key.Public}}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Read(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		for _, o := range objects {
			if v.Verify(context.Background(), o).OK() {
				t.Errorf("accepted: %s", bytes.TrimSpace(data))
			}
		}
	})
}
