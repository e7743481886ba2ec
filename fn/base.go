package fn

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// generatedDir is the folder of a package in which orchestrators that keep what a
// function makes find a generator's resources.
const generatedDir = "verified-base"

// generate appends the resources of the bases. What this generator made before, in a
// package that keeps it, gives way.
func (f *function) generate(rl *framework.ResourceList, items []*item, c *VerifiedBase) error {
	dir := path.Join(generatedDir, path.Base("/"+c.Metadata.Name))
	kept, seen, files := rl.Items[:0:0], map[string]string{}, map[string]int{}
	for _, one := range items {
		if one.file != nil && strings.HasPrefix(path.Clean(one.file.Path), dir+"/") {
			continue
		}
		kept = append(kept, one.RNode)
		if !one.local {
			seen[one.key()] = "the input"
		}
	}
	for _, base := range c.Spec.Bases {
		made, err := f.build(rl, base)
		if err != nil {
			return err
		}
		for _, one := range made {
			if from, twice := seen[one.key()]; twice && one.id.Name != "" {
				return fmt.Errorf("%s is in %s, and in %s as well", signer.Name(one.RNode), refusal.Printable(from), refusal.Printable(base.URL))
			}
			seen[one.key()] = base.URL
			file := one.fileIn(dir)
			if err := one.place(file, files[file]); err != nil {
				return err
			}
			files[file]++
			kept = append(kept, one.RNode)
		}
	}
	rl.Items = kept
	return nil
}

// build verifies one base and returns its resources.
func (f *function) build(rl *framework.ResourceList, base Base) ([]*item, error) {
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
		f.say(rl, &framework.Result{Severity: framework.Warning, Message: "would be refused, were the policy enforced: " + message(r)})
	}
	nodes, err := parseAll(rendered.YAML)
	if err != nil {
		return nil, err
	}
	items, err := readItems(nodes)
	if err != nil {
		return nil, err
	}
	f.say(rl, &framework.Result{Severity: framework.Info, Message: fmt.Sprintf("%s: %d sources verified, %d resources", rendered.Report.Source, len(rendered.Report.Graph.Sources), len(items))})
	return items, nil
}

// fileIn is the file of a package in which the resource would be. Kinds of different
// groups share one.
func (i *item) fileIn(dir string) string {
	name := strings.Trim(strings.Join([]string{i.id.Namespace, strings.ToLower(i.id.Kind), i.id.Name}, "_"), "_")
	return path.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(name)+".yaml")
}

// place says which of a file's resources this is.
func (i *item) place(file string, index int) error {
	for _, pair := range [][2]string{{kioutil.PathAnnotation, file}, {kioutil.IndexAnnotation, strconv.Itoa(index)}} {
		if err := i.PipeE(yaml.SetAnnotation(pair[0], pair[1])); err != nil {
			return err
		}
	}
	return nil
}
