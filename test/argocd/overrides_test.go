package argocd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/git"
	"github.com/argoproj/argo-cd/v3/util/kustomize"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

const overridesPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  sources: [{match: github.com/acme/app, unverified: {reason: what is compared is what is built, until: 2099-12-31}}]
  sign: none
  log: {mode: none}
  applications:
  - match: {}
    overrides:
      {images: true, replicas: true, namePrefix: true, nameSuffix: true, namespace: true, commonLabels: true,
       commonAnnotations: true, patches: true, components: true, buildOptions: true}
`

// overridden is the repository, whose directory deploy is built.
var overridden = map[string]string{
	"deploy/kustomization.yaml": `# a comment
resources: [deployment.yaml, service.yaml, ../base]
namePrefix: app-
commonAnnotations: {owner: one}
images:
- {name: nginx, newTag: "1.1"}
- {name: sidecar, newName: r.example/sidecar, digest: sha256:0000000000000000000000000000000000000000000000000000000000000000}
labels:
- {pairs: {tier: front}}
- {pairs: {track: stable}, includeTemplates: true}
replicas: [{name: web, count: 2}]
components: [components/a]
patches:
- {patch: '[{"op": "add", "path": "/metadata/annotations/patched", "value": "first"}]', target: {kind: Service}}
`,
	"deploy/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {a: b}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1.0"}
      - {name: sidecar, image: "sidecar:1"}
      - {name: other, image: "r.example:5000/team/other:3"}
`,
	"deploy/service.yaml": `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`,
	"deploy/patch.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {paused: true}
