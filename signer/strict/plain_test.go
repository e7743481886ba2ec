package strict

import (
	"errors"
	"io"
	"strings"
	"testing"

	yaml3 "go.yaml.in/yaml/v3"

	"github.com/trustomize/trustomize/internal/plainyaml"
)

// FuzzUnambiguous holds the shortcut against reading in both ways.
func FuzzUnambiguous(f *testing.F) {
	for _, text := range []string{
		"a: yes", "a: 'yes'", "a: 100m", "a: 1e3", "a: 0o7", "a: 012", "a: 1:30", "a: 2026-01-01", "a: ~", "a: null", "a: Null", "a: .inf", "a: 0x1F",
		"a: registry.example.com/web:1", "on: a", "1: a", "a: 1\na: 2", "<<: {a: b}", "a: &x b", "a: !!str 1", "a: \"\\u0085\"", "a: |\n  x\n", "a: >-\n  x\n  y", "a: -1", "a: +1",
		"a: 9007199254740993", "a: =", "a: a#b", "a: [b, c: d]", "? a\n: b", "a: \xef\xbb\xbf", "a: x\u2028y", "a: ! 1", "a:\n- |\n  x\n   y\n- z: |+\n    x\n\n", "a: >\n  x\n    y\n  z\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "!") {
			return // a tag of no name leaves no trace in the node
		}
		var node yaml3.Node
		decoder := yaml3.NewDecoder(strings.NewReader(text))
		if decoder.Decode(&node) != nil || !errors.Is(decoder.Decode(new(yaml3.Node)), io.EOF) || !plainyaml.Unambiguous(&node) {
			return
		}
		if _, err := readBoth([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
