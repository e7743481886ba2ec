package kustfile

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// errAlias is the error for a node that contains itself.
var errAlias = errors.New("an alias in the YAML stands for something that contains it")

// CheckAliases refuses YAML in which an alias stands for a node that contains
// the alias: kustomize would follow it without end, and nothing can stop a
// stack that overflows. What is not YAML at all is for kustomize to say.
func CheckAliases(data []byte) error {
	// Most files have neither; parsing costs.
	if !bytes.ContainsRune(data, '&') || !bytes.ContainsRune(data, '*') {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return nil //nolint:nilerr // the end, or no YAML
		}
		if err := checkNode(&doc, map[*yaml.Node]bool{}, map[*yaml.Node]bool{}); err != nil {
			return err
		}
	}
}

// checkNode walks depth first. open are the nodes that are being walked, done
// those that were.
func checkNode(n *yaml.Node, open, done map[*yaml.Node]bool) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if open[n] {
		return fmt.Errorf("line %d: %w", n.Line, errAlias)
	}
	if done[n] {
		return nil
	}
	open[n] = true
	for _, child := range n.Content {
		if err := checkNode(child, open, done); err != nil {
			return err
		}
	}
	delete(open, n)
	done[n] = true
	return nil
}
