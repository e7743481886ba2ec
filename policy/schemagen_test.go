package policy

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// jsonSchema is the part of JSON Schema 2020-12 that a policy needs. The order
// of its fields is that of the file.
type jsonSchema struct {
	Schema               string                 `json:"$schema,omitempty"`
	Comment              string                 `json:"$comment,omitempty"`
	Title                string                 `json:"title,omitempty"`
	Description          string                 `json:"description,omitempty"`
	Ref                  string                 `json:"$ref,omitempty"`
	Type                 any                    `json:"type,omitempty"` // a name, or several
	Const                any                    `json:"const,omitempty"`
	Enum                 []any                  `json:"enum,omitempty"`
	Pattern              string                 `json:"pattern,omitempty"`
	MinItems             int                    `json:"minItems,omitempty"`
	Items                *jsonSchema            `json:"items,omitempty"`
	Properties           map[string]*jsonSchema `json:"properties,omitempty"`
	AdditionalProperties any                    `json:"additionalProperties,omitempty"` // a *jsonSchema, or false
	Required             []string               `json:"required,omitempty"`
	OneOf                []*jsonSchema          `json:"oneOf,omitempty"`
	AnyOf                []*jsonSchema          `json:"anyOf,omitempty"`
	Defs                 map[string]*jsonSchema `json:"$defs,omitempty"`
}

// schemaGenerator makes a schema of Go types as strictyaml decodes into them:
// fields by their yaml tags, text where a type has UnmarshalText, no others.
// Descriptions are the comments in the package's source, and a named string's
// values the constants of its type.
type schemaGenerator struct {
	comments  map[string]string   // of "Type" and "Type.Field"
	constants map[string][]string // of "Type"
	defs      map[string]*jsonSchema
	problems  []error
}

