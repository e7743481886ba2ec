// Package argocd runs ArgoCD's own cmp-server and repo-server around the plugin,
// over their real socket, and compares what the plugin makes of an Application's
// settings with what ArgoCD makes of them.
package argocd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	log "github.com/sirupsen/logrus"
)

// bin holds the programs.
var bin string

func TestMain(m *testing.M) {
	status, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func withPrograms(run func() int) (int, error) {
	log.SetLevel(log.PanicLevel) // ArgoCD's; what it returns is looked at
	var err error
	if bin, err = os.MkdirTemp("", "argocd-suite-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	for _, program := range []struct{ dir, name, pkg string }{
		{"../..", "trustomize", "./cmd/trustomize"},
		{".", "cmpserver", "./cmpserver"},
		{"../peers/kustomize", "kustomize", "sigs.k8s.io/kustomize/kustomize/v5"},
		{"../peers/manifest", "manifest", "."},
		{"../peers/rekor", "rekor-server", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"},
		{"../suite", "rekorkey", "./rekorkey"},
	} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(bin, program.name), program.pkg)
		cmd.Dir = program.dir
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return 1, fmt.Errorf("building %s: %w", program.name, err)
		}
	}
	return run(), nil
}
