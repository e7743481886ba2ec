package suite

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHistory holds trustomize's verdict on every commit of the demo against
// that of the tools that people would use by hand: cosign verify-blob for the
// signature, sha256sum -c for the files, and a look at which files are listed.
func TestHistory(t *testing.T) {
	if _, err := os.Stat(filepath.Join(kubecon, "cosign.pub")); err != nil {
		t.Skip("the KubeCon demo is not beside the project")
	}
	dir := t.TempDir()
	const owner = "hirokuni-kitahara"
	for _, name := range []string{"sample-kustomize-app", "sample-kustomize-base"} {
		git(t, dir, "clone", "-q", "--mirror", filepath.Join(kubecon, name+".bundle"), filepath.Join("mirror", owner, name+".git"))
	}
	key := filepath.Join(kubecon, "cosign.pub")
	policy := strings.NewReplacer("KEY", key, "MIRROR", filepath.Join(dir, "mirror")).Replace(historyPolicy)
	policyFile := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policyFile, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	checkout := filepath.Join(dir, "checkout")
	git(t, dir, "clone", "-q", filepath.Join("mirror", owner, "sample-kustomize-app.git"), checkout)
	commits := strings.Fields(git(t, checkout, "rev-list", "--all", "--remotes"))
	if len(commits) < 80 {
		t.Fatalf("only %d commits", len(commits))
	}
	accepted := 0
	for _, commit := range commits {
		git(t, checkout, "checkout", "-q", "--detach", commit)
		want := byHand(t, checkout, key)
		cmd := exec.Command(filepath.Join(bin, plain), "verify", "--policy", policyFile, "--cache", filepath.Join(dir, "cache"),
			"https://github.com/"+owner+"/sample-kustomize-app?ref="+commit)
		out, err := cmd.CombinedOutput()
		switch status := cmd.ProcessState.ExitCode(); {
		case err == nil && want == "":
			accepted++
		case status == 3 && want != "":
		case want == "":
			t.Errorf("%s: accepted by hand, and trustomize says %d: %s", commit, status, out)
		default:
			t.Errorf("%s: refused by hand (%s), and trustomize says %d: %s", commit, want, status, out)
		}
	}
	t.Logf("%d commits, %d accepted", len(commits), accepted)
	if accepted == 0 || accepted == len(commits) {
		t.Errorf("%d of %d accepted: this compares nothing", accepted, len(commits))
	}
}

const historyPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
metadata: {name: history}
spec:
  signers: {demo: {publicKey: {file: KEY}}}
  sources:
  - match: github.com/hirokuni-kitahara/sample-kustomize-app
    signedBy: [demo]
  - match: github.com/hirokuni-kitahara/sample-kustomize-base
    pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6}]
  mirrors: [{prefix: github.com/, to: MIRROR}]
  sign: none
  log: {mode: none}
`

// byHand returns why the checkout is refused, or "".
func byHand(t *testing.T, dir, key string) string {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(dir, "source-materials"))
	if err != nil {
		return "no list"
	}
	cosign := exec.Command(filepath.Join(bin, "cosign"), "verify-blob", "--key", key, "--insecure-ignore-tlog", "--signature", "source-materials.sig", "source-materials")
	cosign.Dir = dir
	cosign.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cosign.Run(); err != nil {
		return "cosign: " + err.Error()
	}
	sums := exec.Command("sha256sum", "-c", "--strict", "--status", "source-materials")
	sums.Dir = dir
	if err := sums.Run(); err != nil {
		return "sha256sum: " + err.Error()
	}
	listed := map[string]bool{"source-materials": true, "source-materials.sig": true}
	for line := range strings.Lines(string(list)) {
		listed[strings.TrimSuffix(line[2*sha256.Size+2:], "\n")] = true
	}
	for _, file := range strings.Split(strings.TrimSuffix(git(t, dir, "ls-tree", "-r", "-z", "--name-only", "HEAD"), "\x00"), "\x00") {
		if !listed[file] {
			return "unlisted: " + file
		}
	}
	return ""
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out)
}
