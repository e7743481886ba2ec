package kustedit

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/edit"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize/internal/kustfile"
)

// Apply returns the kustomization with the edits made. find returns the paths
// that a component's pattern stands for, as a shell would, seen from the
// kustomization's directory; none when nothing is there. It must not reach
// outside of what was verified.
func (e *Edits) Apply(content []byte, find func(pattern string) []string) ([]byte, error) {
	if problems := e.Check(); len(problems) > 0 {
		return nil, errors.New(problems[0].Text)
	}
	if err := kustfile.CheckAliases(content); err != nil {
		return nil, err
	}
	s := &session{file: konfig.DefaultKustomizationFileName(), fs: filesys.MakeFsInMemory()}
	if err := s.fs.WriteFile(s.file, content); err != nil {
		return nil, err
	}
	for _, args := range e.commands() {
		if err := s.run(args); err != nil {
			return nil, err
		}
	}
	if err := e.keepsOthers(content, s); err != nil {
		return nil, err
	}
	if err := s.change(func(k *types.Kustomization) error {
		k.Patches = append(k.Patches, e.Patches...)
		return e.addComponents(k, find)
	}); err != nil {
		return nil, err
	}
	return s.fs.ReadFile(s.file)
}

// keepsOthers holds that images which are not named stay as they are, and that those
// whose names may not change have the names that the kustomization gave them.
func (e *Edits) keepsOthers(content []byte, s *session) error {
	if len(e.Images) == 0 {
		return nil
	}
	edited, err := s.fs.ReadFile(s.file)
	if err != nil {
		return err
	}
	var before, after types.Kustomization
	if err := errors.Join(before.Unmarshal(content), after.Unmarshal(edited)); err != nil {
		return err
	}
	if err := e.untouched(before.Images, after.Images); err != nil {
		return err
	}
	for _, name := range e.SameName {
		if want, got := renamed(before.Images, name), renamed(after.Images, name); got != want {
			return fmt.Errorf("image %q is %q in the kustomization and would become %q; the policy lets its tag and digest be changed, not its name: write %[1]s=*:TAG", name, want, got)
		}
	}
	return nil
}

// untouched compares the images that no edit names. The command sorts the list and
// drops entries of the same name, which changes an image where entries act one after
// the other.
func (e *Edits) untouched(before, after []types.Image) error {
	entries := map[string]types.Image{}
	for _, one := range after {
		entries[one.Name] = one
	}
	seen := map[string]bool{}
	var others []types.Image
	for _, one := range before {
		if seen[one.Name] {
			return fmt.Errorf("image %q stands in the kustomization's images twice, of which an override would leave one", one.Name)
		}
		seen[one.Name] = true
		if slices.ContainsFunc(e.Images, func(text string) bool { return parseImage(text).Name == one.Name }) {
			continue
		}
		if others = append(others, one); entries[one.Name] != one {
			return fmt.Errorf("image %q would be changed by an override that does not name it", one.Name)
		}
	}
	for _, a := range others {
		name, err := regexp.Compile("^(?:" + a.Name + ")$")
		if err != nil {
			return fmt.Errorf("image %q: %w", a.Name, err)
		}
		for _, b := range others {
			if b.Name != a.Name && (b.NewName != "" && name.MatchString(b.NewName) || name.MatchString(b.Name)) {
				return fmt.Errorf("images %q and %q act on the same image, one after the other; an override would change their order", b.Name, a.Name)
			}
		}
	}
	return nil
}

// renamed is the name that an image gets.
func renamed(images []types.Image, name string) string {
	for _, one := range images {
		if one.Name == name && one.NewName != "" {
			return one.NewName
		}
	}
	return name
}

