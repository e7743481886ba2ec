// Package suite runs the real trustomize against real git servers, a real
// Rekor, and the programs whose verdicts and bytes it must equal.
package suite

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin holds the programs: trustomize with the race detector, and the peers.
var bin string

// kubecon holds the KubeCon demo's repositories and key, if they lie beside
// the project.
var kubecon = os.Getenv("TRUSTOMIZE_KUBECON")

func TestMain(m *testing.M) {
	status, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// plain is trustomize without the race detector, for the hundreds of cases that
// compare outputs: with it, each takes a second longer.
const plain = "trustomize-plain"

func raceArgs() []string {
	if os.Getenv("TRUSTOMIZE_RACE") == "" {
		return nil
	}
	return []string{"-race"}
}

// examples are the functions', with a kustomization each.
var examples, _ = filepath.Abs("../../examples/functions")

func withPrograms(run func() int) (int, error) {
	var err error
	if bin, err = os.MkdirTemp("", "trustomize-suite-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(bin)
	if kubecon == "" {
		kubecon, _ = filepath.Abs(filepath.Join("..", "..", "..", "shared", "kubecon"))
	}
	for _, program := range []struct {
		dir, name, pkg string
		args           []string
	}{
		{"../..", "trustomize", "./cmd/trustomize", raceArgs()},
		{"../..", plain, "./cmd/trustomize", nil},
		// Of an operator who keeps the functions' policy in another place.
		{"../..", "function", "./cmd/trustomize", append(raceArgs(), "-ldflags", "-X main.functionPolicy="+bin+"/policy.yaml -X main.functionCache="+bin+"/cache")},
		{".", "rekorkey", "./rekorkey", nil},
		// As in a release: the version stands in a label.
		{"../peers/kustomize", "kustomize", "sigs.k8s.io/kustomize/kustomize/v5", []string{"-ldflags", "-X sigs.k8s.io/kustomize/api/provenance.version=v5.8.2"}},
		{"../peers/cosign", "cosign", "github.com/sigstore/cosign/v2/cmd/cosign", nil},
		{"../peers/rekor", "rekor-server", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix", nil},
		{"../peers/fulcio", "fulcio", "github.com/sigstore/fulcio", nil},
		{"../peers/timestamp", "timestamp-server", ".", nil},
		{"../peers/ctlog", "ctlog", ".", nil},
		{"../peers/manifest", "peer-manifest", ".", nil},
		{".", "sigstore-kms-filetest", "./sigstore-kms-filetest", nil},
	} {
		args := append([]string{"build", "-o", filepath.Join(bin, program.name)}, program.args...)
		cmd := exec.Command("go", append(args, program.pkg)...)
		cmd.Dir = program.dir
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return 1, fmt.Errorf("building %s: %w", program.name, err)
		}
	}
	defer stopRunning()
	return run(), nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, pair := range [][2]string{
				{"BIN", bin},
				{"EXAMPLES", examples},
				{"PATH", bin + string(os.PathListSeparator) + os.Getenv("PATH")},
				{"KUBECON", kubecon},
				{"COSIGN_PASSWORD", "suite"},
				{"TRUSTOMIZE_CACHE", filepath.Join(env.WorkDir, "cache")},
				{"TRUSTOMIZE_POLICY", filepath.Join(env.WorkDir, "policy.yaml")},
				{"GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, "gitconfig")},
				{"HOME", env.WorkDir},
			} {
				env.Setenv(pair[0], pair[1])
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "gitconfig"), []byte(gitConfig), 0o600)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "kubecon" {
				_, err := os.Stat(filepath.Join(kubecon, "cosign.pub"))
				return err == nil, nil
			}
			if cond == "registry" {
				return hasRegistry(), nil
			}
			if cond == "mariadb" {
				return hasMariaDB(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"rekor":      startRekor,
			"rekorv1":    startRekorV1,
			"entriesv1":  countEntriesV1,
			"front":      startFront,
			"sigstore":   useSigstore,
			"idtoken":    mintToken,
			"githttp":    startGitHTTP,
			"gitssh":     startGitSSH,
			"webserver":  startWeb,
			"expand":     expandFiles,
			"zip":        zipDir,
			"registry":   startRegistry,
			"s3server":   startS3,
			"gcsserver":  startGCS,
			"ocipush":    pushArtifact,
			"entries":    countEntries,
			"status":     status,
			"unannotate": unannotate,
		},
	})
}

// gitConfig is for the scripts' own git, which makes the repositories.
const gitConfig = `[user]
	name = Suite
	email = suite@example.com
[init]
	defaultBranch = main
[advice]
	detachedHead = false
[safe]
	directory = *
[commit]
	gpgSign = false
`
