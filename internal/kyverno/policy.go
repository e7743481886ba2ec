// Package kyverno writes the ClusterPolicy with which Kyverno enforces
// signatures: resources of the signed kinds come in signed and unchanged, or not
// at all, and what the cluster's own controllers make of them is let through.
package kyverno

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Label is what namespaces carry in which signatures are demanded; its value is
// "required".
const Label = "trustomize.dev/signed"

// DryRunNamespace is where Kyverno tries signed resources out, to see what the
// API server adds to them.
const DryRunNamespace = "trustomize-dry-run"

// Options say what is demanded of what.
type Options struct {
	Keys  []string // public keys, PEM; a signature by one of them is enough
	Match []Match  // empty: [Kinds] in every namespace with the label
}

// Match are resources that are signed. Empty fields match everything; "*" is any
// text, as in Kyverno's own patterns.
type Match struct{ Group, Version, Kind, Namespace, Name string }

// Kinds are demanded where a match names no kind: what people deploy. A kind is
// GROUP/VERSION/KIND, or a kind of the core group alone.
var Kinds = []string{
	"apps/*/Deployment", "apps/*/StatefulSet", "apps/*/DaemonSet", "apps/*/ReplicaSet", "batch/*/CronJob", "batch/*/Job", "Pod",
	"Service", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim",
	"networking.k8s.io/*/Ingress", "networking.k8s.io/*/NetworkPolicy",
	"rbac.authorization.k8s.io/*/Role", "rbac.authorization.k8s.io/*/RoleBinding",
	"autoscaling/*/HorizontalPodAutoscaler", "policy/*/PodDisruptionBudget",
}

// IgnoredFields are set by ArgoCD, kubectl and the cluster, for all kinds and for
// some. deploy/README.md says of each why.
var IgnoredFields = []Ignored{
	{[]Object{{"*"}}, []string{
		"metadata.annotations.argocd.argoproj.io/tracking-id",
		"metadata.annotations.argocd.argoproj.io/installation-id",
		"metadata.labels.app.kubernetes.io/instance",
		"metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
		"metadata.namespace", "metadata.managedFields", "metadata.resourceVersion", "metadata.uid",
		"metadata.generation", "metadata.creationTimestamp", "metadata.finalizers",
	}},
	{[]Object{{"Deployment"}}, []string{"metadata.annotations.deployment.kubernetes.io/revision"}},
	{[]Object{{"Service"}}, []string{"spec.clusterIP", "spec.ports.*.nodePort"}},
}

// makers are controllers of kube-controller-manager, by their service accounts in
// kube-system, and what they make out of signed resources.
var makers = []struct {
	kinds       []string
	controllers []string
}{
	{[]string{"Pod"}, []string{"replicaset-controller", "statefulset-controller", "daemon-set-controller", "job-controller", "replication-controller"}},
	{[]string{"apps/*/ReplicaSet"}, []string{"deployment-controller"}},
	{[]string{"batch/*/Job"}, []string{"cronjob-controller"}},
	{[]string{"PersistentVolumeClaim"}, []string{"statefulset-controller", "ephemeral-volume-controller", "persistent-volume-binder"}},
	{[]string{"ServiceAccount"}, []string{"service-account-controller"}},
	{[]string{"ConfigMap"}, []string{"root-ca-cert-publisher"}},
}

