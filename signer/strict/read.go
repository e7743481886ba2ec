package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Object is one resource as it was read: JSON values, numbers as json.Number.
type Object map[string]any

// Bounds of what is read: bytes in all, and fields of one mapping, which libraries
// compare with each other.
const (
	MaxInput = 64 << 20
	maxKeys  = 10_000
)

// Read reads YAML documents or JSON objects, and the items of lists, as kubectl
// prints them. Empty documents are left out.
//
// Kubernetes' own YAML and kustomize's are not quite one language: yes is true in
// one and a text in the other. What the two read differently is an error, since
// nobody could say what was signed.
func Read(data []byte) ([]Object, error) {
	if len(data) > MaxInput {
		return nil, fmt.Errorf("has more than %d bytes", MaxInput)
	}
	var all []Object
	decoder := yaml3.NewDecoder(bytes.NewReader(data))
	for n := 1; ; n++ {
		var node yaml3.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %s", n, oneLine(err.Error()))
		}
		objects, err := readNode(&node)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		all = append(all, objects...)
	}
}

func oneLine(text string) string { return refusal.Printable(strings.Join(strings.Fields(text), " ")) }

func readNode(node *yaml3.Node) ([]Object, error) {
	value, err := readBoth(node)
	if value == nil || err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is no mapping")
	}
	return unwrap(object)
}

// readBoth reads a document in both ways.
func readBoth(node *yaml3.Node) (any, error) {
	if err := checkKeys(node); err != nil {
		return nil, err
	}
	text, err := yaml3.Marshal(node)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	var other any
	if err := node.Decode(&other); err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	otherJSON, err := json.Marshal(other)
	if err != nil {
		return nil, fmt.Errorf("has something that JSON has not: %s", oneLine(err.Error()))
	}
	one, err := decode(asJSON)
	if err != nil {
		return nil, err
	}
	two, err := decode(otherJSON)
	if err != nil {
		return nil, err
	}
	if differences := compare(one, two); len(differences) > 0 {
		return nil, fmt.Errorf("%s: kubectl reads %s here, and kustomize %s; put it in quotes if it is a text",
			pathText(differences[0].Path), show(differences[0].Signed, differences[0].InSigned), show(differences[0].Live, differences[0].InLive))
	}
	return one, nil
}

func checkKeys(node *yaml3.Node) error {
	if node.Kind == yaml3.MappingNode && len(node.Content)/2 > maxKeys {
		return fmt.Errorf("line %d: a mapping has more than %d fields", node.Line, maxKeys)
	}
	for _, one := range node.Content {
		if err := checkKeys(one); err != nil {
			return err
		}
	}
	return nil
}

func decode(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	return v, nil
}

// unwrap returns the items of a list, or the object itself.
func unwrap(object map[string]any) ([]Object, error) {
	kind, _ := object["kind"].(string)
	items, isList := object["items"].([]any)
	if !isList || !isListOf(object, kind) {
		if text(object, "apiVersion") == "" || kind == "" {
			return nil, errors.New("is no Kubernetes object: want apiVersion and kind")
		}
		return []Object{object}, nil
	}
	var all []Object
	for i, item := range items {
		object, ok := item.(map[string]any)
		if !ok || text(object, "apiVersion") == "" || text(object, "kind") == "" {
			return nil, fmt.Errorf("items[%d] of the %s is no Kubernetes object: want apiVersion and kind", i, refusal.Printable(kind))
		}
		all = append(all, object)
	}
	return all, nil
}

// isListOf reports whether an object is nothing but a list: it has no name, and no
// field beside its items.
func isListOf(object map[string]any, kind string) bool {
	for name := range object {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "items"}, name) {
			return false
		}
	}
	return strings.HasSuffix(kind, "List") && text(object, "metadata", "name") == "" && text(object, "metadata", "generateName") == ""
}

// text returns the string at a path of keys, or "".
func text(object map[string]any, path ...string) string {
	for i, key := range path {
		if i == len(path)-1 {
			s, _ := object[key].(string)
			return s
		}
		object, _ = object[key].(map[string]any)
	}
	return ""
}

// texts returns the mapping of strings at a path of keys.
func texts(object map[string]any, path ...string) map[string]string {
	for _, key := range path {
		object, _ = object[key].(map[string]any)
	}
	all := map[string]string{}
	for key, value := range object {
		if s, ok := value.(string); ok {
			all[key] = s
		}
	}
	return all
}
