package strict

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/apidefaults"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// ServerField is a field that an API server sets itself, whatever a manifest
// says. It is not compared.
type ServerField struct {
	Path string // from the object's root, exactly
	Why  string
}

// ServerFields are all of them. The first ones are of Kubernetes' ObjectMeta
// (apimachinery, pkg/apis/meta/v1/types.go), which documents each as set by the
// system.
var ServerFields = []ServerField{
	{"metadata.uid", "set by the API server"},
	{"metadata.resourceVersion", "set by the API server"},
	{"metadata.generation", "set by the API server"},
	{"metadata.creationTimestamp", "set by the API server"},
	{"metadata.deletionTimestamp", "set by the API server when the object is deleted"},
	{"metadata.deletionGracePeriodSeconds", "set by the API server when the object is deleted"},
	{"metadata.managedFields", "set by the API server: who set which field"},
	{"metadata.selfLink", "set by API servers before 1.20"},
	{"status", "what the cluster observed; nothing that is asked of it"},
}

// serverField explains a difference at a field of the API server's own. The status
// of a custom resource is one unless it was signed: then nobody here knows who reads
// it, and that API servers drop it from what is applied.
func (c *check) serverField(change apidefaults.Change) (string, bool) {
	path := pathText(change.Path)
	for _, f := range ServerFields {
		if f.Path == "status" && len(change.Path) > 0 && change.Path[0] == "status" {
			_, signed := c.signed["status"]
			return f.Why, !signed || builtIn(text(c.signed, "apiVersion"))
		}
		if path == f.Path {
			return f.Why, true
		}
	}
	return "", false
}

