package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/kustedit"
)

// Application says what holds for the ArgoCD Applications that it matches.
type Application struct {
	Match       ApplicationMatch `yaml:"match"`
	Enforcement Enforcement      `yaml:"enforcement"` // else spec.enforcement
	Overrides   Overrides        `yaml:"overrides"`   // empty: none is allowed
	Emits       []ResourceMatch  `yaml:"emits"`       // what the output may hold; empty: everything
	Sources     []Rule           `yaml:"sources"`     // tried before those of spec.sources
	Sign        *Sign            `yaml:"sign"`        // in place of spec.sign
}

// ApplicationMatch selects Applications. Empty fields match everything; in the
// first three, "*" is any text, also as a part of one.
type ApplicationMatch struct {
	Project              string `yaml:"project"`
	Name                 string `yaml:"name"`                 // as ArgoCD says it: NAMESPACE_NAME for one outside of ArgoCD's own namespace
	DestinationNamespace string `yaml:"destinationNamespace"` // which ArgoCD calls ARGOCD_APP_NAMESPACE
	Repository           string `yaml:"repository"`           // as the match of a rule, of the Application's path
}

// Overrides lists what somebody who is not a signer may change: true for any
// value, or patterns over the values. In a pattern, "*" is any text without a
// slash, and "**" any text.
type Overrides struct {
	Images            Patterns `yaml:"images"`   // NAME, for another tag or digest, or NAME=NEWNAME; each perhaps with :TAG or @DIGEST
	Replicas          Patterns `yaml:"replicas"` // NAME=COUNT
	NamePrefix        Patterns `yaml:"namePrefix"`
	NameSuffix        Patterns `yaml:"nameSuffix"`
	Namespace         Patterns `yaml:"namespace"`
	CommonLabels      Patterns `yaml:"commonLabels"`      // KEY=VALUE
	CommonAnnotations Patterns `yaml:"commonAnnotations"` // KEY=VALUE
	Patches           Patterns `yaml:"patches"`           // KIND/NAME of what is patched
	Components        Patterns `yaml:"components"`        // paths, as written
	BuildOptions      Patterns `yaml:"buildOptions"`      // flags, as --reorder=legacy
}

// Patterns are the values that are allowed. It is written as true, or as a
// list.
type Patterns []string

// anyValue is the pattern that "true" stands for.
const anyValue = "**"

// UnmarshalText accepts true and false.
func (p *Patterns) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*p = Patterns{anyValue}
		return nil
	case "false":
		*p = nil
		return nil
	}
	return fmt.Errorf("want true, or a list of patterns, not %q", text)
}

// kinds returns the patterns by the kind that kustedit's values have.
func (o *Overrides) kinds() map[string]Patterns {
	return map[string]Patterns{
		"images": o.Images, "replicas": o.Replicas, "namePrefix": o.NamePrefix, "nameSuffix": o.NameSuffix, "namespace": o.Namespace,
		"commonLabels": o.CommonLabels, "commonAnnotations": o.CommonAnnotations, "patches": o.Patches, "components": o.Components,
		"buildOptions": o.BuildOptions,
	}
}

// Allows reports whether one change is allowed.
func (o *Overrides) Allows(v kustedit.Value) bool {
	return slices.ContainsFunc(o.kinds()[v.Kind], func(pattern string) bool {
		if pattern == anyValue {
			return true
		}
		if v.Image != nil {
			return allowsImage(pattern, v)
		}
		return v.Text != "" && glob(pattern, v.Text)
	})
}

// AllowsName reports whether the change of an image may change its name too.
func (o *Overrides) AllowsName(v kustedit.Value) bool {
	return slices.ContainsFunc(o.Images, func(pattern string) bool {
		return pattern == anyValue || strings.Contains(pattern, "=") && allowsImage(pattern, v)
	})
}

// plainImage is an image's name that, as the regular expression that kustomize
// takes it for, matches itself alone, or what differs from it where it has a
// dot.
var plainImage = regexp.MustCompile(`^[A-Za-z0-9._/:-]+$`)

// allowsImage holds what kustomize makes of an image against a pattern.
func allowsImage(pattern string, v kustedit.Value) bool {
	if !plainImage.MatchString(v.Image.Name) {
		return false
	}
	name, to, renames := strings.Cut(pattern, "=")
	if !renames {
		to = name
	}
	to, digest, hasDigest := strings.Cut(to, "@")
	to, tag, hasTag := cutTag(to)
	if !renames {
		name = to
	}
	newName := v.Image.NewName
	if newName == "" {
		newName = v.Image.Name
	}
	switch {
	case !glob(name, v.Image.Name), !renames && newName != v.Image.Name, renames && !glob(to, newName):
		return false
	case hasTag && !glob(tag, v.Image.NewTag), hasDigest && !glob(digest, v.Image.Digest):
		return false
	}
	// A pattern that names only one of tag and digest says nothing of the other,
	// which would decide in its place.
	return !(hasTag && !hasDigest && v.Image.Digest != "") && !(hasDigest && !hasTag && v.Image.NewTag != "")
}

// cutTag splits a tag off, which stands behind the last slash: before it, a
// colon belongs to a registry's port.
func cutTag(image string) (name, tag string, ok bool) {
	i := strings.LastIndex(image, ":")
	if i < 0 || strings.Contains(image[i:], "/") {
		return image, "", false
	}
	return image[:i], image[i+1:], true
}

// glob matches a whole text.
func glob(pattern, text string) bool {
	quoted := strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(pattern))
	re, err := regexp.Compile(`(?s)^` + quoted + `$`)
	return err == nil && re.MatchString(text)
}

// Claim is what ArgoCD says of the Application that is rendered.
type Claim struct {
	Project              string
	Name                 string
	DestinationNamespace string
	Repository           identity.Identity
	Path                 string // below the repository's root
}

// compiledApplication is an entry with its match read and its rules compiled.
type compiledApplication struct {
	Application
	repository identity.Pattern
	rules      []CompiledRule
}

// matches reports whether an entry is for an Application.
func (a *compiledApplication) matches(c Claim) bool {
	m := a.Match
	for _, one := range [][2]string{{m.Project, c.Project}, {m.Name, c.Name}, {m.DestinationNamespace, c.DestinationNamespace}} {
		if one[0] != "" && !glob(strings.ReplaceAll(one[0], "*", "**"), one[1]) {
			return false
		}
	}
	return m.Repository == "" || a.repository.Matches(c.Repository, c.Path)
}

// ForApplication returns the policy as it is for an Application: with the
// enforcement, rules and key of the first entry that matches, and its overrides
// and emits. Without any entries, every Application matches, and nothing may be
// overridden. ok is false when there are entries, and none matches.
func (p *Policy) ForApplication(c Claim) (own *Policy, entry *Application, ok bool) {
	if p.Spec.Applications == nil {
		return p, &Application{Enforcement: p.Spec.Enforcement}, true
	}
	for i := range p.applications {
		a := &p.applications[i]
		if !a.matches(c) {
			continue
		}
		own := *p
		entry := a.Application
		setDefault(&entry.Enforcement, p.Spec.Enforcement)
		own.Spec.Enforcement = entry.Enforcement
		if entry.Sign != nil {
			own.Spec.Sign = entry.Sign
		}
		own.rules = slices.Concat(a.rules, p.rules)
		return &own, &entry, true
	}
	return nil, nil, false
}
