package kustfile

//lint:file-ignore SA1019 kustomize loads what its deprecated fields name as well

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/types"
)

// everything names every field through which a kustomization reaches outside
// itself.
const everything = `
resources: [r.yaml, https://github.com/acme/base]
bases: [../base]
components: [c]
configurations: [conf.yaml]
crds: [crd.json]
openapi: {path: schema.json}
configMapGenerator: [{name: a, files: [f, k=g], envs: [e], env: e1}]
secretGenerator: [{name: b, files: [h], envs: [i], env: e2}]
patches: [{path: p.yaml}, {patch: "inline"}]
patchesJson6902: [{path: j.yaml, target: {kind: X, name: z}}]
patchesStrategicMerge: [s.yaml, "kind: X\nmetadata: {name: z}\n"]
replacements: [{path: repl.yaml}, {source: {kind: X}}]
generators: [g.yaml, "{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: n}, files: [x]}"]
transformers: [t.yaml]
validators: [v.yaml]
helmCharts: [{name: x}]
helmGlobals: {chartHome: x}
helmChartInflationGenerator: [{chartName: x}]
`

func TestReferences(t *testing.T) {
	f, err := Parse([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.References() {
		got = append(got, fmt.Sprintf("%s %s %d", r.Field, r.Text, r.Kind))
	}
	want := []string{
		"resources[0] r.yaml 0", "resources[1] https://github.com/acme/base 0", "bases[0] ../base 0", "components[0] c 1",
		"configurations[0] conf.yaml 2", "crds[0] crd.json 2", "openapi.path schema.json 2",
		"configMapGenerator[0].files[0] f 2", "configMapGenerator[0].files[1] g 2", "configMapGenerator[0].envs[0] e 2", "configMapGenerator[0].env e1 2",
		"secretGenerator[0].files[0] h 2", "secretGenerator[0].envs[0] i 2", "secretGenerator[0].env e2 2",
		"generators[0] g.yaml 3", "patches[0].path p.yaml 2", "patchesJson6902[0].path j.yaml 2", "patchesStrategicMerge[0] s.yaml 2", "replacements[0].path repl.yaml 2",
		"transformers[0] t.yaml 3", "validators[0] v.yaml 3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if configs := f.InlineConfigs(); len(configs) != 1 || configs["generators[1]"] == "" {
		t.Errorf("inline: %v", configs)
	}
	var fields []string
	for _, u := range f.Unsupported() {
		fields = append(fields, u.Field)
	}
	if got, want := strings.Join(fields, " "), "helmCharts helmGlobals helmChartInflationGenerator"; got != want {
		t.Errorf("unsupported: %s, want %s", got, want)
	}
}

// TestEveryFieldIsKnown fails when kustomize's types gain a field, so that
// somebody says whether it reaches outside.
func TestEveryFieldIsKnown(t *testing.T) {
	inside := strings.Fields(`metadata namePrefix nameSuffix namespace commonLabels labels commonAnnotations images imageTags
		replicas vars sortOptions generatorOptions buildMetadata`)
	typ := reflect.TypeFor[types.Kustomization]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name != "" && !slices.Contains(inside, name) && !strings.Contains(everything, "\n"+name+":") {
			t.Errorf("field %s: does it reach outside?", name)
		}
	}
	for typ, known := range map[reflect.Type]string{
		reflect.TypeFor[types.KvPairSources]():    "LiteralSources FileSources EnvSources EnvSource",
		reflect.TypeFor[types.Patch]():            "Path Patch Target Options",
		reflect.TypeFor[types.ReplacementField](): "Replacement Path",
		reflect.TypeFor[types.Replacement]():      "Source SourceValue Targets",
	} {
		for i := range typ.NumField() {
			if !slices.Contains(strings.Fields(known), typ.Field(i).Name) {
				t.Errorf("%s.%s: does it reach outside?", typ, typ.Field(i).Name)
			}
		}
	}
}

func TestRewrite(t *testing.T) {
	const doc = `# comment
namePrefix: a-
Resources: [x.yaml, https://github.com/acme/base]
bases:
- https://github.com/acme/old
patches:
- patch: |
    kind: X
      # odd   indentation
configMapGenerator:
- name: m
  literals: ["a=<b>&"]
`
	f, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Rewrite(map[string]string{"bases[0]": "../source-2"}); err == nil {
		t.Error("a remote reference was left")
	}
	local, _ := Parse([]byte("resources: [x] # as it is\n"))
	if same, err := local.Rewrite(nil); err != nil || string(same) != "resources: [x] # as it is\n" {
		t.Errorf("%q, %v", same, err)
	}
	data, err := f.Rewrite(map[string]string{"resources[1]": "../source-1", "bases[0]": "../source-2"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(again.kust.Resources, again.kust.Bases, again.kust.NamePrefix, again.kust.Patches[0].Patch == f.kust.Patches[0].Patch, again.kust.ConfigMapGenerator); got != fmt.Sprint([]string{"x.yaml", "../source-1"}, []string{"../source-2"}, "a-", true, f.kust.ConfigMapGenerator) {
		t.Errorf("got %s", got)
	}
	if strings.Contains(string(data), "github.com") {
		t.Errorf("a remote reference is left: %s", data)
	}
}

func TestCheckAliases(t *testing.T) {
	for doc, bad := range map[string]bool{
		"data: &d {self: *d}\n":                          true,
		"a: 1\n---\ndata: &d [x, {y: [*d]}]\n":           true,
		"a: &a {x: 1}\nb: *a\nc: {<<: *a}\n":             false,
		"a: &a {x: 1}\nb: &b {y: *a}\nc: [*b, *a, *b]\n": false,
		"a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n": true,
		"no * yaml: [ &\n": false,
	} {
		if err := CheckAliases([]byte(doc)); (err != nil) != bad {
			t.Errorf("%q: %v", doc, err)
		}
	}
	if _, err := Parse([]byte("patches: [{patch: \"{kind: &k {x: *k}}\"}]\n")); err == nil {
		t.Error("a patch that contains itself is accepted")
	}
}

// TestNestedAliases holds that a text in a plugin's configuration is looked at
// too: kustomize reads it as YAML.
func TestNestedAliases(t *testing.T) {
	for _, field := range []string{"patch: |\n  data: &a {k: *a}\n", "paths: [\"{data: &a {k: *a}}\"]\n"} {
		doc := "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: n}\n" + field
		if _, _, err := Configs([]byte(doc)); err == nil {
			t.Errorf("%s is accepted", doc)
		}
		if _, err := Parse([]byte("transformers:\n- |\n  " + strings.ReplaceAll(doc, "\n", "\n  ") + "\n")); err == nil {
			t.Errorf("%s is accepted inline", doc)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, tc := range []struct {
		dir, ref, want string
		inside         bool
	}{
		{".", "a", "a", true}, {"x", "../a", "a", true}, {"x/y", "../..", ".", true}, {"x", "../..", "..", false}, {".", "../a", "../a", false}, {".", "/a", "", false}, {"x", "..a", "x/..a", true},
	} {
		if got, inside := Join(tc.dir, tc.ref); got != tc.want || inside != tc.inside {
			t.Errorf("%s + %s: %s %v", tc.dir, tc.ref, got, inside)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("resources: &a [x]\ncomponents: *a\n")
	f.Fuzz(func(t *testing.T, doc string) {
		file, err := Parse([]byte(doc))
		if err != nil {
			return
		}
		to := map[string]string{}
		for _, r := range file.References() {
			if r.Kind != Data {
				to[r.Field] = "../replaced"
			}
		}
		data, err := file.Rewrite(to)
		if err != nil || len(to) == 0 {
			return
		}
		again, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range again.References() {
			if r.Kind != Data && r.Text != "../replaced" {
				t.Fatalf("%+v is left in %s", r, data)
			}
		}
	})
}