// builtIn reports whether a group is Kubernetes' own: they have no dot, or end in
// k8s.io, which is reserved (CustomResourceDefinitions there need an approval).
func builtIn(apiVersion string) bool {
	group, _, ok := strings.Cut(apiVersion, "/")
	return !ok || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// withoutServerFields returns the object without them.
func withoutServerFields(o map[string]any) map[string]any {
	o = maps.Clone(o)
	metadata, _ := o["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	for _, f := range ServerFields {
		if name, ok := strings.CutPrefix(f.Path, "metadata."); ok {
			delete(metadata, name)
		} else {
			delete(o, f.Path)
		}
	}
	o["metadata"] = metadata
	return o
}

// Annotations and the label that others than the signer set.
const (
	annotationTracking     = "argocd.argoproj.io/tracking-id"
	annotationInstallation = "argocd.argoproj.io/installation-id"
	annotationApplied      = signer.AnnotationApplied
	annotationRevision     = "deployment.kubernetes.io/revision"
	annotationGeneration   = "deprecated.daemonset.template.generation"
	labelInstance          = "app.kubernetes.io/instance"
)

// strip returns the live object without signatures, and without what ArgoCD,
// kubectl and controllers add, where that has the value that it should have.
func (c *check) strip() map[string]any {
	o := maps.Clone(map[string]any(c.live))
	metadata, _ := o["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	o["metadata"] = metadata
	c.namespace(metadata)
	if name := text(c.live, "metadata", "name"); name != "" && text(c.signed, "metadata", "name") == "" && sameName(c.signed, c.live) && c.stored() {
		delete(metadata, "name")
		c.note("metadata.name", "completed by the API server")
	}
	c.annotations(metadata)
	c.labels(metadata)
	return o
}

func (c *check) note(field, why string) {
	c.verdict.Explained = append(c.verdict.Explained, Explained{field, why})
}

// generated is what an API server appends to generateName (apiserver,
// pkg/storage/names: five of these characters).
var generated = regexp.MustCompile(`^[bcdfghjklmnpqrstvwxz2456789]{5}$`)

// sameName reports whether the live object can be the signed one, by its name.
func sameName(signed, live map[string]any) bool {
	name := text(live, "metadata", "name")
	if want := text(signed, "metadata", "name"); want != "" {
		return name == want
	}
	prefix := text(signed, "metadata", "generateName")
	rest, ok := strings.CutPrefix(name, prefix)
	return prefix != "" && (name == "" || ok && generated.MatchString(rest))
}

// namespace accepts the destination where the signed resource names none: what
// was signed for it, or what the caller expects.
func (c *check) namespace(metadata map[string]any) {
	live, there := metadata["namespace"]
	if _, signed := c.signed["metadata"].(map[string]any)["namespace"]; signed || !there {
		return
	}
	want, from := c.Origin.Namespace, "expected"
	if c.verdict.Origin != nil && c.verdict.Origin.Namespace != "" {
		want, from = c.verdict.Origin.Namespace, "signed for"
	}
	delete(metadata, "namespace")
	if live == want {
		c.note("metadata.namespace", "the destination that it is "+from)
		return
	}
	r := c.refuse(refusal.WrongOrigin, "metadata.namespace", "is in a namespace that was not signed", "say which one is expected with --namespace")
	r.Want, r.Got = want, show(live, true)
}

// annotations drops those that are not part of what is signed.
func (c *check) annotations(metadata map[string]any) {
	live, ok := metadata["annotations"].(map[string]any)
	if !ok {
		return
	}
	signed := texts(c.signed, "metadata", "annotations")
	kept := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if signer.IsSignature(name) {
			continue
		}
		if _, ok := signed[name]; !ok {
			value, _ := live[name].(string)
			if why, ok := c.annotation(name, value); ok {
				c.note("metadata.annotations["+fmt.Sprintf("%q", name)+"]", why)
				continue
			}
		}
		kept[name] = live[name]
	}
	keep(metadata, "annotations", kept, c.signed)
}

// keep puts what is left back; where that is nothing, as it was signed.
func keep(metadata map[string]any, name string, kept, signed map[string]any) {
	of, _ := signed["metadata"].(map[string]any)
	was, ok := of[name]
	switch {
	case len(kept) > 0:
		metadata[name] = kept
	case !ok:
		delete(metadata, name)
	case was == nil:
		metadata[name] = nil // in Helm's way, a mapping of which nothing is left
	default:
		metadata[name] = kept
	}
}

var (
	digits      = regexp.MustCompile(`^[0-9]{1,18}$`)
	deployments = regexp.MustCompile(`^(apps|extensions)/`)
)

// annotation explains one that was not signed.
func (c *check) annotation(name, value string) (string, bool) {
	kind, apps := text(c.live, "kind"), deployments.MatchString(text(c.live, "apiVersion"))
	switch name {
	case annotationTracking:
		return "ArgoCD's tracking of the application that it is signed for", c.tracking() != "" && value == c.tracking()
	case annotationInstallation:
		return "ArgoCD's installation, as expected", c.Installation != "" && value == c.Installation
	case annotationApplied:
		return "kubectl's copy of what was applied, which is what was signed", c.applied(value)
	case annotationRevision:
		return "counted by the Deployment's controller", kind == "Deployment" && apps && digits.MatchString(value)
	case annotationGeneration:
		return "counted by the API server", kind == "DaemonSet" && apps && digits.MatchString(value)
	}
	return "", false
}

// counted reports whether the API server or a controller counts in an annotation
// that was not signed.
func (c *check) counted(name string, value any) bool {
	count, _ := value.(string)
	if _, signed := texts(c.signed, "metadata", "annotations")[name]; signed || name != annotationRevision && name != annotationGeneration {
		return false
	}
	_, ok := c.annotation(name, count)
	return ok
}

// tracking is what ArgoCD writes for a resource: APPLICATION:GROUP/KIND:NAMESPACE/NAME,
// with the application's destination where the resource has no namespace (argo-cd,
// util/argo/resource_tracking.go).
func (c *check) tracking() string {
	o := c.verdict.Origin
	if o == nil || o.Application == "" {
		return ""
	}
	group, _, ok := strings.Cut(text(c.live, "apiVersion"), "/")
	if !ok {
		group = ""
	}
	namespace := text(c.live, "metadata", "namespace")
	if namespace == "" {
		namespace = o.Namespace
	}
	return fmt.Sprintf("%s:%s/%s:%s/%s", o.Application, group, text(c.live, "kind"), namespace, text(c.live, "metadata", "name"))
}

// applied reports whether kubectl's copy is the signed resource, but for what may
// be added to it as well.
func (c *check) applied(value string) bool {
	copied, err := decode([]byte(value))
	object, ok := copied.(map[string]any)
	if err != nil || !ok || !sameName(c.signed, object) {
		return false
	}
	metadata, _ := object["metadata"].(map[string]any)
	if _, nested := texts(object, "metadata", "annotations")[annotationApplied]; nested || metadata == nil {
		return false
	}
	if m, ok := metadata["annotations"].(map[string]any); ok && len(m) == 0 {
		delete(metadata, "annotations") // kubectl writes an empty one
	}
	inner := &check{Verifier: c.Verifier, verdict: &Verdict{Origin: c.verdict.Origin}, live: object, signed: c.signed}
	stripped := inner.strip()
	for _, change := range compare(c.signed, stripped) {
		if _, ok := inner.serverField(change); !ok && !dropped(change) {
			return false
		}
	}
	return len(inner.verdict.Refusals) == 0
}

// dropped reports whether kubectl leaves the field out of its copy: a null, which
// it removes before it applies.
func dropped(c apidefaults.Change) bool { return c.InSigned && !c.InLive && c.Signed == nil }

// maxLabel is how long a label's value may be (apimachinery,
// util/validation.LabelValueMaxLength); ArgoCD cuts names to it.
const maxLabel = 63

// labels drops ArgoCD's tracking by label, at its value.
func (c *check) labels(metadata map[string]any) {
	live, ok := metadata["labels"].(map[string]any)
	o := c.verdict.Origin
	if !ok || o == nil || o.Application == "" {
		return
	}
	want := o.Application[:min(len(o.Application), maxLabel)]
	signed, was := texts(c.signed, "metadata", "labels")[labelInstance]
	if live[labelInstance] != want && live[labelInstance] != o.Application || was && signed == live[labelInstance] {
		return
	}
	kept := maps.Clone(live)
	delete(kept, labelInstance)
	if was {
		kept[labelInstance] = signed
	}
	c.note(`metadata.labels["`+labelInstance+`"]`, "ArgoCD's tracking of the application that it is signed for")
	keep(metadata, "labels", kept, c.signed)
}
