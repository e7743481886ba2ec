package fn

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/internal/plainyaml"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer/strict"
)

// item is one of a list's.
type item struct {
	*yaml.RNode // as it came, and goes: with its comments and aliases
	identity
	value     map[string]any  // what kubectl reads there; nil where that is plain
	ambiguous error           // what kustomize reads otherwise; not who it is
	file      *framework.File // nil: none is named
	local     bool            // configuration of the pipeline's, which is not applied
	vouched   bool            // was verified or signed
}

// identity is what an item is told from others by.
type identity struct {
	APIVersion, Kind, Namespace, Name, GenerateName string
	Annotations                                     map[string]string
	odd                                             bool // has annotations that are no texts
}

// readItems reads the items of a text. Each must be a resource, and there once.
// asKubectl reads them once more, where it takes that to be certain.
func readItems(nodes []*yaml.Node, data []byte, asKubectl func([]byte) ([]any, error)) ([]*item, error) {
	// A tag without a name leaves no trace in a node.
	tagged := bytes.ContainsRune(data, '!')
	var others []any
	seen := map[string]bool{}
	items := make([]*item, len(nodes))
	for i, node := range nodes {
		if node.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("items[%d] is no mapping", i)
		}
		if others == nil && (tagged || !plainyaml.Unambiguous(node)) {
			var err error
			if others, err = asKubectl(data); err != nil {
				return nil, err
			}
			if len(others) != len(nodes) {
				return nil, malformed(fmt.Errorf("kubectl reads %d items, and kustomize %d", len(others), len(nodes)))
			}
		}
		one := &item{RNode: yaml.NewRNode(node)}
		var err error
		if others == nil {
			one.identity, err = identityIn(head(node))
		} else if err = one.identify(others[i]); err == nil {
			err = one.compare()
		}
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		one.bookkeeping()
		if items[i] = one; one.local {
			continue
		}
		if seen[one.key()] && one.Name != "" {
			return nil, fmt.Errorf("items[%d]: %s is there twice", i, one.call())
		}
		seen[one.key()] = true
	}
	return items, nil
}

// identify reads who an item is in what kubectl reads of it.
func (i *item) identify(value any) (err error) {
	if i.value, _ = value.(map[string]any); i.value == nil {
		return errNoObject
	}
	i.identity, err = identityIn(i.value)
	return err
}

// head is what of a plain item its identity is in.
func head(n *yaml.Node) map[string]any {
	value := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		switch name := n.Content[i].Value; name {
		case "apiVersion", "kind", "metadata", "items":
			value[name] = plainyaml.Value(n.Content[i+1])
		}
	}
	return value
}

var errNoObject = errors.New("is no Kubernetes object: want apiVersion and kind, or neither")

func identityIn(value map[string]any) (identity, error) {
	id := identity{Annotations: map[string]string{}}
	if _, is := value["items"]; is {
		return id, errors.New("has items of its own, which kubectl would apply in its place; want single resources")
	}
	metadata, isMap := value["metadata"].(map[string]any)
	if !isMap && value["metadata"] != nil {
		return id, errors.New("is no Kubernetes object: metadata is no mapping")
	}
	for _, field := range []struct {
		in   map[string]any
		name string
		to   *string
	}{
		{value, "apiVersion", &id.APIVersion}, {value, "kind", &id.Kind},
		{metadata, "namespace", &id.Namespace}, {metadata, "name", &id.Name}, {metadata, "generateName", &id.GenerateName},
	} {
		text, isText := field.in[field.name].(string)
		if *field.to = text; !isText && field.in[field.name] != nil {
			return id, fmt.Errorf("is no Kubernetes object: %s is no text; kubectl reads a number or a boolean where there are no quotes", field.name)
		}
	}
	if (id.APIVersion == "") != (id.Kind == "") && !isConfig(id.APIVersion, id.Kind) {
		return id, errNoObject
	}
	annotations, isMap := metadata["annotations"].(map[string]any)
	if !isMap && metadata["annotations"] != nil {
		return id, errors.New("is no Kubernetes object: metadata.annotations is no mapping")
	}
	for name, value := range annotations {
		if _, isText := value.(string); !isText {
			id.odd = true
		}
		id.Annotations[name] = fmt.Sprint(value) // what is no text, other programs make one of
	}
	return id, nil
}

