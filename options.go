package trustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomizeversion "sigs.k8s.io/kustomize/api/provenance"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/resolver"
)

// Options are those of kustomize build.
type Options struct {
	Reorder   string // "legacy", "none", or "" for kustomize's default
	AnyFile   bool   // LoadRestrictionsNone: a local root's files may lie outside of their kustomization's directory
	ManagedBy bool   // label every resource as managed by kustomize

	// Flags are further flags of kustomize build that were given, without
	// dashes. The policy has to allow each. They change nothing: what they
	// would switch on is refused where a kustomization asks for it.
	Flags []string
}

// check refuses flags that the policy does not allow.
func (o Options) check(p *policy.Policy) error {
	var refusals []*refusal.Refusal
	reasons := policy.Flags()
	for _, name := range o.Flags {
		if !slices.Contains(p.Spec.Allow.Flags, name) {
			refusals = append(refusals, &refusal.Refusal{
				Code: refusal.Flag, Reason: "--" + name + ": " + reasons[name],
				Hints: []string{"remove it; should a pipeline insist on it, spec.allow.flags in the policy lets it be given, without effect"},
			})
		}
	}
	if len(refusals) > 0 {
		return &Refused{Refusals: refusals}
	}
	return nil
}

// flags returns the options as the flags that set them, for the statement.
func (o Options) flags() []string {
	var flags []string
	if o.Reorder != "" {
		flags = append(flags, "--reorder="+o.Reorder)
	}
	if o.AnyFile {
		flags = append(flags, "--load-restrictor="+types.LoadRestrictionsNone.String())
	}
	if o.ManagedBy {
		flags = append(flags, "--enable-managedby-label")
	}
	for _, name := range slices.Sorted(slices.Values(o.Flags)) {
		flags = append(flags, "--"+name)
	}
	return flags
}

func (o Options) krusty() *krusty.Options {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	if o.Reorder != "" {
		options.Reorder = krusty.ReorderOption(o.Reorder)
	}
	if o.AnyFile {
		options.LoadRestrictions = types.LoadRestrictionsNone
	}
	options.AddManagedbyLabel = o.ManagedBy
	return options
}

// describe corrects what kustomize says in the output of itself and of where
// resources come from: its version is that of the release whose output a build
// equals, and sources are what they are, not the directories that they have
// during a build.
func describe(g *resolver.Graph, o Options, resources resmap.ResMap) error {
	asked := g.Root.BuildMetadata()
	if o.ManagedBy || slices.Contains(asked, types.ManagedByLabelOption) {
		if err := setManagedBy(resources); err != nil {
			return err
		}
	}
	if !slices.Contains(asked, types.OriginAnnotations) && !slices.Contains(asked, types.TransformerAnnotations) {
		return nil
	}
	origins, err := g.Origins()
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	for _, r := range resources.Resources() {
		if err := restore(origins, r); err != nil {
			return fmt.Errorf("build: %s: %w", r.CurId(), err)
		}
	}
	return nil
}

func setManagedBy(resources resmap.ResMap) error {
	const prefix = "kustomize-"
	ours := prefix + kustomizeversion.GetProvenance().Semver()
	for _, r := range resources.Resources() {
		labels := r.GetLabels()
		if labels[konfig.ManagedbyLabelKey] != ours {
			continue
		}
		labels[konfig.ManagedbyLabelKey] = prefix + KustomizeVersion
		if err := r.SetLabels(labels); err != nil {
			return err
		}
	}
	return nil
}

// restore corrects a resource's annotations. What cannot be read is not
// kustomize's, and stays as it is.
func restore(origins *resolver.Origins, r *resource.Resource) error {
	if origin, err := r.GetOrigin(); err == nil && origin != nil && origins.Restore(origin) {
		if err := r.SetOrigin(origin); err != nil {
			return err
		}
	}
	transformations, err := r.GetTransformations()
	if err != nil || slices.Contains(transformations, nil) {
		return nil //nolint:nilerr // somebody else's text
	}
	restored := false
	for _, t := range transformations {
		restored = origins.Restore(t) || restored
	}
	if !restored {
		return nil
	}
	if err := r.ClearTransformations(); err != nil {
		return err
	}
	for _, t := range transformations {
		if err := r.AddTransformation(t); err != nil {
			return err
		}
	}
	return nil
}

// OutputFile is one resource in a file of its own.
type OutputFile struct {
	Name string // without a directory
	Data []byte
}

// outputFiles gives every resource the file that kustomize build --output DIR
// writes (kustomize/v5/commands/build, v5.8.2). Two resources of one name would
// overwrite each other, and a name with a slash would lead elsewhere: both have
// no file, and the error says so when files are asked for.
func outputFiles(resources resmap.ResMap) ([]OutputFile, error) {
	var files []OutputFile
	add := func(prefix string, r *resource.Resource) error {
		fields, err := r.Map()
		if err != nil {
			return err
		}
		data, err := yaml.Marshal(fields)
		if err != nil {
			return err
		}
		name := prefix + strings.ToLower(r.GetGvk().StringWoEmptyField()) + "_" + strings.ToLower(r.GetName()) + ".yaml"
		files = append(files, OutputFile{name, data})
		return nil
	}
	byNamespace := resources.GroupedByCurrentNamespace()
	for namespace, list := range byNamespace {
		prefix := ""
		if len(byNamespace) > 1 {
			prefix = strings.ToLower(namespace) + "_"
		}
		for _, r := range list {
			if err := add(prefix, r); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range resources.ClusterScoped() {
		if err := add("", r); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(files, func(a, b OutputFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// CheckFiles tells why output files cannot be written side by side.
func CheckFiles(files []OutputFile) error {
	for i, f := range files {
		switch {
		case path.Base(f.Name) != f.Name || f.Name == "." || f.Name == "..":
			return fmt.Errorf("%q is not a file's name", f.Name)
		case i > 0 && files[i-1].Name == f.Name:
			return fmt.Errorf("two resources would be written to %s", f.Name)
		}
	}
	return nil
}
