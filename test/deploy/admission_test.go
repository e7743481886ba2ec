package deploy

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A try is an object that somebody wants to make, or to have in place of the one
// that is there, and a part of what the server is to say; "" where it is to
// agree.
type try struct {
	name   string
	patch  string // merged into what the test begins with
	user   string
	update bool
	want   string
}

// attempts holds a list of tries against the cluster.
func attempts(t *testing.T, base string, tries []try) {
	c := installed(t)
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			user := try.user
			if user == "" {
				user = admin
			}
			check(t, c.attempt(user, merged(t, base, try.patch), try.update), try.want)
		})
	}
}

// check wants an error that holds a text and came from admission, or none.
func check(t *testing.T, err error, want string) {
	t.Helper()
	var answer *refused
	switch {
	case want == "" && err == nil:
	case want == "":
		t.Errorf("refused: %v", err)
	case err == nil:
		t.Errorf("not refused, want %q", want)
	case !errors.As(err, &answer) || answer.Code != http.StatusForbidden && answer.Code != http.StatusUnprocessableEntity:
		t.Errorf("failed in another way: %v", err)
	case !strings.Contains(answer.Message, want):
		t.Errorf("want %q, got %s", want, answer.Message)
	}
}

// merged is an object after a merge patch (RFC 7386): null removes.
func merged(t *testing.T, base, patch string) object {
	t.Helper()
	var into, from map[string]any
	for text, v := range map[string]*map[string]any{base: &into, patch: &from} {
		if err := yaml.UnmarshalStrict([]byte(text), v); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
	}
	data, err := yaml.Marshal(merge(into, from))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

func merge(into, from map[string]any) map[string]any {
	into = maps.Clone(into)
	if into == nil {
		into = map[string]any{}
	}
	for key, value := range from {
		switch value := value.(type) {
		case nil:
			delete(into, key)
		case map[string]any:
			inner, _ := into[key].(map[string]any)
			into[key] = merge(inner, value)
		default:
			into[key] = value
		}
	}
	return into
}

const goodApplication = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: good, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/x.git, path: deploy, targetRevision: main, plugin: {name: trustomize}}
  destination: {server: https://kubernetes.default.svc, namespace: web}
`

const (
	mustPlugin   = "must say plugin.name: trustomize"
	mustNotTwo   = "kustomize, helm, directory or chart beside the plugin"
	mustSource   = "has no source"
	mustNotLocal = "a sync from local manifests"
	mustNotDry   = "spec.sourceHydrator has manifests built elsewhere"
)

func TestApplications(t *testing.T) {
	attempts(t, goodApplication, []try{
		{name: "good", patch: "{}"},
		{name: "good, with parameters", patch: "spec: {source: {plugin: {parameters: [{name: namePrefix, string: a-}], env: [{name: IMAGE_WEB, value: 'web=web:2'}]}}}"},
		{name: "several sources", patch: "spec: {source: null, sources: [{repoURL: 'https://a', path: a, plugin: {name: trustomize}}, {repoURL: 'https://b', path: b, plugin: {name: trustomize}}]}"},
		{name: "a sync", patch: "operation: {sync: {revision: main, prune: true}}"},
		{name: "a sync to a former source", patch: "operation: {sync: {source: {repoURL: 'https://a', path: a, plugin: {name: trustomize}}}}"},
		{name: "no plugin", patch: "spec: {source: {plugin: null}}", want: mustPlugin},
		{name: "an empty plugin", patch: "spec: {source: {plugin: {name: null}}}", want: mustPlugin},
		{name: "an empty name", patch: "spec: {source: {plugin: {name: ''}}}", want: mustPlugin},
		{name: "another plugin", patch: "spec: {source: {plugin: {name: trustomize-v1}}}", want: mustPlugin},
		{name: "other case", patch: "spec: {source: {plugin: {name: Trustomize}}}", want: mustPlugin},
		{name: "a space", patch: "spec: {source: {plugin: {name: 'trustomize '}}}", want: mustPlugin},
		{name: "kustomize instead", patch: "spec: {source: {plugin: null, kustomize: {namePrefix: a-}}}", want: mustPlugin},
		{name: "kustomize beside", patch: "spec: {source: {kustomize: {namePrefix: a-}}}", want: mustNotTwo},
		{name: "kustomize beside, empty", patch: "spec: {source: {kustomize: {}}}", want: mustNotTwo},
		{name: "helm beside", patch: "spec: {source: {helm: {releaseName: a}}}", want: mustNotTwo},
		{name: "a directory beside", patch: "spec: {source: {directory: {recurse: true}}}", want: mustNotTwo},
		{name: "a chart", patch: "spec: {source: {chart: nginx}}", want: mustNotTwo},
		{name: "the second of several", patch: "spec: {source: null, sources: [{repoURL: 'https://a', plugin: {name: trustomize}}, {repoURL: 'https://b', path: b}]}", want: mustPlugin},
		{name: "a source for values alone", patch: "spec: {source: null, sources: [{repoURL: 'https://a', plugin: {name: trustomize}}, {repoURL: 'https://b', ref: values}]}", want: mustPlugin},
		{name: "sources behind a source", patch: "spec: {sources: [{repoURL: 'https://b', path: b}]}", want: mustPlugin},
		{name: "no source", patch: "spec: {source: null}", want: mustSource},
		{name: "sources, and none", patch: "spec: {source: null, sources: []}", want: mustSource},
		{name: "a hydrator", patch: "spec: {sourceHydrator: {drySource: {repoURL: 'https://a', path: a, targetRevision: main}, syncSource: {targetBranch: b, path: a}}}", want: mustNotDry},
		{name: "a sync's own source", patch: "operation: {sync: {source: {repoURL: 'https://a', path: a}}}", want: mustPlugin},
		{name: "a sync's own sources", patch: "operation: {sync: {sources: [{repoURL: 'https://a', path: a}]}}", want: mustPlugin},
		{name: "a sync's kustomize", patch: "operation: {sync: {source: {repoURL: 'https://a', path: a, plugin: {name: trustomize}, kustomize: {images: [a=b]}}}}", want: mustNotTwo},
		{name: "a sync's manifests", patch: "operation: {sync: {manifests: ['{}']}}", want: mustNotLocal},
		{name: "a controller is nobody special", patch: "spec: {source: {plugin: null}}", user: controller, want: mustPlugin},
		{name: "elsewhere", patch: "{metadata: {namespace: web}, spec: {source: {plugin: null}}}", want: mustPlugin},
	})
}

// TestApplicationUpdates begins with an Application that is there.
func TestApplicationUpdates(t *testing.T) {
	c := installed(t)
	base := merged(t, goodApplication, "metadata: {name: stored}")
	if err := c.store(base); err != nil {
		t.Fatal(err)
	}
	attempts(t, stored(t, c, base), []try{
		{name: "the same", update: true, patch: "{}"},
		{name: "a status", update: true, patch: "status: {health: {status: Healthy}}"},
		{name: "without the plugin", update: true, patch: "spec: {source: {plugin: null}}", want: mustPlugin},
		{name: "to kustomize", update: true, patch: "spec: {source: {plugin: null, kustomize: {}}}", want: mustPlugin},
		{name: "a sync from local manifests", update: true, patch: "operation: {sync: {manifests: ['{}']}}", want: mustNotLocal},
	})
}

// stored is an object as the server has it.
func stored(t *testing.T, c *cluster, o object) string {
	t.Helper()
	got, err := c.get(o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestLeaving: one that does not comply, from before, can still be deleted.
func TestLeaving(t *testing.T) {
	c := installed(t)
	o := parse(t, leaving)
	before := stored(t, c, o)
	if !strings.Contains(before, "deletionTimestamp:") {
		t.Fatal("it is not being deleted")
	}
	check(t, c.attempt(admin, merged(t, before, "metadata: {finalizers: null}"), true), "")
}

const goodSet = `
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: good, namespace: argocd}
spec:
  generators: [{list: {elements: [{name: a}]}}]
  template:
    metadata: {name: "{{name}}"}
    spec:
      project: default
      source: {repoURL: https://git.example.com/x.git, path: "{{name}}", plugin: {name: trustomize}}
      destination: {server: https://kubernetes.default.svc, namespace: web}
`

func TestApplicationSets(t *testing.T) {
	attempts(t, goodSet, []try{
		{name: "good", patch: "{}"},
		{name: "several sources", patch: "spec: {template: {spec: {source: null, sources: [{repoURL: 'https://a', plugin: {name: trustomize}}]}}}"},
		{name: "a patch of the template", patch: "spec: {goTemplate: true, templatePatch: 'spec: {}'}"},
		{name: "no plugin", patch: "spec: {template: {spec: {source: {plugin: null}}}}", want: mustPlugin},
		{name: "a name that is made", patch: "spec: {template: {spec: {source: {plugin: {name: '{{plugin}}'}}}}}", want: mustPlugin},
		{name: "kustomize", patch: "spec: {template: {spec: {source: {kustomize: {}}}}}", want: mustNotTwo},
		{name: "the second of several", patch: "spec: {template: {spec: {source: null, sources: [{repoURL: 'https://a', plugin: {name: trustomize}}, {repoURL: 'https://b'}]}}}", want: mustPlugin},
		{name: "no source", patch: "spec: {template: {spec: {source: null}}}", want: mustSource},
		{name: "a hydrator", patch: "spec: {template: {spec: {sourceHydrator: {drySource: {repoURL: 'https://a', path: a, targetRevision: main}, syncSource: {targetBranch: b, path: a}}}}}", want: mustNotDry},
	})
}

const signedConfig = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: signed
  namespace: web
  annotations: {cosign.sigstore.dev/message: bQ==, cosign.sigstore.dev/signature: cw==, trustomize.dev/origin: "{}"}
data: {a: b}
`

const unsignedPod = `
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: web}
spec: {containers: [{name: a, image: a}]}
`

func TestSignatures(t *testing.T) {
	attempts(t, signedConfig, []try{
		{name: "signed", patch: "{}"},
		{name: "ArgoCD's annotation beside", patch: "metadata: {annotations: {argocd.argoproj.io/tracking-id: a}}"},
		{name: "elsewhere", patch: "metadata: {namespace: staging, annotations: null}"},
		{name: "no annotations", patch: "metadata: {annotations: null}", want: "ConfigMap signed is not signed by trustomize: it lacks the annotations cosign.sigstore.dev/message, cosign.sigstore.dev/signature, trustomize.dev/origin"},
		{name: "no message", patch: "metadata: {annotations: {cosign.sigstore.dev/message: null}}", want: "it lacks the annotations cosign.sigstore.dev/message"},
		{name: "no signature", patch: "metadata: {annotations: {cosign.sigstore.dev/signature: null}}", want: "it lacks the annotations cosign.sigstore.dev/signature"},
		{name: "an empty signature", patch: "metadata: {annotations: {cosign.sigstore.dev/signature: ''}}", want: "it lacks the annotations cosign.sigstore.dev/signature"},
		{name: "no origin", patch: "metadata: {annotations: {trustomize.dev/origin: null}}", want: "it lacks the annotations trustomize.dev/origin"},
	})
	attempts(t, unsignedPod, []try{
		{name: "a bare Pod", patch: "{}", want: "Pod bare is not signed"},
		{name: "a Pod of a controller", patch: "{}", user: controller},
		{name: "a Pod elsewhere", patch: "metadata: {namespace: staging}"},
	})
	attempts(t, "{metadata: {name: a, namespace: web}}", []try{
		{name: "a Secret is not asked for one", patch: "{apiVersion: v1, kind: Secret}"},
		{name: "Deployment", patch: "{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}}", want: "Deployment a is not signed"},
		{name: "CronJob", patch: "{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}", want: "CronJob a is not signed"},
		{name: "Service", patch: "{apiVersion: v1, kind: Service, spec: {ports: [{port: 80}]}}", want: "Service a is not signed"},
		{name: "NetworkPolicy", patch: "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}}}", want: "NetworkPolicy a is not signed"},
		{name: "Role", patch: "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, rules: []}", want: "Role a is not signed"},
	})
}
