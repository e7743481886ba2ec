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
	documents, err := split(data)
	if err != nil {
		return nil, err
	}
	var all []Object
	for n, text := range documents {
		objects, err := readDocument(text)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n+1, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// split cuts a stream into documents where kubectl and kustomize do: at lines that
// begin with "---", before they know anything of YAML. What stands behind it, kubectl
// does not read.
func split(data []byte) ([][]byte, error) {
	var documents [][]byte
	start, end, line := 0, 0, 0
	for text := range bytes.Lines(data) {
		line++
		if behind, ok := bytes.CutPrefix(text, []byte("---")); ok {
			if behind = bytes.TrimSpace(behind); len(behind) > 0 && behind[0] != '#' {
				return nil, fmt.Errorf("line %d: there is something behind ---", line)
			}
			documents = append(documents, data[start:end])
			start = end + len(text)
		}
		end += len(text)
	}
	if documents = append(documents, data[start:]); len(bytes.TrimSpace(documents[0])) == 0 {
		documents = documents[1:] // a stream may begin with the line
	}
	return documents, nil
}

func oneLine(text string) string { return refusal.Printable(strings.Join(strings.Fields(text), " ")) }

func readDocument(text []byte) ([]Object, error) {
	value, err := readBoth(text)
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
func readBoth(text []byte) (any, error) {
	var node yaml3.Node
	decoder := yaml3.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, errors.New(oneLine(err.Error()))
	}
	if err := decoder.Decode(new(yaml3.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	if err := checkKeys(&node); err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	one, err := decode(asJSON)
	if err != nil {
		return nil, err
	}
	return one, Agree(one, &node)
}

// Agree compares what kubectl reads in a YAML text (JSON values, numbers as
// json.Number) with the node that kustomize reads there.
func Agree(kubectl any, node *yaml3.Node) error {
	var other any
	if err := node.Decode(&other); err != nil {
		return errors.New(oneLine(err.Error()))
	}
	otherJSON, err := json.Marshal(other)
	if err != nil {
		return fmt.Errorf("has something that JSON has not: %s", oneLine(err.Error()))
	}
	kustomize, err := decode(otherJSON)
	if err != nil {
		return err
	}
	if differences := compare(kubectl, kustomize); len(differences) > 0 {
		first := differences[0]
		return fmt.Errorf("%s: kubectl reads %s here, and kustomize %s; put it in quotes if it is a text",
			pathText(first.Path), show(first.Signed, first.InSigned), show(first.Live, first.InLive))
	}
	return nil
}

// checkKeys refuses what libraries take long for, and keys that are merges to some
// programs and names to others, in quotes as well: kubectl prints them without.
func checkKeys(node *yaml3.Node) error {
	if node.Kind == yaml3.MappingNode && len(node.Content)/2 > maxKeys {
		return fmt.Errorf("line %d: a mapping has more than %d fields", node.Line, maxKeys)
	}
	for i, one := range node.Content {
		if node.Kind == yaml3.MappingNode && i%2 == 0 && (one.Value == "<<" || one.ShortTag() == "!!merge") {
			return fmt.Errorf("line %d: the key << is a merge to some programs; write out what it stands for", one.Line)
		}
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
