package deploy

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/yaml"
)

// builds are the kustomizations of deploy/ that stand by themselves; its
// components are built with the first.
var builds = []string{"example", "example/applications", "admission", "admission/kyverno"}

// TestStrict decodes what is built into Kubernetes' own types, where an unknown
// field or one that stands there twice is an error. Other kinds are decoded by
// the API server, with the definitions of those who made them.
func TestStrict(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme, admissionv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	foreign := []string{"CustomResourceDefinition", "Application", "AppProject", "ClusterPolicy"}
	for _, path := range builds {
		t.Run(path, func(t *testing.T) {
			for _, o := range build(t, path) {
				if slices.Contains(foreign, o.Kind) {
					continue
				}
				if _, _, err := decoder.Decode(o.yaml, nil, nil); err != nil {
					t.Errorf("%s: %v", o, err)
				}
			}
		})
	}
}

// TestEveryFolder makes sure that no kustomization of deploy/ is forgotten here.
func TestEveryFolder(t *testing.T) {
	components := []string{"component", "spool", "egress"}
	err := filepath.WalkDir(filepath.Join(top, "deploy"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		dir, err := filepath.Rel(filepath.Join(top, "deploy"), filepath.Dir(path))
		if !slices.Contains(builds, dir) && !slices.Contains(components, dir) {
			t.Errorf("deploy/%s is built by no test", dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	example := read(t, "deploy/example/kustomization.yaml")
	for _, c := range components {
		if !strings.Contains(example, "- ../"+c+"\n") {
			t.Errorf("the example lacks the component %s", c)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPluginIsTheProjects(t *testing.T) {
	config := read(t, "cmp.yaml")
	if got := read(t, "deploy/component/plugin.yaml"); got != config {
		t.Errorf("deploy/component/plugin.yaml is not what cmp.yaml is: copy it again\n%s", got)
	}
	// The name of the ConfigMap depends on its content; the volume must follow.
	objects := build(t, "example")
	volume := find(t, objects, "ConfigMap", volumeOf(t, repoServer(t).Spec.Template.Spec, "trustomize-cmp").ConfigMap.Name)
	var made corev1.ConfigMap
	if err := yaml.Unmarshal(volume.yaml, &made); err != nil {
		t.Fatal(err)
	}
	if made.Data["plugin.yaml"] != config || len(made.Data) != 1 {
		t.Errorf("what is mounted is not cmp.yaml alone:\n%s", volume.yaml)
	}
}

func repoServer(t *testing.T) appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(find(t, build(t, "example"), "Deployment", "argocd-repo-server").yaml, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func volumeOf(t *testing.T, pod corev1.PodSpec, name string) corev1.VolumeSource {
	t.Helper()
	for _, v := range pod.Volumes {
		if v.Name == name {
			return v.VolumeSource
		}
	}
	t.Fatalf("no volume %s", name)
	return corev1.VolumeSource{}
}

func containerOf(t *testing.T, pod corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	for _, c := range pod.Containers {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return corev1.Container{}
}

// ours are the containers that the components add.
var ours = []string{"trustomize", "trustomize-log"}

func TestHardened(t *testing.T) {
	pod := repoServer(t).Spec.Template.Spec
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod has a service account's token")
	}
	if pod.ShareProcessNamespace != nil || pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Error("the pod shares namespaces")
	}
	if pod.SecurityContext != nil && pod.SecurityContext.FSGroup != nil {
		t.Error("an fsGroup would make the repo-server's key ring writable for a group")
	}
	for _, name := range ours {
		c := containerOf(t, pod, name)
		s := c.SecurityContext
		switch {
		case s == nil:
			t.Errorf("%s: no securityContext", name)
			continue
		case s.RunAsUser == nil || *s.RunAsUser != 999, s.RunAsNonRoot == nil || !*s.RunAsNonRoot:
			t.Errorf("%s: want user 999 and no other", name)
		case s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
			t.Errorf("%s: the root file system is writable", name)
		case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation, s.Privileged != nil:
			t.Errorf("%s: may gain privileges", name)
		case s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0:
			t.Errorf("%s: has capabilities", name)
		case s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
			t.Errorf("%s: no seccomp profile", name)
		}
		for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := c.Resources.Requests[resource], c.Resources.Limits[resource]
			if request.IsZero() || limit.IsZero() {
				t.Errorf("%s: no request or no limit of %s", name, resource)
			}
		}
		if _, ok := c.Resources.Limits[corev1.ResourceEphemeralStorage]; ok {
			t.Errorf("%s: a limit of ephemeral-storage would count the whole pod", name)
		}
		if !strings.Contains(c.Image, "@sha256:") || !strings.HasPrefix(c.Image, "registry.example.com/trustomize") {
			t.Errorf("%s: image %s, want what the example's images say, by digest", name, c.Image)
		}
		for _, m := range c.VolumeMounts {
			v := volumeOf(t, pod, m.Name)
			if m.SubPath != "" || m.SubPathExpr != "" {
				t.Errorf("%s: %s is mounted with a subPath: changes would never arrive", name, m.Name)
			}
			if (v.ConfigMap != nil || v.Secret != nil) && !m.ReadOnly {
				t.Errorf("%s: %s is not mounted read-only", name, m.Name)
			}
			if v.HostPath != nil {
				t.Errorf("%s: %s is the node's", name, m.Name)
			}
			if strings.HasPrefix(m.Name, "trustomize-") && v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
				t.Errorf("%s: %s has no size limit", name, m.Name)
			}
		}
	}
}

// TestMounts says who sees what.
func TestMounts(t *testing.T) {
	pod := repoServer(t).Spec.Template.Spec
	want := map[string][]string{
		"trustomize-signing":     {"trustomize"},
		"trustomize-credentials": {"trustomize"},
		"trustomize-tmp":         {"trustomize"},
		"trustomize-log-tmp":     {"trustomize-log"},
		"trustomize-policy":      {"trustomize", "trustomize-log"},
		"trustomize-cache":       {"trustomize", "trustomize-log"},
		"plugins":                {"argocd-repo-server", "trustomize"},
		"ask-pass":               {"argocd-repo-server", "trustomize"},
		"tmp":                    {"argocd-repo-server"},
	}
	got := map[string][]string{}
	for _, c := range pod.Containers {
		for _, m := range c.VolumeMounts {
			got[m.Name] = append(got[m.Name], c.Name)
		}
	}
	for volume, containers := range want {
		slices.Sort(got[volume])
		if !slices.Equal(got[volume], containers) {
			t.Errorf("%s is mounted in %v, want %v", volume, got[volume], containers)
		}
	}
	for _, volume := range []string{"trustomize-signing", "trustomize-credentials"} {
		if s := volumeOf(t, pod, volume).Secret; s.Optional == nil || !*s.Optional {
			t.Errorf("%s must not keep the repo-server from starting", volume)
		}
	}
	if c := volumeOf(t, pod, "trustomize-policy").ConfigMap; c.Optional == nil || !*c.Optional || c.Name != "trustomize-policy" {
		t.Errorf("the policy's ConfigMap: %+v", c)
	}
}

// TestAskpass: the repo-server listens where the sidecar can reach it, and tells
// the plugin the same path.
func TestAskpass(t *testing.T) {
	pod := repoServer(t).Spec.Template.Spec
	var paths []string
	for _, name := range []string{"argocd-repo-server", "trustomize"} {
		c := containerOf(t, pod, name)
		for _, e := range c.Env {
			if e.Name == "ARGOCD_ASK_PASS_SOCK" {
				paths = append(paths, e.Value)
			}
		}
		for _, m := range c.VolumeMounts {
			if m.Name == "ask-pass" && !strings.HasPrefix(paths[len(paths)-1], m.MountPath+"/") {
				t.Errorf("%s: the socket %s is not in %s", name, paths[len(paths)-1], m.MountPath)
			}
		}
	}
	if len(paths) != 2 || paths[0] != paths[1] {
		t.Errorf("the socket's path: %q", paths)
	}
}

// TestNothingElse: over ArgoCD's own manifests, the components change one
// Deployment and add three objects.
func TestNothingElse(t *testing.T) {
	before := map[string]object{}
	for _, o := range build(t, "plain") {
		before[o.String()] = o
	}
	var changed, added []string
	for _, o := range build(t, "example") {
		former, ok := before[o.String()]
		delete(before, o.String())
		switch {
		case !ok:
			added = append(added, o.Kind+" "+strings.SplitAfter(o.Metadata.Name, "trustomize-")[0])
		case !bytes.Equal(former.yaml, o.yaml):
			changed = append(changed, o.String())
		}
	}
	if len(before) > 0 {
		t.Errorf("gone: %v", before)
	}
	if want := []string{"Deployment argocd-repo-server"}; !slices.Equal(changed, want) {
		t.Errorf("changed %v, want %v", changed, want)
	}
	slices.Sort(added)
	if want := []string{"ConfigMap trustomize-", "ConfigMap trustomize-", "NetworkPolicy trustomize-"}; !slices.Equal(added, want) {
		t.Errorf("added %v, want %v", added, want)
	}
}
