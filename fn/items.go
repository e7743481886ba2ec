package fn

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// item is one of a list's, and its name. What is said about it is said by these.
type item struct {
	*yaml.RNode
	id    yaml.ResourceIdentifier
	file  *framework.File
	local bool // configuration of the pipeline's, which is not applied
}

// annotationLocal marks what orchestrators leave out of their output (the
// Configuration Functions Specification, config.kubernetes.io/local-config).
const annotationLocal = "config.kubernetes.io/local-config"

// legacyPath is what orchestrators before kustomize 4.3 call [kioutil.PathAnnotation].
// kyaml sets it where they do.
const legacyPath = "config.kubernetes.io/path"

// internal reports whether an annotation is an orchestrator's own: its bookkeeping of
// files, ids and layout (kyaml, kio/kioutil; kustomize, api/internal/plugins/utils;
// kpt, pkg/kptfile). None is part of the resource.
func internal(annotation string) bool {
	switch annotation {
	case "config.kubernetes.io/index", legacyPath, "config.k8s.io/id", "kustomize.config.k8s.io/id":
		return true
	}
	return strings.HasPrefix(annotation, "internal.config.kubernetes.io/") || strings.HasPrefix(annotation, "internal.kpt.dev/")
}

// readItems names the items. Each must be a resource, and there once.
func readItems(nodes []*yaml.RNode) ([]*item, error) {
	seen := map[string]bool{}
	items := make([]*item, len(nodes))
	for i, node := range nodes {
		if yaml.IsMissingOrNull(node) || node.YNode().Kind != yaml.MappingNode {
			return nil, fmt.Errorf("items[%d] is no mapping", i)
		}
		one, err := readItem(node)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		if items[i] = one; one.local {
			continue
		}
		key := one.key()
		if seen[key] && one.id.Name != "" {
			return nil, fmt.Errorf("items[%d]: %s is there twice", i, signer.Name(node))
		}
		seen[key] = true
	}
	return items, nil
}

func readItem(node *yaml.RNode) (*item, error) {
	if err := checkAliases(node.YNode()); err != nil {
		return nil, err
	}
	meta, err := node.GetMeta()
	switch {
	case err != nil:
		return nil, fmt.Errorf("is no Kubernetes object: %s", oneLine(err.Error()))
	case meta.APIVersion == "" || meta.Kind == "":
		return nil, fmt.Errorf("is no Kubernetes object: want apiVersion and kind")
	}
	if items := node.Field("items"); strings.HasSuffix(meta.Kind, "List") && items != nil && items.Value.YNode().Kind == yaml.SequenceNode {
		return nil, fmt.Errorf("is a %s with items of its own; want single resources", refusal.Printable(meta.Kind))
	}
	one := &item{RNode: node, id: meta.GetIdentifier(), local: meta.Annotations[annotationLocal] == "true" || isConfig(meta.TypeMeta)}
	path, index, err := kioutil.GetFileAnnotations(node)
	if err == nil && path != "" {
		n, _ := strconv.Atoi(index)
		one.file = &framework.File{Path: path, Index: n}
	}
	return one, nil
}

// key is what makes an object one: versions are views of the same.
func (i *item) key() string {
	group, _, ok := strings.Cut(i.id.APIVersion, "/")
	if !ok {
		group = ""
	}
	return strings.Join([]string{group, i.id.Kind, i.id.Namespace, i.id.Name}, "\x00")
}

// plain is a copy of the resource without what orchestrators keep in it.
func (i *item) plain() (*yaml.RNode, error) {
	r := yaml.NewRNode(expanded(i.YNode()))
	if merges(r.YNode()) {
		if err := r.DeAnchor(); err != nil {
			return nil, err
		}
	}
	removed := false
	for name := range r.GetAnnotations() {
		if internal(name) {
			removed = true
			if err := r.PipeE(yaml.ClearAnnotation(name)); err != nil {
				return nil, err
			}
		}
	}
	if removed {
		return r, yaml.ClearEmptyAnnotations(r)
	}
	return r, nil
}

// expanded is a copy of a node without comments, and with aliases replaced by what
// they stand for.
func expanded(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return expanded(n.Alias)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	if n.Content != nil {
		c.Content = make([]*yaml.Node, len(n.Content))
		for i, one := range n.Content {
			c.Content[i] = expanded(one)
		}
	}
	return c
}

// merges reports whether there is a merge key (YAML's type repository, merge).
func merges(n *yaml.Node) bool {
	for i, one := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && one.Value == "<<" || one.Tag == "!!merge" || merges(one) {
			return true
		}
	}
	return false
}

// maxNodes bounds an item with its aliases followed.
const maxNodes = 1 << 20

// checkAliases refuses aliases that contain themselves, or stand for more than
// anybody wrote.
func checkAliases(n *yaml.Node) error {
	left := maxNodes
	var walk func(n *yaml.Node, inside map[*yaml.Node]bool) error
	walk = func(n *yaml.Node, inside map[*yaml.Node]bool) error {
		if left--; left < 0 {
			return fmt.Errorf("with its aliases, it has more than %d nodes", maxNodes)
		}
		if n.Kind == yaml.AliasNode {
			if n = n.Alias; inside[n] {
				return fmt.Errorf("an alias contains itself")
			}
			inside[n] = true
			defer delete(inside, n)
		}
		for _, one := range n.Content {
			if err := walk(one, inside); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(n, map[*yaml.Node]bool{})
}

// oneLine keeps a list's own text from looking like a line of ours.
func oneLine(text string) string { return refusal.Printable(strings.Join(strings.Fields(text), " ")) }
