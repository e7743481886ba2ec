package suite

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestParity builds each case with kustomize and with trustomize, whose bytes
// must be the same. Where a case is called fail-..., both must fail. The case's
// kustomization lies in overlay, where there is one.
func TestParity(t *testing.T) {
	cases, err := filepath.Glob("parity/*.txtar")
	if err != nil || len(cases) < 10 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(parityPolicy), 0o644); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for _, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			dir := extract(t, file)
			want, wantErr := exec.Command(filepath.Join(bin, "kustomize"), "build", dir).Output()
			cmd := exec.Command(filepath.Join(bin, "trustomize"), "build", "--dev", "--policy", policy, "--cache", cache, dir)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, gotErr := cmd.Output()
			if fails := strings.HasPrefix(name, "fail-"); fails != (wantErr != nil) || fails != (gotErr != nil) {
				t.Fatalf("kustomize: %v, trustomize: %v\n%s", wantErr, gotErr, stderr.String())
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

const parityPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  sources: [{match: example.com/none, pinned: [{commit: 0000000000000000000000000000000000000000}]}]
  sign: none
  log: {mode: none}
`

// extract lays a case out and returns the directory to build.
func extract(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	if err := os.Mkdir(filepath.Join(top, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(data)
	dir := top
	for _, f := range archive.Files {
		p := filepath.Join(top, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f.Name, "overlay/") {
			dir = filepath.Join(top, "overlay")
		}
	}
	for line := range strings.Lines(string(archive.Comment)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "LINK" {
			if err := os.Symlink(fields[2], filepath.Join(top, fields[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
