// Package kustfile finds what a kustomization refers to, before kustomize
// does, and points references elsewhere.
//
// It reads a kustomization with kustomize's own types and decoder. Every field
// through which a kustomization reaches outside itself is either returned by
// [File.References] or named by [File.Unsupported]; a test holds the two
// against the fields that kustomize's types have. The configurations of plugins
// that a kustomization holds or names are read by [Configs].
package kustfile

//lint:file-ignore SA1019 kustomize loads what its deprecated fields name as well

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// Names returns the file names under which a kustomization may lie. kustomize
// probes for all of them and wants exactly one.
func Names() []string { return konfig.RecognizedKustomizationFileNames() }

// Kind says what a reference may lead to.
type Kind int

const (
	// Resource is a file, else a git URL, else a directory: what kustomize
	// tries for resources, in this order.
	Resource Kind = iota
	// Base is a git URL, else a directory, as in components.
	Base
	// Data is a file.
	Data
	// Config is what a Resource can be, and holds configurations of plugins.
	Config
)

// Reference is one place where a kustomization names something else.
type Reference struct {
	Field string // as in resources[0]
	Text  string // as written, or the path within it
	Kind  Kind
}

// Unsupported is a field that is refused by name.
type Unsupported struct {
	Field, Reason string
}

// File is a kustomization that was read.
type File struct {
	content []byte
	kust    types.Kustomization
}

// Parse reads a kustomization as kustomize does.
func Parse(content []byte) (*File, error) {
	if err := CheckAliases(content); err != nil {
		return nil, err
	}
	f := &File{content: content}
	if err := f.kust.Unmarshal(content); err != nil {
		return nil, err
	}
	for _, text := range f.embedded() {
		if err := checkNested([]byte(text)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// embedded returns the documents that the kustomization holds as text.
func (f *File) embedded() []string {
	k := &f.kust
	texts := slices.Concat(k.Generators, k.Transformers, k.Validators)
	for _, p := range k.Patches {
		texts = append(texts, p.Patch)
	}
	for _, p := range k.PatchesJson6902 {
		texts = append(texts, p.Patch)
	}
	for _, p := range k.PatchesStrategicMerge {
		texts = append(texts, string(p))
	}
	return texts
}

// References returns all references, in the order in which kustomize follows
// them.
func (f *File) References() []Reference {
	var refs []Reference
	each(&f.kust, func(p place) {
		refs = append(refs, Reference{p.field, p.text, p.kind})
	})
	return refs
}

// place is where a kustomization names something, and how to name another
// there.
type place struct {
	kind  Kind
	field string
	text  string
	set   func(string)
}

// each visits every place of a kustomization that names something.
func each(k *types.Kustomization, visit func(place)) {
	w := walker{visit}
	w.list(Resource, "resources", k.Resources)
	w.list(Resource, "bases", k.Bases)
	w.list(Base, "components", k.Components)
	w.list(Data, "configurations", k.Configurations)
	w.list(Data, "crds", k.Crds)
	w.add(Data, "openapi.path", k.OpenAPI["path"], func(s string) { k.OpenAPI["path"] = s })
	for i := range k.ConfigMapGenerator {
		w.pairs(fmt.Sprintf("configMapGenerator[%d].", i), &k.ConfigMapGenerator[i].KvPairSources)
	}
	for i := range k.SecretGenerator {
		w.pairs(fmt.Sprintf("secretGenerator[%d].", i), &k.SecretGenerator[i].KvPairSources)
	}
	w.list(Config, "generators", k.Generators)
	for i := range k.Patches {
		w.text(Data, fmt.Sprintf("patches[%d].path", i), &k.Patches[i].Path)
	}
	for i := range k.PatchesJson6902 {
		w.text(Data, fmt.Sprintf("patchesJson6902[%d].path", i), &k.PatchesJson6902[i].Path)
	}
	for i := range k.PatchesStrategicMerge {
		if text := (*string)(&k.PatchesStrategicMerge[i]); !inline(*text) {
			w.text(Data, fmt.Sprintf("patchesStrategicMerge[%d]", i), text)
		}
	}
	for i := range k.Replacements {
		w.text(Data, fmt.Sprintf("replacements[%d].path", i), &k.Replacements[i].Path)
	}
	w.list(Config, "transformers", k.Transformers)
	w.list(Config, "validators", k.Validators)
}

// walker turns fields into places.
type walker struct{ visit func(place) }

func (w walker) add(kind Kind, field, text string, set func(string)) {
	if text == "" || kind == Config && isInlineConfig(text) {
		return
	}
	w.visit(place{kind, field, text, set})
}

func (w walker) text(kind Kind, field string, text *string) {
	w.add(kind, field, *text, func(s string) { *text = s })
}

func (w walker) list(kind Kind, field string, list []string) {
	for i := range list {
		w.text(kind, fmt.Sprintf("%s[%d]", field, i), &list[i])
	}
}

// pairs visits the files of a generator's pairs. Those in files may have a key
// before them, as in KEY=PATH; what has more than one "=" kustomize refuses
// itself.
func (w walker) pairs(at string, g *types.KvPairSources) {
	for i := range g.FileSources {
		source := &g.FileSources[i]
		key, file, hasKey := strings.Cut(*source, "=")
		if !hasKey {
			w.text(Data, fmt.Sprintf("%sfiles[%d]", at, i), source)
			continue
		}
		w.add(Data, fmt.Sprintf("%sfiles[%d]", at, i), file, func(s string) { *source = key + "=" + s })
	}
	for i := range g.EnvSources {
		w.text(Data, fmt.Sprintf("%senvs[%d]", at, i), &g.EnvSources[i])
	}
	w.text(Data, at+"env", &g.EnvSource)
}

// inline reports whether an entry of patchesStrategicMerge is a patch rather
// than the path of one. kustomize takes it for a patch when it can.
func inline(text string) bool {
	_, err := resources.RF().SliceFromBytes([]byte(text))
	return err == nil
}

// Unsupported returns the fields of the kustomization that this version does
// not resolve.
func (f *File) Unsupported() []Unsupported {
	k := &f.kust
	var found []Unsupported
	add := func(set bool, field, reason string) {
		if set {
			found = append(found, Unsupported{field, reason})
		}
	}
	add(len(k.HelmCharts) > 0, "helmCharts", charts)
	add(k.HelmGlobals != nil, "helmGlobals", charts)
	add(len(k.HelmChartInflationGenerator) > 0, "helmChartInflationGenerator", charts)
	return found
}

// BuildMetadata returns what the kustomization asks to be annotated in the
// output.
func (f *File) BuildMetadata() []string { return f.kust.BuildMetadata }

// LoadsSchema reports whether the kustomization changes the OpenAPI schema,
// which acts on everything that is built with it.
func (f *File) LoadsSchema() bool { return len(f.kust.OpenAPI) > 0 }

// Join returns the path that a reference names, seen from the kustomization's
// directory, and whether it stays below the root.
func Join(dir, ref string) (string, bool) {
	if path.IsAbs(ref) {
		return "", false
	}
	p := path.Join(dir, ref)
	return p, p != ".." && !strings.HasPrefix(p, "../")
}
