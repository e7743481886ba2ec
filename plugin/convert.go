package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/kustedit"
)

// Conversion is an Application whose sources name the plugin.
type Conversion struct {
	Application []byte   // YAML; comments and order are kept
	Policy      []byte   // the entries that spec.applications of the policy needs, YAML
	Unmapped    []string // what is lost, and why
}

// kustomizeSource is spec.source.kustomize of an Application
// (ApplicationSourceKustomize, v1alpha1).
type kustomizeSource struct {
	kustedit.Edits            `json:",inline"`
	Replicas                  []replicaSource `json:"replicas"`
	CommonAnnotationsEnvsubst bool            `json:"commonAnnotationsEnvsubst"`
	Version                   string          `json:"version"`
	KubeVersion               string          `json:"kubeVersion"`
	APIVersions               []string        `json:"apiVersions"`
}

type replicaSource struct {
	Name  string          `json:"name"`
	Count json.RawMessage `json:"count"` // a number, or text that is one
}

// Convert has an Application's sources name the plugin in place of ArgoCD's
// built-in kustomize.
func Convert(data []byte) (c *Conversion, err error) {
	defer func() {
		if cause := recover(); cause != nil { // kyaml's answer to nodes of other kinds than it thought
			err = fmt.Errorf("not an Application: %v", cause)
		}
	}()
	app, err := kyaml.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("not a YAML document: %w", err)
	}
	if app.YNode().Kind != kyaml.MappingNode {
		return nil, errors.New("not an Application: want a mapping")
	}
	return convert(app)
}

