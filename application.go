package trustomize

import (
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/kustedit"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
	"github.com/trustomize/trustomize/resolver"
	"github.com/trustomize/trustomize/signer"
)

// Application is what ArgoCD says of an Application whose repository lies in a
// directory, and what its owner wants changed. All of it is a claim: it decides
// which of the policy's applications applies, and stands as a claim in the
// provenance.
type Application struct {
	Project              string
	Name                 string // NAMESPACE_NAME for one outside of ArgoCD's own namespace
	DestinationNamespace string
	Revision             string // commit that is checked out
	TargetRevision       string // as the Application has it

	Overrides kustedit.Edits
	Askpass   *resolver.Askpass // what lets git in at the repository's own host
}

// changes returns what the Application wants changed: its overrides, and its
// options for the build.
func (a *Application) changes(o Options) []kustedit.Value {
	all := a.Overrides.Values()
	for i, flag := range o.flags() {
		all = append(all, kustedit.Value{Kind: "buildOptions", Field: fmt.Sprintf("buildOptions[%d]", i), Text: flag})
	}
	return all
}

// forApplication returns the policy for the request's Application, with what it
// wants changed and may not.
func forApplication(req Request, p *policy.Policy) (*policy.Policy, *policy.Application, []*refusal.Refusal, error) {
	a := req.Application
	source, err := parseSource(req.Source, req.SourcePath)
	if err != nil {
		return nil, nil, nil, err
	}
	claim := policy.Claim{Project: a.Project, Name: a.Name, DestinationNamespace: a.DestinationNamespace, Repository: source.Identity, Path: source.Path}
	own, entry, ok := p.ForApplication(claim)
	if !ok {
		return nil, nil, nil, refuse(refusal.Application,
			fmt.Sprintf("no entry of the policy's applications is for %s of project %q to namespace %q from %s", a.named(), a.Project, a.DestinationNamespace, source.Identity.At(source.Path)),
			"add one under spec.applications in policy "+p.Name)
	}
	return own, entry, overridden(a, req.Options, entry, source.Identity), nil
}

func (a *Application) named() string { return fmt.Sprintf("Application %q", a.Name) }

// overridden refuses the changes that the policy's entry does not allow.
func overridden(a *Application, o Options, entry *policy.Application, id identity.Identity) []*refusal.Refusal {
	var refusals []*refusal.Refusal
	for _, problem := range a.Overrides.Check() {
		code := refusal.Unsupported
		if problem.Leads {
			code = refusal.Remote
		}
		refusals = append(refusals, &refusal.Refusal{Code: code, Source: string(id), Reason: "override " + oneLine(problem.Text)})
	}
	for _, v := range a.changes(o) {
		if v.Image != nil && !entry.Overrides.AllowsName(v) {
			a.Overrides.SameName = append(a.Overrides.SameName, v.Image.Name)
		}
		if entry.Overrides.Allows(v) {
			continue
		}
		refusals = append(refusals, &refusal.Refusal{
			Code: refusal.Override, Source: string(id), Reason: fmt.Sprintf("%s may not override %s with %q", a.named(), v.Field, v.Text),
			Hints: []string{"remove the parameter, or have the policy allow it: overrides." + v.Kind + " of the Application's entry in spec.applications"},
		})
	}
	return refusals
}

// emitted refuses resources that the Application may not produce.
func (r *Report) emitted(resources resmap.ResMap) []*refusal.Refusal {
	if r.entry == nil || len(r.entry.Emits) == 0 {
		return nil
	}
	allowed := &signer.Signer{Match: selectors(r.entry.Emits)}
	var refusals []*refusal.Refusal
	for _, one := range resources.Resources() {
		if !allowed.Selects(&one.RNode) {
			refusals = append(refusals, &refusal.Refusal{
				Code: refusal.Emits, Source: r.Source, Reason: "the output holds " + signer.Name(&one.RNode) + ", which the Application may not produce",
				Hints: []string{"emits of the Application's entry in spec.applications says what it may"},
			})
		}
	}
	return refusals
}

func selectors(matches []policy.ResourceMatch) []signer.Selector {
	var all []signer.Selector
	for _, m := range matches {
		all = append(all, signer.Selector(m))
	}
	return all
}

// claims describes the request's Application for a statement: what was said of
// it, not what was seen.
func (a *Application) claims() (*provenance.Claims, *kustedit.Edits) {
	if a == nil {
		return nil, nil
	}
	said := &provenance.Claims{Application: a.Name, Project: a.Project, DestinationNamespace: a.DestinationNamespace, Revision: a.Revision, TargetRevision: a.TargetRevision}
	if a.Overrides.Empty() {
		return said, nil
	}
	return said, &a.Overrides
}

// origin says where the resources of a build belong.
func (r *Report) origin(a *Application) signer.Origin {
	o := signer.Origin{Source: r.Source}
	if a != nil {
		o.Application, o.Namespace = a.Name, a.DestinationNamespace
	}
	return o
}

// editRoot returns what changes the root's kustomization; nil when nothing
// does.
func (a *Application) editRoot() func([]byte, func(string) []string) ([]byte, error) {
	if a == nil || a.Overrides.Empty() {
		return nil
	}
	return func(content []byte, find func(string) []string) ([]byte, error) {
		edited, err := a.Overrides.Apply(content, find)
		if err != nil {
			return nil, errors.New("overrides of " + a.named() + ": " + oneLine(err.Error()))
		}
		return edited, nil
	}
}
