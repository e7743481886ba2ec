package kustedit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

const kustomization = `resources:
- deployment.yaml
namePrefix: old-
images:
- name: nginx
  newTag: "1"
- name: redis
  newName: r.example/redis
labels:
- pairs: {app: web}
commonAnnotations: {team: one}
components:
- components/a
`

var tree = []string{"app", "app/components", "app/components/a", "app/components/b", "app/kustomization.yaml", "shared", "shared/c"}

func find(pattern string) []string {
	found, err := Matches(tree, "app", pattern)
	if err != nil {
		return nil
	}
	return found
}

func TestApply(t *testing.T) {
	for name, c := range map[string]struct {
		edits Edits
		want  []string // parts of the result, or of the error behind "error: "
	}{
		"prefix":             {Edits{NamePrefix: "new-"}, []string{"namePrefix: new-\n"}},
		"prefix with a dash": {Edits{NamePrefix: "-new"}, []string{"namePrefix: -new\n"}},
		"suffix":             {Edits{NameSuffix: "-v2"}, []string{"nameSuffix: -v2\n"}},
		"tag":                {Edits{Images: []string{"nginx:2"}}, []string{"- name: nginx\n  newTag: \"2\"\n"}},
		"digest":             {Edits{Images: []string{"nginx@sha256:abc"}}, []string{"- digest: sha256:abc\n  name: nginx\n"}},
		"another image":      {Edits{Images: []string{"redis=r.example/redis:7"}}, []string{"- name: nginx\n  newTag: \"1\"\n- name: redis\n  newName: r.example/redis\n  newTag: \"7\"\n"}},
		"kept tag":           {Edits{Images: []string{"nginx=r.example/nginx:*"}}, []string{"newName: r.example/nginx\n  newTag: \"1\"\n"}},
		"image without":      {Edits{Images: []string{"nginx"}}, []string{"error: set image"}},
		"replicas":           {Edits{Replicas: []Replica{{"web", 3}}}, []string{"replicas:\n- count: 3\n  name: web\n"}},
		"label":              {Edits{CommonLabels: map[string]string{"a": "b"}}, []string{"commonLabels:\n  a: b\n"}},
		"label kept":         {Edits{CommonLabels: map[string]string{"app": "b"}, LabelWithoutSelector: true}, []string{"error: already in kustomization file"}},
		"label forced":       {Edits{CommonLabels: map[string]string{"app": "b"}, LabelWithoutSelector: true, ForceCommonLabels: true}, []string{"app: b\n"}},
		"label in templates": {Edits{CommonLabels: map[string]string{"a": "b"}, LabelWithoutSelector: true, LabelIncludeTemplates: true}, []string{"- includeTemplates: true\n  pairs:\n    a: b\n"}},
		"annotation kept":    {Edits{CommonAnnotations: map[string]string{"team": "two"}}, []string{"error: annotation team already in"}},
		"annotation forced":  {Edits{CommonAnnotations: map[string]string{"team": "two"}, ForceCommonAnnotations: true}, []string{"team: two\n"}},
		"namespace":          {Edits{Namespace: "prod"}, []string{"namespace: prod\n"}},
		"patch":              {Edits{Patches: []types.Patch{{Patch: "x", Target: &types.Selector{ResId: resid.NewResId(resid.Gvk{Kind: "Deployment"}, "web")}}}}, []string{"patches:\n- patch: x\n  target:\n    kind: Deployment\n    name: web\n"}},
		"patch from without": {Edits{Patches: []types.Patch{{Path: "https://example.com/p.yaml"}}}, []string{"error: application's own repository"}},
		"component":          {Edits{Components: []string{"components/b"}}, []string{"components:\n- components/a\n- components/b\n"}},
		"component twice":    {Edits{Components: []string{"components/a"}}, []string{"components:\n- components/a\n"}},
		"components":         {Edits{Components: []string{"components/*", "../shared/?"}}, []string{"components:\n- components/a\n- components/b\n- ../shared/c\n"}},
		"component missing":  {Edits{Components: []string{"components/x"}}, []string{`error: there is no "components/x"`}},
		"component ignored":  {Edits{Components: []string{"components/x", "components/b"}, IgnoreMissingComponents: true}, []string{"- components/a\n- components/b\n"}},
		"component outside":  {Edits{Components: []string{"../../x"}}, []string{"error: there is no"}},
		"component remote":   {Edits{Components: []string{"https://github.com/acme/x"}}, []string{"error: application's own repository"}},
		"component absolute": {Edits{Components: []string{"/etc"}}, []string{"error: there is no"}},
		"a colon in a key":   {Edits{CommonAnnotations: map[string]string{"a:evil": "b"}}, []string{"error: want a key without a colon"}},
		"a name undone":      {Edits{Images: []string{"redis:2"}, SameName: []string{"redis"}}, []string{`error: image "redis" is "r.example/redis" in the kustomization and would become "redis"`}},
		"a name kept":        {Edits{Images: []string{"redis=*:2"}, SameName: []string{"redis"}}, []string{"newName: r.example/redis\n  newTag: \"2\"\n"}},
		"a name never given": {Edits{Images: []string{"nginx:2"}, SameName: []string{"nginx"}}, []string{"- name: nginx\n  newTag: \"2\"\n"}},
		"an option":          {Edits{Images: []string{"--help"}}, []string{"error: begins with a dash"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.edits.Apply([]byte(kustomization), find)
			text := string(got)
			if err != nil {
				text = "error: " + err.Error()
			}
			for _, part := range c.want {
				part, wantError := strings.CutPrefix(part, "error: ")
				if wantError != (err != nil) || !strings.Contains(text, part) {
					t.Errorf("want %q in:\n%s", part, text)
				}
			}
		})
	}
}

