package kustfile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// errAlias is the error for a node that contains itself.
var errAlias = errors.New("an alias in the YAML stands for something that contains it")

// A file's YAML may have, once its aliases are written out, freeNodes nodes and
// factor times as many as are written down. A few hundred bytes can stand for
// more than any memory holds, and kustomize takes a second for some ten thousand.
const (
	freeNodes = 10_000
	factor    = 10
)

// maxNodes ends the counting: no file that could be written has as many.
const maxNodes = 64 << 20

// CheckAliases refuses YAML in which an alias stands for a node that contains
// the alias: kustomize would follow it without end, and nothing can stop a
// stack that overflows. It refuses as well what grows beyond all measure. What
// is not YAML at all is for kustomize to say.
func CheckAliases(data []byte) error { return checkTexts(data, 0) }

// checkNested is CheckAliases for a document and every text in it, at any
// depth: patches stand in plugins' configurations as text.
func checkNested(data []byte) error { return checkTexts(data, maxNested) }

// maxNested is how deep texts may stand in texts.
const maxNested = 8

// mayHold reports whether YAML can hold an alias at all; most has neither sign,
// and parsing costs. In a text within it, they can be written as escapes.
func mayHold(data []byte, nested int) bool {
	return bytes.ContainsRune(data, '&') && bytes.ContainsRune(data, '*') || nested > 0 && bytes.ContainsRune(data, '\\')
}

// checkTexts checks a file as one stream of documents, and in the pieces in
// which kustomize reads it (kyaml's kio.ByteReader, v0.21.2): it cuts at lines
// that begin with ---, whatever they are part of, and reads the first document
// of each piece, although another one could not be read.
func checkTexts(data []byte, nested int) error {
	if !mayHold(data, nested) {
		return nil
	}
	text := bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	for _, texts := range [][][]byte{{data}, separator.Split(text)} {
		c := aliasCheck{open: map[*yaml.Node]bool{}, sizes: map[*yaml.Node]int{}, nested: nested}
		for _, text := range texts {
			if err := c.documents(text); err != nil {
				return err
			}
		}
	}
	return nil
}

// separator is a line that divides documents.
var separator = splitter{regexp.MustCompile(`\n---.*\n`)}

type splitter struct{ *regexp.Regexp }

// Split cuts data at every separator.
func (s splitter) Split(data []byte) [][]byte {
	var pieces [][]byte
	from := 0
	for _, at := range s.FindAllIndex(data, -1) {
		pieces = append(pieces, data[from:at[0]])
		from = at[1]
	}
	return append(pieces, data[from:])
}

// documents checks the documents of a text, up to where it is no YAML.
func (c *aliasCheck) documents(text []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return nil //nolint:nilerr // the end, or no YAML
		}
		size, err := c.size(&doc)
		if err != nil {
			return err
		}
		if c.total += size; c.total > freeNodes+factor*len(c.sizes) {
			return fmt.Errorf("aliases make %d nodes of %d in the YAML", c.total, len(c.sizes))
		}
	}
}

// aliasCheck walks a document depth first.
type aliasCheck struct {
	open   map[*yaml.Node]bool // being walked
	sizes  map[*yaml.Node]int  // of what was walked, aliases written out
	total  int                 // of all documents so far
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
	if n.Kind == yaml.ScalarNode && c.nested > 0 {
		if err := checkTexts([]byte(n.Value), c.nested-1); err != nil {
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
