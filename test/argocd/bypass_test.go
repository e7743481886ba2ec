package argocd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/reposerver/cache"
	"github.com/argoproj/argo-cd/v3/reposerver/metrics"
	"github.com/argoproj/argo-cd/v3/reposerver/repository"
	cacheutil "github.com/argoproj/argo-cd/v3/util/cache"
	"github.com/argoproj/argo-cd/v3/util/git"
	"k8s.io/apimachinery/pkg/api/resource"
)

// repoServer is ArgoCD's repo-server with its git client, over a cache in memory.
func (w *world) repoServer(t *testing.T, sockets string) *repository.Service {
	t.Helper()
	t.Setenv("ARGOCD_PLUGINSOCKFILEPATH", sockets)
	t.Setenv("GIT_CONFIG_GLOBAL", w.file("gitconfig"))
	c := cache.NewCache(cacheutil.NewCache(cacheutil.NewInMemoryCache(time.Hour)), time.Hour, time.Hour, time.Minute)
	root := w.file("repo-server")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	service := repository.NewService(metrics.NewMetricsServer(), c, repository.RepoServerInitConstants{
		ParallelismLimit: 4, MaxCombinedDirectoryManifestsSize: resource.MustParse("10Mi"), StreamedManifestMaxExtractedSize: 1 << 30, StreamedManifestMaxTarSize: 1 << 30,
	}, &git.NoopCredsStore{}, root)
	if err := service.Init(); err != nil {
		t.Fatal(err)
	}
	return service
}

// otherPlugin starts a cmp-server beside ours, for a plugin that prints what lies
// there.
func (w *world) otherPlugin(sockets string) {
	w.t.Helper()
	config, work := w.file("other/config"), w.file("other/work")
	write(w.t, config+"/plugin.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: ConfigManagementPlugin\nmetadata: {name: other}\nspec: {generate: {command: [cat, service.yaml]}}\n")
	if err := os.MkdirAll(work, 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.serveCMP(config, sockets, "other", "ARGOCD_CMP_WORKDIR="+work)
}

// TestSourceFile holds what a committer can do with .argocd-source.yaml, which
// ArgoCD merges into the Application: to change the plugin's parameters is up to
// the policy; to switch to another plugin is not for a plugin to prevent, and what
// comes out then is not signed. A switch to another type of source is an error in
// this ArgoCD, since the plugin stays.
func TestSourceFile(t *testing.T) {
	w := newWorld(t)
	w.policyFor(`file:` + w.file("git/acme/app"))
	sockets := w.cmpServer("one", "cache")
	w.otherPlugin(sockets)
	service := w.repoServer(t, sockets)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH")) // the built-in kustomize
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "signed"},
		{"nothing of note", "targetRevision: main\n", "signed"},
		{"a parameter", "plugin: {name: trustomize, parameters: [{name: namespace, string: kube-system}]}\n", "refused [override]"},
		{"a parameter without the name", "plugin: {parameters: [{name: images, array: [\"nginx=evil/nginx:1\"]}]}\n", "refused [override]"},
		{"plugin.env", "plugin: {env: [{name: TRUSTOMIZE_POLICY, value: /tmp/mine.yaml}]}\n", `plugin.env "TRUSTOMIZE_POLICY" is not known`},
		{"no such plugin", "plugin: {name: none}\n", `could not find cmp-server plugin with name "none"`},
		{"another plugin", "plugin: {name: other}\n", "unsigned"},
		{"no plugin's name", "plugin: {name: \"\"}\n", "could not find plugin supporting the given repository"},
		{"kustomize beside it", "kustomize: {namePrefix: evil-}\n", "multiple application sources defined"},
		{"kustomize in its place", "plugin: null\nkustomize: {namePrefix: evil-}\n", "multiple application sources defined"},
		{"a directory in its place", "plugin: null\ndirectory: {recurse: true}\n", "multiple application sources defined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := w.file("git/acme/app/deploy/.argocd-source.yaml")
			os.Remove(file)
			if c.file != "" {
				write(t, file, c.file)
			}
			w.commit("app")
			got := w.ask(t, service)
			if !strings.Contains(got, c.want) {
				t.Errorf("want %s: %s", c.want, got)
			}
		})
	}
}

// ask renders the Application, and says "signed" or "unsigned", or why not.
func (w *world) ask(t *testing.T, service *repository.Service) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := service.GenerateManifest(ctx, application(func(q *apiclient.ManifestRequest) {
		q.Repo = &v1alpha1.Repository{Repo: "file://" + w.file("git/acme/app")}
		q.Revision, q.NoCache, q.NoRevisionCache = "main", true, true
	}))
	if err != nil {
		return err.Error()
	}
	all, signed := strings.Join(resp.Manifests, "\n"), 0
	for _, one := range resp.Manifests {
		if strings.Contains(one, "cosign.sigstore.dev/signature") {
			signed++
		}
	}
	switch signed {
	case 0:
		return "unsigned: " + all
	case len(resp.Manifests):
		return "signed"
	}
	return "partly signed: " + all
}

