package trustomize

import (
	"os/exec"
	"strings"
	"testing"
)

// floors says on which floor each package stands. A package imports only
// packages of lower floors. Whole numbers are the design's; halves are helpers
// between them.
var floors = map[string]float64{
	"internal/identity":         0,
	"internal/refusal":          0,
	"internal/strictyaml":       0,
	"internal/plainyaml":        0,
	"internal/cache":            0,
	"internal/lockfile":         0,
	"internal/apidefaults":      0,
	"internal/dryrun":           1,
	"internal/kyverno":          0,
	"materials":                 1,
	"internal/signature":        1,
	"internal/giturl":           1,
	"internal/rekor":            1.5,
	"internal/rekor/rekortest":  1.75,
	"internal/signature/bundle": 1.5,
	"internal/signature/pgp":    1.5,
	"internal/signature/sshsig": 1.5,
	"internal/gitobject":        1.5,
	"internal/kustfile":         1.5,
	"internal/kustedit":         1.75,
	"policy":                    2,
	"signer":                    2,
	"provenance":                2,
	"internal/verifyfs":         2,
	"internal/git":              2,
	"internal/localdir":         2,
	"internal/archive":          2,
	"internal/oci":              2,
	"internal/sourceurl":        2.5,
	"signer/strict":             2.5,
	"signer/image":              2.5,
	"resolver":                  3,
	"":                          4,
	"plugin":                    5,
	"fn":                        5,
	"cmd/trustomize":            6,
}

const module = "github.com/trustomize/trustomize"

func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		from := place(names[0])
		floor, ok := floors[from]
		if !ok {
			t.Errorf("package %q has no floor", from)
			continue
		}
		seen++
		for _, name := range names[1:] {
			if !strings.HasPrefix(name, module) {
				continue
			}
			if to := place(name); floors[to] >= floor {
				t.Errorf("%q (floor %v) imports %q (floor %v)", from, floor, to, floors[to])
			}
		}
	}
	if seen != len(floors) {
		t.Errorf("%d packages, and floors for %d", seen, len(floors))
	}
}

func place(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// TestLeaves holds packages to what they promise: no network, no processes.
func TestLeaves(t *testing.T) {
	for _, leaf := range []string{"materials", "internal/signature", "internal/signature/bundle", "internal/signature/pgp", "internal/signature/sshsig", "internal/verifyfs", "internal/gitobject", "internal/identity", "internal/giturl", "internal/lockfile", "internal/kustfile"} {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, module+"/"+leaf).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(string(out)) {
			if name == "os/exec" || name == "net" || name == "net/http" || name == "os" {
				t.Errorf("%s imports %s", leaf, name)
			}
		}
	}
	// kustomize's build is called from one place.
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		for _, name := range names[1:] {
			if strings.HasSuffix(name, "/api/krusty") && names[0] != module {
				t.Errorf("%s imports %s", names[0], name)
			}
		}
	}
}
