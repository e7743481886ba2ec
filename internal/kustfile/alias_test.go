package kustfile

import (
	"fmt"
	"strings"
	"testing"
)

// bomb is YAML whose last of n lists stands for 10^n nodes.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "a%d: &a%[1]d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestAliases(t *testing.T) {
	many := "k:\n" + strings.Repeat("- &a {x: y}\n- *a\n", 4000)
	for name, tc := range map[string]struct {
		text         string
		file, nested bool // accepted as a file, and as a plugin's configuration
	}{
		"none":                            {"a: b\n", true, true},
		"honest":                          {"a: &a {b: c}\nd: *a\n", true, true},
		"many, small":                     {many, true, true},
		"itself":                          {"a: &a\n  b: *a\n", false, false},
		"in a second document":            {"a: b\n---\nc: &c [*c]\n", false, false},
		"behind what cannot be read":      {"a: b\n...\nx: @y\n---\nc: &c [*c]\n", false, false},
		"the same, other line ends":       {"a: b\r\n...\r\nx: @y\r\n---\r\nc: &c [*c]\r\n", false, false},
		"within a block":                  {"a: |\n  b\n---\nc: &c [*c]\n", false, false},
		"in a text":                       {"patch: |-\n  a: &a [*a]\n", true, false},
		"in a text, as escapes":           {`patch: "a: \x26a [\x2aa]"`, true, false},
		"in a text, half of it as one":    {`patch: "a: &a [\x2aa]"`, true, false},
		"in a text in a text":             {`patch: "b: \"a: \\x26a [\\x2aa]\""`, true, false},
		"a thousand of a few":             {bomb(3), true, true},
		"a million of a few":              {bomb(6), false, false},
		"a billion of a few":              {bomb(9), false, false},
		"thousands in many documents":     {strings.Repeat(bomb(4)+"---\n", 3), false, false},
		"thousands in texts in documents": {"a: b\n---\npatch: |\n  " + strings.ReplaceAll(bomb(6), "\n", "\n  ") + "\n", true, false},
		"no YAML":                         {"& * : [", true, true},
	} {
		if err := CheckAliases([]byte(tc.text)); (err == nil) != tc.file {
			t.Errorf("%s, as a file: %v", name, err)
		}
		if err := checkNested([]byte(tc.text)); (err == nil) != tc.nested {
			t.Errorf("%s, as a configuration: %v", name, err)
		}
	}
}
