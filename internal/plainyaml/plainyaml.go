// Package plainyaml recognises YAML so plain that every parser reads it alike.
package plainyaml

import (
	"regexp"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
)

// Unambiguous reports whether a node is of such parts alone that parsers of YAML 1.1,
// of YAML 1.2 and of JSON agree on what it holds: texts of ASCII, whole numbers of up
// to 15 digits, booleans, nothing, and mappings and lists of these, with texts as
// keys. Where it is not sure, it says no.
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
			if key.Kind != yaml3.ScalarNode || key.ShortTag() != "!!str" || len(key.Value) > maxKey || seen[key.Value] {
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

var (
	// word is a text that no notation of a number, a time or a merge begins like.
	word = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./:@%+,=-]*$`)
	// number is read alike in base ten, without a sign.
	number = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})$`)
	// amount is a number with a unit of Kubernetes, which is a text.
	amount = regexp.MustCompile(`^[0-9]{1,15}(m|k|M|G|T|Ki|Mi|Gi|Ti)$`)
)

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
		return tag == "!!str" && ascii(n.Value)
	case n.Value == "true", n.Value == "false":
		return tag == "!!bool"
	case n.Value == "null":
		return tag == "!!null"
	case number.MatchString(n.Value):
		return tag == "!!int"
	case amount.MatchString(n.Value):
		return tag == "!!str"
	}
	return tag == "!!str" && word.MatchString(n.Value) && !words[strings.ToLower(n.Value)]
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
