package schema

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

// compile reads the schema, which is held against its own schema, of draft
// 2020-12, at that.
func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs/policy.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value turns YAML into what JSON would be, as the program and editors read
// YAML: numbers and booleans as in YAML 1.2, and every other scalar as text.
func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return value(n.Content[0])
	case yaml.AliasNode:
		return value(n.Alias)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(item))
		}
		return list
	}
	var v any
	switch n.Tag {
	case "!!int", "!!bool", "!!null":
		if n.Decode(&v) == nil {
			return v
		}
	}
	return n.Value
}

func validate(t *testing.T, s *jsonschema.Schema, doc string) error {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(doc), &n); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	return s.Validate(value(&n))
}

// checker asks the program itself.
type checker struct{ program, dir string }

func newChecker(t *testing.T) checker {
	t.Helper()
	dir := t.TempDir()
	c := checker{filepath.Join(dir, "trustomize"), dir}
	cmd := exec.Command("go", "build", "-o", c.program, "./cmd/trustomize")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// missing is what the program says of a file that a policy names.
var missing = regexp.MustCompile(`: (open|stat) .*: no such file or directory$`)

// accepts reports whether a policy is in order, but for keys that are not here.
func (c checker) accepts(t *testing.T, doc string) bool {
	t.Helper()
	file := filepath.Join(c.dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(c.program, "policy", "check", file).CombinedOutput()
	if err == nil {
		return true
	}
	if _, ok := err.(*exec.ExitError); !ok {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if !missing.MatchString(strings.TrimSuffix(line, "\n")) {
			return false
		}
	}
	return true
}

// TestPolicies validates every policy of the repository that the program
// accepts.
func TestPolicies(t *testing.T) {
	s, c, policies := compile(t), newChecker(t), collect(t)
	accepted := 0
	for name, doc := range policies {
		if !c.accepts(t, doc) {
			continue
		}
		accepted++
		if err := validate(t, s, doc); err != nil {
			t.Errorf("%s: %v\n%s", name, err, doc)
		}
	}
	t.Logf("%d policies, of which the program accepts %d", len(policies), accepted)
	for _, name := range []string{"cmd/trustomize/policy.yaml", "examples/demo/policy.yaml", "policy/testdata/policy.yaml", "docs/policy.md#1"} {
		if _, ok := policies[name]; !ok {
			t.Errorf("%s is not among the policies", name)
		}
	}
	if accepted < 10 {
		t.Errorf("the program accepts %d of %d policies; want 10 at least", accepted, len(policies))
	}
}

// TestBroken changes a line of the first policy; neither program nor schema may
// accept it.
func TestBroken(t *testing.T) {
	s, c := compile(t), newChecker(t)
	data, err := os.ReadFile(filepath.Join(root, "cmd/trustomize/policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	if err := validate(t, s, good); err != nil || !c.accepts(t, good) {
		t.Fatalf("the first policy is not in order: %v", err)
	}
	for _, tc := range []struct{ old, new, where string }{
		{"trustomize.dev/v1alpha1", "trustomize.dev/v1", "/apiVersion"},
		{"kind: Policy", "kind: policy", "/kind"},
		{"metadata: {name: first}", "metadata: {nam: first}", "/metadata"},
		{"signers:", "signer:", "/spec"},
		{"{publicKey: {file: sources.pub}}", "{}", "/spec/signers/team"},
		{"{publicKey: {file: sources.pub}}", "{publicKey: {file: sources.pub}, pgp: {file: x}}", "/spec/signers/team"},
		{"{file: sources.pub}", "sources.pub", "/spec/signers/team/publicKey"},
		{"{file: sources.pub}", "{file: sources.pub, pem: x}", "/spec/signers/team/publicKey"},
		{"match: github.com/your-organization/**", "matches: github.com/your-organization/**", "/spec/sources/0"},
		{"signedBy: [team]", "signedBy: team", "/spec/sources/0/signedBy"},
		{"bound: true", "bound: yes", "/spec/sources/0/bound"},
		{"bound: true", "closure: all", "/spec/sources/0/closure"},
		{"bound: true", "threshold: 1.5", "/spec/sources/0/threshold"},
		{"bound: true", "pinned: [{}]", "/spec/sources/0/pinned/0"},
		{"bound: true", "bound:", "/spec/sources/0/bound"},
		{"key: {file: manifests.key}", "match: []", "/spec/sign"},
		{"  sign:\n    key: {file: manifests.key}\n", "  sign: never\n", "/spec/sign"},
		{"  sign:\n    key: {file: manifests.key}\n", "", "/spec"},
		{"log: {mode: none}", "log: none", "/spec/log"},
		{"log: {mode: none}", "log: {mode: off}", "/spec/log/mode"},
		{"log: {mode: none}", "log: {mode: required, rekor: [{url: https://r.example, version: 3, publicKey: {file: x}}]}", "/spec/log/rekor/0/version"},
		{"log: {mode: none}", "log: {mode: required, rekor: [{url: https://r.example, version: 2}]}", "/spec/log/rekor/0"},
		{"log: {mode: none}", "log: {mode: none}\n  limits: {fetchTimeout: 90}", "/spec/limits/fetchTimeout"},
		{"log: {mode: none}", "log: {mode: none}\n  credentials: [{prefix: x.example/, helper: /x, bearer: {env: X}}]", "/spec/credentials/0"},
		{"log: {mode: none}", "log: {mode: none}\n  credentials: [{prefix: x.example/, bearer: {env: X, file: y}}]", "/spec/credentials/0/bearer"},
	} {
		doc := strings.Replace(good, tc.old, tc.new, 1)
		if doc == good {
			t.Fatalf("%q is not in the policy", tc.old)
		}
		if c.accepts(t, doc) {
			t.Errorf("%q: the program accepts it", tc.new)
		}
		if err := validate(t, s, doc); err == nil || !strings.Contains(err.Error(), "at '"+tc.where+"'") {
			t.Errorf("%q: %v, want an error at %s", tc.new, err, tc.where)
		}
	}
}
