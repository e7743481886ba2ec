package kustedit

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/kustfile"
)

// plain is text that, as a regular expression, matches nothing but itself: the
// fields of a patch's target are such expressions.
var plain = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// patched returns KIND/NAME of what a patch changes, "" where that may be more
// than one thing, where the patch may turn it into another, or where what it says
// is in a file and not known here.
func patched(p *types.Patch) string {
	if p.Options != nil || p.Path != "" || p.Patch == "" || kustfile.CheckAliases([]byte(p.Patch)) != nil {
		return "" // all options that there are allow another name or kind
	}
	t := p.Target
	if t != nil && (!plain.MatchString(t.Kind) || !plain.MatchString(t.Name)) {
		return ""
	}
	if ops, ok := operations(p.Patch); ok {
		if t == nil || !keepsIdentity(ops) {
			return ""
		}
		return t.Kind + "/" + t.Name
	}
	// Without a target, it is what the patch says of itself, as kustomize reads
	// it.
	found, err := provider.NewDefaultDepProvider().GetResourceFactory().SliceFromBytes([]byte(p.Patch))
	if err != nil || len(found) != 1 || found[0].GetKind() == "" {
		return ""
	}
	one := &found[0].RNode
	switch {
	case one.Field("items") != nil || allowsMore(one):
		return ""
	case t == nil && one.GetName() != "":
		return one.GetKind() + "/" + one.GetName()
	case t == nil || !sameType(one, t):
		return ""
	}
	return t.Kind + "/" + t.Name
}

// allowsMore reports whether a strategic merge carries annotations that are
// kustomize's own: some are what options would set.
func allowsMore(patch *kyaml.RNode) bool {
	for name := range patch.GetAnnotations() {
		if strings.Contains(name, "config.kubernetes.io/") || strings.Contains(name, "config.k8s.io/") {
			return true
		}
	}
	return false
}

// sameType reports whether a strategic merge, which sets apiVersion, leaves its
// target of the type that the target's kind stands for: one of Kubernetes' own, or
// the one that the target names in full.
func sameType(patch *kyaml.RNode, t *types.Selector) bool {
	apiVersion := patch.GetApiVersion()
	if patch.GetKind() != t.Kind {
		return false
	}
	full := t.Version
	if t.Group != "" {
		full = t.Group + "/" + t.Version
	}
	if t.Version != "" && apiVersion == full {
		return true
	}
	_, known := openapi.IsNamespaceScoped(kyaml.TypeMeta{APIVersion: apiVersion, Kind: t.Kind})
	return known
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string    `yaml:"op"`
	Path  string    `yaml:"path"`
	From  string    `yaml:"from"`
	Value yaml.Node `yaml:"value"`
}

// operations reads a JSON patch, in JSON or YAML; ok is false for something else.
func operations(text string) ([]operation, bool) {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode {
		return nil, false
	}
	var ops []operation
	if err := doc.Decode(&ops); err != nil {
		return []operation{{}}, true // which no rule lets pass
	}
	return ops, true
}

// keepsIdentity reports whether what is patched stays what it is: its type, its
// name and namespace, and without annotations of kustomize's own.
func keepsIdentity(ops []operation) bool {
	for _, op := range ops {
		if op.Op == "test" {
			continue // changes nothing
		}
		for _, pointer := range []string{op.Path, op.From} {
			if pointer == "" && (op.Op == "move" || op.Op == "copy" || pointer == op.Path) {
				return false // the whole object
			}
			if pointer != "" && !beside(pointer) {
				return false
			}
		}
	}
	return len(ops) > 0
}

// identity are the members of an object that say what it is, by their pointers. A
// list with items is taken for its items.
var identity = []string{"/kind", "/apiVersion", "/items", "/metadata", "/metadata/name", "/metadata/namespace", "/metadata/generateName", "/metadata/annotations"}

// beside reports whether a JSON pointer (RFC 6901) leads to none of them, nor to an
// annotation of kustomize's own.
func beside(pointer string) bool {
	clean := strings.NewReplacer("~1", "/", "~0", "~").Replace(pointer)
	for _, one := range identity {
		if pointer == one || clean == one || strings.HasPrefix(pointer, one+"/") && one != "/metadata" && one != "/metadata/annotations" {
			return false
		}
	}
	return strings.HasPrefix(pointer, "/") && !strings.Contains(clean, "config.kubernetes.io") && !strings.Contains(clean, "config.k8s.io")
}
