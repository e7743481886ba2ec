// Package strictyaml decodes YAML that an operator wrote, and reports every
// mistake with its line and column instead of the first without.
//
// Unknown and repeated fields are mistakes, as are several documents, merge
// keys, and values of another type than the field's. Struct fields are named by
// their yaml tags. A scalar becomes a string as it is written, a number or a
// boolean as YAML 1.2 has them, or whatever the target's UnmarshalText makes
// of it; a mapping for a type with UnmarshalText is decoded as the struct that
// it is.
package strictyaml

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Position is a place in the document, both counted from 1. The zero value is
// no place in particular.
type Position struct{ Line, Column int }

// Problem is one mistake.
type Problem struct {
	Position
	Path    string // as in spec.sources[0].match; "" for the document
	Message string
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// Problems is all that is wrong with a document, in its order.
type Problems []Problem

func (ps Problems) Error() string {
	text := make([]string, len(ps))
	for i, p := range ps {
		text[i] = p.Error()
	}
	return strings.Join(text, "\n")
}

// Sort orders the problems by position.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Document says where in a document each value stands.
type Document struct {
	positions map[string]Position
}

// Has reports whether the document has a value at the path.
func (d *Document) Has(path string) bool {
	_, ok := d.positions[path]
	return ok
}

// Position returns where the value at the path stands, or where the nearest
// value above it does.
func (d *Document) Position(path string) Position {
	for {
		if p, ok := d.positions[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.positions[""]
		}
		path = path[:i]
	}
}

// maxDepth bounds nesting, which also bounds what aliases can multiply.
const maxDepth = 32

// Decode decodes the one document of data into the struct that v points to.
// The error is of type [Problems]; the document is returned with it, as far as
// it could be read.
func Decode(data []byte, v any) (*Document, error) {
	d := &decoder{doc: &Document{positions: map[string]Position{}}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the document is empty")
		}
		return d.doc, Problems{syntaxProblem(err)}
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return d.doc, Problems{{Position{second.Line, max(second.Column, 1)}, "", "a second document, where one is wanted"}}
	}
	d.value("", root.Content[0], reflect.ValueOf(v).Elem(), 0)
	if len(d.problems) > 0 {
		d.problems.Sort()
		return d.doc, d.problems
	}
	return d.doc, nil
}

// syntaxProblem finds the line in the text of a YAML syntax error; the library
// offers it nowhere else, and no column.
func syntaxProblem(err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, message, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(n); err == nil {
				return Problem{Position{line, 1}, "", message}
			}
		}
	}
	return Problem{Message: text}
}

type decoder struct {
	doc      *Document
	problems Problems
}

func (d *decoder) fail(path string, n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, Problem{Position{n.Line, n.Column}, path, fmt.Sprintf(format, args...)})
}

func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, depth int) {
	if depth > maxDepth {
		d.fail(path, n, "nested more than %d deep", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.doc.positions[path] = Position{n.Line, n.Column}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, v.Elem(), depth)
		return
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok && n.Kind == yaml.ScalarNode {
		if err := text.UnmarshalText([]byte(n.Value)); err != nil {
			d.fail(path, n, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(path, n, v, depth)
	case reflect.Map:
		d.mapping(path, n, v, depth)
	case reflect.Slice:
		d.sequence(path, n, v, depth)
	default:
		d.scalar(path, n, v)
	}
}

// pairs yields a mapping's keys and values and reports keys that are repeated
// or not text.
func (d *decoder) pairs(path string, n *yaml.Node, each func(key string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(path, n, "want a mapping, not %s", kind(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			d.fail(path, k, "a key that is not a name")
		case seen[k.Value]:
			d.fail(join(path, k.Value), k, "stands here a second time")
		default:
			seen[k.Value] = true
			each(k.Value, k, v)
		}
	}
}

func (d *decoder) object(path string, n *yaml.Node, v reflect.Value, depth int) {
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			fields[tag] = i
			names = append(names, tag)
		}
	}
	d.pairs(path, n, func(key string, k, child *yaml.Node) {
		i, ok := fields[key]
		if !ok {
			d.fail(join(path, key), k, "unknown field; known here are %s", strings.Join(names, ", "))
			return
		}
		d.value(join(path, key), child, v.Field(i), depth+1)
	})
}

func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(path, n, func(key string, _, child *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), child, elem, depth+1)
		v.SetMapIndex(reflect.ValueOf(key), elem)
	})
}

func (d *decoder) sequence(path string, n *yaml.Node, v reflect.Value, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fail(path, n, "want a list, not %s", kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, child := range n.Content {
		d.value(fmt.Sprintf("%s[%d]", path, i), child, v.Index(i), depth+1)
	}
}

func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(path, n, "want %s, not %s", v.Kind(), kind(n))
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(n.Value)
		return
	}
	// The library would cut a fraction off, and read 010 as eight.
	form := integer
	if v.Kind() == reflect.Bool {
		form = boolean
	}
	if err := n.Decode(v.Addr().Interface()); err != nil || !form.MatchString(n.Value) {
		d.fail(path, n, "want %s, not %q", v.Kind(), n.Value)
	}
}

var (
	integer = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	boolean = regexp.MustCompile(`^(true|false)$`)
)

func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
