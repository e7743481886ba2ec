package argocd

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
)

// TestRefusals holds what the repo-server says when the plugin gives no manifest:
// one line that a person understands, the same each time.
func TestRefusals(t *testing.T) {
	parameter := func(name, value string) func(*apiclient.ManifestRequest) {
		return func(q *apiclient.ManifestRequest) {
			q.ApplicationSource.Plugin.Parameters = v1alpha1.ApplicationSourcePluginParameters{{Name: name, String_: &value}}
		}
	}
	for name, c := range map[string]struct {
		prepare func(*world)
		change  func(*apiclient.ManifestRequest)
		env     []string
		want    string // regular expression
	}{
		"tampered base of the base": {
			prepare: func(w *world) {
				file := w.file("git/acme/root/k8s/deployment.yaml")
				data, _ := os.ReadFile(file)
				write(w.t, file, strings.Replace(string(data), "nginx:1", "evil:1", 1))
				w.commit("root")
			},
			want: `failed exit status 3: trustomize: refused \[changed\] github.com/acme/root@[0-9a-f]+ k8s/deployment.yaml: its bytes are not those that were signed: expected [0-9a-f]{64}, found [0-9a-f]{64} \(via deploy/kustomization.yaml > github.com/acme/base//kustomization.yaml\)\n  hint: `,
		},
		"nothing comes out": {
			prepare: func(w *world) {
				write(w.t, w.file("git/acme/app/deploy/kustomization.yaml"), "namePrefix: a-\n")
				w.sign("app")
			},
			want: `exit status 1: trustomize: build: (the result is empty; ArgoCD would take that for an order to delete everything|kustomization.yaml is empty)`,
		},
		"no policy":            {prepare: func(w *world) { os.Remove(w.file("policy.yaml")) }, want: `exit status 3: trustomize: refused \[no-policy\]: policy: stat .*policy.yaml: no such file or directory\n`},
		"another application":  {change: func(q *apiclient.ManifestRequest) { q.ProjectName = "other" }, want: `exit status 3: trustomize: refused \[application\]: no entry of the policy's applications is for Application "web" of project "other" to namespace "prod" from github.com/acme/app//deploy\n`},
		"no key":               {prepare: func(w *world) { os.Remove(w.file("manifests.key")) }, want: `exit status 1: trustomize: signing key: open .*manifests.key: no such file or directory\n`},
		"a key that is none":   {prepare: func(w *world) { write(w.t, w.file("manifests.key"), "secret") }, want: `exit status 1: trustomize: signing key: `},
		"a wrong password":     {env: []string{"COSIGN_PASSWORD=hunter2"}, want: `exit status 1: trustomize: signing key: `},
		"no cache":             {env: []string{"TRUSTOMIZE_CACHE=/proc/cache"}, want: `exit status 1: trustomize: cache: `},
		"an override":          {change: parameter("namespace", "kube-system"), want: `exit status 3: trustomize: refused \[override\] github.com/acme/app: Application "web" may not override namespace with "kube-system"\n`},
		"an unknown parameter": {change: parameter("policy", "mine.yaml"), want: `exit status 1: trustomize: parameter "policy": is not known; known are images`},
		"an unknown environment": {change: func(q *apiclient.ManifestRequest) {
			q.ApplicationSource.Plugin.Env = v1alpha1.Env{{Name: "TRUSTOMIZE_POLICY", Value: "mine.yaml"}}
		}, want: `exit status 1: trustomize: plugin.env "TRUSTOMIZE_POLICY" is not known`},
		"a log that is down": {
			prepare: func(w *world) {
				log := w.rekor("required")
				w.policy(regexp.MustCompile(`localhost:\d+`).ReplaceAllString(log, "localhost:1"))
			},
			want: `exit status 3: trustomize: refused \[log\]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			sockets := w.cmpServer("one", "cache", c.env...)
			var said []string
			for range 2 {
				objects, err := w.generate(t, sockets, application(c.change))
				if err == nil || len(objects) > 0 {
					t.Fatalf("%d objects, %v", len(objects), err)
				}
				said = append(said, err.Error())
			}
			if !regexp.MustCompile(c.want).MatchString(said[0]) {
				t.Errorf("%s", said[0])
			}
			if said[0] != said[1] {
				t.Errorf("first %s\nthen %s", said[0], said[1])
			}
			for _, secret := range []string{"hunter2", "goroutine ", "_cmp_server/"} {
				if strings.Contains(said[0], secret) {
					t.Errorf("%q is told: %s", secret, said[0])
				}
			}
		})
	}
}
