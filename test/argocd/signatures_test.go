package argocd

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// argocdsFields are what ArgoCD adds to a manifest, as k8s-manifest-sigstore
// wants them named.
var argocdsFields = []string{
	"metadata.annotations.argocd.argoproj.io/tracking-id",
	"metadata.annotations.argocd.argoproj.io/installation-id",
	"metadata.labels.app.kubernetes.io/instance",
	"metadata.namespace",
}

// TestTracking verifies what comes out of the repo-server after ArgoCD's tracking
// was added, in every way that there is.
func TestTracking(t *testing.T) {
	w := newWorld(t)
	sockets := w.cmpServer("one", "cache")
	for _, method := range []v1alpha1.TrackingMethod{v1alpha1.TrackingMethodAnnotation, v1alpha1.TrackingMethodLabel, v1alpha1.TrackingMethodAnnotationAndLabel} {
		t.Run(string(method), func(t *testing.T) {
			objects, err := w.generate(t, sockets, application(func(q *apiclient.ManifestRequest) {
				q.TrackingMethod, q.InstallationID = string(method), "one"
			}))
			if err != nil {
				t.Fatal(err)
			}
			if len(objects) != 4 {
				t.Fatalf("%d objects", len(objects))
			}
			for _, one := range objects {
				if !tracked(one) {
					t.Errorf("%s: ArgoCD tracks it by nothing", one.GetName())
				}
				if err := check(w, one); err != nil {
					t.Errorf("%s %s: %v", one.GetKind(), one.GetName(), err)
				}
				if err := peer(w, one); err != nil {
					t.Errorf("k8s-manifest-sigstore: %s %s: %v", one.GetKind(), one.GetName(), err)
				}
				changed := one.DeepCopy()
				change(t, changed)
				if check(w, changed) == nil || peer(w, changed) == nil {
					t.Errorf("%s %s verifies after a change", one.GetKind(), one.GetName())
				}
			}
		})
	}
}

func tracked(one *unstructured.Unstructured) bool {
	return one.GetAnnotations()["argocd.argoproj.io/tracking-id"] != "" || one.GetLabels()["app.kubernetes.io/instance"] != ""
}

// change changes one value.
func change(t *testing.T, one *unstructured.Unstructured) {
	t.Helper()
	path := map[string][]string{"Deployment": {"spec", "template", "spec", "serviceAccountName"}, "Service": {"spec", "externalName"}, "ConfigMap": {"data", "a"}, "ClusterRole": {"metadata", "labels", "x"}}[one.GetKind()]
	if err := unstructured.SetNestedField(one.Object, "changed", path...); err != nil {
		t.Fatal(err)
	}
}

// check verifies a resource: the signature over the message, and the message
// against the resource, without the fields that ArgoCD sets.
func check(w *world, one *unstructured.Unstructured) error {
	one = one.DeepCopy()
	annotations := one.GetAnnotations()
	message, err := unpacked(annotations["cosign.sigstore.dev/message"])
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	signature, err := base64.StdEncoding.DecodeString(annotations["cosign.sigstore.dev/signature"])
	if err != nil {
		return err
	}
	key, err := publicKey(w.file("manifests.pub"))
	if err != nil {
		return err
	}
	digest := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		return fmt.Errorf("the signature does not verify")
	}
	var signed unstructured.Unstructured
	if err := yaml.Unmarshal(message, &signed.Object); err != nil {
		return err
	}
	for _, name := range []string{"cosign.sigstore.dev/message", "cosign.sigstore.dev/signature", "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"} {
		delete(annotations, name)
	}
	one.SetAnnotations(annotations)
	if labels := one.GetLabels(); labels["app.kubernetes.io/instance"] != "" && signed.GetLabels()["app.kubernetes.io/instance"] == "" {
		if delete(labels, "app.kubernetes.io/instance"); len(labels) == 0 {
			labels = nil
		}
		one.SetLabels(labels)
	}
	if signed.GetNamespace() == "" {
		one.SetNamespace("") // ArgoCD fills it in
	}
	if !strings.Contains(signed.GetAnnotations()["trustomize.dev/origin"], `"application":"web","namespace":"prod"`) {
		return fmt.Errorf("origin %q", signed.GetAnnotations()["trustomize.dev/origin"])
	}
	if !reflect.DeepEqual(tidy(one.Object), tidy(signed.Object)) {
		return fmt.Errorf("the resource is not what was signed:\n%v\n%v", one.Object, signed.Object)
	}
	return nil
}

// tidy gives equal objects equal Go values, whatever read them.
func tidy(object map[string]any) map[string]any {
	data, _ := yaml.Marshal(object)
	var same map[string]any
	_ = yaml.Unmarshal(data, &same)
	return same
}

func unpacked(text string) ([]byte, error) {
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func publicKey(file string) (*ecdsa.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key.(*ecdsa.PublicKey), nil
}

// peer verifies a resource with k8s-manifest-sigstore.
func peer(w *world, one *unstructured.Unstructured) error {
	data, err := yaml.Marshal(one.Object)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "manifest"), append([]string{w.file("manifests.pub")}, argocdsFields...)...)
	cmd.Stdin = bytes.NewReader(data)
	cmd.Env = append(w.env, "HOME="+w.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
