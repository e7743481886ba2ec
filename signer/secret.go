package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// SecretMessage is what is signed for a Secret: its YAML without signatures, in
// the form in which an API server stores it, but for [ServerMetadata]. Values in
// stringData are in data, in base64; a type that is not said is Opaque.
func SecretMessage(r *kyaml.RNode) ([]byte, error) {
	object, err := unsignedObject(r)
	if err != nil {
		return nil, err
	}
	return SecretYAML(object)
}

// OutlineOf is [SecretOutline] for a resource.
func OutlineOf(r *kyaml.RNode) ([]byte, error) {
	object, err := unsignedObject(r)
	if err != nil {
		return nil, err
	}
	return SecretOutline(object)
}

// unsignedObject decodes a resource, without its signatures.
func unsignedObject(r *kyaml.RNode) (map[string]any, error) {
	data, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	if metadata, ok := object["metadata"].(map[string]any); ok {
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			for name := range annotations {
				if IsSignature(name) {
					delete(annotations, name)
				}
			}
		}
	}
	return object, nil
}

// SecretYAML is [SecretMessage] for an object that is decoded already, without
// signatures. It changes the object.
func SecretYAML(object map[string]any) ([]byte, error) {
	metadata := child(object, "metadata")
	for _, name := range ServerMetadata {
		delete(metadata, name)
	}
	if annotations := child(metadata, "annotations"); annotations != nil {
		delete(annotations, AnnotationApplied)
	}
	if object["apiVersion"] == "v1" {
		if err := asStored(object); err != nil {
			return nil, err
		}
	}
	for _, m := range []map[string]any{object, metadata} {
		for _, name := range []string{"data", "labels", "annotations"} {
			if v, ok := m[name].(map[string]any); ok && len(v) == 0 || m[name] == nil {
				delete(m, name)
			}
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(data)
}

// ServerMetadata are the fields of metadata that an API server sets itself
// (apimachinery, pkg/apis/meta/v1/types.go). A Secret is signed without them, since who
// verifies it has to make its message again.
var ServerMetadata = []string{
	"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink",
}

// AnnotationApplied is kubectl's copy of what was applied.
const AnnotationApplied = "kubectl.kubernetes.io/last-applied-configuration"

// asStored has a Secret of Kubernetes' own be as an API server stores it.
func asStored(object map[string]any) error {
	delete(object, "status") // it has none
	if plain, ok := object["stringData"]; ok {
		if err := fold(object, plain); err != nil {
			return err
		}
		delete(object, "stringData")
	}
	if kind, ok := object["type"]; !ok || kind == "" || kind == nil {
		object["type"] = "Opaque"
	}
	return nil
}

// SecretOutline is [SecretYAML] without values and without the origin: what a
// statement may tell of a Secret. It changes the object.
func SecretOutline(object map[string]any) ([]byte, error) {
	if annotations, ok := child(object, "metadata")["annotations"].(map[string]any); ok {
		delete(annotations, AnnotationOrigin)
	}
	if object["apiVersion"] != "v1" { // who knows where its values are
		maps.DeleteFunc(object, func(name string, _ any) bool { return name != "apiVersion" && name != "kind" && name != "metadata" })
	}
	delete(object, "data")
	delete(object, "stringData")
	return SecretYAML(object)
}

func child(object map[string]any, name string) map[string]any {
	c, _ := object[name].(map[string]any)
	return c
}

// fold puts stringData into data, as the API server does.
func fold(object map[string]any, plain any) error {
	if plain == nil {
		return nil
	}
	values, ok := plain.(map[string]any)
	if !ok {
		return errors.New("a Secret's stringData is no mapping")
	}
	data, ok := object["data"].(map[string]any)
	if object["data"] != nil && !ok {
		return errors.New("a Secret's data is no mapping")
	}
	if data == nil {
		data = map[string]any{}
		object["data"] = data
	}
	for key, value := range values {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("a Secret's stringData.%s is no text", key)
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return nil
}
