package suite

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOneCacheManyBuilds starts builds on one cold cache, several at a time, and
// kills some of them at a random moment. All others print the same bytes, and
// what the killed ones left does no harm.
func TestOneCacheManyBuilds(t *testing.T) {
	const builds, atATime = 200, 50
	dir := t.TempDir()
	env := append(os.Environ(), "COSIGN_PASSWORD=x", "GIT_CONFIG_GLOBAL=/dev/null",
		"TRUSTOMIZE_POLICY="+filepath.Join(dir, "policy.yaml"), "TRUSTOMIZE_CACHE="+filepath.Join(dir, "cache"))
	trustomize := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "trustomize"), args...)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	}
	must := func(cmd *exec.Cmd) []byte {
		t.Helper()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
		}
		return out
	}
	write := func(name, data string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(trustomize("keys", "generate", "--output-key-prefix", "team"))
	write("policy.yaml", strings.ReplaceAll(concurrencyPolicy, "DIR", dir))
	write("mirror/acme/base/kustomization.yaml", "configMapGenerator: [{name: base}]\n")
	write("mirror/acme/app/kustomization.yaml", "resources: [\"https://github.com/acme/base\"]\nconfigMapGenerator: [{name: app}]\n")
	for _, name := range []string{"base", "app"} {
		repo := filepath.Join(dir, "mirror/acme", name)
		git(t, repo, "init", "-q", "-b", "main")
		must(trustomize("materials", "sign", repo, "--key", "team.key", "--source", "https://github.com/acme/"+name))
		git(t, repo, "add", "-A")
		git(t, repo, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x")
	}
	want := must(trustomize("build", "--cache", filepath.Join(dir, "other"), "https://github.com/acme/app"))

	slots := make(chan struct{}, atATime)
	var wait sync.WaitGroup
	for i := range builds {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			killed := i%4 == 0
			if killed {
				time.AfterFunc(time.Duration(rand.IntN(300))*time.Millisecond, cancel)
			}
			cmd := exec.CommandContext(ctx, filepath.Join(bin, "trustomize"), "build", "https://github.com/acme/app")
			cmd.Dir, cmd.Env = dir, env
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err == nil && !bytes.Equal(got, want) || err != nil && !killed {
				t.Errorf("%v: got\n%s\n%s", err, got, stderr.String())
			}
		})
	}
	wait.Wait()
	if got := must(trustomize("build", "https://github.com/acme/app")); !bytes.Equal(got, want) {
		t.Errorf("in the end: got\n%s", got)
	}
}

const concurrencyPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {team: {publicKey: {file: team.pub}}}
  sources: [{match: github.com/acme/*, signedBy: [team], bound: true}]
  mirrors: [{prefix: github.com/, to: DIR/mirror}]
  sign: none
  log: {mode: none}
`
