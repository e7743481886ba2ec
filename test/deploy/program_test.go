package deploy

import (
	"bytes"
	"encoding/json"
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

// application is what an Application says to the plugin.
type application struct {
	Metadata struct{ Name string }
	Spec     struct {
		Project     string
		Destination struct{ Namespace string }
		Source      struct {
			RepoURL, Path, TargetRevision string
			Plugin                        struct {
				Name       string
				Parameters []map[string]any
			}
		}
	}
}

// TestExample renders the example's Applications by the example's policy, with
// keys that were made here, as the cmp-server has the plugin do it.
func TestExample(t *testing.T) {
	dir := exampleKeys(t)
	work := t.TempDir()
	applications := map[string]application{}
	for _, o := range build(t, "example/applications") {
		if o.Kind != "Application" {
			continue
		}
		var a application
		if err := yaml.Unmarshal(o.yaml, &a); err != nil {
			t.Fatal(err)
		}
		applications[a.Metadata.Name] = a
	}
	web := exampleRepository(t, work, "web")
	sign := []string{"materials", "sign", "--key", filepath.Join(dir, "sources.key"), "--source", applications["web"].Spec.Source.RepoURL, "."}
	if _, said, status := trustomize(t, web, []string{"COSIGN_PASSWORD=x"}, sign...); status != 0 {
		t.Fatal(said)
	}
	git(t, web, "add", ".")
	git(t, web, "commit", "-q", "-m", "signed")
	legacy := exampleRepository(t, work, "legacy")

	render := func(top, name string) (string, string, int) {
		a := applications[name]
		if a.Spec.Source.Plugin.Name != "trustomize" {
			t.Fatalf("%s: %+v", name, a)
		}
		parameters, err := json.Marshal(a.Spec.Source.Plugin.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		return trustomize(t, filepath.Join(top, a.Spec.Source.Path), []string{
			"TRUSTOMIZE_POLICY=" + filepath.Join(dir, "policy.yaml"), "TRUSTOMIZE_CACHE=" + filepath.Join(work, "cache"), "COSIGN_PASSWORD=x",
			"ARGOCD_CMP_WORKDIR=" + work, "ARGOCD_APP_NAME=" + name, "ARGOCD_APP_PROJECT_NAME=" + a.Spec.Project,
			"ARGOCD_APP_NAMESPACE=" + a.Spec.Destination.Namespace, "ARGOCD_APP_REVISION=" + git(t, top, "rev-parse", "HEAD"),
			"ARGOCD_APP_SOURCE_REPO_URL=" + a.Spec.Source.RepoURL, "ARGOCD_APP_SOURCE_PATH=" + a.Spec.Source.Path,
			"ARGOCD_APP_SOURCE_TARGET_REVISION=" + a.Spec.Source.TargetRevision, "ARGOCD_APP_PARAMETERS=" + string(parameters),
		}, "plugin", "generate")
	}
	for _, try := range []struct {
		top, name string
		want      []string
		signed    bool
	}{
		{web, "web", []string{"name: web\n", "image: nginx:1.28"}, true},
		{web, "demo-staging", []string{"name: web-staging\n", "image: registry.example.com/mirror/nginx:1.29", "replicas: 1", "team: web"}, true},
		{legacy, "legacy", []string{"name: web\n"}, false},
	} {
		out, said, status := render(try.top, try.name)
		if status != 0 {
			t.Fatalf("%s: %d %s", try.name, status, said)
		}
		for _, want := range try.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want %q in\n%s", try.name, want, out)
			}
		}
		if got := strings.Contains(out, "cosign.sigstore.dev/signature"); got != try.signed {
			t.Errorf("%s: signed %v\n%s", try.name, got, out)
		}
	}
	if err := os.WriteFile(filepath.Join(web, "base", "deployment.yaml"), []byte("changed: true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, web, "commit", "-q", "-a", "-m", "changed")
	out, said, status := render(web, "web")
	if status != 3 || out != "" || !strings.HasPrefix(said, "trustomize: refused [changed] ") {
		t.Errorf("a changed base: %d %q %q", status, out, said)
	}
}

// exampleKeys returns a folder with the example's policy and keys in place of
// the example's, without a log.
func exampleKeys(t *testing.T) string {
	t.Helper()
	files := policyFiles(t)
	log := regexp.MustCompile(`(?s)  log:\n.*`)
	key := "file: /etc/trustomize/signing/manifests.key"
	report := "file: /var/cache/trustomize/report.jsonl"
	policy := files["policy.yaml"]
	if !log.MatchString(policy) || !strings.Contains(policy, key) || !strings.Contains(policy, report) {
		t.Fatalf("the policy is another:\n%s", policy)
	}
	policy = log.ReplaceAllString(policy, "  log: {mode: none}\n")
	policy = strings.NewReplacer(key, "file: manifests.key", report, "file: report.jsonl").Replace(policy)
	dir := write(t, map[string]string{"policy.yaml": policy})
	for _, name := range []string{"sources", "manifests"} {
		if _, said, status := trustomize(t, dir, []string{"COSIGN_PASSWORD=x"}, "keys", "generate", "--output-key-prefix", name); status != 0 {
			t.Fatal(said)
		}
	}
	return dir
}

// exampleRepository is what the cmp-server unpacked for a call.
func exampleRepository(t *testing.T, work, name string) string {
	t.Helper()
	dir := filepath.Join(work, "_cmp_server", name)
	for path, text := range map[string]string{
		"base/kustomization.yaml": "resources: [deployment.yaml, others.yaml]\n",
		"base/others.yaml": `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: b}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, policyTypes: [Ingress]}
`,
		"base/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.28"}]}
`,
		"overlays/production/kustomization.yaml": "resources: [../../base]\n",
		"overlays/staging/kustomization.yaml":    "resources: [../../base]\n",
		"deploy/kustomization.yaml":              "resources: [../base]\n",
	} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "first")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}
