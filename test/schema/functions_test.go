package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestFunctions holds the examples of functions against their schema, and what is
// none.
func TestFunctions(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/functions.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("functions.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("functions.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text []byte) error {
		var node yaml.Node
		if err := yaml.Unmarshal(text, &node); err != nil {
			t.Fatal(err)
		}
		return s.Validate(value(&node))
	}
	for _, name := range []string{"verified-base/bases.yaml", "manifest-signer/signer.yaml", "signature-check/check.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "examples/functions", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := check(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		"apiVersion: trustomize.dev/v1alpha1\nkind: VerifiedBase\n",
		"apiVersion: trustomize.dev/v1alpha1\nkind: VerifiedBase\nmetadata: {name: a}\nspec: {bases: []}\n",
		"apiVersion: trustomize.dev/v1alpha1\nkind: VerifiedBase\nspec: {bases: [{url: a}]}\n",
		"apiVersion: trustomize.dev/v1alpha1\nkind: VerifiedBase\nmetadata: {name: ..}\nspec: {bases: [{url: a}]}\n",
		"apiVersion: trustomize.dev/v1alpha1\nkind: ManifestSigner\nspec: {key: a}\n",
		"apiVersion: trustomize.dev/v1\nkind: ManifestSigner\n",
		"apiVersion: trustomize.dev/v1alpha1\nkind: Signer\n",
	} {
		if check([]byte(text)) == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}
