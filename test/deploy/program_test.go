package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// trustomize runs the program in a directory and returns what it printed, and
// its exit status.
func trustomize(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// write makes a directory with these files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mounted lays files out as a kubelet does: behind links, which it swaps.
func mounted(t *testing.T, files map[string]string) string {
	t.Helper()
	inner := map[string]string{}
	for name, text := range files {
		inner["..2027_01_01/"+name] = text
	}
	dir := write(t, inner)
	links := map[string]string{"..data": "..2027_01_01"}
	for name := range files {
		links[name] = filepath.Join("..data", name)
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// policyFiles are what the example mounts.
func policyFiles(t *testing.T) map[string]string {
	t.Helper()
	var made corev1.ConfigMap
	if err := yaml.UnmarshalStrict(find(t, build(t, "example"), "ConfigMap", "trustomize-policy").yaml, &made); err != nil {
		t.Fatal(err)
	}
	return made.Data
}

func TestPolicy(t *testing.T) {
	files := policyFiles(t)
	if out, said, status := trustomize(t, "/", nil, "policy", "check", filepath.Join(mounted(t, files), "policy.yaml")); status != 0 {
		t.Errorf("%s%s", out, said)
	}
	// The log's container has no signing key.
	if out, said, status := trustomize(t, t.TempDir(), nil, "log", "flush", "--cache", "cache", "--policy", filepath.Join(mounted(t, files), "policy.yaml")); status != 0 {
		t.Errorf("%s%s", out, said)
	}
}

// TestPolicyFitsThePod holds the policy's paths and limits against the mounts.
func TestPolicyFitsThePod(t *testing.T) {
	var policy struct {
		Spec struct {
			Limits struct{ CacheBytes int64 }
			Sign   struct{ Key struct{ File string } }
			Report struct{ File string }
		}
	}
	if err := yaml.Unmarshal([]byte(policyFiles(t)["policy.yaml"]), &policy); err != nil {
		t.Fatal(err)
	}
	pod := repoServer(t).Spec.Template.Spec
	c := containerOf(t, pod, "trustomize")
	mounts := map[string]corev1.VolumeMount{}
	for _, m := range c.VolumeMounts {
		mounts[m.Name] = m
	}
	limit := volumeOf(t, pod, "trustomize-cache").EmptyDir.SizeLimit.Value()
	if policy.Spec.Limits.CacheBytes == 0 || policy.Spec.Limits.CacheBytes >= limit {
		t.Errorf("the cache may take %d bytes of a volume of %d", policy.Spec.Limits.CacheBytes, limit)
	}
	for file, volume := range map[string]string{
		policy.Spec.Sign.Key.File:           "trustomize-signing",
		policy.Spec.Report.File:             "trustomize-cache",
		environment(c)["TRUSTOMIZE_POLICY"]: "trustomize-policy",
	} {
		if filepath.Dir(file) != mounts[volume].MountPath {
			t.Errorf("%s is not in the volume %s, at %s", file, volume, mounts[volume].MountPath)
		}
	}
	if got := environment(c)["TRUSTOMIZE_CACHE"]; got != mounts["trustomize-cache"].MountPath {
		t.Errorf("TRUSTOMIZE_CACHE=%s", got)
	}
	log := environment(containerOf(t, pod, "trustomize-log"))
	for _, name := range []string{"TRUSTOMIZE_POLICY", "TRUSTOMIZE_CACHE"} {
		if log[name] != environment(c)[name] {
			t.Errorf("%s differs between the containers", name)
		}
	}
}

func environment(c corev1.Container) map[string]string {
	values := map[string]string{}
	for _, e := range c.Env {
		values[e.Name] = e.Value
	}
	return values
}

// command is a call of the program in a text: what follows its name, up to what
// ends a shell's command.
var command = regexp.MustCompile(`(?m)(?:^|[-|;] |do )\s*trustomize((?: [^\s|;>&)]+)+)`)

// TestCommands: every call of the program in the README, and in a container's
// command, is of a verb that exists, with flags that it has.
func TestCommands(t *testing.T) {
	text := read(t, "deploy/README.md")
	var calls []string
	for _, found := range regexp.MustCompile("`trustomize ([^`]+)`").FindAllStringSubmatch(text, -1) {
		calls = append(calls, strings.ReplaceAll(found[1], "\n", " "))
	}
	for i, block := range strings.Split(text, "```") {
		if strings.HasPrefix(block, "sh\n") && i%2 == 1 {
			for _, found := range command.FindAllStringSubmatch(block, -1) {
				calls = append(calls, found[1])
			}
		}
	}
	if len(calls) < 10 {
		t.Fatalf("found %d calls only: %q", len(calls), calls)
	}
	log := containerOf(t, repoServer(t).Spec.Template.Spec, "trustomize-log").Command
	if log[0] != "trustomize" {
		t.Errorf("the log's container starts %q", log)
	}
	calls = append(calls, " "+strings.Join(log[1:], " "))
	for _, call := range calls {
		t.Run(strings.TrimSpace(call), func(t *testing.T) { known(t, strings.Fields(call)) })
	}
}

// known asks the program for its help on a call.
func known(t *testing.T, call []string) {
	var verb, flags []string
	for _, word := range call {
		name, _, _ := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(name, "-") && len(name) > 1:
			flags = append(flags, name)
		case len(flags) == 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(word) && len(verb) < 2:
			verb = append(verb, word)
		}
	}
	help, said, status := trustomize(t, "/", nil, append(verb, "--help")...)
	usage := "Usage:\n  trustomize " + strings.Join(verb, " ")
	if status != 0 || !strings.Contains(help, usage) {
		t.Fatalf("no such verb: %s%s", help, said)
	}
	for _, flag := range flags {
		if !regexp.MustCompile(`(?m)^\s+(-\w, )?` + flag + `\b`).MatchString(help) {
			t.Errorf("%v has no flag %s", verb, flag)
		}
	}
}

// TestFilesInReadme: what the README names beside itself exists, and ArgoCD's
// manifests are those that it says.
func TestFilesInReadme(t *testing.T) {
	text := read(t, "deploy/README.md")
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(top, "deploy", link[1])); err != nil {
			t.Errorf("%v", err)
		}
	}
	dir, err := installation()
	if err != nil {
		t.Fatal(err)
	}
	sum := regexp.MustCompile(`echo "([0-9a-f]{64})  install.yaml"`).FindStringSubmatch(text)
	if sum == nil {
		t.Fatal("no digest of install.yaml")
	}
	cmd := exec.Command("sha256sum", "-c")
	cmd.Dir, cmd.Stdin = filepath.Join(dir, "example"), strings.NewReader(sum[1]+"  install.yaml\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestIgnoredFieldsAreExplained: each field in Kyverno's policy stands in the
// README with its reason.
func TestIgnoredFieldsAreExplained(t *testing.T) {
	text := read(t, "deploy/README.md")
	for _, field := range ignoredFields(t) {
		name := strings.TrimPrefix(field, "metadata.")
		if !strings.Contains(text, "`"+field+"`") && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is ignored, and the README does not say why", field)
		}
	}
}

type kyvernoRule struct {
	Validate struct {
		Manifests struct {
			Attestors []struct {
				Entries []struct{ Keys struct{ PublicKeys string } }
			}
			IgnoreFields []ignored
		}
	}
}

type ignored struct {
	Fields  []string
	Objects []map[string]string
}

func verifierRule(t *testing.T) kyvernoRule {
	t.Helper()
	var policy struct{ Spec struct{ Rules []kyvernoRule } }
	if err := yaml.Unmarshal(find(t, build(t, "admission/kyverno"), "ClusterPolicy", "trustomize-signatures").yaml, &policy); err != nil {
		t.Fatal(err)
	}
	if len(policy.Spec.Rules) != 1 {
		t.Fatalf("%d rules", len(policy.Spec.Rules))
	}
	return policy.Spec.Rules[0]
}

func ignoredFields(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, one := range verifierRule(t).Validate.Manifests.IgnoreFields {
		all = append(all, one.Fields...)
	}
	if len(all) == 0 {
		t.Fatal("none")
	}
	return all
}

// TestExampleKey: the key in Kyverno's policy is the one that the example signs
// with.
func TestExampleKey(t *testing.T) {
	key := verifierRule(t).Validate.Manifests.Attestors[0].Entries[0].Keys.PublicKeys
	if want := read(t, "deploy/example/policies/manifests.pub"); strings.TrimSpace(key) != strings.TrimSpace(want) {
		t.Errorf("want %s, got %s", want, key)
	}
}
