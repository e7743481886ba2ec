package plainyaml

import (
	"regexp"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
)

// Expanded is a copy of a node with aliases replaced by what they stand for, which is
// finite.
func Expanded(n *yaml3.Node, comments bool) *yaml3.Node {
	if n.Kind == yaml3.AliasNode {
		return Expanded(n.Alias, false)
	}
	c := &yaml3.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	if comments {
		c.HeadComment, c.LineComment, c.FootComment = n.HeadComment, n.LineComment, n.FootComment
	}
	if n.Content != nil {
		c.Content = make([]*yaml3.Node, len(n.Content))
		for i, one := range n.Content {
			c.Content[i] = Expanded(one, comments)
		}
	}
	return c
}

var (
	// indented has a line that begins with space.
	indented = regexp.MustCompile(`(?m)^[ \t]`)
	// odd begins with space or ends in several ends of lines.
	odd = regexp.MustCompile(`^[ \t\n]|\n\n$`)
)

// restyle has texts written in a way that yaml.v3 writes without mistakes: it adds
// empty lines to folded texts with indented ones, and loses count of spaces and ends
// of lines at the edges of literal ones.
func Restyle(n *yaml3.Node) {
	if n.Style&yaml3.FoldedStyle != 0 && strings.Contains(n.Value, "\n") && indented.MatchString(n.Value) {
		n.Style = n.Style&^yaml3.FoldedStyle | yaml3.LiteralStyle
	}
	if n.Style&(yaml3.LiteralStyle|yaml3.FoldedStyle) != 0 && odd.MatchString(n.Value) {
		n.Style = n.Style&^(yaml3.LiteralStyle|yaml3.FoldedStyle) | yaml3.DoubleQuotedStyle
	}
	for _, one := range n.Content {
		Restyle(one)
	}
}