// commands returns the edit commands, in ArgoCD's order. Where ArgoCD gives a
// command all of a map at once, there is one for each key: which of two errors
// is told must not be chance.
func (e *Edits) commands() [][]string {
	var all [][]string
	if e.NamePrefix != "" {
		all = append(all, []string{"set", "nameprefix", "--", e.NamePrefix})
	}
	if e.NameSuffix != "" {
		all = append(all, []string{"set", "namesuffix", "--", e.NameSuffix})
	}
	if len(e.Images) > 0 {
		all = append(all, append([]string{"set", "image", "--"}, e.Images...))
	}
	if len(e.Replicas) > 0 {
		args := []string{"set", "replicas", "--"}
		for _, r := range e.Replicas {
			args = append(args, fmt.Sprintf("%s=%d", r.Name, r.Count))
		}
		all = append(all, args)
	}
	add := func(kind string, values map[string]string, switches map[string]bool) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			args := []string{"add", kind}
			for _, name := range slices.Sorted(maps.Keys(switches)) {
				if switches[name] {
					args = append(args, "--"+name)
				}
			}
			all = append(all, append(args, "--", key+":"+values[key]))
		}
	}
	add("label", e.CommonLabels, map[string]bool{"force": e.ForceCommonLabels, "without-selector": e.LabelWithoutSelector, "include-templates": e.LabelIncludeTemplates})
	add("annotation", e.CommonAnnotations, map[string]bool{"force": e.ForceCommonAnnotations})
	if e.Namespace != "" {
		all = append(all, []string{"set", "namespace", "--", e.Namespace})
	}
	return all
}

// addComponents adds components that are not there yet, as "kustomize edit add
// component" does.
func (e *Edits) addComponents(k *types.Kustomization, find func(string) []string) error {
	for i, pattern := range e.Components {
		found := find(pattern)
		switch {
		case len(found) == 0 && e.IgnoreMissingComponents:
			continue
		case len(found) == 0:
			return fmt.Errorf("components[%d]: there is no %q in the application's repository", i, pattern)
		case e.IgnoreMissingComponents && !slices.Contains(found, pattern):
			continue // ArgoCD looks for the name as it is written
		}
		for _, one := range found {
			if !slices.Contains(k.Components, one) {
				k.Components = append(k.Components, one)
			}
		}
	}
	return nil
}

// session is a kustomization that is edited.
type session struct {
	file string
	fs   filesys.FileSystem
}

// run runs one of kustomize's edit commands.
func (s *session) run(args []string) error {
	p := provider.NewDefaultDepProvider()
	cmd := edit.NewCmdEdit(s.fs, p.GetFieldValidator(), p.GetResourceFactory(), io.Discard)
	silence(cmd)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		return fmt.Errorf("kustomize edit %s: %s", strings.Join(args[:2], " "), strings.TrimSpace(err.Error()))
	}
	return nil
}

func silence(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	for _, sub := range cmd.Commands() {
		silence(sub)
	}
}

// change edits what no command does.
func (s *session) change(how func(*types.Kustomization) error) error {
	data, err := s.fs.ReadFile(s.file)
	if err != nil {
		return err
	}
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return err
	}
	before, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	if err := how(&k); err != nil {
		return err
	}
	after, err := yaml.Marshal(k)
	if err != nil || string(after) == string(before) {
		return err
	}
	return s.fs.WriteFile(s.file, after)
}

// Matches returns which of a directory's paths a component's pattern stands
// for. names are clean paths below a root, dir is where the pattern is seen
// from; the result is as a shell would write it, sorted.
func Matches(names []string, dir, pattern string) ([]string, error) {
	want := path.Join(dir, pattern)
	if path.IsAbs(pattern) || want == ".." || strings.HasPrefix(want, "../") {
		return nil, errors.New("it leads out of the repository")
	}
	var found []string
	for _, name := range names {
		ok, err := path.Match(want, name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, written(pattern, name))
		}
	}
	slices.Sort(found)
	return found, nil
}

// written replaces a pattern's segments with those of what it stands for,
// which stand at the end of its path.
func written(pattern, name string) string {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return pattern
	}
	segs, real := strings.Split(strings.TrimSuffix(pattern, "/"), "/"), strings.Split(name, "/")
	for i, j := len(segs)-1, len(real)-1; i >= 0 && j >= 0 && segs[i] != ".." && segs[i] != "." && segs[i] != ""; i, j = i-1, j-1 {
		segs[i] = real[j]
	}
	return strings.Join(segs, "/")
}