func convert(app *kyaml.RNode) (*Conversion, error) {
	if app.GetKind() != "Application" || !strings.HasPrefix(app.GetApiVersion(), "argoproj.io/") {
		return nil, fmt.Errorf("want one Application of argoproj.io, not %s %s", app.GetApiVersion(), app.GetKind())
	}
	sources, err := sourcesOf(app)
	if err != nil {
		return nil, err
	}
	c := &converter{app: app}
	for name, source := range sources.all() {
		if err := c.source(name, source); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(c.entries) == 0 {
		return nil, errors.New("no source of this Application is built with kustomize")
	}
	text, err := app.String()
	if err != nil {
		return nil, err
	}
	policy, err := yaml.Marshal(map[string]any{"applications": c.entries})
	return &Conversion{[]byte(text), policy, c.unmapped}, err
}

// appSources are an Application's sources with their names.
type appSources struct {
	names []string
	nodes []*kyaml.RNode
}

func (s *appSources) all() func(func(string, *kyaml.RNode) bool) {
	return func(yield func(string, *kyaml.RNode) bool) {
		for i, name := range s.names {
			if !yield(name, s.nodes[i]) {
				return
			}
		}
	}
}

func sourcesOf(app *kyaml.RNode) (*appSources, error) {
	var s appSources
	if one, err := app.Pipe(kyaml.Lookup("spec", "source")); err != nil {
		return nil, err
	} else if one != nil {
		s.names, s.nodes = []string{"spec.source"}, []*kyaml.RNode{one}
	}
	list, err := app.Pipe(kyaml.Lookup("spec", "sources"))
	if err != nil || list == nil {
		return &s, err
	}
	nodes, err := list.Elements()
	if err != nil {
		return nil, fmt.Errorf("spec.sources: %w", err)
	}
	for i, node := range nodes {
		s.names, s.nodes = append(s.names, fmt.Sprintf("spec.sources[%d]", i)), append(s.nodes, node)
	}
	return &s, nil
}

type converter struct {
	app      *kyaml.RNode
	entries  []map[string]any
	unmapped []string
}

// source converts one source. One for another tool, or for the plugin already,
// stays as it is.
func (c *converter) source(name string, source *kyaml.RNode) error {
	for _, other := range []string{"helm", "directory", "plugin", "chart", "ref"} {
		node, err := source.Pipe(kyaml.Lookup(other))
		if err != nil {
			return err
		}
		if node != nil {
			c.unmapped = append(c.unmapped, fmt.Sprintf("%s: has %s, and stays as it is", name, other))
			return nil
		}
	}
	k, err := readKustomize(source)
	if err != nil {
		return err
	}
	c.lost(name, k)
	settings, err := k.settings()
	if err != nil {
		return err
	}
	entry, err := c.entry(name, source, k)
	if err != nil {
		return err
	}
	c.entries = append(c.entries, entry)
	return c.rewrite(source, settings)
}

func readKustomize(source *kyaml.RNode) (*kustomizeSource, error) {
	k := &kustomizeSource{}
	node, err := source.Pipe(kyaml.Lookup("kustomize"))
	if err != nil || node == nil {
		return k, err
	}
	text, err := node.String()
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict([]byte(text), k); err != nil {
		return nil, fmt.Errorf("kustomize: %w", err)
	}
	for i, r := range k.Replicas {
		count, err := strconv.ParseInt(strings.Trim(string(r.Count), `"`), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("kustomize.replicas[%d].count: want a number, not %s", i, r.Count)
		}
		k.Edits.Replicas = append(k.Edits.Replicas, kustedit.Replica{Name: r.Name, Count: count})
	}
	return k, nil
}

// lost lists what has no parameter.
func (c *converter) lost(name string, k *kustomizeSource) {
	add := func(set bool, field, why string) {
		if set {
			c.unmapped = append(c.unmapped, fmt.Sprintf("%s.kustomize.%s: %s", name, field, why))
		}
	}
	add(k.Version != "", "version", "the plugin builds as one release of kustomize does; trustomize version says which")
	add(k.KubeVersion != "", "kubeVersion", "is for Helm charts, which the plugin refuses")
	add(len(k.APIVersions) > 0, "apiVersions", "is for Helm charts, which the plugin refuses")
}

// settings returns the parameters that stand for a source's settings.
func (k *kustomizeSource) settings() ([]setting, error) {
	var all []setting
	text := func(name, value string) {
		if value != "" {
			all = append(all, setting{Name: name, String: &value})
		}
	}
	flag := func(name string, set bool) {
		if set {
			text(name, "true")
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			all = append(all, setting{Name: name, Array: values})
		}
	}
	pairs := func(name string, values map[string]string) {
		if len(values) > 0 {
			all = append(all, setting{Name: name, Map: &values})
		}
	}
	text("namePrefix", k.NamePrefix)
	text("nameSuffix", k.NameSuffix)
	list("images", k.Images)
	counts := map[string]string{}
	for _, r := range k.Edits.Replicas {
		counts[r.Name] = strconv.FormatInt(r.Count, 10)
	}
	pairs("replicas", counts)
	pairs("commonLabels", k.CommonLabels)
	flag("forceCommonLabels", k.ForceCommonLabels)
	flag("labelWithoutSelector", k.LabelWithoutSelector)
	flag("labelIncludeTemplates", k.LabelIncludeTemplates)
	pairs("commonAnnotations", k.CommonAnnotations)
	flag("forceCommonAnnotations", k.ForceCommonAnnotations)
	flag("commonAnnotationsEnvsubst", k.CommonAnnotationsEnvsubst)
	text("namespace", k.Namespace)
	var patches []string
	for i := range k.Patches {
		patch, err := yaml.Marshal(k.Patches[i])
		if err != nil {
			return nil, err
		}
		patches = append(patches, string(patch))
	}
	list("patches", patches)
	list("components", k.Components)
	flag("ignoreMissingComponents", k.IgnoreMissingComponents)
	return all, nil
}

// rewrite puts the plugin in kustomize's place.
func (c *converter) rewrite(source *kyaml.RNode, settings []setting) error {
	plugin := map[string]any{"name": "trustomize"}
	if len(settings) > 0 {
		plugin["parameters"] = settings
	}
	text, err := yaml.Marshal(plugin)
	if err != nil {
		return err
	}
	node, err := kyaml.Parse(string(text))
	if err != nil {
		return err
	}
	return source.PipeE(kyaml.Tee(kyaml.Clear("kustomize")), kyaml.SetField("plugin", node))
}

// entry is what the policy must say for a source to be rendered as before.
func (c *converter) entry(name string, source *kyaml.RNode, k *kustomizeSource) (map[string]any, error) {
	at := func(from *kyaml.RNode, path ...string) string {
		node, err := from.Pipe(kyaml.Lookup(path...))
		if err != nil || node == nil {
			return ""
		}
		return kyaml.GetValue(node)
	}
	match := map[string]string{}
	repository, err := giturl.ParseRepository(at(source, "repoURL"))
	if err != nil {
		return nil, fmt.Errorf("repoURL: %w", err)
	}
	for name, value := range map[string]string{
		"project": at(c.app, "spec", "project"), "name": c.app.GetName(), "destinationNamespace": at(c.app, "spec", "destination", "namespace"),
		"repository": string(repository.Identity),
	} {
		if value != "" {
			match[name] = value
		}
	}
	entry := map[string]any{"match": match}
	if overrides := c.allowed(name, &k.Edits); len(overrides) > 0 {
		entry["overrides"] = overrides
	}
	return entry, nil
}

// allowed returns patterns for exactly what is overridden; of an image, any tag
// or digest. What no pattern stands for alone is left out.
func (c *converter) allowed(name string, e *kustedit.Edits) map[string]any {
	patterns := map[string][]string{}
	whole := map[string]bool{}
	for _, v := range e.Values() {
		text := v.Text
		switch {
		case v.Image != nil && v.Image.NewName != "":
			text = v.Image.Name + "=" + v.Image.NewName
		case v.Image != nil:
			text = v.Image.Name
		case strings.Contains(text, "$"), text == "":
			whole[v.Kind] = true // a value that is known only when it is rendered, or a patch of more than one thing
		}
		if strings.Contains(text, "*") {
			c.unmapped = append(c.unmapped, fmt.Sprintf("%s.kustomize.%s: the policy's overrides do not allow %q, since a pattern takes * for any text", name, v.Field, text))
			continue
		}
		if !slices.Contains(patterns[v.Kind], text) {
			patterns[v.Kind] = append(patterns[v.Kind], text)
		}
	}
	all := map[string]any{}
	for _, kind := range slices.Sorted(maps.Keys(patterns)) {
		all[kind] = patterns[kind]
		if whole[kind] {
			all[kind] = true
		}
	}
	return all
}
