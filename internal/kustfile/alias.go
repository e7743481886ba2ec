package kustfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// errAlias is the error for a node that contains itself.
var errAlias = errors.New("an alias in the YAML stands for something that contains it")

// maxNodes is how many nodes a document may have once its aliases are written
// out. A few hundred bytes can stand for more than any memory holds.
const maxNodes = 4 << 20

// CheckAliases refuses YAML in which an alias stands for a node that contains
// the alias: kustomize would follow it without end, and nothing can stop a
// stack that overflows. It refuses as well what grows beyond all measure. What
// is not YAML at all is for kustomize to say.
func CheckAliases(data []byte) error { return checkDocuments(data, 0) }

// checkNested is CheckAliases for a document and every text in it, at any
// depth: patches stand in plugins' configurations as text.
func checkNested(data []byte) error { return checkDocuments(data, maxNested) }

// maxNested is how deep texts may stand in texts.
const maxNested = 8

func checkDocuments(data []byte, nested int) error {
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
		c := aliasCheck{open: map[*yaml.Node]bool{}, sizes: map[*yaml.Node]int{}, nested: nested}
		if _, err := c.size(&doc); err != nil {
			return err
		}
	}
}

// aliasCheck walks a document depth first.
type aliasCheck struct {
	open   map[*yaml.Node]bool // being walked
	sizes  map[*yaml.Node]int  // of what was walked, aliases written out
	nested int
}

func (c *aliasCheck) size(n *yaml.Node) (int, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.open[n] {
		return 0, fmt.Errorf("line %d: %w", n.Line, errAlias)
	}
	if size, done := c.sizes[n]; done {
		return size, nil
	}
	if n.Kind == yaml.ScalarNode && c.nested > 0 && strings.ContainsRune(n.Value, '&') {
		if err := checkDocuments([]byte(n.Value), c.nested-1); err != nil {
			return 0, err
		}
	}
	c.open[n] = true
	total := 1
	for _, child := range n.Content {
		size, err := c.size(child)
		if err != nil {
			return 0, err
		}
		if total += size; total > maxNodes {
			return 0, fmt.Errorf("line %d: aliases make more than %d nodes of the YAML", n.Line, maxNodes)
		}
	}
	delete(c.open, n)
	c.sizes[n] = total
	return total, nil
}
