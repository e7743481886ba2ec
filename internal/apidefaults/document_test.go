package apidefaults

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write "+document+" instead of comparing it")

const document = "../../docs/defaults.md"

//go:generate go test . -run ^TestDocument$ -update

// TestDocument keeps the documentation what the tables are.
func TestDocument(t *testing.T) {
	all, err := sections()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(introduction)
	for _, s := range all {
		var kinds []string
		for _, kind := range s.Kinds {
			of, prefix, _ := strings.Cut(kind, " ")
			if of == "*" {
				of = "all kinds of this page"
			}
			if prefix != "" {
				of += " at `" + prefix + "`"
			}
			kinds = append(kinds, of)
		}
		fmt.Fprintf(&b, "\n%s:\n\n| Field | What the server does |\n|---|---|\n", strings.Join(kinds, ", "))
		for _, r := range s.Rows {
			fmt.Fprintf(&b, "| `%s` | %s |\n", r.Path, inWords(r))
		}
	}
	want := b.String()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error(document + " is not what the tables are: go test ./internal/apidefaults -run TestDocument -update")
	}
}

const introduction = `# What API servers fill in

` + "`trustomize manifest verify`" + ` compares what a cluster has with what was signed, field by
field. An API server makes some changes by itself: it fills in what was left out, drops
empty values, and writes quantities in its own way. Without ` + "`--server`" + `, exactly the changes
below are accepted, and no other: a value must be the one that is written here, or follow
from other fields as it says. Whatever is not in this list is a change, also where it would
do no harm. Of custom resources nothing is known here.

A cluster may add more: defaults of custom resources, the default storage class, limits
of a LimitRange, the changes of mutating webhooks. With ` + "`--server KUBECONFIG`" + ` the API
server itself says, in a dry run, what it makes of the signed resource; this list then
counts only for values that a server, a scheduler or a controller *allocates*, such as
addresses.

Source: Kubernetes v1.34, the files defaults.go of its API groups and the admission
plugins that are on by default. A null that was signed is the same as nothing in all of
these kinds. This page is made from the tables of the program.
`

func inWords(r row) string {
	value := "`" + r.Value + "`"
	if r.fn != nil && r.Verb != rewrites {
		value = functions[r.Value].why
	}
	var text string
	switch {
	case r.each:
		text = "may be added with parts that are listed here"
	case r.Verb == adds:
		text = "adds " + value
	case r.Verb == allocates:
		text = "allocates " + value
	case r.Verb == drops && r.fn != nil:
		text = "is dropped once `data` has it"
	case r.Verb == drops:
		text = value + " is dropped"
	case functions[r.Value].is != nil:
		text = "becomes " + functions[r.Value].why
	default:
		text = "is the same " + r.Value + " in another notation"
	}
	if r.Condition != "" {
		text += ", if " + r.Condition
	}
	return text
}

// TestTables: what is written wrong in a table is an error, and no row hides
// another of its kind.
func TestTables(t *testing.T) {
	for text, want := range map[string]string{
		"  a | adds 1":                     "before any kind",
		"v1/A\n  a":                        "want PATH",
		"v1/A\n  a | gives 1":              "no verb",
		"v1/A\n  a | adds @nothing":        "no function",
		"v1/A\n  a | adds 1 if never":      "no condition",
		"v1/A\n  a | adds {":               "unexpected",
		"v1/A\n  a | rewrites handwriting": "no notation",
	} {
		if _, err := parse(nil, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for kind, rows := range known() {
		seen := map[string]bool{}
		for _, r := range rows {
			line := fmt.Sprint(r.segments, r.Verb, r.Value, r.Condition)
			if seen[line] {
				t.Errorf("%s: twice %s", kind, line)
			}
			seen[line] = true
		}
	}
	used := map[string]bool{}
	all, _ := sections()
	for _, s := range all {
		for _, r := range s.Rows {
			used[r.Value], used[r.Condition] = true, true
		}
	}
	for name := range functions {
		if !used[name] {
			t.Errorf("no table names the function %q", name)
		}
	}
	for name := range conditions {
		if !used[name] {
			t.Errorf("no table names the condition %q", name)
		}
	}
}
