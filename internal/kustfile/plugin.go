package kustfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// resources reads documents as kustomize does for plugins' configurations.
var resources = resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())

// isInlineConfig reports whether an entry of generators, transformers or
// validators is a configuration rather than the path of one. kustomize takes it
// for one when it can.
func isInlineConfig(text string) bool {
	_, err := resources.NewResMapFromBytes([]byte(text))
	return err == nil
}

// InlineConfigs returns the plugins' configurations that the kustomization
// holds itself, each under its field.
func (f *File) InlineConfigs() map[string]string {
	found := map[string]string{}
	for field, list := range map[string][]string{"generators": f.kust.Generators, "transformers": f.kust.Transformers, "validators": f.kust.Validators} {
		for i, text := range list {
			if text != "" && isInlineConfig(text) {
				found[fmt.Sprintf("%s[%d]", field, i)] = text
			}
		}
	}
	return found
}

// Configs reads configurations of plugins: what they refer to, and which of
// them are not supported. Paths are relative to the kustomization whose
// generators, transformers or validators name the configuration.
//
// Only kustomize's builtin plugins are supported. Everything else is a program.
func Configs(content []byte) ([]Reference, []Unsupported, error) {
	if err := checkNested(content); err != nil {
		return nil, nil, err
	}
	docs, err := resources.NewResMapFromBytes(content)
	if err != nil {
		return nil, nil, err
	}
	var refs []Reference
	var unsupported []Unsupported
	for _, doc := range docs.Resources() {
		name := fmt.Sprintf("%s %s", doc.GetKind(), doc.GetName())
		if reason := notBuiltin(doc); reason != "" {
			unsupported = append(unsupported, Unsupported{name, reason})
			continue
		}
		read, ok := builtins[doc.GetKind()]
		if !ok {
			unsupported = append(unsupported, Unsupported{name, "there is no builtin plugin of this kind; known are " + strings.Join(slices.Sorted(maps.Keys(builtins)), ", ")})
			continue
		}
		named, err := read(doc)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range named {
			refs = append(refs, Reference{name + " " + p.field, p.text, Data})
		}
	}
	return refs, unsupported, nil
}

const (
	functions = "it is a KRM function, a program or container that nothing here can verify, and a build starts none"
	programs  = "it is a plugin of its own, a program that nothing here can verify, and a build starts none"
	charts    = "charts are pulled and rendered by another program, which nothing here can verify, and a build starts none"
)

// functionAnnotations declare a KRM function; so does metadata.configFn (kyaml,
// fn/runtime/runtimeutil).
var functionAnnotations = []string{"config.kubernetes.io/function", "config.k8s.io/function", "config.kubernetes.io/container"}

// notBuiltin says why a configuration is not one of a builtin plugin, or "".
func notBuiltin(doc *resource.Resource) string {
	annotations := doc.GetAnnotations()
	for _, name := range functionAnnotations {
		if _, ok := annotations[name]; ok {
			return functions
		}
	}
	if fn, err := doc.Pipe(yaml.Lookup("metadata", "configFn")); err != nil || fn != nil {
		return functions
	}
	if gvk := doc.GetGvk(); gvk.Group != "" || gvk.Version != konfig.BuiltinPluginApiVersion {
		return programs
	}
	if doc.GetKind() == "HelmChartInflationGenerator" {
		return charts
	}
	return ""
}

// builtins are kustomize's builtin plugins by their kinds, each with what reads
// the files out of its configuration (api/internal/builtins, v0.21).
var builtins = map[string]func(*resource.Resource) ([]place, error){
	"AnnotationsTransformer":         noFiles,
	"ConfigMapGenerator":             pairFiles,
	"HashTransformer":                noFiles,
	"IAMPolicyGenerator":             noFiles,
	"ImageTagTransformer":            noFiles,
	"LabelTransformer":               noFiles,
	"NamespaceTransformer":           noFiles,
	"PatchJson6902Transformer":       pathFile,
	"PatchStrategicMergeTransformer": patchFiles,
	"PatchTransformer":               pathFile,
	"PrefixSuffixTransformer":        noFiles,
	"PrefixTransformer":              noFiles,
	"ReplacementTransformer":         replacementFiles,
	"ReplicaCountTransformer":        noFiles,
	"SecretGenerator":                pairFiles,
	"SortOrderTransformer":           noFiles,
	"SuffixTransformer":              noFiles,
	"ValueAddTransformer":            targetFile,
}

// decode reads a configuration the way the plugins do.
func decode(doc *resource.Resource, into any) error {
	data, err := doc.AsYAML()
	if err != nil {
		return err
	}
	return sigsyaml.Unmarshal(data, into)
}

// collect gathers the places that a walk visits.
func collect(walk func(walker)) []place {
	var found []place
	walk(walker{func(p place) { found = append(found, p) }})
	return found
}

func noFiles(*resource.Resource) ([]place, error) { return nil, nil }

func pairFiles(doc *resource.Resource) ([]place, error) {
	var config types.KvPairSources
	err := decode(doc, &config)
	return collect(func(w walker) { w.pairs("", &config) }), err
}

func pathFile(doc *resource.Resource) ([]place, error) {
	var config struct {
		Path string `json:"path"`
	}
	err := decode(doc, &config)
	return collect(func(w walker) { w.text(Data, "path", &config.Path) }), err
}

func targetFile(doc *resource.Resource) ([]place, error) {
	var config struct {
		Path string `json:"targetFilePath"`
	}
	err := decode(doc, &config)
	return collect(func(w walker) { w.text(Data, "targetFilePath", &config.Path) }), err
}

func patchFiles(doc *resource.Resource) ([]place, error) {
	var config struct {
		Paths []string `json:"paths"`
	}
	err := decode(doc, &config)
	config.Paths = slices.DeleteFunc(config.Paths, inline)
	return collect(func(w walker) { w.list(Data, "paths", config.Paths) }), err
}

func replacementFiles(doc *resource.Resource) ([]place, error) {
	var config struct {
		Replacements []types.ReplacementField `json:"replacements"`
	}
	err := decode(doc, &config)
	return collect(func(w walker) {
		for i := range config.Replacements {
			w.text(Data, fmt.Sprintf("replacements[%d].path", i), &config.Replacements[i].Path)
		}
	}), err
}
