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
func Settle(resources []*kyaml.RNode) ([]*kyaml.RNode, error) {
	var text bytes.Buffer
	enc := kyaml.NewEncoder(&text)
	for i, r := range resources {
		if _, is := r.GetAnnotations()[annotationNumber]; is {
			return nil, fmt.Errorf("%s carries the annotation %s, which names are settled with", signer.Name(r), annotationNumber)
		}
		numbered := r.Copy()
		if err := numbered.PipeE(kyaml.SetAnnotation(annotationNumber, strconv.Itoa(i))); err != nil {
			return nil, err
		}
		if err := enc.Encode(numbered.YNode()); err != nil {
			return nil, err
		}
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	if err := asWritten(resources, text.Bytes()); err != nil {
		return nil, err
	}
	files := filesys.MakeFsInMemory()
	for name, data := range map[string][]byte{"/kustomization.yaml": []byte("resources: [resources.yaml]\n"), "/resources.yaml": text.Bytes()} {
		if err := files.WriteFile(name, data); err != nil {
			return nil, err
		}
	}
	made, err := krusty.MakeKustomizer(Options{}.krusty()).Run(files, "/")
	if err != nil {
		return nil, fmt.Errorf("kustomize: %w", err)
	}
	settled := make([]*kyaml.RNode, len(resources))
	for _, r := range made.Resources() {
		n, err := strconv.Atoi(r.GetAnnotations()[annotationNumber])
		if err != nil || n < 0 || n >= len(settled) || settled[n] != nil {
			return nil, errors.New("kustomize: resources were lost while names were settled")
		}
		settled[n] = r.RNode.Copy()
		if err := settled[n].PipeE(kyaml.ClearAnnotation(annotationNumber)); err != nil {
			return nil, err
		}
	}
	return settled, nil
}

// annotationNumber tells resources apart while their names change.
const annotationNumber = "trustomize.dev/number"

// asWritten holds a text against the resources that were written there, but for their
// numbers: writers of YAML make mistakes.
func asWritten(resources []*kyaml.RNode, text []byte) error {
	decoder := yaml3.NewDecoder(bytes.NewReader(text))
	for _, r := range resources {
		var written yaml3.Node
		if err := decoder.Decode(&written); err != nil {
			return fmt.Errorf("%s cannot be written for kustomize: %w", signer.Name(r), err)
		}
		read := kyaml.NewRNode(written.Content[0])
		if err := read.PipeE(kyaml.ClearAnnotation(annotationNumber)); err != nil {
			return err
		}
		var want, got any
		if err := errors.Join(r.YNode().Decode(&want), read.YNode().Decode(&got)); err != nil {
			return err
		}
		if !reflect.DeepEqual(want, got) {
			return fmt.Errorf("%s cannot be written for kustomize: it would be read otherwise", signer.Name(r))
		}
	}
	if err := decoder.Decode(new(yaml3.Node)); !errors.Is(err, io.EOF) {
		return errors.New("a resource cannot be written for kustomize: it would be read as two")
	}
	return nil
}
