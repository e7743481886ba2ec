package fn

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer/strict"
)

// generatedDir is the folder of a package in which orchestrators that keep what a
// function makes find a generator's resources.
const generatedDir = "verified-base"

// generate appends the resources of the bases. What this generator made before, in a
// package that keeps it, gives way.
func (f *function) generate(l *list, c *VerifiedBase) error {
	dir := path.Join(generatedDir, c.Metadata.Name)
	seen, files := map[string]string{}, map[string]int{}
	l.items = slices.DeleteFunc(l.items, func(one *item) bool {
		return one.file != nil && strings.HasPrefix(path.Clean(one.file.Path), dir+"/")
	})
	legacy := false
	for _, one := range l.items {
		if !one.local {
			seen[one.key()] = "the input"
		}
		legacy = legacy || one.Annotations[legacyPath] != ""
	}
	for _, base := range c.Spec.Bases {
		made, err := f.build(l, base)
		if err != nil {
			return err
		}
		for _, one := range made {
			if from, twice := seen[one.key()]; twice && one.Name != "" {
				return fmt.Errorf("%s is in %s, and in %s as well", one.call(), refusal.Printable(from), refusal.Printable(base.URL))
			}
			if r := one.steers(); r != nil {
				r.Source = refusal.Printable(base.URL)
				return &trustomize.Refused{Refusals: []*refusal.Refusal{r}}
			}
			seen[one.key()] = base.URL
			file := one.fileIn(dir)
			if err := one.place(file, files[file], legacy); err != nil {
				return err
			}
			files[file]++
			l.items = append(l.items, one)
		}
	}
	return nil
}

// steers refuses a resource by which a base would tell the pipeline what to do: to put it
// in another's place, or to change others for its sake.
func (i *item) steers() *refusal.Refusal {
	for _, name := range slices.Sorted(maps.Keys(i.Annotations)) {
		if name == annotationID || slices.Contains(generatorOptions, name) || slices.Contains(resource.BuildAnnotations, name) {
			return &refusal.Refusal{Code: refusal.Annotation, Reason: i.call() + " carries the annotation " + name + ", by which kustomize would change the resources of others, or its name",
				Hints: []string{"remove it from the base; a patch in your own kustomization changes what you have"}}
		}
	}
	return nil
}

// build verifies one base and returns its resources.
func (f *function) build(l *list, base Base) ([]*item, error) {
	req := f.req
	if req.Target = base.URL; !trustomize.IsRemote(base.URL) {
		return nil, fmt.Errorf("spec.bases: %q is no URL of a remote base; a local kustomization is for kustomize to load", refusal.Printable(base.URL))
	}
	rendered, err := trustomize.Render(f.ctx, req)
	if err != nil {
		return nil, err
	}
	if rendered.Report.Policy.Digest != f.policy.Digest {
		return nil, errors.New("the policy was changed meanwhile")
	}
	for _, r := range slices.Concat(rendered.Report.Audited(), rendered.Report.Graph.Warnings) {
		f.say(l, &framework.Result{Severity: framework.Warning, Message: "would be refused, were the policy enforced: " + message(r)})
	}
	items, err := resources(rendered.YAML)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rendered.Report.Source, err)
	}
	f.say(l, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%s: %d sources verified, %d resources", rendered.Report.Source, len(rendered.Report.Graph.Sources), len(items))})
	return items, nil
}

// resources reads what a build printed.
func resources(text []byte) ([]*item, error) {
	made, err := kio.FromBytes(text)
	if err != nil {
		return nil, err
	}
	nodes := make([]*yaml.Node, len(made))
	for i, r := range made {
		nodes[i] = r.YNode()
	}
	return readItems(nodes, text, func(text []byte) ([]any, error) {
		objects, err := strict.Read(text)
		all := make([]any, len(objects))
		for i, one := range objects {
			all[i] = map[string]any(one)
		}
		return all, err
	})
}

// fileIn is the file of a package in which the resource would be. Kinds of different
// groups share one.
func (i *item) fileIn(dir string) string {
	name := strings.Trim(strings.Join([]string{i.Namespace, strings.ToLower(i.Kind), i.Name}, "_"), "_")
	return path.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(name)+".yaml")
}

// place says which of a file's resources this is, in the older words as well where
// the orchestrator uses them.
func (i *item) place(file string, index int, legacy bool) error {
	pairs := [][2]string{{kioutil.PathAnnotation, file}, {kioutil.IndexAnnotation, strconv.Itoa(index)}}
	if legacy {
		pairs = append(pairs, [2]string{legacyPath, file}, [2]string{legacyIndex, strconv.Itoa(index)})
	}
	for _, pair := range pairs {
		if err := i.PipeE(yaml.SetAnnotation(pair[0], pair[1])); err != nil {
			return err
		}
	}
	return nil
}