`,
	"deploy/components/a/kustomization.yaml": component("a"),
	"deploy/components/b/kustomization.yaml": component("b"),
	"deploy/components/c/kustomization.yaml": component("c"),
	"shared/d/kustomization.yaml":            component("d"),
	"base/kustomization.yaml":                "resources: [config.yaml]\n",
	"base/config.yaml":                       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {a: \"1\"}\n",
}

func component(name string) string {
	return "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {component-" + name + ": \"true\"}\n"
}

type settings = v1alpha1.ApplicationSourceKustomize

func target(kind, name string) *v1alpha1.KustomizeSelector {
	return &v1alpha1.KustomizeSelector{KustomizeResId: v1alpha1.KustomizeResId{KustomizeGvk: v1alpha1.KustomizeGvk{Kind: kind}, Name: name}}
}

func images(all ...string) settings {
	s := settings{}
	for _, one := range all {
		s.Images = append(s.Images, v1alpha1.KustomizeImage(one))
	}
	return s
}

type row struct {
	settings settings
	options  string // kustomize.buildOptions
	fails    bool   // both ways
}

func rows() map[string]row {
	number := func(n int32) intstr.IntOrString { return intstr.FromInt32(n) }
	labels := map[string]string{"team": "x", "app-name": "$ARGOCD_APP_NAME"}
	return map[string]row{
		"nothing":                  {},
		"prefix":                   {settings: settings{NamePrefix: "pr-1-"}},
		"prefix with a dash":       {settings: settings{NamePrefix: "-x-"}},
		"suffix":                   {settings: settings{NameSuffix: "-v2"}},
		"prefix and suffix":        {settings: settings{NamePrefix: "a-", NameSuffix: "-b"}},
		"tag":                      {settings: images("nginx:2.0")},
		"digest":                   {settings: images("nginx@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3")},
		"tag and digest":           {settings: images("nginx:2@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3")},
		"new name":                 {settings: images("nginx=r.example/nginx")},
		"new name and tag":         {settings: images("nginx=r.example:5000/nginx:3")},
		"kept tag":                 {settings: images("nginx=r.example/nginx:*")},
		"kept name":                {settings: images("sidecar=*:9")},
		"kept digest":              {settings: images("sidecar=q.example/s@*")},
		"image of a registry":      {settings: images("r.example:5000/team/other:4")},
		"images":                   {settings: images("nginx:5", "sidecar=r/s:1", "nothing:1")},
		"image twice":              {settings: images("nginx:5", "nginx:6")},
		"image with a variable":    {settings: images("nginx:$ARGOCD_APP_REVISION_SHORT")},
		"image with a dollar":      {settings: images("nginx:a$$b")},
		"image without anything":   {fails: true, settings: images("nginx")},
		"image as an expression":   {settings: images("ngin.=r.example/x:1")},
		"replicas":                 {settings: settings{Replicas: v1alpha1.KustomizeReplicas{{Name: "web", Count: number(5)}}}},
		"replicas of nobody":       {fails: true, settings: settings{Replicas: v1alpha1.KustomizeReplicas{{Name: "none", Count: number(5)}}}},
		"replicas as text":         {settings: settings{Replicas: v1alpha1.KustomizeReplicas{{Name: "web", Count: intstr.FromString("7")}}}},
		"no replicas":              {settings: settings{Replicas: v1alpha1.KustomizeReplicas{{Name: "web", Count: number(0)}}}},
		"labels":                   {settings: settings{CommonLabels: labels}},
		"labels no selector":       {settings: settings{CommonLabels: labels, LabelWithoutSelector: true}},
		"labels templates":         {settings: settings{CommonLabels: labels, LabelWithoutSelector: true, LabelIncludeTemplates: true}},
		"labels templates alone":   {fails: true, settings: settings{CommonLabels: labels, LabelIncludeTemplates: true}},
		"label there":              {settings: settings{CommonLabels: map[string]string{"tier": "back"}}},
		"label there, no selector": {fails: true, settings: settings{CommonLabels: map[string]string{"tier": "back"}, LabelWithoutSelector: true}},
		"label there, forced":      {settings: settings{CommonLabels: map[string]string{"tier": "back"}, LabelWithoutSelector: true, ForceCommonLabels: true}},
		"label track, templates":   {fails: true, settings: settings{CommonLabels: map[string]string{"track": "canary"}, LabelWithoutSelector: true, LabelIncludeTemplates: true}},
		"label forced, templates":  {settings: settings{CommonLabels: map[string]string{"track": "canary"}, LabelWithoutSelector: true, LabelIncludeTemplates: true, ForceCommonLabels: true}},
		"label with a colon":       {settings: settings{CommonLabels: map[string]string{"a": "b:c"}}},
		"label quoted":             {settings: settings{CommonLabels: map[string]string{"a": `"b"`}}},
		"label empty":              {settings: settings{CommonLabels: map[string]string{"a": ""}}},
		"label with a slash":       {settings: settings{CommonLabels: map[string]string{"example.com/a": "b"}}},
		"annotations":              {settings: settings{CommonAnnotations: map[string]string{"a": "$ARGOCD_APP_NAME", "b": "c"}}},
		"annotations expanded":     {settings: settings{CommonAnnotations: map[string]string{"a": "x-${ARGOCD_APP_NAME}-$NOTHING"}, CommonAnnotationsEnvsubst: true}},
		"annotation there":         {fails: true, settings: settings{CommonAnnotations: map[string]string{"owner": "two"}}},
		"annotation forced":        {settings: settings{CommonAnnotations: map[string]string{"owner": "two"}, ForceCommonAnnotations: true}},
		"annotation of a URL":      {settings: settings{CommonAnnotations: map[string]string{"link": "https://example.com/a,b"}}},
		"namespace":                {settings: settings{Namespace: "prod"}},
		"odd namespace":            {settings: settings{Namespace: "Prod_1"}},
		"patch":                    {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x"}]`, Target: target("Deployment", "web")}}}},
		"patch all":                {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "add", "path": "/metadata/annotations/all", "value": "1"}]`, Target: target(".*", "")}}}},
		"patch behind":             {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "replace", "path": "/metadata/annotations/patched", "value": "second"}]`, Target: target("Service", "")}}}},
		"merge patch":              {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {minReadySeconds: 5}\n"}}}},
		"merge patch of a file":    {settings: settings{Patches: v1alpha1.KustomizePatches{{Path: "patch.yaml"}}}},
		"patch that deletes":       {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n$patch: delete\n"}}}},
		"patch that renames":       {settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "replace", "path": "/metadata/name", "value": "other"}]`, Target: target("Service", "web"), Options: map[string]bool{"allowNameChange": true}}}}},
		"patch that does not":      {fails: true, settings: settings{Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "replace", "path": "/none/here", "value": "other"}]`, Target: target("Service", "web")}}}},
		"patch of no file":         {fails: true, settings: settings{Patches: v1alpha1.KustomizePatches{{Path: "none.yaml"}}}},
		"component":                {settings: settings{Components: []string{"components/b"}}},
		"components":               {settings: settings{Components: []string{"components/c", "components/b", "../shared/d"}}},
		"component there":          {settings: settings{Components: []string{"components/a"}}},
		"components of a pattern":  {settings: settings{Components: []string{"components/*"}}},
		"component missing":        {fails: true, settings: settings{Components: []string{"components/x"}}},
		"component ignored":        {settings: settings{Components: []string{"components/x", "components/b"}, IgnoreMissingComponents: true}},
		"pattern ignored":          {settings: settings{Components: []string{"components/*", "components/b"}, IgnoreMissingComponents: true}},
		"component of the base":    {fails: true, settings: settings{Components: []string{"../base"}}},
		"component outside":        {settings: settings{Components: []string{"../../x"}, IgnoreMissingComponents: true}},
		"reorder":                  {options: "--reorder=legacy"},
		"managed by":               {options: "--enable-managedby-label"},
		"restrictions":             {options: "--load-restrictor LoadRestrictionsNone"},
		"unknown option":           {fails: true, options: "--no-such"},
		"much at once": {options: "--reorder none", settings: settings{
			NamePrefix: "p-", NameSuffix: "-s", Namespace: "ns", Images: v1alpha1.KustomizeImages{"nginx:9"}, CommonLabels: labels, LabelWithoutSelector: true,
			CommonAnnotations: map[string]string{"x": "y"}, Components: []string{"components/b"}, Replicas: v1alpha1.KustomizeReplicas{{Name: "web", Count: number(9)}},
			Patches: v1alpha1.KustomizePatches{{Patch: `[{"op": "add", "path": "/metadata/annotations/z", "value": "1"}]`, Target: target("ConfigMap", "")}},
		}},
	}
}

