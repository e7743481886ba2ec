package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var kubectlProgram = sync.OnceValues(func() (string, error) { return goBuild("apiserver", "kubectl", "./kubectl") })

// kubectl is a client of the test's API server, with a home of its own.
type kubectl struct {
	path, home string
}

func newKubectl(t *testing.T, c *cluster) *kubectl {
	t.Helper()
	path, err := kubectlProgram()
	if err != nil {
		t.Fatal(err)
	}
	k := &kubectl{path, t.TempDir()}
	if err := os.WriteFile(k.config(), c.kubeconfig(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kubectl) config() string { return filepath.Join(k.home, "kubeconfig") }

func (k *kubectl) try(t *testing.T, stdin string, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	cmd := exec.Command(k.path, args...)
	cmd.Dir, cmd.Stdin = k.home, strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.home, "KUBECONFIG=" + k.config()}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	err := cmd.Run()
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), err == nil
}

func (k *kubectl) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, said, ok := k.try(t, stdin, args...)
	if !ok {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), said)
	}
	return out
}
