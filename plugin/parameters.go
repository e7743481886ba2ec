package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/kustedit"
)

// settings is what an Application's owner set.
type settings struct {
	edits         kustedit.Edits
	options       trustomize.Options
	annotationEnv bool // commonAnnotationsEnvsubst
}

// parameter is one of an Application's parameters. Its name and meaning are
// those of a field of ArgoCD's spec.source.kustomize. One of text, list and pairs
// is set.
type parameter struct {
	name, title, tooltip string

	boolean bool // of text
	text    func(*settings, string) error
	list    func(*settings, []string) error
	pairs   func(*settings, map[string]string) error
}

// parameters returns all that there are, in the order in which they are
// announced.
func parameters() []parameter {
	text := func(field func(*settings) *string) func(*settings, string) error {
		return func(s *settings, v string) error { *field(s) = v; return nil }
	}
	list := func(field func(*settings) *[]string) func(*settings, []string) error {
		return func(s *settings, v []string) error { *field(s) = v; return nil }
	}
	pairs := func(field func(*settings) *map[string]string) func(*settings, map[string]string) error {
		return func(s *settings, v map[string]string) error { *field(s) = v; return nil }
	}
	boolean := func(field func(*settings) *bool) func(*settings, string) error {
		return func(s *settings, v string) error {
			if v != "true" && v != "false" {
				return fmt.Errorf("want true or false, not %q", v)
			}
			*field(s) = v == "true"
			return nil
		}
	}
	return []parameter{
		{name: "images", title: "Images", tooltip: "NAME=NEWNAME:TAG, NAME:TAG or NAME@DIGEST", list: list(func(s *settings) *[]string { return &s.edits.Images })},
		{name: "namePrefix", title: "Name prefix", tooltip: "Before all resources' names", text: text(func(s *settings) *string { return &s.edits.NamePrefix })},
		{name: "nameSuffix", title: "Name suffix", tooltip: "Behind all resources' names", text: text(func(s *settings) *string { return &s.edits.NameSuffix })},
		{name: "namespace", title: "Namespace", tooltip: "Of all resources", text: text(func(s *settings) *string { return &s.edits.Namespace })},
		{name: "replicas", title: "Replicas", tooltip: "Number, by the name of a Deployment, StatefulSet or ReplicaSet", pairs: setReplicas},
		{name: "commonLabels", title: "Common labels", tooltip: "For all resources; $ARGOCD_APP_NAME and the like are replaced", pairs: pairs(func(s *settings) *map[string]string { return &s.edits.CommonLabels })},
		{name: "forceCommonLabels", title: "Force common labels", tooltip: "Also where the kustomization has them already", boolean: true, text: boolean(func(s *settings) *bool { return &s.edits.ForceCommonLabels })},
		{name: "labelWithoutSelector", title: "Labels without selectors", tooltip: "Leave selectors as they are", boolean: true, text: boolean(func(s *settings) *bool { return &s.edits.LabelWithoutSelector })},
		{name: "labelIncludeTemplates", title: "Labels in templates", tooltip: "With labelWithoutSelector: in templates too", boolean: true, text: boolean(func(s *settings) *bool { return &s.edits.LabelIncludeTemplates })},
		{name: "commonAnnotations", title: "Common annotations", tooltip: "For all resources", pairs: pairs(func(s *settings) *map[string]string { return &s.edits.CommonAnnotations })},
		{name: "forceCommonAnnotations", title: "Force common annotations", tooltip: "Also where the kustomization has them already", boolean: true, text: boolean(func(s *settings) *bool { return &s.edits.ForceCommonAnnotations })},
		{name: "commonAnnotationsEnvsubst", title: "Variables in annotations", tooltip: "Replace $ARGOCD_APP_NAME and the like in common annotations", boolean: true, text: boolean(func(s *settings) *bool { return &s.annotationEnv })},
		{name: "patches", title: "Patches", tooltip: "Each a YAML mapping of target, patch or path, and options", list: setPatches},
		{name: "components", title: "Components", tooltip: "Paths in the Application's own repository", list: list(func(s *settings) *[]string { return &s.edits.Components })},
		{name: "ignoreMissingComponents", title: "Ignore missing components", tooltip: "Leave out components that are not there", boolean: true, text: boolean(func(s *settings) *bool { return &s.edits.IgnoreMissingComponents })},
		{name: "buildOptions", title: "Build options", tooltip: "Flags of kustomize build, as in kustomize.buildOptions", text: setBuildOptions},
	}
}

func setReplicas(s *settings, counts map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		count, err := strconv.ParseInt(counts[name], 10, 64)
		if err != nil || count < 0 {
			return fmt.Errorf("%s: want a number of replicas, not %q", name, counts[name])
		}
		s.edits.Replicas = append(s.edits.Replicas, kustedit.Replica{Name: name, Count: count})
	}
	return nil
}

func setPatches(s *settings, texts []string) error {
	for i, text := range texts {
		var patch types.Patch
		if err := yaml.UnmarshalStrict([]byte(text), &patch); err != nil {
			return fmt.Errorf("patch %d: want a YAML mapping of target, patch or path, and options: %w", i+1, err)
		}
		s.edits.Patches = append(s.edits.Patches, patch)
	}
	return nil
}

