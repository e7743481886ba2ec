package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const kindsPolicy = `
apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {nobody: {publicKey: {file: sources.pub}}}
  sources: [{match: github.com/acme/*, signedBy: [nobody]}]
  sign: none
  log: {mode: none}
  manifestSign:
    key: {file: manifests.key}
    match: [{}, {kind: Secret}]
  manifestVerify:
    keys: [{file: manifests.pub}]
`

// kinds are resources of many kinds in a cluster, signed and applied.
type kinds struct {
	*cluster
	kubectl   *kubectl
	dir       string // with the policy and its keys
	namespace string
	list      []object // as the cluster has them
}

// applied signs the corpus for a namespace and has kubectl apply it.
func applied(t *testing.T, namespace string, flags ...string) *kinds {
	t.Helper()
	c, err := theCluster()
	if err != nil {
		t.Fatal(err)
	}
	k := &kinds{cluster: c, kubectl: newKubectl(t, c), dir: write(t, map[string]string{"policy.yaml": kindsPolicy}), namespace: namespace}
	for _, name := range []string{"sources", "manifests"} {
		if _, said, status := trustomize(t, k.dir, []string{"COSIGN_PASSWORD=x"}, "keys", "generate", "--output-key-prefix", name); status != 0 {
			t.Fatal(said)
		}
	}
	corpus, err := os.ReadFile("testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(k.dir, "kinds.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(corpus), "NAMESPACE", namespace)), 0o600); err != nil {
		t.Fatal(err)
	}
	signed, said, status := trustomize(t, k.dir, []string{"COSIGN_PASSWORD=x"}, "manifest", "sign", "--policy", "policy.yaml",
		"--application", "kinds", "--namespace", namespace, file)
	if status != 0 {
		t.Fatal(said)
	}
	for _, text := range strings.Split(signed, "\n---\n") {
		k.apply(t, text, flags)
	}
	return k
}

// apply has one resource stored, and reads it back. What the server has to name
// can only be created.
func (k *kinds) apply(t *testing.T, text string, flags []string) {
	t.Helper()
	args := append([]string{"apply", "-f", "-", "-o", "name"}, flags...)
	if strings.Contains(text, "\n  generateName: ") {
		args = []string{"create", "-f", "-", "-o", "name"}
	}
	if parse(t, text).Kind == "Widget" { // its definition is to be served first
		k.kubectl.run(t, "", "wait", "--for=condition=Established", "crd/widgets."+k.namespace+".example.com", "--timeout=60s")
	}
	name := strings.TrimSpace(k.kubectl.run(t, text, args...))
	k.list = append(k.list, k.read(t, name))
}

func (k *kinds) read(t *testing.T, name string) object {
	t.Helper()
	return parse(t, k.kubectl.run(t, "", "get", name, "-n", k.namespace, "-o", "yaml"))
}

// verify returns what the program says of resources, and whether it accepts them.
func (k *kinds) verify(t *testing.T, text []byte, flags ...string) (string, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "live.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"manifest", "verify", "--policy", "policy.yaml", "--application", "kinds", "--namespace", k.namespace}, flags...)
	out, said, status := trustomize(t, k.dir, nil, append(args, file)...)
	return out + said, status
}

// TestKinds has kubectl apply resources of many kinds, and verifies each as the
// cluster then has it; then each after one change to it in the cluster.
func TestKinds(t *testing.T) {
	for name, flags := range map[string][]string{"client": nil, "server": {"--server-side"}} {
		t.Run(name, func(t *testing.T) {
			k := applied(t, "kinds-"+name, flags...)
			server := []string{"--server", k.kubectl.config()}
			for _, o := range k.list {
				if said, status := k.verify(t, o.yaml); status != 0 {
					t.Errorf("%s offline: %s\n%s", o, said, o.yaml)
				}
				if said, status := k.verify(t, o.yaml, server...); status != 0 {
					t.Errorf("%s with the server: %s", o, said)
				}
			}
			for _, o := range k.list {
				k.patched(t, o, server)
			}
		})
	}
}

// patched changes one resource in the cluster with kubectl, which must be found.
func (k *kinds) patched(t *testing.T, o object, server []string) {
	t.Helper()
	patch, ok := inCluster[o.Kind]
	if !ok {
		patch = `{"metadata": {"labels": {"changed": "yes"}}}`
	}
	name := strings.ToLower(o.Kind) + "." + o.group() + "/" + o.Metadata.Name
	k.kubectl.run(t, "", "patch", name, "-n", k.namespace, "--type=merge", "-p", patch)
	changed := k.read(t, name)
	for how, flags := range map[string][]string{"offline": nil, "with the server": server} {
		if said, status := k.verify(t, changed.yaml, flags...); status != 3 || !strings.Contains(said, "changed") {
			t.Errorf("%s patched with %s, %s: status %d: %s", o, patch, how, status, said)
		}
	}
}