// env is what ArgoCD says of the Application.
func env() v1alpha1.Env {
	var all v1alpha1.Env
	for _, one := range [][2]string{
		{"ARGOCD_APP_NAME", "web"}, {"ARGOCD_APP_NAMESPACE", "prod"}, {"ARGOCD_APP_PROJECT_NAME", "shop"},
		{"ARGOCD_APP_REVISION", "0123456789012345678901234567890123456789"}, {"ARGOCD_APP_REVISION_SHORT", "0123456"}, {"ARGOCD_APP_REVISION_SHORT_8", "01234567"},
		{"ARGOCD_APP_SOURCE_REPO_URL", "https://github.com/acme/app.git"}, {"ARGOCD_APP_SOURCE_PATH", "deploy"}, {"ARGOCD_APP_SOURCE_TARGET_REVISION", "main"},
	} {
		all = append(all, &v1alpha1.EnvEntry{Name: one[0], Value: one[1]})
	}
	return all
}

// TestOverrides compares what the plugin makes of an Application's settings with
// what ArgoCD's built-in kustomize support makes of them.
func TestOverrides(t *testing.T) {
	dir := t.TempDir()
	kustomizeProgram, trustomizeProgram := filepath.Join(bin, "kustomize"), filepath.Join(bin, "trustomize")
	policyFile := filepath.Join(dir, "policy.yaml")
	write(t, policyFile, overridesPolicy)
	for name, r := range rows() {
		t.Run(name, func(t *testing.T) {
			want, wantErr := builtIn(t, r, kustomizeProgram)
			got, gotErr := plugged(t, r, trustomizeProgram, policyFile)
			switch {
			case r.fails != (wantErr != nil) || r.fails != (gotErr != nil):
				t.Errorf("ArgoCD: %v\nplugin: %v", wantErr, gotErr)
			case got != want:
				t.Errorf("ArgoCD:\n%s\nplugin:\n%s", want, got)
			}
		})
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, dir string) {
	t.Helper()
	for name, text := range overridden {
		write(t, filepath.Join(dir, name), text)
	}
}

// builtIn is ArgoCD's own way.
func builtIn(t *testing.T, r row, program string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	unpack(t, dir)
	own := kustomize.NewKustomizeApp(dir, filepath.Join(dir, "deploy"), git.NopCreds{}, "", program, "", "")
	e := env()
	objects, _, _, err := own.Build(&r.settings, &v1alpha1.KustomizeOptions{BuildOptions: r.options}, &e, nil)
	if err != nil {
		return "", err
	}
	return text(t, objects), nil
}

// plugged is the plugin's way: the Application converted, its parameters handed
// on by ArgoCD's own code.
func plugged(t *testing.T, r row, program, policyFile string) (string, error) {
	t.Helper()
	work := t.TempDir()
	dir := filepath.Join(work, "_cmp_server", "call")
	unpack(t, dir)
	parameters, err := convert(t, r, program)
	if err != nil {
		return "", err
	}
	variables, err := parameters.Environ()
	if err != nil {
		t.Fatal(err)
	}
	e := env()
	cmd := exec.Command(program, "plugin", "generate")
	cmd.Dir = filepath.Join(dir, "deploy")
	cmd.Env = append(append(os.Environ(), "TRUSTOMIZE_POLICY="+policyFile, "TRUSTOMIZE_CACHE="+filepath.Join(work, "cache"), "ARGOCD_CMP_WORKDIR="+work), append(e.Environ(), variables...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &failure{err, stderr.String()}
	}
	objects, err := kube.SplitYAML(out)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, objects), nil
}

type failure struct {
	err    error
	stderr string
}

func (f *failure) Error() string { return f.err.Error() + ": " + f.stderr }

// convert has our own verb make parameters of the settings.
func convert(t *testing.T, r row, program string) (v1alpha1.ApplicationSourcePluginParameters, error) {
	t.Helper()
	application := v1alpha1.Application{TypeMeta: metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Application"}}
	application.Spec.Source = &v1alpha1.ApplicationSource{RepoURL: "https://github.com/acme/app.git", Path: "deploy", Kustomize: &r.settings}
	data, err := yaml.Marshal(application)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "plugin", "convert", "-")
	cmd.Stdin = strings.NewReader(string(data))
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var converted v1alpha1.Application
	if err := yaml.UnmarshalStrict(out, &converted); err != nil {
		t.Fatal(err)
	}
	plugin := converted.Spec.Source.Plugin
	if converted.Spec.Source.Kustomize != nil || plugin == nil || plugin.Name != "trustomize" {
		t.Fatalf("converted: %s", out)
	}
	parameters := plugin.Parameters
	if r.options != "" {
		parameters = append(parameters, v1alpha1.ApplicationSourcePluginParameter{Name: "buildOptions", String_: &r.options})
	}
	return parameters, nil
}

// text is the objects in their order, for comparison.
func text(t *testing.T, objects []*unstructured.Unstructured) string {
	t.Helper()
	var b strings.Builder
	for _, one := range objects {
		data, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.JSONToYAML(data)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n" + string(y))
	}
	return b.String()
}
