package refusal

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestError(t *testing.T) {
	r := &Refusal{Code: Changed, Source: "github.com/acme/app", Commit: "0123456789abcdef0123456789abcdef01234567", File: "a\nb\x1b[31m\xff", Reason: "differs", Want: "x", Via: []string{"k.yaml", "github.com/acme/base//k.yaml"}}
	const want = `refused [changed] github.com/acme/app@0123456789ab a\nb\x1b[31m\xff: differs: expected x, found nothing (via k.yaml > github.com/acme/base//k.yaml)`
	if got := r.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Printable("plain – ünïcode"); got != "plain – ünïcode" {
		t.Errorf("got %q", got)
	}
}

func TestJoin(t *testing.T) {
	if Join(nil) != nil {
		t.Error("nothing is an error")
	}
	a, b := &Refusal{Code: Missing, Source: "b", Reason: "r"}, &Refusal{Code: Changed, Source: "a", Reason: "r"}
	err := Join([]*Refusal{a, b, a})
	if got, want := err.Error(), "refused [changed] a: r\nrefused [missing] b: r"; got != want {
		t.Errorf("got %q", got)
	}
	var one *Refusal
	if !errors.As(err, &one) || one.Code != Changed {
		t.Errorf("got %v", one)
	}
}

func TestCodesAreDistinctAndExplained(t *testing.T) {
	seen := map[Code]bool{}
	for _, m := range Codes() {
		if seen[m.Code] || m.Text == "" {
			t.Errorf("%s", m.Code)
		}
		seen[m.Code] = true
	}
}

// TestDocs holds the documentation against the codes.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, m := range Codes() {
		fmt.Fprintf(&rows, "| `%s` | %s |\n", m.Code, m.Text)
	}
	if !strings.HasSuffix(string(data), "|---|---|\n"+rows.String()) {
		t.Errorf("docs/refusals.md does not end in\n%s", rows.String())
	}
}
