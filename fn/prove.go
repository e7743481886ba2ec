package fn

import (
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/signer/strict"
)

// prove reads what was written, and compares: writers of YAML make mistakes with
// comments and with texts of several lines, and what was verified or signed has to be
// what others read.
func (l *list) prove(out []byte) error {
	top, err := parse(out)
	if err != nil {
		return fmt.Errorf("the list: %s: %w", otherwise, err)
	}
	fields, err := fieldsOf(top)
	if err != nil {
		return fmt.Errorf("the list: %s: %w", otherwise, err)
	}
	if l.config != nil && !same(l.config, fields["functionConfig"]) {
		return errors.New("functionConfig: " + otherwise)
	}
	written := fields["items"].Content
	if len(written) != len(l.items) {
		return errors.New("items: " + otherwise)
	}
	var kubectl []any
	for i, one := range l.items {
		if !same(one.YNode(), written[i]) {
			return fmt.Errorf("%s: %s", one.call(), otherwise)
		}
		if !one.vouched || plainyaml.Unambiguous(written[i]) {
			continue
		}
		if kubectl == nil {
			if kubectl, err = itemsIn(out); err != nil {
				return err
			}
		}
		if err := strict.Agree(kubectl[i], one.YNode()); err != nil {
			return fmt.Errorf("%s: %s: %w", one.call(), otherwise, err)
		}
	}
	return nil
}

const otherwise = "once written, it would be read otherwise; comments within texts of several lines, or aliases, are in the way"

// same reports whether two nodes hold the same.
func same(a, b *yaml.Node) bool {
	if b == nil {
		return false
	}
	if a.Kind == yaml.AliasNode {
		a = a.Alias
	}
	if b.Kind == yaml.AliasNode {
		b = b.Alias
	}
	tag := tagOf(a)
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) || tag != tagOf(b) || a.Value != b.Value && tag != "!!null" {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// tagOf is a node's tag. A point in time is written with quotes in places; to
// Kubernetes it is a text.
func tagOf(n *yaml.Node) string {
	if tag := n.ShortTag(); tag != "!!timestamp" {
		return tag
	}
	return "!!str"
}
