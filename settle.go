package trustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"

	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize/signer"
)

// Settle does what kustomize leaves to the end of a build: it appends the hashes to
// generated names, and changes references to what was renamed, as the resources'
// annotations ask for (kustomize, api/resource.BuildAnnotations). It returns them in the
// same order, nil for one that kustomize leaves out. References that only a
// kustomization's own configurations tell of are not known here.
func Settle(resources []*kyaml.RNode) (settled []*kyaml.RNode, err error) {
	defer calm(&err)
	numbered := make([]*kyaml.RNode, len(resources))
	for i, r := range resources {
		if _, is := r.GetAnnotations()[annotationNumber]; is {
			return nil, fmt.Errorf("%s carries the annotation %s, by which resources are told apart here", signer.Name(r), annotationNumber)
		}
		numbered[i] = r.Copy()
		if err := numbered[i].PipeE(kyaml.SetAnnotation(annotationNumber, strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	text, err := written(numbered)
	if err != nil {
		return nil, err
	}
	files := filesys.MakeFsInMemory()
	for name, data := range map[string][]byte{"/kustomization.yaml": []byte("resources: [resources.yaml]\n"), "/resources.yaml": text} {
		if err := files.WriteFile(name, data); err != nil {
			return nil, err
		}
	}
	made, err := krusty.MakeKustomizer(Options{}.krusty()).Run(files, "/")
	if err != nil {
		return nil, fmt.Errorf("kustomize: %w", err)
	}
	settled = make([]*kyaml.RNode, len(resources))
	for _, r := range made.Resources() {
		n, err := strconv.Atoi(r.GetAnnotations()[annotationNumber])
		if err != nil || n < 0 || n >= len(settled) || settled[n] != nil {
			return nil, errors.New("kustomize: resources were lost while names were settled")
		}
		settled[n] = r.RNode.Copy()
		change := kyaml.Filter(kyaml.ClearAnnotation(annotationNumber))
		if metadata := resources[n].Field("metadata"); metadata == nil || metadata.Value.Field("annotations") == nil {
			change = kyaml.Tee(kyaml.Lookup("metadata"), kyaml.Clear("annotations"))
		}
		if err := settled[n].PipeE(change); err != nil {
			return nil, err
		}
	}
	return settled, nil
}

// annotationNumber tells resources apart while their names change.
const annotationNumber = "trustomize.dev/number"

// written writes resources, and reads them once more: writers of YAML make mistakes.
func written(resources []*kyaml.RNode) ([]byte, error) {
	var text bytes.Buffer
	enc := kyaml.NewEncoder(&text)
	for _, r := range resources {
		if err := enc.Encode(r.YNode()); err != nil {
			return nil, fmt.Errorf("%s: %w", signer.Name(r), err)
		}
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	decoder := yaml3.NewDecoder(bytes.NewReader(text.Bytes()))
	for _, r := range resources {
		var want, got any
		if err := errors.Join(r.YNode().Decode(&want), decoder.Decode(&got)); err != nil {
			return nil, fmt.Errorf("%s: %w", signer.Name(r), err)
		}
		if !reflect.DeepEqual(want, got) {
			return nil, fmt.Errorf("%s cannot be written for kustomize: it would be read otherwise", signer.Name(r))
		}
	}
	if err := decoder.Decode(new(yaml3.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a resource cannot be written for kustomize: it would be read as two")
	}
	return text.Bytes(), nil
}