func setBuildOptions(s *settings, text string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	options := trustomize.AddFlags(flags)
	flags.Usage = func() {}
	if err := flags.Parse(strings.Fields(text)); errors.Is(err, pflag.ErrHelp) {
		return errors.New("help is not an option of a build") // else it would pass for a success
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	var err error
	s.options, err = options()
	return err
}

// setting is a parameter as ArgoCD hands it on (ApplicationSourcePluginParameter,
// v1alpha1).
type setting struct {
	Name   string             `json:"name"`
	String *string            `json:"string,omitempty"`
	Array  []string           `json:"array,omitempty"`
	Map    *map[string]string `json:"map,omitempty"`
}

// readSettings reads parameters and plugin.env. All that is wrong is told at
// once.
func readSettings(e Environment) (*settings, error) {
	s := &settings{}
	given, err := decodeSettings(e[varParameters])
	if err != nil {
		return nil, err
	}
	var errs []error
	seen := map[string]bool{}
	for _, one := range given {
		if seen[one.Name] {
			errs = append(errs, fmt.Errorf("parameter %q is set twice", one.Name))
			continue
		}
		seen[one.Name] = true
		if err := s.set(one); err != nil {
			errs = append(errs, fmt.Errorf("parameter %q: %w", one.Name, err))
		}
	}
	errs = append(errs, s.images(e)...)
	if s.edits.LabelIncludeTemplates && !s.edits.LabelWithoutSelector && len(s.edits.CommonLabels) > 0 {
		errs = append(errs, errors.New(`parameter "labelIncludeTemplates": has a meaning only with labelWithoutSelector`))
	}
	s.expand(e)
	return s, errors.Join(errs...)
}

func decodeSettings(text string) ([]setting, error) {
	if text == "" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	var given []setting
	if err := dec.Decode(&given); err != nil {
		return nil, fmt.Errorf("%s: %w", varParameters, err)
	}
	if dec.More() {
		return nil, fmt.Errorf("%s: something follows the list", varParameters)
	}
	return given, nil
}

// set sets one parameter, which has to be of the kind that its name wants. An
// empty one is as good as none: ArgoCD's UI leaves such behind.
func (s *settings) set(one setting) error {
	known := parameters()
	i := slices.IndexFunc(known, func(p parameter) bool { return p.name == one.Name })
	if i < 0 {
		var names []string
		for _, p := range known {
			names = append(names, p.name)
		}
		return fmt.Errorf("is not known; known are %s", strings.Join(names, ", "))
	}
	p := known[i]
	wrong := func(want string) error { return fmt.Errorf("want %s", want) }
	switch {
	case p.text != nil:
		if len(one.Array) > 0 || one.Map != nil && len(*one.Map) > 0 {
			return wrong("string")
		}
		if one.String == nil || *one.String == "" {
			return nil
		}
		return p.text(s, *one.String)
	case p.list != nil:
		if one.String != nil && *one.String != "" || one.Map != nil && len(*one.Map) > 0 {
			return wrong("array")
		}
		if len(one.Array) == 0 {
			return nil
		}
		return p.list(s, one.Array)
	}
	if one.String != nil && *one.String != "" || len(one.Array) > 0 {
		return wrong("map")
	}
	if one.Map == nil || len(*one.Map) == 0 {
		return nil
	}
	return p.pairs(s, *one.Map)
}

// images adds the images that plugin.env names, for tools that can set nothing
// else. Any other entry is an error: it would have no effect.
func (s *settings) images(e Environment) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e)) {
		own, ok := strings.CutPrefix(name, ownersPrefix)
		switch {
		case !ok:
		case !strings.HasPrefix(name, imagePrefix):
			errs = append(errs, fmt.Errorf("plugin.env %q is not known; known are names that begin with IMAGE_", own))
		case e[name] == "":
			errs = append(errs, fmt.Errorf("plugin.env %q is empty", own))
		default:
			s.edits.Images = append(s.edits.Images, e[name])
		}
	}
	return errs
}

// expand replaces variables where ArgoCD does.
func (s *settings) expand(e Environment) {
	for i := range s.edits.Images {
		s.edits.Images[i] = e.expand(s.edits.Images[i])
	}
	for key, value := range s.edits.CommonLabels {
		s.edits.CommonLabels[key] = e.expand(value)
	}
	for key, value := range s.edits.CommonAnnotations {
		if s.annotationEnv {
			s.edits.CommonAnnotations[key] = e.expand(value)
		}
	}
}

// announcement is a parameter as ArgoCD's UI wants it told
// (ParameterAnnouncement, reposerver/repository).
type announcement struct {
	Name           string `json:"name"`
	Title          string `json:"title"`
	Tooltip        string `json:"tooltip"`
	ItemType       string `json:"itemType,omitempty"`
	CollectionType string `json:"collectionType,omitempty"`
}

// Announce returns the JSON that tells ArgoCD's UI of the parameters.
func Announce() ([]byte, error) {
	var all []announcement
	for _, p := range parameters() {
		one := announcement{Name: p.name, Title: p.title, Tooltip: p.tooltip + "; the operator's policy has to allow it", ItemType: "string", CollectionType: "string"}
		switch {
		case p.boolean:
			one.ItemType = "boolean"
		case p.list != nil:
			one.CollectionType = "array"
		case p.pairs != nil:
			one.CollectionType = "map"
		}
		if p.name == "replicas" {
			one.ItemType = "number"
		}
		all = append(all, one)
	}
	return json.Marshal(all)
}
