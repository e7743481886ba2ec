package fn

import (
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
)

// kustomize gives generated resources their names, and changes references to what was
// renamed, when all functions have run. What it will do, it notes in annotations of
// these names (kustomize, api/internal/utils/annotations.go).
const (
	annotationHash       = "internal.config.kubernetes.io/needsHashSuffix"
	annotationNames      = "internal.config.kubernetes.io/previousNames"
	annotationNamespaces = "internal.config.kubernetes.io/previousNamespaces"
	annotationKinds      = "internal.config.kubernetes.io/previousKinds"
)

// pending returns the annotation for whose sake kustomize will change the item or what
// refers to it; "" for none. A former name that is the present one counts: references
// to it get a namespace.
func (i *item) pending() string {
	for _, annotation := range []string{annotationHash, annotationNames, annotationNamespaces, annotationKinds} {
		if _, is := i.Annotations[annotation]; is {
			return annotation
		}
	}
	return ""
}

// unsettled refuses an item that kustomize would still change, or change others for,
// whoever asked for that: what was verified would not be what is printed.
func (i *item) unsettled() *refusal.Refusal {
	if r := i.described(); r != nil {
		return r
	}
	annotation := i.pending()
	if annotation == "" {
		return nil
	}
	return i.changes(annotation, "kustomize will rename it after this function, or change what refers to it")
}

// described refuses an item of kustomize's that says where it comes from (buildMetadata):
// kustomize changes that, or takes it away, when all functions have run.
func (i *item) described() *refusal.Refusal {
	if _, is := i.Annotations[annotationID]; !is {
		return nil
	}
	for _, annotation := range []string{"config.kubernetes.io/origin", "alpha.config.kubernetes.io/transformations"} {
		if _, is := i.Annotations[annotation]; is {
			return i.changes(annotation, "kustomize will change or remove it after this function; leave buildMetadata out")
		}
	}
	return nil
}

func (i *item) changes(annotation, reason string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.Changed, Source: i.call(), File: fmt.Sprintf("metadata.annotations[%q]", annotation), Reason: reason,
		Hints: []string{"sign after everything else, or what kustomize printed: kustomize build | trustomize manifest sign -; and verify that: trustomize manifest verify --before-apply -"},
	}
}

// settle has names and references be what they will be in the end, and takes back what
// asks kustomize to change them.
func (l *list) settle() error {
	if !slices.ContainsFunc(l.items, func(one *item) bool { return one.pending() != "" }) {
		return nil
	}
	var all []*item
	var nodes []*yaml.RNode
	for _, one := range l.items {
		if one.APIVersion != "" && one.Name != "" { // the others cannot come from kustomize
			node := plainyaml.Expanded(one.YNode(), true)
			plainyaml.Restyle(node)
			all, nodes = append(all, one), append(nodes, yaml.NewRNode(node))
		}
	}
	settled, err := trustomize.Settle(nodes)
	if err != nil {
		return err
	}
	for n, one := range all {
		if err := one.become(nodes[n], settled[n]); err != nil {
			return fmt.Errorf("%s: %w", one.call(), err)
		}
	}
	return nil
}

// become takes what kustomize made of the item, if that is anything else, and drops
// what has been done.
func (i *item) become(was, is *yaml.RNode) error {
	if is == nil { // kustomize leaves it out
		is = was
	}
	for _, annotation := range resource.BuildAnnotations {
		if bookkeeping[annotation] {
			continue
		}
		for _, r := range []*yaml.RNode{was, is} {
			if err := r.PipeE(yaml.ClearAnnotation(annotation)); err != nil {
				return err
			}
		}
	}
	for _, annotation := range slices.Sorted(maps.Keys(bookkeeping)) {
		value, has := was.GetAnnotations()[annotation]
		if there, is := is.GetAnnotations()[annotation]; is == has && there == value {
			continue
		}
		change := yaml.Filter(yaml.ClearAnnotation(annotation))
		if has {
			change = yaml.SetAnnotation(annotation, value)
		}
		if err := is.PipeE(change); err != nil {
			return err
		}
	}
	i.RNode = was
	if !same(was.YNode(), is.YNode()) {
		i.RNode = is
	}
	i.Name = is.GetName()
	return nil
}
