package kustfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/giturl"
)

// Rewrite returns the kustomization with the references replaced whose fields
// are keys of to. Without any, it is the content as it was read.
//
// The result is JSON, which kustomize reads as well. It is decoded again and
// compared: but for the replaced references it means what the original means.
//
// A reference that kustomize could take for remote and that was not replaced is
// an error.
func (f *File) Rewrite(to map[string]string) ([]byte, error) {
	for _, ref := range f.References() {
		if _, replaced := to[ref.Field]; !replaced && remote(ref) {
			return nil, fmt.Errorf("field %s is left with a remote reference", ref.Field)
		}
	}
	if len(to) == 0 {
		return f.content, nil
	}
	want, err := Parse(f.content)
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSON(f.content)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		return nil, err
	}
	each(&want.kust, func(p place) {
		if text, ok := to[p.field]; ok {
			p.set(text)
			err = errors.Join(err, setText(fields, p.field, p.text, text))
		}
	})
	if err != nil {
		return nil, err
	}
	return encode(fields, want)
}

// encode writes the fields as JSON and makes sure that they mean what is
// wanted.
func encode(fields map[string]any, want *File) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil {
		return nil, err
	}
	got, err := Parse(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("rewriting references: %w", err)
	}
	if !reflect.DeepEqual(got.kust, want.kust) {
		return nil, fmt.Errorf("rewriting references would change what the kustomization means")
	}
	return out.Bytes(), nil
}

// remote reports whether kustomize could go to a network for a reference.
func remote(ref Reference) bool {
	if giturl.IsHTTP(ref.Text) {
		return true
	}
	_, err := giturl.Parse(ref.Text)
	return ref.Kind != Data && !errors.Is(err, giturl.ErrLocal)
}

// setText replaces, at a field such as patches[0].path, the last occurrence of
// old: behind a key, if there is one.
func setText(fields map[string]any, field, old, text string) error {
	lost := fmt.Errorf("rewriting references: field %s is not where it was", field)
	var at any = fields
	var put func(string)
	var now string
	for _, step := range steps(field) {
		switch v := at.(type) {
		case map[string]any:
			name, ok := spelled(v, step)
			if !ok {
				return lost
			}
			at, put = v[name], func(s string) { v[name] = s }
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return lost
			}
			at, put = v[i], func(s string) { v[i] = s }
		default:
			return lost
		}
	}
	now, ok := at.(string)
	if !ok || !strings.HasSuffix(now, old) {
		return lost
	}
	put(strings.TrimSuffix(now, old) + text)
	return nil
}

// steps splits a field such as patches[0].path into patches, 0, path.
func steps(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// spelled finds a field under whatever spelling it has: decoding ignores case,
// and prefers the exact one.
func spelled(fields map[string]any, name string) (string, bool) {
	if _, ok := fields[name]; ok {
		return name, true
	}
	for have := range fields {
		if strings.EqualFold(have, name) {
			return have, true
		}
	}
	return "", false
}
