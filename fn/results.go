package fn

import (
	"cmp"
	"errors"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

// TagPolicy is the tag of each Result that holds the digest of the policy that
// decided: sha256:HEX, or "none" where none could be read.
const TagPolicy = "trustomize.dev/policy"

func (f *function) say(l *list, r *framework.Result) {
	digest := "none"
	if f.policy != nil {
		digest = f.policy.Digest
	}
	r.Tags = map[string]string{TagPolicy: digest}
	l.results = append(l.results, r)
}

// fail empties the list, and says in it what went wrong.
func (f *function) fail(l *list, err error) error {
	l.items = nil
	var told *found
	if errors.As(err, &told) {
		return told.error // each is a Result already
	}
	var refused *trustomize.Refused
	failures := []error{err}
	if errors.As(err, &refused) {
		failures = refused.Failures
		for _, r := range refusal.Sort(refused.Refusals) {
			f.say(l, &framework.Result{Severity: framework.Error, Message: message(r)})
		}
	}
	for _, failure := range failures {
		for line := range strings.Lines(failure.Error()) {
			if line = strings.TrimSpace(line); line != "" {
				f.say(l, &framework.Result{Severity: framework.Error, Message: refusal.Printable(line)})
			}
		}
	}
	return err
}

// found is an error of which the Results tell already.
type found struct{ error }

func (e *found) Unwrap() error { return e.error }

// message is a refusal with its hints.
func message(r *refusal.Refusal) string {
	text := strings.TrimPrefix(r.Error(), "refused ")
	for _, hint := range r.Hints {
		text += "; hint: " + refusal.Printable(hint)
	}
	return text
}

// about is a Result about an item.
func (i *item) about(severity framework.Severity, message string) *framework.Result {
	id := yaml.ResourceIdentifier{
		TypeMeta: yaml.TypeMeta{APIVersion: refusal.Printable(i.APIVersion), Kind: refusal.Printable(i.Kind)},
		NameMeta: yaml.NameMeta{Name: refusal.Printable(i.Name), Namespace: refusal.Printable(i.Namespace)},
	}
	return &framework.Result{Severity: severity, Message: message, ResourceRef: &id, File: i.file}
}

// different is a Result about an item's field.
func (i *item) different(r *refusal.Refusal) *framework.Result {
	result := i.about(framework.Error, finding(r))
	if r.File != "" {
		result.Field = &framework.Field{Path: r.File}
		if r.Got != "" {
			result.Field.CurrentValue = r.Got
		}
		if r.Want != "" {
			result.Field.ProposedValue = r.Want
		}
	}
	return result
}

// finding is a refusal without what the Result says in fields of its own.
func finding(r *refusal.Refusal) string {
	text := "[" + string(r.Code) + "] " + refusal.Printable(r.Reason)
	if r.File == "" && cmp.Or(r.Want, r.Got) != "" {
		text += ": want " + refusal.Printable(cmp.Or(r.Want, "nothing")) + ", got " + refusal.Printable(cmp.Or(r.Got, "nothing"))
	}
	for _, hint := range r.Hints {
		text += "; hint: " + refusal.Printable(hint)
	}
	return text
}