// group is what kubectl wants to be sure of a kind: VERSION.GROUP.
func (o object) group() string {
	group, version, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		return group + "."
	}
	return version + "." + group
}

// inCluster are the changes that kubectl makes; other kinds get a label.
var inCluster = map[string]string{
	"Deployment":                     `{"spec": {"template": {"spec": {"hostNetwork": true}}}}`,
	"StatefulSet":                    `{"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}`,
	"DaemonSet":                      `{"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}}`,
	"ReplicaSet":                     `{"spec": {"replicas": 2}}`,
	"ReplicationController":          `{"spec": {"replicas": 0}}`,
	"PodTemplate":                    `{"template": {"spec": {"dnsPolicy": "Default"}}}`,
	"Pod":                            `{"spec": {"activeDeadlineSeconds": 5}}`,
	"Job":                            `{"spec": {"suspend": true}}`,
	"CronJob":                        `{"spec": {"concurrencyPolicy": "Forbid"}}`,
	"Service":                        `{"spec": {"externalIPs": ["192.0.2.1"]}}`,
	"Ingress":                        `{"spec": {"ingressClassName": "other"}}`,
	"NetworkPolicy":                  `{"spec": {"ingress": [{}]}}`,
	"ConfigMap":                      `{"data": {"added": ""}}`,
	"Secret":                         `{"data": {"c": "ZQ=="}}`,
	"ServiceAccount":                 `{"automountServiceAccountToken": true}`,
	"Role":                           `{"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}`,
	"ClusterRole":                    `{"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}`,
	"RoleBinding":                    `{"subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}]}`,
	"ClusterRoleBinding":             `{"subjects": null}`,
	"HorizontalPodAutoscaler":        `{"spec": {"minReplicas": 3}}`,
	"PodDisruptionBudget":            `{"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}`,
	"LimitRange":                     `{"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}`,
	"ResourceQuota":                  `{"spec": {"hard": {"pods": "101"}}}`,
	"ValidatingWebhookConfiguration": `{"webhooks": []}`,
	"CSIDriver":                      `{"spec": {"requiresRepublish": true}}`,
	"Lease":                          `{"spec": {"holderIdentity": "somebody"}}`,
	"Endpoints":                      `{"subsets": null}`,
	"EndpointSlice":                  `{"endpoints": [{"addresses": ["192.0.2.8"]}]}`,
	"Widget":                         `{"spec": {"size": 9007199254740992}}`,
	"StorageClass":                   `{"allowVolumeExpansion": false}`,
	"ValidatingAdmissionPolicy":      `{"spec": {"failurePolicy": "Ignore"}}`,
	"PersistentVolume":               `{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}`,
}

// edit is a change that must be found.
type edit struct {
	On    string          `json:"object"` // KIND/NAME
	Patch json.RawMessage `json:"patch"`  // a JSON patch
	Finds string          `json:"finds"`  // the field that is named

	// Offline edits are made to what was read: the server refuses them for an
	// object that exists, but would take one that was made anew.
	Offline bool `json:"offline"`
}

// TestEdits makes changes that alter what a resource does, many of them next to
// what the server fills in: none passes for a default.
func TestEdits(t *testing.T) {
	k := applied(t, "edits")
	data, err := os.ReadFile("testdata/edits.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var edits []edit
	if err := yaml.UnmarshalStrict(data, &edits); err != nil {
		t.Fatal(err)
	}
	if len(edits) < 60 {
		t.Errorf("only %d edits", len(edits))
	}
	for _, e := range edits {
		o := k.find(t, e.On)
		flags := []string{"patch", "--type=json", "-p", string(e.Patch), "-o", "yaml"}
		stdin := ""
		if e.Offline {
			file := filepath.Join(t.TempDir(), "live.yaml")
			if err := os.WriteFile(file, o.yaml, 0o600); err != nil {
				t.Fatal(err)
			}
			flags = append(flags, "--local", "-f", file)
		} else {
			flags = append(flags, "--dry-run=server", strings.ToLower(o.Kind)+"."+o.group()+"/"+o.Metadata.Name, "-n", k.namespace)
		}
		changed, said, ok := k.kubectl.try(t, stdin, flags...)
		if !ok {
			t.Errorf("%s with %s: %s", e.On, e.Patch, said)
			continue
		}
		said, status := k.verify(t, []byte(changed))
		if status != 3 || !strings.Contains(said, e.Finds) {
			t.Errorf("%s with %s: status %d, want %s: %s", e.On, e.Patch, status, e.Finds, said)
		}
	}
}

func (k *kinds) find(t *testing.T, name string) object {
	t.Helper()
	for _, o := range k.list {
		if o.Kind+"/"+strings.TrimPrefix(o.Metadata.Name, k.namespace+"-") == name {
			return o
		}
	}
	t.Fatalf("no %s", name)
	return object{}
}
