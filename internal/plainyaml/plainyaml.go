// Package plainyaml recognises YAML so plain that every parser reads it alike.
package plainyaml

import (
	"encoding/json"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
)

// Unambiguous reports whether a node is of such parts alone that parsers of YAML 1.1,
// of YAML 1.2 and of JSON agree on what it holds: texts of ASCII, whole numbers of up
// to 15 digits, booleans, nothing, and mappings and lists of these, with texts as
// keys. Where it is not sure, it says no.
//
// It also holds of what is made of the node: yaml.v3 and yaml.v2 write it so that it
// is read as it was. It does not hold of the text that a node was read from where
// that has a "!", since a tag without a name leaves no trace in the node.
func Unambiguous(n *yaml3.Node) bool {
	switch n.Kind {
	case yaml3.ScalarNode:
		return unambiguousScalar(n)
	case yaml3.MappingNode:
		if n.ShortTag() != "!!map" || len(n.Content)/2 > maxKeys || !untagged(n) {
			return false
		}
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml3.ScalarNode || key.ShortTag() != "!!str" || len(key.Value) > maxKey || key.Value == "<<" || strings.Contains(key.Value, "\n") || seen[key.Value] {
				return false
			}
			seen[key.Value] = true
		}
	case yaml3.SequenceNode:
		if n.ShortTag() != "!!seq" || !untagged(n) {
			return false
		}
	case yaml3.DocumentNode:
	default:
		return false // an alias
	}
	for _, one := range n.Content {
		if !Unambiguous(one) {
			return false
		}
	}
	return true
}

const (
	maxKeys = 10_000 // of a mapping
	maxKey  = 512    // bytes; parsers take keys of up to 1024 characters in one line
)

func untagged(n *yaml3.Node) bool { return n.Anchor == "" && n.Style&yaml3.TaggedStyle == 0 }

// flush reports whether a text is of lines that begin with no space: writers make
// mistakes with the indentation of others, and with what of several ends is kept.
func flush(text string) bool {
	for line := range strings.Lines(text) {
		if line[0] == ' ' || line[0] == '\t' || line[0] == '\n' {
			return false
		}
	}
	return true
}

// word reports whether a plain scalar begins like no notation of a number, a time or a
// merge, and has nothing in it that means something.
func word(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case letter(c), c == '/', i > 0 && (digit(c) || strings.IndexByte("_.:@%+,=-", c) >= 0):
		default:
			return false
		}
	}
	return text != ""
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// digits returns how many digits a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && digit(text[n]) {
		n++
	}
	return n
}

// number reports whether a plain scalar is read alike in base ten, without a sign.
func number(text string) bool {
	n := digits(text)
	return n > 0 && n <= 15 && n == len(text) && (text[0] != '0' || n == 1)
}

// amount reports whether a plain scalar is a number with a unit of Kubernetes, which
// is a text.
func amount(text string) bool {
	n := digits(text)
	return n > 0 && n <= 15 && units[text[n:]]
}

var units = map[string]bool{"m": true, "k": true, "M": true, "G": true, "T": true, "Ki": true, "Mi": true, "Gi": true, "Ti": true}

// words are what one parser or the other takes for a boolean or nothing (YAML 1.1's
// bool and null types, in any case).
var words = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true}

// unambiguousScalar goes by how a scalar is written, and demands that the node is
// taken for the same: programs can make nodes that no text has.
func unambiguousScalar(n *yaml3.Node) bool {
	tag := n.ShortTag()
	switch {
	case !untagged(n):
		return false
	case n.Style&(yaml3.DoubleQuotedStyle|yaml3.SingleQuotedStyle|yaml3.LiteralStyle|yaml3.FoldedStyle) != 0:
		return tag == "!!str" && ascii(n.Value) && (!strings.Contains(n.Value, "\n") || flush(n.Value))
	case n.Value == "true", n.Value == "false":
		return tag == "!!bool"
	case n.Value == "null":
		return tag == "!!null"
	case number(n.Value):
		return tag == "!!int"
	case amount(n.Value):
		return tag == "!!str"
	}
	return tag == "!!str" && word(n.Value) && !(len(n.Value) <= 5 && words[strings.ToLower(n.Value)])
}

// ascii reports whether a text is of characters that every parser keeps.
func ascii(text string) bool {
	for i := range len(text) {
		if c := text[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// Value returns what an unambiguous node holds: texts, json.Number, booleans, nil,
// []any and map[string]any.
func Value(n *yaml3.Node) any {
	switch n.Kind {
	case yaml3.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = Value(n.Content[i+1])
		}
		return m
	case yaml3.SequenceNode:
		l := make([]any, len(n.Content))
		for i, one := range n.Content {
			l[i] = Value(one)
		}
		return l
	case yaml3.DocumentNode:
		return Value(n.Content[0])
	}
	switch n.ShortTag() {
	case "!!int":
		return json.Number(n.Value)
	case "!!bool":
		return n.Value == "true"
	case "!!null":
		return nil
	}
	return n.Value
}
