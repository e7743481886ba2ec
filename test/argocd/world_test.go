package argocd

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/reposerver/repository"
	"github.com/argoproj/argo-cd/v3/util/git"
	utilio "github.com/argoproj/argo-cd/v3/util/io"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// world is a git server with signed repositories, an operator's policy and keys,
// and the environment of a sidecar.
type world struct {
	t      testing.TB
	dir    string
	server string                   // of git, https
	guard  func(*http.Request) bool // whom it lets in; nil for everybody
	env    []string
}

// repositories of github.com/acme: an Application, its base, and the base's base.
func repositories() map[string]string {
	return map[string]string{
		"app/deploy/kustomization.yaml": "resources: [\"https://github.com/acme/base?ref=main\", service.yaml]\n",
		"app/deploy/service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selector: {app: web}}\n",
		"base/kustomization.yaml":       "resources: [\"https://github.com/acme/root//k8s?ref=main\"]\nnamePrefix: base-\n",
		"root/k8s/kustomization.yaml":   "resources: [deployment.yaml, clusterrole.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n",
		"root/k8s/clusterrole.yaml":     "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n",
		"root/k8s/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`,
	}
}

const worldPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
metadata: {name: suite}
spec:
  signers: {team: {publicKey: {file: sources.pub}}}
  sources: [{match: "github.com/acme/*", signedBy: [team], bound: true}]
  mirrors: [{prefix: github.com/, to: $SERVER/}]
  sign: {key: {file: manifests.key}}
  log: $LOG
  applications:
  - match: {project: shop, destinationNamespace: prod, repository: "github.com/acme/*//**"}
    overrides: {images: ["nginx=registry.example/**"]}
