package signer

import (
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// FuzzAsYAML holds the short way against the one through JSON, byte for byte.
func FuzzAsYAML(f *testing.F) {
	for _, text := range []string{
		deployment, "a: {b: [c, 1, true, 100m, 'yes', null]}", "a: 'x: y'", "a: \"<&>\\t\"", "a: |\n  x\n\n  y\n", "a: >-\n  x\n  y", "a: ' '", "a: ''",
		"a10: 1\na9: 2\nA: 3\na: 4", "a: 999999999999999", "a: '012'", "a: '1e3'", "a: {}\nb: []", "a: '- x'", "a: \"x \\n y\"", "'on': x", "'': x", "a: '~'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := kyaml.Parse(text)
		if err != nil || r.YNode() == nil || r.YNode().Kind != kyaml.MappingNode {
			return
		}
		short, err := AsYAML(r)
		if err != nil {
			return
		}
		long, err := throughJSON(r)
		if err != nil {
			t.Fatalf("%q: %q, through JSON: %v", text, short, err)
		}
		if string(short) != string(long) {
			t.Errorf("%q:\n%q\nthrough JSON:\n%q", text, short, long)
		}
	})
}
