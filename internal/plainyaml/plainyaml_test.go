package plainyaml

import (
	"encoding/json"
	"strings"
	"testing"

	yaml3 "go.yaml.in/yaml/v3"
)

func TestUnambiguous(t *testing.T) {
	for text, want := range map[string]bool{
		"a: {b: [c, 1, true, 100m, 'yes']}": true, "image: registry.example.com/web:1": true, "a: yes": false, "a: 1e3": false, "on: a": false,
		strings.Repeat("k", maxKey) + ": a": true, strings.Repeat("k", maxKey+1) + ": a": false, "a: \"\\u0085\"": false,
		"a: 012": false, "a: 1:30": false, "a: 2026-01-01": false, "a: &x b": false, "a: 1\na: 2": false, "<<: {a: b}": false, "'<<': {a: b}": false, "a: |\n  x\n  y\n": true, "a: |\n  x\n   y\n": false, "a: |+\n  x\n\n": false, "a: \"\\n\"": false,
		"a: !!str 1": false, "a: -1": false,
	} {
		var node yaml3.Node
		if err := yaml3.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		got := Unambiguous(&node)
		if got != want {
			t.Errorf("%q: %v", text, got)
		}
		if !got {
			continue
		}
		var other any
		if err := node.Decode(&other); err != nil {
			t.Fatal(err)
		}
		if a, b := asJSON(t, Value(&node)), asJSON(t, other); a != b {
			t.Errorf("%q holds %s, not %s", text, b, a)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