`

// template is a directory with keys and signed repositories, made once: a world
// begins as a copy.
var template = sync.OnceValues(func() (string, error) { return os.MkdirTemp(bin, "template") })

// newWorld makes a world in which every repository is signed.
func newWorld(t testing.TB) *world {
	t.Helper()
	origin, err := template()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: origin}
	if !exists(w.file("done")) {
		w.populate()
	}
	if w.dir, err = os.MkdirTemp("", "w"); err != nil { // short: sockets' paths are
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(w.dir) })
	w.run(w.dir, "cp", "-a", origin+"/.", w.dir)
	w.serve()
	w.environ()
	w.policy("{mode: none}")
	return w
}

// populate makes what worlds are copies of.
func (w *world) populate() {
	write(w.t, w.file("gitconfig"), "[user]\n\tname = Suite\n\temail = suite@example.com\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n[uploadpack]\n\tallowAnySHA1InWant = true\n")
	w.environ()
	w.run(w.dir, "trustomize", "keys", "generate", "--output-key-prefix", "sources")
	w.run(w.dir, "trustomize", "keys", "generate", "--output-key-prefix", "manifests")
	for name, text := range repositories() {
		write(w.t, w.file("git/acme/"+name), text)
	}
	for _, name := range []string{"root", "base", "app"} {
		w.sign(name)
	}
	write(w.t, w.file("done"), "")
}

func (w *world) environ() {
	w.env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+w.file("gitconfig"), "COSIGN_PASSWORD=suite", "SSL_CERT_FILE="+w.file("ca.pem"), "PATH="+bin+":"+os.Getenv("PATH"))
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) run(dir, program string, args ...string) string {
	w.t.Helper()
	if !filepath.IsAbs(program) {
		if p := filepath.Join(bin, program); exists(p) {
			program = p
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
	return string(out)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// serve has git's own CGI program serve the repositories over https.
func (w *world) serve() {
	exec := strings.TrimSpace(w.output("git", "--exec-path"))
	handler := &cgi.Handler{Path: filepath.Join(exec, "git-http-backend"), Env: []string{
		"GIT_PROJECT_ROOT=" + w.file("git"), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + w.file("gitconfig"),
	}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.guard != nil && !w.guard(r) {
			rw.Header().Set("WWW-Authenticate", "Basic realm=suite")
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	w.server = server.URL
	write(w.t, w.file("ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
}

func (w *world) output(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(out)
}

// policy writes the operator's policy.
func (w *world) policy(log string) {
	text := strings.NewReplacer("$SERVER", w.server, "$LOG", log).Replace(worldPolicy)
	write(w.t, w.file("policy.yaml"), text)
}

// commit commits what lies in a repository.
func (w *world) commit(name string) {
	dir := w.file("git/acme/" + name)
	if !exists(filepath.Join(dir, ".git")) {
		w.run(w.dir, "git", "init", "-q", dir)
	}
	w.run(dir, "git", "add", "-A", "-f")
	w.run(dir, "git", "commit", "-q", "--allow-empty", "-m", "suite")
}

// sign signs a repository and commits it.
func (w *world) sign(name string) {
	dir := w.file("git/acme/" + name)
	w.commit(name)
	w.run(dir, "trustomize", "materials", "sign", "--key", w.file("sources.key"), "--source", "https://github.com/acme/"+name)
	w.commit(name)
}

// cmpServer starts ArgoCD's cmp-server with our cmp.yaml, with a cache of this
// name, and stops it when the test ends. It returns the directory of its socket.
func (w *world) cmpServer(name, cache string, env ...string) string {
	w.t.Helper()
	sockets, config, work := w.file(name+"/s"), w.file(name+"/config"), w.file(name+"/work")
	for _, dir := range []string{sockets, config, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	data, err := os.ReadFile("../../cmp.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, filepath.Join(config, "plugin.yaml"), string(data))
	w.serveCMP(config, sockets, "trustomize", append([]string{"ARGOCD_CMP_WORKDIR=" + work,
		"TRUSTOMIZE_POLICY=" + w.file("policy.yaml"), "TRUSTOMIZE_CACHE=" + w.file(cache)}, env...)...)
	return sockets
}

// serveCMP runs a cmp-server until the test ends.
func (w *world) serveCMP(config, sockets, name string, env ...string) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "cmpserver"), config)
	cmd.Env = append(append(slices.Clone(w.env), "ARGOCD_PLUGINSOCKFILEPATH="+sockets), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stop(cmd) })
	for range 200 {
		if exists(filepath.Join(sockets, name+".sock")) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("the cmp-server did not start: %s", output.String())
}

// stop ends a server that was started.
func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	ended := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	ended.Stop()
}

// application is what the repo-server is asked for.
func application(change func(*apiclient.ManifestRequest)) *apiclient.ManifestRequest {
	q := &apiclient.ManifestRequest{
		Repo: &v1alpha1.Repository{Repo: "https://github.com/acme/app.git"}, AppName: "web", Namespace: "prod", ProjectName: "shop",
		AppLabelKey: "app.kubernetes.io/instance", TrackingMethod: string(v1alpha1.TrackingMethodAnnotation), KubeVersion: "v1.34.0",
		ApplicationSource: &v1alpha1.ApplicationSource{Path: "deploy", TargetRevision: "main", Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "trustomize"}},
	}
	if change != nil {
		change(q)
	}
	return q
}

// generate renders an Application as the repo-server does, over the socket, from
// a check-out of its own.
func (w *world) generate(t testing.TB, sockets string, q *apiclient.ManifestRequest) ([]*unstructured.Unstructured, error) {
	t.Helper()
	t.(interface{ Setenv(string, string) }).Setenv("ARGOCD_PLUGINSOCKFILEPATH", sockets)
	return w.render(t, q)
}

// render is generate with the socket's directory in the environment already.
func (w *world) render(t testing.TB, q *apiclient.ManifestRequest) ([]*unstructured.Unstructured, error) {
	checkout, err := os.MkdirTemp(w.dir, "checkout-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(checkout)
	name := strings.TrimSuffix(filepath.Base(q.Repo.Repo), ".git")
	w.run(w.dir, "cp", "-a", w.file("git/acme/"+name)+"/.", checkout)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	revision := strings.TrimSpace(w.run(checkout, "git", "rev-parse", "HEAD"))
	paths := utilio.NewRandomizedTempPaths(w.dir)
	resp, err := repository.GenerateManifests(ctx, filepath.Join(checkout, q.ApplicationSource.Path), checkout, revision, q, false, &git.NoopCredsStore{}, resource.MustParse("10Mi"), paths)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, text := range resp.Manifests {
		one := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(text), &one.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, one)
	}
	return objects, nil
}