// compare holds what kubectl reads against kustomize's reading. Who an item is may not
// depend on that; what else is ambiguous, only who vouches for the item minds.
func (i *item) compare() error {
	i.ambiguous = strict.Agree(i.value, i.YNode())
	if i.ambiguous == nil {
		return nil
	}
	var other map[string]any
	if err := i.YNode().Decode(&other); err != nil {
		return errors.New(oneLine(err.Error()))
	}
	id, err := identityIn(other)
	if err == nil && !reflect.DeepEqual(id, i.identity) {
		err = i.ambiguous
	}
	return err
}

// bookkeeping reads what orchestrators note on an item. Where one annotation is no text,
// some of them (kpt v1, by apimachinery's unstructured.Unstructured) see none at all.
func (i *item) bookkeeping() {
	i.local = i.Annotations[annotationLocal] == "true" && !i.odd || isConfig(i.APIVersion, i.Kind)
	for _, pair := range [][2]string{{kioutil.PathAnnotation, kioutil.IndexAnnotation}, {legacyPath, legacyIndex}} {
		if path := i.Annotations[pair[0]]; path != "" && i.file == nil {
			n, _ := strconv.Atoi(i.Annotations[pair[1]])
			i.file = &framework.File{Path: refusal.Printable(path), Index: n}
		}
	}
}

// call names the item to people.
func (i *item) call() string {
	return strict.Name(map[string]any{"apiVersion": i.APIVersion, "kind": i.Kind,
		"metadata": map[string]any{"namespace": i.Namespace, "name": i.Name, "generateName": i.GenerateName}})
}

// key is what makes an object one: versions are views of the same.
func (i *item) key() string {
	group, _, ok := strings.Cut(i.APIVersion, "/")
	if !ok {
		group = ""
	}
	return strings.Join([]string{group, i.Kind, i.Namespace, i.Name}, "\x00")
}

// object is what kubectl reads, without what orchestrators keep in it.
func (i *item) object() strict.Object {
	object := maps.Clone(i.value)
	if object == nil {
		object = plainyaml.Value(i.YNode()).(map[string]any)
	}
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	kept := maps.Clone(annotations)
	maps.DeleteFunc(kept, func(name string, _ any) bool { return internal(name) })
	if len(kept) == len(annotations) {
		return object
	}
	metadata = maps.Clone(metadata)
	if metadata["annotations"] = kept; len(kept) == 0 {
		delete(metadata, "annotations")
	}
	object["metadata"] = metadata
	return object
}

// resource is a copy of the item without comments, aliases and what orchestrators keep
// in it.
func (i *item) resource() *yaml.RNode {
	top := plainyaml.Expanded(i.YNode(), false)
	plainyaml.Restyle(top)
	metadata := field(top, "metadata")
	annotations := field(metadata, "annotations")
	if annotations == nil || annotations.Kind != yaml.MappingNode {
		return yaml.NewRNode(top)
	}
	kept := annotations.Content[:0:0]
	for n := 0; n < len(annotations.Content); n += 2 {
		if !internal(annotations.Content[n].Value) {
			kept = append(kept, annotations.Content[n:n+2]...)
		}
	}
	removed := len(kept) < len(annotations.Content)
	if annotations.Content = kept; removed && len(kept) == 0 {
		for n := 0; n < len(metadata.Content); n += 2 {
			if metadata.Content[n+1] == annotations {
				metadata.Content = append(metadata.Content[:n:n], metadata.Content[n+2:]...)
				break
			}
		}
	}
	return yaml.NewRNode(top)
}

// field returns a mapping's field; nil where there is none.
func field(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for n := 0; n < len(mapping.Content); n += 2 {
		if mapping.Content[n].Value == name {
			return mapping.Content[n+1]
		}
	}
	return nil
}

// oneLine keeps a list's own text from looking like a line of ours.
func oneLine(text string) string { return refusal.Printable(strings.Join(strings.Fields(text), " ")) }