// TestNothing holds that a kustomization without edits stays as it is, byte by
// byte.
func TestNothing(t *testing.T) {
	var e Edits
	got, err := e.Apply([]byte(kustomization+"# a comment\n"), find)
	if err != nil || string(got) != kustomization+"# a comment\n" || !e.Empty() {
		t.Errorf("%q, %v", got, err)
	}
}

func TestPatched(t *testing.T) {
	target := func(kind, name string) *types.Selector {
		return &types.Selector{ResId: resid.NewResId(resid.Gvk{Kind: kind}, name)}
	}
	const merge = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 2}\n"
	for name, c := range map[string]struct {
		patch types.Patch
		want  string
	}{
		"target":             {types.Patch{Patch: merge, Target: target("Deployment", "web")}, "Deployment/web"},
		"text":               {types.Patch{Patch: "x", Target: target("Deployment", "web")}, ""},
		"another kind":       {types.Patch{Patch: merge, Target: target("Service", "web")}, ""},
		"an unknown type":    {types.Patch{Patch: "apiVersion: acme.example/v1\nkind: Widget\nmetadata: {name: x}\n", Target: target("Widget", "web")}, ""},
		"the target's type":  {types.Patch{Patch: "apiVersion: acme.example/v1\nkind: Widget\nmetadata: {name: x}\n", Target: &types.Selector{ResId: resid.NewResId(resid.NewGvk("acme.example", "v1", "Widget"), "web")}}, "Widget/web"},
		"may rename":         {types.Patch{Patch: "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {internal.config.kubernetes.io/allowNameChange: enabled}}\n"}, ""},
		"items":              {types.Patch{Patch: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nitems: []\n"}, ""},
		"JSON":               {types.Patch{Patch: `[{"op": "test", "path": "/kind", "value": "Service"}, {"op": "replace", "path": "/spec/replicas", "value": 2}]`, Target: target("Deployment", "web")}, "Deployment/web"},
		"JSON in YAML":       {types.Patch{Patch: "- {op: add, path: /metadata/labels/x, value: y}\n- {op: move, from: /spec/a, path: /spec/b}\n", Target: target("Deployment", "web")}, "Deployment/web"},
		"JSON, the kind":     {types.Patch{Patch: `[{"op": "replace", "path": "/kind", "value": "Role"}]`, Target: target("Deployment", "web")}, ""},
		"JSON, escaped":      {types.Patch{Patch: `[{"op": "replace", "path": "\u002fkind", "value": "Role"}]`, Target: target("Deployment", "web")}, ""},
		"JSON, the group":    {types.Patch{Patch: "- {op: replace, path: /apiVersion, value: x/v1}\n", Target: target("Deployment", "web")}, ""},
		"JSON, the name":     {types.Patch{Patch: "- {op: copy, from: /spec/x, path: /metadata/name}\n", Target: target("Deployment", "web")}, ""},
		"JSON, namespace":    {types.Patch{Patch: "- {op: add, path: /metadata/namespace, value: kube-system}\n", Target: target("Deployment", "web")}, ""},
		"JSON, everything":   {types.Patch{Patch: `[{"op": "replace", "path": "", "value": {}}]`, Target: target("Deployment", "web")}, ""},
		"JSON, metadata":     {types.Patch{Patch: `[{"op": "replace", "path": "/metadata", "value": {}}]`, Target: target("Deployment", "web")}, ""},
		"JSON, annotations":  {types.Patch{Patch: `[{"op": "add", "path": "/metadata/annotations/internal.config.kubernetes.io~1x", "value": "y"}]`, Target: target("Deployment", "web")}, ""},
		"JSON, items":        {types.Patch{Patch: `[{"op": "add", "path": "/items/-", "value": {}}]`, Target: target("Deployment", "web")}, ""},
		"JSON, twice":        {types.Patch{Patch: `[{"op": "add", "path": "/spec/a", "path": "/kind", "value": "Role"}]`, Target: target("Deployment", "web")}, ""},
		"JSON, no target":    {types.Patch{Patch: `[{"op": "add", "path": "/spec/a", "value": 1}]`}, ""},
		"expression":         {types.Patch{Patch: "x", Target: target("Deployment", "web|.*")}, ""},
		"dot":                {types.Patch{Patch: "x", Target: target("Deployment", "w.b")}, ""},
		"no name":            {types.Patch{Patch: "x", Target: target("Deployment", "")}, ""},
		"options":            {types.Patch{Patch: "x", Target: target("Deployment", "web"), Options: &types.PatchArgs{AllowKindChange: true}}, ""},
		"merge":              {types.Patch{Patch: "apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\n"}, "Service/a.b"},
		"two":                {types.Patch{Patch: "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: B\nmetadata: {name: b}\n"}, ""},
		"file":               {types.Patch{Path: "p.yaml"}, ""},
		"an alias of itself": {types.Patch{Patch: "apiVersion: v1\nkind: Service\nmetadata: {name: a, x: &x [*x]}\n"}, ""},
		"not a resource":     {types.Patch{Patch: "[]"}, ""},
		"target and file":    {types.Patch{Path: "p.yaml", Target: target("Service", "web")}, ""},
	} {
		if got := patched(&c.patch); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestUntouched: an override changes no image that it does not name.
func TestUntouched(t *testing.T) {
	for name, c := range map[string]struct{ images, want string }{
		"others":        {"[{name: z, newTag: '1'}, {name: a, newName: b, digest: 'sha256:1'}]", ""},
		"a chain":       {"[{name: nginx, newName: m/nginx}, {name: m/nginx, digest: 'sha256:1'}]", "one after the other"},
		"an expression": {"[{name: nginx, newName: m/nginx}, {name: 'm/.*', digest: 'sha256:1'}]", "one after the other"},
		"twice":         {"[{name: nginx, newTag: '1'}, {name: nginx, digest: 'sha256:1'}]", "twice"},
	} {
		e := Edits{Images: []string{"redis:6"}}
		_, err := e.Apply([]byte("resources: [a.yaml]\nimages: "+c.images+"\n"), find)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := map[string]string{}
	for i := range maxPairs + 1 {
		many[fmt.Sprint("k", i)] = "v"
	}
	if e := (Edits{CommonLabels: many}); len(e.Check()) != 1 {
		t.Errorf("%d labels: %v", len(many), e.Check())
	}
}

func TestValues(t *testing.T) {
	e := Edits{
		NamePrefix: "a-", Images: []string{"nginx=r/x:1", "b@sha256:2", "c=*:3", "d=e"}, Replicas: []Replica{{"web", 2}},
		CommonLabels: map[string]string{"b": "2", "a": `"1"`}, Components: []string{"c"},
	}
	var got []string
	for _, v := range e.Values() {
		text := v.Field + " " + v.Text
		if v.Image != nil {
			text += " " + strings.Join([]string{v.Image.Name, v.Image.NewName, v.Image.NewTag, v.Image.Digest}, ",")
		}
		got = append(got, text)
	}
	want := []string{
		"namePrefix a-", "images[0] nginx=r/x:1 nginx,r/x,1,", "images[1] b@sha256:2 b,,,sha256:2", "images[2] c=*:3 c,,3,", "images[3] d=e d,e,,",
		"replicas.web web=2", "commonLabels.a a=1", "commonLabels.b b=2", "components[0] c",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// FuzzApply holds that no edit of text makes a kustomization with more in it
// than edits can say, or panics.
func FuzzApply(f *testing.F) {
	f.Add("p-", "nginx=r:1", "web", int64(3), "k", "v", "ns", "components/*")
	f.Add("\n", "a\nb=c:1", "x=y", int64(-1), "k: v", "'", "-", "a/../b")
	f.Fuzz(func(t *testing.T, prefix, image, name string, count int64, key, value, namespace, component string) {
		e := Edits{
			NamePrefix: prefix, Images: []string{image}, Replicas: []Replica{{name, count}}, CommonLabels: map[string]string{key: value},
			Namespace: namespace, Components: []string{component}, IgnoreMissingComponents: true,
		}
		got, err := e.Apply([]byte(kustomization), find)
		if err != nil {
			return
		}
		var k types.Kustomization
		if err := k.Unmarshal(got); err != nil {
			t.Fatalf("%v:\n%s", err, got)
		}
		if !slices.Equal(k.Resources, []string{"deployment.yaml"}) || len(k.Generators)+len(k.Transformers)+len(k.Patches)+len(k.HelmCharts)+len(k.Crds) > 0 {
			t.Fatalf("more was changed:\n%s", got)
		}
	})
}