// generateSchema returns the schema of a policy as a file.
func generateSchema(dir string) ([]byte, error) {
	g := &schemaGenerator{comments: map[string]string{}, constants: map[string][]string{}, defs: map[string]*jsonSchema{}}
	if err := g.readSource(dir); err != nil {
		return nil, err
	}
	root := g.object(reflect.TypeFor[document]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Comment = "Generated from package policy by make schema. It helps to write a policy; trustomize policy check decides about one."
	root.Title, root.Description = "Trustomize policy", "Says whose word counts for which source."
	root.Defs = g.defs
	for name := range demands {
		if name != "document" && g.defs[name] == nil {
			g.fail("demands name %q, which no policy has", name)
		}
	}
	if len(g.problems) > 0 {
		return nil, g.problems[0]
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(root)
	return []byte(b.String()), err
}

func (g *schemaGenerator) fail(format string, args ...any) {
	g.problems = append(g.problems, fmt.Errorf(format, args...))
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// of returns the schema of a value of this type.
func (g *schemaGenerator) of(t reflect.Type) *jsonSchema {
	if t.Kind() == reflect.Pointer {
		return g.of(t.Elem())
	}
	if values := g.constants[t.Name()]; t.Kind() == reflect.String && len(values) > 0 {
		return g.enum(t, values)
	}
	isText := reflect.PointerTo(t).Implements(textUnmarshaler)
	switch {
	case isText && t.Kind() == reflect.Struct && hasFields(t):
		return &jsonSchema{AnyOf: []*jsonSchema{textSchema(t), g.ref(t)}}
	case isText && t.Kind() == reflect.Slice:
		return &jsonSchema{AnyOf: []*jsonSchema{textSchema(t), {Type: "array", Items: g.of(t.Elem())}}}
	case isText:
		return textSchema(t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.ref(t)
	case reflect.Map:
		return &jsonSchema{Type: "object", AdditionalProperties: g.of(t.Elem())}
	case reflect.Slice:
		return &jsonSchema{Type: "array", Items: g.of(t.Elem())}
	case reflect.String:
		// A commit may consist of digits alone, a user's name as well.
		return &jsonSchema{Type: []string{"string", "number"}}
	case reflect.Bool:
		return &jsonSchema{Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &jsonSchema{Type: "integer"}
	}
	g.fail("%s: there is no schema for kind %s yet", t, t.Kind())
	return &jsonSchema{}
}

// hasFields reports whether a struct is written as a mapping at all.
func hasFields(t reflect.Type) bool {
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			return true
		}
	}
	return false
}

// enum returns the values of a named string, all of which it must accept where
// it accepts some only.
func (g *schemaGenerator) enum(t reflect.Type, values []string) *jsonSchema {
	s := &jsonSchema{Type: "string"}
	for _, v := range values {
		if u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok && u.UnmarshalText([]byte(v)) != nil {
			g.fail("%s: there is a constant %q, and UnmarshalText refuses it", t, v)
		}
		s.Enum = append(s.Enum, v)
	}
	return s
}

// textSchema returns what a type takes as text: what schemaTexts says, else
// any.
func textSchema(t reflect.Type) *jsonSchema {
	if s, ok := schemaTexts[t.Name()]; ok {
		return &s
	}
	return &jsonSchema{Type: "string"}
}

// ref returns a reference to a struct's schema, which is made once.
func (g *schemaGenerator) ref(t reflect.Type) *jsonSchema {
	if g.defs[t.Name()] == nil {
		g.defs[t.Name()] = &jsonSchema{} // ends a recursion
		*g.defs[t.Name()] = *g.object(t)
	}
	return &jsonSchema{Ref: "#/$defs/" + t.Name()}
}

func (g *schemaGenerator) object(t reflect.Type) *jsonSchema {
	s := &jsonSchema{Type: "object", Description: g.comments[t.Name()], Properties: map[string]*jsonSchema{}, AdditionalProperties: false}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		if tag == "" || tag == "-" {
			continue
		}
		p := g.of(f.Type)
		p.Description = g.comments[t.Name()+"."+f.Name]
		s.Properties[tag] = p
	}
	d := demands[t.Name()]
	s.Required = d.required
	s.OneOf, s.AnyOf = alternatives(d.one), alternatives(d.some)
	for name, narrow := range d.values {
		if s.Properties[name] == nil {
			g.fail("%s has no field %s, of which demands speak", t, name)
			continue
		}
		narrow(s.Properties[name])
	}
	for _, name := range d.names() {
		if s.Properties[name] == nil {
			g.fail("%s has no field %s, of which demands speak", t, name)
		}
	}
	return s
}

func alternatives(names []string) []*jsonSchema {
	var all []*jsonSchema
	for _, name := range names {
		all = append(all, &jsonSchema{Required: []string{name}})
	}
	return all
}

// readSource collects comments and constants of the package in dir.
func (g *schemaGenerator) readSource(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no Go source in %s", dir)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, data, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				g.declaration(gen)
			}
		}
	}
	return nil
}

func (g *schemaGenerator) declaration(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			g.typeComments(decl, spec)
		case *ast.ValueSpec:
			g.constant(decl, spec)
		}
	}
}

func (g *schemaGenerator) typeComments(decl *ast.GenDecl, spec *ast.TypeSpec) {
	name := spec.Name.Name
	g.comments[name] = prose(spec.Doc, decl.Doc)
	body, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range body.Fields.List {
		for _, n := range f.Names {
			g.comments[name+"."+n.Name] = prose(f.Doc, f.Comment)
		}
	}
}

// constant notes a constant of a named string type.
func (g *schemaGenerator) constant(decl *ast.GenDecl, spec *ast.ValueSpec) {
	name, ok := spec.Type.(*ast.Ident)
	if !ok || decl.Tok != token.CONST {
		return
	}
	for _, v := range spec.Values {
		if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if value, err := strconv.Unquote(lit.Value); err == nil {
				g.constants[name.Name] = append(g.constants[name.Name], value)
			}
		}
	}
}

// docLink is a doc comment's link to a name.
var docLink = regexp.MustCompile(`\[\*?([A-Z][A-Za-z.]*)\]`)

// prose returns the first comment that is there as running text.
func prose(comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		if c != nil {
			return docLink.ReplaceAllString(strings.Join(strings.Fields(c.Text()), " "), "$1")
		}
	}
	return ""
}
