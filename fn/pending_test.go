package fn

import (
	"regexp"
	"strings"
	"testing"
)

// generated is a list as kustomize passes it: names and references are not what they
// will be.
const generated = `- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: prod-web # is renamed
    annotations:
      internal.config.kubernetes.io/previousKinds: Deployment
      internal.config.kubernetes.io/previousNames: web
      internal.config.kubernetes.io/previousNamespaces: default
      internal.config.kubernetes.io/prefixes: prod-
      kustomize.config.k8s.io/id: "kind: Deployment"
  spec: {template: {spec: {containers: [{name: c, envFrom: [{configMapRef: {name: settings}}]}]}}}
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: prod-settings
    annotations:
      internal.config.kubernetes.io/generatorBehavior: unspecified
      internal.config.kubernetes.io/needsHashSuffix: enabled
      internal.config.kubernetes.io/previousKinds: ConfigMap
      internal.config.kubernetes.io/previousNames: settings
      internal.config.kubernetes.io/previousNamespaces: default
      internal.config.kubernetes.io/prefixes: prod-
      kustomize.config.k8s.io/id: "kind: ConfigMap"
      internal.config.kubernetes.io/path: a.yaml
      internal.config.kubernetes.io/index: '3'
  data: {mode: safe}
- apiVersion: v1
  kind: Secret # stays unsigned
  # with a comment
  metadata: {name: s, annotations: {b: c}}
- {kind: Kustomization, namePrefix: prod-}
- {apiVersion: v1, kind: Secret, metadata: {name: bare}}
`

// TestSettled: what is signed has the names of the end.
func TestSettled(t *testing.T) {
	req := sharedRequest(t)
	out, err := run(t, req, listOf(generated, "kind: ManifestSigner"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`prod-settings-[a-z0-9]{10}`).FindString(out)
	for _, want := range []string{
		"name: prod-web # is renamed", "configMapRef: {name: " + name + "}", "name: " + name + "\n", `kustomize.config.k8s.io/id: "kind: ConfigMap"`,
		"  kind: Secret # stays unsigned\n  # with a comment\n", "internal.config.kubernetes.io/path: 'a.yaml'", "namePrefix: prod-", "2 of 5 resources signed", "- {apiVersion: v1, kind: Secret, metadata: {name: bare}}\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, gone := range []string{"previousNames", "needsHashSuffix", "prefixes"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s in\n%s", gone, out)
		}
	}
	checked, err := run(t, req, strings.Replace(out, "kind: ManifestSigner", "kind: SignatureCheck\n  spec: {match: [{kind: Deployment}, {kind: ConfigMap}]}", 1))
	if err != nil || !strings.Contains(checked, "2 of 5 resources verified") {
		t.Errorf("%v\n%s", err, checked)
	}
}

// TestUnsettled are lists of which kustomize can make nothing.
func TestUnsettled(t *testing.T) {
	req := sharedRequest(t)
	for name, c := range map[string]struct{ name, annotations, want string }{
		"another of that name": {"prod-settings-75db6b5ck4", "", "already registered id: ConfigMap.v1.[noGrp]/prod-settings-75db6b5ck4"},
		"names without kinds":  {"other", "internal.config.kubernetes.io/previousNames: 'a,b'", "kustomize panicked: "},
		"the number":           {"other", "trustomize.dev/number: '0'", "trustomize.dev/number"},
	} {
		more := "- {apiVersion: v1, kind: ConfigMap, metadata: {name: " + c.name + ", annotations: {" + c.annotations + "}}}\n"
		out, err := run(t, req, listOf(generated+more, "kind: ManifestSigner"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(out, "items: []") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
