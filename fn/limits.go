package fn

import (
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
)

const (
	maxDepth    = 200     // of nodes in an item; indentation makes deep ones large
	maxFields   = 10_000  // of a mapping
	maxExpanded = 1 << 18 // nodes of a list that stand there as aliases only
)

// limits are what is left of them.
type limits struct{ expanded int }

// check refuses what no resource needs, and what programs read in different ways: in
// an item, and apart from its values. Aliases stand for something of the item's own,
// so that items can be kept, changed and dropped each by itself.
func (l *limits) check(unit *yaml.Node) error {
	own := map[*yaml.Node]bool{}
	anchors(unit, own)
	return l.walk(unit, own, map[*yaml.Node]bool{}, 0)
}

func anchors(n *yaml.Node, own map[*yaml.Node]bool) {
	if n.Anchor != "" {
		own[n] = true
	}
	for _, one := range n.Content {
		anchors(one, own)
	}
}

func (l *limits) walk(n *yaml.Node, own, inside map[*yaml.Node]bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: is more than %d levels deep", n.Line, maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		line := n.Line
		if n = n.Alias; !own[n] {
			return fmt.Errorf("line %d: an alias stands for something outside of it", line)
		}
		if inside[n] {
			return fmt.Errorf("line %d: an alias contains itself", line)
		}
		inside[n] = true
		defer delete(inside, n)
	}
	if len(inside) > 0 {
		if l.expanded--; l.expanded < 0 {
			return fmt.Errorf("the list's aliases stand for more than %d nodes", maxExpanded)
		}
	}
	if tag := n.ShortTag(); n.Kind == yaml.MappingNode && tag != "!!map" || n.Kind == yaml.SequenceNode && tag != "!!seq" {
		return fmt.Errorf("line %d: the tag %s is not that of a mapping or a list, and some programs go by it", n.Line, refusal.Printable(tag))
	}
	if n.Kind == yaml.MappingNode {
		if err := checkFields(n); err != nil {
			return err
		}
	}
	for _, one := range n.Content {
		if err := l.walk(one, own, inside, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(mapping *yaml.Node) error {
	if len(mapping.Content)/2 > maxFields {
		return fmt.Errorf("line %d: a mapping has more than %d fields", mapping.Line, maxFields)
	}
	_, err := fieldsOf(mapping)
	return err
}

// checkKey refuses keys that some programs take for something else, or for nothing.
func checkKey(key *yaml.Node) error {
	switch {
	case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("line %d: a key is no plain text", key.Line)
	case key.Value == "<<" || key.ShortTag() == "!!merge":
		return fmt.Errorf("line %d: %w", key.Line, errMerge)
	}
	return nil
}

var errMerge = errors.New("the key << is a merge to some programs; write out what it stands for")