// ClusterPolicy returns the policy as YAML.
func ClusterPolicy(o Options) ([]byte, error) {
	if len(o.Keys) == 0 {
		return nil, errors.New("there is no public key whose signatures count")
	}
	match := o.matches()
	if len(match) == 0 {
		return nil, errors.New("nothing is signed that Kyverno can verify")
	}
	var entries []entry
	one := 1
	for _, key := range o.Keys {
		entries = append(entries, entry{keys{strings.TrimSpace(key) + "\n"}})
	}
	document := clusterPolicy{
		APIVersion: "kyverno.io/v1", Kind: "ClusterPolicy", Metadata: named{"trustomize-signatures"},
		Spec: spec{
			WebhookConfiguration: webhook{"Fail", 30},
			Rules: []rule{{
				Name: "signed-by-trustomize", Match: anyOf{match}, Exclude: anyOf{exclusions()},
				Validate: validate{
					FailureAction: "Enforce", Message: "not signed by trustomize, or changed since",
					Manifests: manifests{[]attestor{{&one, entries}}, dryRun{true, DryRunNamespace}, IgnoredFields},
				},
			}},
		},
	}
	var b bytes.Buffer
	b.WriteString("# Demands signatures in namespaces with the label " + Label + "=required. Made with\n" +
		"# trustomize policy kyverno; make it again when keys or sign.match change.\n")
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

func (o Options) matches() []filter {
	var all []filter
	for _, m := range o.Match {
		switch {
		case m.Kind == "" && m.Group+m.Version != "":
			m.Kind = "*"
		case m.Kind == "":
			all = append(all, m.filter(Kinds))
			continue
		}
		if m.Kind != "Secret" {
			all = append(all, m.filter([]string{m.kind()}))
		}
	}
	if len(o.Match) == 0 {
		all = append(all, Match{}.filter(Kinds))
	}
	return all
}

func (m Match) kind() string {
	if m.Group == "" && m.Version == "" {
		return "*/*/" + m.Kind
	}
	parts := []string{m.Group, m.Version, m.Kind}
	for i, part := range parts {
		if part == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

func (m Match) filter(kinds []string) filter {
	r := resources{Kinds: slices.Clone(kinds), Operations: []string{"CREATE", "UPDATE"}}
	r.NamespaceSelector = &selector{map[string]string{Label: "required"}}
	if m.Name != "" {
		r.Names = []string{m.Name}
	}
	if m.Namespace != "" {
		r.Namespaces = []string{m.Namespace}
	}
	return filter{Resources: r}
}

// exclusions let the cluster's own work through.
func exclusions() []filter {
	var all []filter
	for _, m := range makers {
		f := filter{Resources: resources{Kinds: m.kinds}}
		for _, name := range m.controllers {
			f.Subjects = append(f.Subjects, subject{"ServiceAccount", name, "kube-system"})
		}
		all = append(all, f)
	}
	return all
}

// The shapes are those of Kyverno 1.19's api/kyverno/v1, as far as they are used.
type (
	clusterPolicy struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   named  `yaml:"metadata"`
		Spec       spec   `yaml:"spec"`
	}
	named struct {
		Name string `yaml:"name"`
	}
	spec struct {
		Background           bool    `yaml:"background"`
		WebhookConfiguration webhook `yaml:"webhookConfiguration"`
		Rules                []rule  `yaml:"rules"`
	}
	webhook struct {
		FailurePolicy  string `yaml:"failurePolicy"`
		TimeoutSeconds int    `yaml:"timeoutSeconds"`
	}
	rule struct {
		Name     string   `yaml:"name"`
		Match    anyOf    `yaml:"match"`
		Exclude  anyOf    `yaml:"exclude"`
		Validate validate `yaml:"validate"`
	}
	anyOf struct {
		Any []filter `yaml:"any"`
	}
	filter struct {
		Resources resources `yaml:"resources"`
		Subjects  []subject `yaml:"subjects,omitempty"`
	}
	resources struct {
		Kinds             []string  `yaml:"kinds"`
		Names             []string  `yaml:"names,omitempty"`
		Namespaces        []string  `yaml:"namespaces,omitempty"`
		Operations        []string  `yaml:"operations,omitempty,flow"`
		NamespaceSelector *selector `yaml:"namespaceSelector,omitempty"`
	}
	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	subject struct {
		Kind      string `yaml:"kind"`
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	}
	validate struct {
		FailureAction string    `yaml:"failureAction"`
		Message       string    `yaml:"message"`
		Manifests     manifests `yaml:"manifests"`
	}
	manifests struct {
		Attestors    []attestor `yaml:"attestors"`
		DryRun       dryRun     `yaml:"dryRun"`
		IgnoreFields []Ignored  `yaml:"ignoreFields"`
	}
	attestor struct {
		Count   *int    `yaml:"count"`
		Entries []entry `yaml:"entries"`
	}
	entry struct {
		Keys keys `yaml:"keys"`
	}
	keys struct {
		PublicKeys string `yaml:"publicKeys"`
	}
	dryRun struct {
		Enable    bool   `yaml:"enable"`
		Namespace string `yaml:"namespace"`
	}
)

// Ignored are fields that are not compared.
type Ignored struct {
	Objects []Object `yaml:"objects"`
	Fields  []string `yaml:"fields"`
}

// Object names a kind; "*" is every one.
type Object struct {
	Kind string `yaml:"kind"`
}
