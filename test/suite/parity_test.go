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
// must be the same. Where a case is called fail-..., both must fail; where it is
// called refused-..., trustomize alone refuses. The case's kustomization lies in
// overlay, where there is one.
func TestParity(t *testing.T) {
	cases, err := filepath.Glob("parity/*.txtar")
	if err != nil || len(cases) < 150 {
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
			t.Parallel()
			dir := extract(t, file)
			compare(t, name, []string{dir}, []string{"--policy", policy, "--cache", cache}, os.Environ())
		})
	}
}

// compare runs both programs and holds their outputs and failures against each
// other. The beginning of a case's name says what is expected: fail- of both,
// refused- of trustomize alone, builds- where trustomize alone builds, differs-
// where the outputs are known not to be the same, else equal bytes. own are
// arguments for trustomize alone.
func compare(t *testing.T, name string, args, own, env []string) {
	t.Helper()
	run := func(program string, args ...string) ([]byte, string, int) {
		cmd := exec.Command(filepath.Join(bin, program), args...)
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out, stderr.String(), cmd.ProcessState.ExitCode()
	}
	want, wantErr, wantStatus := run("kustomize", append([]string{"build"}, args...)...)
	got, gotErr, gotStatus := run(plain, append(append([]string{"build", "--dev"}, own...), args...)...)
	expected, _, _ := strings.Cut(name, "-")
	if fails := expected == "fail" || expected == "builds"; fails != (wantStatus != 0) {
		t.Fatalf("kustomize ends with %d: %s", wantStatus, wantErr)
	}
	ends := map[string]bool{"fail": gotStatus != 0, "refused": gotStatus == 3 && len(got) == 0}
	if as, ok := ends[expected]; ok && !as || !ok && gotStatus != 0 {
		t.Fatalf("trustomize ends with %d: %s\n%s", gotStatus, gotErr, got)
	}
	switch same := bytes.Equal(got, want); {
	case expected == "differs" && same:
		t.Error("the outputs are the same by now")
	case expected != "differs" && expected != "refused" && expected != "builds" && !same:
		t.Errorf("got\n%s\nwant\n%s", got, want)
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
