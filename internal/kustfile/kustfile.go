// Package kustfile finds what a kustomization refers to, before kustomize
// does, and points references elsewhere.
//
// It reads a kustomization with kustomize's own types and decoder. Every field
// through which a kustomization reaches outside itself is either returned by
// [File.References] or named by [File.Unsupported]; a test holds the two
// against the fields that kustomize's types have.
package kustfile

//lint:file-ignore SA1019 kustomize loads what its deprecated fields name as well

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/giturl"
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
	f := &File{content: content}
	if err := f.kust.Unmarshal(content); err != nil {
		return nil, err
	}
	return f, nil
}

// References returns all references, in the order in which kustomize follows
// them.
func (f *File) References() []Reference {
	k := &f.kust
	var refs []Reference
	add := func(kind Kind, text, field string, args ...any) {
		if text != "" {
			refs = append(refs, Reference{fmt.Sprintf(field, args...), text, kind})
		}
	}
	for i, r := range k.Resources {
		add(Resource, r, "resources[%d]", i)
	}
	for i, r := range k.Bases {
		add(Resource, r, "bases[%d]", i)
	}
	for i, r := range k.Components {
		add(Base, r, "components[%d]", i)
	}
	for i, r := range k.Configurations {
		add(Data, r, "configurations[%d]", i)
	}
	for i, r := range k.Crds {
		add(Data, r, "crds[%d]", i)
	}
	add(Data, k.OpenAPI["path"], "openapi.path")
	for i, g := range k.ConfigMapGenerator {
		addPairs(add, g.KvPairSources, "configMapGenerator[%d]", i)
	}
	for i, g := range k.SecretGenerator {
		addPairs(add, g.KvPairSources, "secretGenerator[%d]", i)
	}
	for i, p := range k.Patches {
		add(Data, p.Path, "patches[%d].path", i)
	}
	for i, p := range k.PatchesJson6902 {
		add(Data, p.Path, "patchesJson6902[%d].path", i)
	}
	for i, p := range k.PatchesStrategicMerge {
		if !inline(string(p)) {
			add(Data, string(p), "patchesStrategicMerge[%d]", i)
		}
	}
	for i, r := range k.Replacements {
		add(Data, r.Path, "replacements[%d].path", i)
	}
	return refs
}

func addPairs(add func(Kind, string, string, ...any), g types.KvPairSources, field string, i int) {
	for j, source := range g.FileSources {
		add(Data, filePath(source), field+".files[%d]", i, j)
	}
	for j, source := range g.EnvSources {
		add(Data, source, field+".envs[%d]", i, j)
	}
	add(Data, g.EnvSource, field+".env", i)
}

// filePath returns the path of a generator's [KEY=]PATH. What has more than
// one "=" kustomize refuses itself.
func filePath(source string) string {
	if _, p, ok := strings.Cut(source, "="); ok {
		return p
	}
	return source
}

// inline reports whether an entry of patchesStrategicMerge is a patch rather
// than the path of one. kustomize takes it for a patch when it can.
func inline(text string) bool {
	if giturl.IsHTTP(text) {
		return false
	}
	if strings.Contains(text, "\n") {
		return true // of several documents, the first may be empty
	}
	var object map[string]any
	return yaml.Unmarshal([]byte(text), &object) == nil && len(object) > 0
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
	const plugins = "what a plugin's configuration loads or starts cannot be verified yet"
	const charts = "charts are pulled and rendered by another program, which nothing here can verify"
	add(len(k.Generators) > 0, "generators", plugins)
	add(len(k.Transformers) > 0, "transformers", plugins)
	add(len(k.Validators) > 0, "validators", plugins)
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

// Rewrite returns the kustomization with the references in resources, bases
// and components replaced whose fields are keys of to. Without any, it is the
// content as it was read.
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
	want := f.kust
	want.Resources = replace("resources", want.Resources, to)
	want.Bases = replace("bases", want.Bases, to)
	want.Components = replace("components", want.Components, to)

	asJSON, err := yaml.YAMLToJSON(f.content)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(asJSON, &fields); err != nil {
		return nil, err
	}
	for field, list := range map[string][]string{"resources": want.Resources, "bases": want.Bases, "components": want.Components} {
		if err := set(fields, field, list); err != nil {
			return nil, err
		}
	}
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
	if !reflect.DeepEqual(got.kust, want) {
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

// set replaces a list under whatever spelling it has; decoding ignores case.
func set(fields map[string]json.RawMessage, field string, list []string) error {
	if list == nil {
		return nil
	}
	for name := range fields {
		if strings.EqualFold(name, field) {
			delete(fields, name)
		}
	}
	raw, err := json.Marshal(list)
	fields[field] = raw
	return err
}

func replace(field string, list []string, to map[string]string) []string {
	list = slices.Clone(list)
	for i := range list {
		if text, ok := to[fmt.Sprintf("%s[%d]", field, i)]; ok {
			list[i] = text
		}
	}
	return list
}

// Join returns the path that a reference names, seen from the kustomization's
// directory, and whether it stays below the root.
func Join(dir, ref string) (string, bool) {
	if path.IsAbs(ref) {
		return "", false
	}
	p := path.Join(dir, ref)
	return p, p != ".." && !strings.HasPrefix(p, "../")
}
