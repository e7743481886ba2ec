package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const functionPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  sources: [{match: github.com/acme/*, pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6}]}]
  sign: none
  manifestVerify: {keys: [{file: team.pub}]}
  log: {mode: none}
`

// TestFunctionImage runs what a function's image runs, as kustomize has it run: by
// nobody, without arguments, and with nothing else in sight but the policy.
func TestFunctionImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can leave for another root folder")
	}
	var entrypoint []string
	for line := range strings.Lines(read(t, "examples/functions/Dockerfile")) {
		if text, ok := strings.CutPrefix(line, "ENTRYPOINT "); ok {
			if err := json.Unmarshal([]byte(text), &entrypoint); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, entrypoint[0]), "./cmd/trustomize")
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for dir := root; dir != filepath.Dir(root); dir = filepath.Dir(dir) {
		if dir == os.TempDir() {
			break
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := read(t, "policy/testdata/team.pub")
	for name, text := range map[string]string{"policy.yaml": functionPolicy, "team.pub": key} {
		file := filepath.Join(root, "etc/trustomize", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (string, error) {
		cmd := exec.Command(entrypoint[0], entrypoint[1:]...)
		cmd.Dir, cmd.Env = "/", []string{"TRUSTOMIZE_POLICY=/elsewhere.yaml"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Stdin = strings.NewReader(`{"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList",
  "items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}],
  "functionConfig": {"apiVersion": "trustomize.dev/v1alpha1", "kind": "SignatureCheck", "metadata": {"name": "check"}}}`)
		said, err := cmd.Output()
		return string(said), err
	}
	said, err := run()
	if err == nil || !strings.Contains(said, "severity: error") || !strings.Contains(said, "/tmp: no such file") {
		t.Errorf("without a folder for its cache: %v\n%s", err, said)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	said, err = run()
	if err == nil || !strings.Contains(said, "[unsigned]") || !strings.Contains(said, "trustomize.dev/policy: sha256:") {
		t.Errorf("an unsigned item: %v\n%s", err, said)
	}
}