// policyFor lets the Application's repository have another identity.
func (w *world) policyFor(identity string) {
	data, err := os.ReadFile(w.file("policy.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	text := strings.Replace(string(data), "  sources: [", fmt.Sprintf("  sources: [{match: %q, signedBy: [team]}, ", identity), 1)
	text = strings.Replace(text, `repository: "github.com/acme/*//**"`, fmt.Sprintf("repository: %q", identity+"//**"), 1)
	write(w.t, w.file("policy.yaml"), text)
	dir := w.file("git/acme/app")
	os.Remove(w.file("git/acme/app/trustomize.source"))
	w.run(dir, "trustomize", "materials", "sign", "--key", w.file("sources.key"), "--unbound")
	w.commit("app")
}

// TestNothingLoosens tries what an Application's owner or a committer can set,
// each beside a change that nobody signed: it stays refused.
func TestNothingLoosens(t *testing.T) {
	w := newWorld(t)
	sockets := w.cmpServer("one", "cache")
	// Somebody else's policy, which would accept everything.
	lax := strings.Replace(worldPolicy, `signedBy: [team], bound: true`, `unverified: {reason: mine, until: 2099-01-01}`, 1)
	lax = strings.NewReplacer("$SERVER", w.server, "$LOG", "{mode: none}", "{file: sources.pub}", "{file: "+w.file("sources.pub")+"}", "sign: {key: {file: manifests.key}}", "sign: none").Replace(lax)
	write(t, w.file("git/acme/app/deploy/service.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: changed}\n")
	for _, name := range []string{"policy.yaml", "trustomize.yaml", "deploy/policy.yaml", "deploy/.trustomize/policy.yaml"} {
		write(t, w.file("git/acme/app/"+name), lax)
	}
	write(t, w.file("git/acme/app/.gitattributes"), "* filter=evil\n")
	w.commit("app")
	config := w.file("git/acme/app/.git/config")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, string(data)+"[filter \"evil\"]\n\tsmudge = touch "+w.file("smudged")+"\n[core]\n\tfsmonitor = touch "+w.file("monitored")+"\n[url \"https://evil.example/\"]\n\tinsteadOf = https://github.com/\n")

	refused := func(t *testing.T, change func(*apiclient.ManifestRequest)) {
		t.Helper()
		objects, err := w.generate(t, sockets, application(change))
		if err == nil || len(objects) > 0 {
			t.Errorf("%d objects came out", len(objects))
		} else if !strings.Contains(err.Error(), "refused [") && !strings.Contains(err.Error(), "is not known") {
			t.Errorf("%v", err)
		}
	}
	names := []string{
		"TRUSTOMIZE_POLICY", "TRUSTOMIZE_CACHE", "COSIGN_PASSWORD", "PATH", "HOME", "TMPDIR", "ARGOCD_CMP_WORKDIR", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_SSH_COMMAND",
		"GIT_DIR", "GIT_EXEC_PATH", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "KUSTOMIZE_ENABLE_MANAGEDBY_LABEL", "KUSTOMIZE_PLUGIN_HOME", "AWS_ENDPOINT_URL", "GODEBUG",
		"ARGOCD_APP_NAME", "ARGOCD_APP_SOURCE_REPO_URL", "ARGOCD_APP_PARAMETERS", "LD_PRELOAD", "X=Y\nTRUSTOMIZE_POLICY",
	}
	for _, name := range names {
		t.Run("plugin.env "+strings.SplitN(name, "=", 2)[0], func(t *testing.T) {
			refused(t, func(q *apiclient.ManifestRequest) {
				q.ApplicationSource.Plugin.Env = v1alpha1.Env{{Name: name, Value: w.file("git/acme/app/policy.yaml")}}
			})
		})
	}
	for _, name := range append(names, "policy", "enforcement", "dev", "offline", "source", "cache", "format") {
		t.Run("parameter "+strings.SplitN(name, "=", 2)[0], func(t *testing.T) {
			value := w.file("git/acme/app/policy.yaml")
			refused(t, func(q *apiclient.ManifestRequest) {
				q.ApplicationSource.Plugin.Parameters = v1alpha1.ApplicationSourcePluginParameters{{Name: name, String_: &value}}
			})
		})
	}
	t.Run("files alone", func(t *testing.T) { refused(t, nil) })
	for _, name := range []string{"smudged", "monitored"} {
		if exists(w.file(name)) {
			t.Errorf("the repository's configuration was heard: %s", name)
		}
	}
}
