package kustfile

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfigs(t *testing.T) {
	for doc, want := range map[string]string{
		"kind: ConfigMapGenerator\nfiles: [a, k=b]\nenvs: [c]\nenv: d\n":                                       "files[0]=a files[1]=b envs[0]=c env=d",
		"kind: SecretGenerator\nFiles: [a]\n":                                                                  "files[0]=a",
		"kind: PatchTransformer\npath: p.yaml\n":                                                               "path=p.yaml",
		"kind: PatchJson6902Transformer\npath: https://h/p.yaml\n":                                             "path=https://h/p.yaml",
		"kind: PatchStrategicMergeTransformer\npaths: [a.yaml, 'kind: X', '{kind: X, metadata: {name: y}}']\n": "paths[0]=a.yaml paths[1]=kind: X",
		"kind: ReplacementTransformer\nreplacements: [{path: r.yaml}, {source: {kind: X}}]\n":                  "replacements[0].path=r.yaml",
		"kind: ValueAddTransformer\nvalue: x\ntargetFilePath: t.yaml\n":                                        "targetFilePath=t.yaml",
		"kind: PrefixTransformer\nprefix: x\n":                                                                 "",
		"kind: HelmChartInflationGenerator\nchartName: x\n":                                                    "!charts",
		"kind: Nosuch\n": "!no builtin plugin",
	} {
		doc += "apiVersion: builtin\nmetadata: {name: n}\n"
		if got := describe(t, doc); !matches(got, want) {
			t.Errorf("%s: got %s, want %s", doc, got, want)
		}
	}
	for _, metadata := range []string{
		"annotations: {config.kubernetes.io/function: 'container: {image: x}'}",
		"annotations: {config.k8s.io/function: 'exec: {path: x}'}",
		"annotations: {config.kubernetes.io/container: x}",
		"configFn: {container: {image: x}}",
	} {
		for _, version := range []string{"builtin", "example.com/v1"} {
			doc := "apiVersion: " + version + "\nkind: PatchTransformer\nmetadata: {name: n, " + metadata + "}\n"
			if got := describe(t, doc); !matches(got, "!KRM function") {
				t.Errorf("%s: got %s", doc, got)
			}
		}
	}
	if got := describe(t, "apiVersion: example.com/v1\nkind: PatchTransformer\nmetadata: {name: n}\n"); !matches(got, "!plugin of its own") {
		t.Error(got)
	}
	if _, _, err := Configs([]byte("not: [an object")); err == nil {
		t.Error("malformed YAML is accepted")
	}
}

func describe(t *testing.T, doc string) string {
	t.Helper()
	refs, unsupported, err := Configs([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	var words []string
	for _, r := range refs {
		words = append(words, fmt.Sprintf("%s=%s", r.Field[strings.LastIndex(r.Field, " ")+1:], r.Text))
	}
	for _, u := range unsupported {
		words = append(words, "!"+u.Reason)
	}
	return strings.Join(words, " ")
}

func matches(got, want string) bool {
	if reason, refused := strings.CutPrefix(want, "!"); refused {
		return strings.HasPrefix(got, "!") && strings.Contains(got, reason)
	}
	return got == want
}
