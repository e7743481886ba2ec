package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// installed is a cluster with everything that deploy/ holds. Each object was
// taken by a real API server that refuses unknown fields: of Kubernetes' kinds
// by its own types, of ArgoCD's and Kyverno's by their definitions.
func installed(t *testing.T) *cluster {
	t.Helper()
	c, err := theCluster()
	if err != nil {
		t.Fatal(err)
	}
	everything.Do(func() { everythingErr = install(t, c) })
	if everythingErr != nil {
		t.Fatal(everythingErr)
	}
	return c
}

var (
	everything    sync.Once
	everythingErr error
)

// leaving is an Application from before the policies, with a finalizer, that is
// being deleted.
const leaving = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: leaving, namespace: argocd, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec:
  project: default
  source: {repoURL: https://git.example.com/x.git, path: ., targetRevision: main, kustomize: {namePrefix: a-}}
  destination: {server: https://kubernetes.default.svc, namespace: web}
`

func install(t *testing.T, c *cluster) error {
	definition, err := kyvernoDefinition()
	if err != nil {
		return err
	}
	objects := []object{definition}
	for _, name := range []string{"argocd", "web", "staging", "kyverno"} {
		objects = append(objects, parse(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {trustomize.dev/signed: %s}}}", name, label(name))))
	}
	objects = append(objects, inOrder(build(t, "example"))...)
	objects = append(objects, parse(t, leaving))
	objects = append(objects, build(t, "example/applications")...)
	objects = append(objects, build(t, "admission/kyverno")...)
	for _, o := range objects {
		if err := c.store(o); err != nil {
			return err
		}
	}
	path, err := c.path(parse(t, leaving), true)
	if err != nil {
		return err
	}
	if _, err := c.send(admin, "DELETE", path, "", nil); err != nil {
		return err
	}
	for _, o := range inOrder(build(t, "admission")) {
		if err := c.store(o); err != nil {
			return err
		}
	}
	return effective(t, c)
}

func label(namespace string) string {
	if namespace == "web" {
		return "required"
	}
	return "optional"
}

// inOrder puts first what others need.
func inOrder(objects []object) []object {
	rank := func(o object) int {
		return slices.Index([]string{"ValidatingAdmissionPolicy", "ConfigMap", "CustomResourceDefinition", "Namespace"}, o.Kind)
	}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b object) int { return rank(b) - rank(a) })
	return sorted
}

func kyvernoDefinition() (object, error) {
	dir, err := kyverno.dir()
	if err != nil {
		return object{}, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "crds", "kyverno", "kyverno.io_clusterpolicies.yaml"))
	if err != nil {
		return object{}, err
	}
	o := object{yaml: data}
	return o, yaml.Unmarshal(data, &o)
}

// effective waits until each policy refuses something: the server learns of
// policies a little after it has stored them.
func effective(t *testing.T, c *cluster) error {
	for _, text := range []string{
		"{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: x, namespace: argocd}, spec: {project: p, destination: {namespace: web}, source: {repoURL: 'https://x'}}}",
		"{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, metadata: {name: x, namespace: argocd}, spec: {generators: [], template: {metadata: {}, spec: {project: p, destination: {namespace: web}, source: {repoURL: 'https://x'}}}}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: web}}",
	} {
		o := parse(t, text)
		var err error
		for range 300 {
			if err = c.attempt(admin, o, false); err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err == nil {
			return fmt.Errorf("the policy for %s never came into effect", o.Kind)
		}
	}
	return nil
}

// TestInstall: the server took everything; expressions that do not compile would
// have been refused with their policy.
func TestInstall(t *testing.T) {
	c := installed(t)
	for _, o := range append(build(t, "admission"), build(t, "admission/kyverno")...) {
		if _, err := c.get(o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
}
