package strict

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocument: what is not compared is what the documentation says, and no more.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/manifests.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "| field | |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want strings.Builder
	for _, f := range ServerFields {
		fmt.Fprintf(&want, "| `%s` | %s |\n", f.Path, f.Why)
	}
	if table+"\n" != want.String() {
		t.Errorf("documented\n%s\nwant\n%s", table, want.String())
	}
	for _, name := range []string{annotationTracking, annotationInstallation, annotationApplied, annotationRevision, annotationGeneration, labelInstance} {
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}
