package fn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer/strict"
)

// MaxInput bounds a ResourceList, in bytes.
const MaxInput = strict.MaxInput

// list is a ResourceList. It is read and written here, and not by kyaml's framework,
// which takes the first of two equal fields, passes over what it does not expect, and
// marks all items before a function sees them.
type list struct {
	apiVersion string
	items      []*item
	config     *yaml.Node // nil: there is none
	results    framework.Results
}

// versions are those of the interchange format, which are alike in what counts here.
var versions = map[string]bool{"config.kubernetes.io/v1": true, "config.kubernetes.io/v1beta1": true, "config.kubernetes.io/v1alpha1": true}

var errNoList = errors.New("standard input is no ResourceList: want one document of kind ResourceList, with items and functionConfig")

// malformed says that a list could not be read.
func malformed(err error) error {
	return fmt.Errorf("the ResourceList is malformed: %s", oneLine(err.Error()))
}

// read reads a list as far as it goes: with an error, what was read before.
func (l *list) read(data []byte) error {
	l.apiVersion = kio.ResourceListAPIVersion
	top, err := parse(data)
	if err != nil {
		return err
	}
	fields, err := fieldsOf(top)
	if err != nil {
		return malformed(err)
	}
	if text(fields["kind"]) != kio.ResourceListKind {
		return errNoList
	}
	for name := range fields {
		switch name {
		case "apiVersion", "kind", "items", "functionConfig", "results":
		default:
			return malformed(fmt.Errorf("%q is no field of it", refusal.Printable(name)))
		}
	}
	version := text(fields["apiVersion"])
	if !versions[version] {
		return fmt.Errorf("ResourceLists of %q are not known; want %s", refusal.Printable(version), kio.ResourceListAPIVersion)
	}
	l.apiVersion = version
	limits := &limits{expanded: maxExpanded}
	if config := fields["functionConfig"]; config != nil && config.ShortTag() != "!!null" {
		if err := limits.check(config); err != nil {
			return fmt.Errorf("functionConfig: %w", err)
		}
		l.config = config
	}
	items := fields["items"]
	if items == nil || items.ShortTag() == "!!null" {
		return nil
	}
	if items.Kind != yaml.SequenceNode {
		return malformed(errors.New("items is no list"))
	}
	for i, node := range items.Content {
		if err := limits.check(node); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	l.items, err = readItems(items.Content, data, itemsIn)
	return err
}

// parse returns the mapping that is the one document.
func parse(data []byte) (*yaml.Node, error) {
	decoder := yaml3.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errNoList
	} else if err != nil {
		return nil, malformed(err)
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errNoList
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, malformed(errors.New("there is something behind its document"))
	}
	return doc.Content[0], nil
}

// fieldsOf returns a mapping's fields, each of which is there once.
func fieldsOf(mapping *yaml.Node) (map[string]*yaml.Node, error) {
	fields := map[string]*yaml.Node{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if err := checkKey(key); err != nil {
			return nil, err
		}
		if fields[key.Value] != nil {
			return nil, fmt.Errorf("line %d: the field %q is there twice", key.Line, refusal.Printable(key.Value))
		}
		fields[key.Value] = mapping.Content[i+1]
	}
	return fields, nil
}

// text returns a scalar's text, and "" of anything else.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	return n.Value
}

// itemsIn returns a list's items as kubectl reads them.
func itemsIn(data []byte) ([]any, error) {
	asJSON, err := sigsyaml.YAMLToJSON(data)
	if err != nil {
		return nil, malformed(err)
	}
	var read struct {
		Items []any `json:"items"`
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	if err := decoder.Decode(&read); err != nil {
		return nil, malformed(err)
	}
	return read.Items, nil
}

// write returns the list. Of each item, it is certain that it will be read as it was:
// the styles of texts that are not written well give way.
func (l *list) write() ([]byte, error) {
	out, err := l.encode()
	if err == nil && l.prove(out) == nil {
		return out, nil
	}
	for _, one := range l.items {
		plainyaml.Restyle(one.YNode())
	}
	if l.config != nil {
		plainyaml.Restyle(l.config)
	}
	if out, err = l.encode(); err != nil {
		return nil, err
	}
	return out, l.prove(out)
}

func (l *list) encode() ([]byte, error) {
	items := &yaml.Node{Kind: yaml.SequenceNode}
	for _, one := range l.items {
		items.Content = append(items.Content, one.YNode())
	}
	top := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		key("apiVersion"), key(l.apiVersion), key("kind"), key(kio.ResourceListKind), key("items"), items,
	}}
	if l.config != nil {
		top.Content = append(top.Content, key("functionConfig"), l.config)
	}
	if len(l.results) > 0 {
		results := new(yaml.Node)
		if err := results.Encode(l.results); err != nil {
			return nil, err
		}
		top.Content = append(top.Content, key("results"), results)
	}
	var out bytes.Buffer
	err := yaml.NewEncoder(&out).Encode(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{top}})
	return out.Bytes(), err
}

func key(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
