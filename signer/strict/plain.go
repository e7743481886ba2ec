package strict

import (
	"regexp"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
)

// Unambiguous reports whether a document is of such plain parts alone that every
// parser of YAML reads it alike, without trying: what [Read] finds out by reading
// it in both ways. What it does not know, [Read] decides.
func Unambiguous(n *yaml3.Node) bool {
	switch n.Kind {
	case yaml3.ScalarNode:
		return unambiguousScalar(n)
	case yaml3.MappingNode:
		if len(n.Content)/2 > maxKeys || !untagged(n) {
			return false
		}
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml3.ScalarNode || key.ShortTag() != "!!str" || seen[key.Value] {
				return false
			}
			seen[key.Value] = true
		}
	case yaml3.SequenceNode, yaml3.DocumentNode:
		if !untagged(n) {
			return false
		}
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

func unambiguousScalar(n *yaml3.Node) bool {
	switch {
	case !untagged(n):
		return false
	case n.Style&(yaml3.DoubleQuotedStyle|yaml3.SingleQuotedStyle|yaml3.LiteralStyle|yaml3.FoldedStyle) != 0:
		return ascii(n.Value)
	case n.Value == "true", n.Value == "false", n.Value == "null", number.MatchString(n.Value), amount.MatchString(n.Value):
		return true
	}
	return word.MatchString(n.Value) && !words[strings.ToLower(n.Value)]
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
