// Package kustedit changes a kustomization in memory the way ArgoCD changes one
// on disk: what stands under an Application's spec.source.kustomize.
//
// The changes themselves are made by kustomize's own "edit" commands, which
// ArgoCD runs (util/kustomize, v3.2), in ArgoCD's order, over a file system that
// holds nothing but the kustomization. They have no network and see no disk.
package kustedit

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/pkg/util"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/trustomize/trustomize/internal/giturl"
)

// Edits are an Application's changes to its kustomization. The names are those
// of spec.source.kustomize (ArgoCD's ApplicationSourceKustomize, v1alpha1);
// variables in values were replaced already.
type Edits struct {
	NamePrefix              string            `json:"namePrefix,omitempty"`
	NameSuffix              string            `json:"nameSuffix,omitempty"`
	Images                  []string          `json:"images,omitempty"` // [NAME=]NEWNAME[:TAG][@DIGEST]
	Replicas                []Replica         `json:"replicas,omitempty"`
	CommonLabels            map[string]string `json:"commonLabels,omitempty"`
	ForceCommonLabels       bool              `json:"forceCommonLabels,omitempty"`
	LabelWithoutSelector    bool              `json:"labelWithoutSelector,omitempty"`
	LabelIncludeTemplates   bool              `json:"labelIncludeTemplates,omitempty"`
	CommonAnnotations       map[string]string `json:"commonAnnotations,omitempty"`
	ForceCommonAnnotations  bool              `json:"forceCommonAnnotations,omitempty"`
	Namespace               string            `json:"namespace,omitempty"`
	Patches                 []types.Patch     `json:"patches,omitempty"`
	Components              []string          `json:"components,omitempty"`
	IgnoreMissingComponents bool              `json:"ignoreMissingComponents,omitempty"`

	// SameName are names of images of which only tag and digest may change. An
	// image without a new name would undo the one that the kustomization gives.
	SameName []string `json:"-"`
}

// Replica is how many replicas a Deployment, StatefulSet or ReplicaSet has.
type Replica struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Value is one change, as a policy's pattern sees it.
type Value struct {
	Kind  string // the field's name: images, namePrefix, ...
	Field string // where it stands, as in images[0]
	Text  string // what patterns are held against, see [Edits.Values]
	Image *types.Image
}

// Empty reports whether nothing is changed.
func (e *Edits) Empty() bool { return len(e.Values()) == 0 }

// Values returns every change. Its text is the value itself; of replicas
// NAME=COUNT, of labels and annotations KEY=VALUE, of patches KIND/NAME of what
// is patched, "" where that is not one thing; of components the path without
// detours. Of images, the text is as
// written, and Image is what kustomize makes of it.
func (e *Edits) Values() []Value {
	var all []Value
	add := func(kind, field, text string) {
		if text != "" {
			all = append(all, Value{Kind: kind, Field: field, Text: text})
		}
	}
	add("namePrefix", "namePrefix", e.NamePrefix)
	add("nameSuffix", "nameSuffix", e.NameSuffix)
	for i, text := range e.Images {
		image := parseImage(text)
		all = append(all, Value{Kind: "images", Field: fmt.Sprintf("images[%d]", i), Text: text, Image: &image})
	}
	for _, r := range e.Replicas {
		add("replicas", "replicas."+r.Name, fmt.Sprintf("%s=%d", r.Name, r.Count))
	}
	for _, key := range slices.Sorted(maps.Keys(e.CommonLabels)) {
		add("commonLabels", "commonLabels."+key, key+"="+unquoted(e.CommonLabels[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(e.CommonAnnotations)) {
		add("commonAnnotations", "commonAnnotations."+key, key+"="+unquoted(e.CommonAnnotations[key]))
	}
	add("namespace", "namespace", e.Namespace)
	for i := range e.Patches {
		all = append(all, Value{Kind: "patches", Field: fmt.Sprintf("patches[%d]", i), Text: patched(&e.Patches[i])})
	}
	for i, text := range e.Components {
		seen := path.Clean(text)
		if !local(text) {
			seen = giturl.Redact(text) // no policy can allow it
		}
		all = append(all, Value{Kind: "components", Field: fmt.Sprintf("components[%d]", i), Text: seen})
	}
	return all
}

// unquoted is a value as the edit commands take it: they read KEY:VALUE, where
// VALUE may be quoted.
func unquoted(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// parseImage reads an image as "kustomize edit set image" does (v5.8.2). "*"
// for a part keeps what the kustomization has there, which is as good as not
// naming it.
func parseImage(text string) types.Image {
	name, value, renamed := strings.Cut(text, "=")
	if !renamed {
		value = text
	}
	image := types.Image{Name: name}
	found, tag, digest := util.SplitImageName(value)
	if image.NewTag, image.Digest = kept(tag), kept(digest); renamed {
		image.NewName = kept(found)
	} else {
		image.Name = found
	}
	return image
}

func kept(part string) string {
	if part == "*" {
		return ""
	}
	return part
}

// maxPairs bounds common labels, and common annotations: each is a command of its
// own, which takes longer the more there are.
const maxPairs = 64

// Problem is an edit that no policy can allow.
type Problem struct {
	Text  string
	Leads bool // out of the source
}

// Check finds edits that no policy can allow: what would lead out of the source,
// and what a command would take for something else than it is here.
func (e *Edits) Check() []Problem {
	var all []Problem
	for _, v := range e.Values() {
		if strings.HasPrefix(v.Text, "-") && v.Kind != "nameSuffix" && v.Kind != "namePrefix" {
			all = append(all, Problem{Text: fmt.Sprintf("%s: %q begins with a dash", v.Field, v.Text)})
		}
	}
	for name, values := range map[string]map[string]string{"commonLabels": e.CommonLabels, "commonAnnotations": e.CommonAnnotations} {
		if len(values) > maxPairs {
			all = append(all, Problem{Text: fmt.Sprintf("%s: has %d keys, where at most %d are set", name, len(values), maxPairs)})
		}
		for key := range values {
			if key == "" || strings.Contains(key, ":") {
				all = append(all, Problem{Text: fmt.Sprintf("%s: want a key without a colon, not %q", name, key)})
			}
		}
	}
	for i, text := range e.Components {
		if text == "" || !local(text) {
			all = append(all, Problem{fmt.Sprintf("components[%d]: want a directory of the application's own repository, not %q", i, giturl.Redact(text)), true})
		}
	}
	for i := range e.Patches {
		if p := e.Patches[i].Path; p != "" && !local(p) {
			all = append(all, Problem{fmt.Sprintf("patches[%d].path: want a file of the application's own repository, not %q", i, giturl.Redact(p)), true})
		}
	}
	slices.SortFunc(all, func(a, b Problem) int { return strings.Compare(a.Text, b.Text) })
	return all
}

// local reports whether kustomize can take a text for nothing but a path.
func local(text string) bool {
	_, err := giturl.Parse(text)
	return errors.Is(err, giturl.ErrLocal) && !giturl.IsHTTP(text)
}
