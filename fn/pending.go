package fn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
// refers to it; "" for none.
func (i *item) pending() string {
	if _, is := i.Annotations[annotationHash]; is {
		return annotationHash
	}
	for _, one := range []struct{ annotation, now string }{
		{annotationNames, i.Name}, {annotationNamespaces, effective(i.Namespace)}, {annotationKinds, i.Kind},
	} {
		for former := range strings.SplitSeq(i.Annotations[one.annotation], ",") {
			if one.annotation == annotationNamespaces {
				former = effective(former)
			}
			if _, is := i.Annotations[one.annotation]; is && former != one.now {
				return one.annotation
			}
		}
	}
	return ""
}

// effective is the namespace that kustomize takes none for.
func effective(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

// unsettled refuses an item that kustomize would still change, or change others for,
// whoever asked for that: what was verified would not be what is printed.
func (i *item) unsettled() *refusal.Refusal {
	annotation := i.pending()
	if annotation == "" {
		return nil
	}
	return &refusal.Refusal{
		Code: refusal.Changed, Source: i.call(), File: fmt.Sprintf("metadata.annotations[%q]", annotation),
		Reason: "kustomize will rename it after this function, or change what refers to it",
		Hints:  []string{"sign after everything else, and verify what kustomize printed: kustomize build | trustomize manifest verify --before-apply -"},
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
