package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/trustomize/trustomize/internal/strictyaml"
)

// Soon is how long before something ends [Policy.Warnings] tells of it.
const Soon = 30 * 24 * time.Hour

// Warnings returns what is in order and will soon not be, or is not any more:
// keys, signers, trusted roots and exceptions that end within [Soon].
func (p *Policy) Warnings(now time.Time) strictyaml.Problems {
	w := warner{p: p, now: now}
	for _, s := range p.Signers() {
		w.signer(s)
	}
	w.exceptions("spec.sources", p.rules)
	for i := range p.applications {
		w.exceptions(fmt.Sprintf("spec.applications[%d].sources", i), p.applications[i].rules)
	}
	w.problems.Sort()
	return w.problems
}

// exceptions warns of rules that let pass what nobody vouches for.
func (w *warner) exceptions(list string, rules []CompiledRule) {
	for i, r := range rules {
		if r.Unverified != nil {
			w.ends(fmt.Sprintf("%s[%d].unverified.until", list, i), "this exception", r.Unverified.Until.End())
		}
	}
}

type warner struct {
	p        *Policy
	now      time.Time
	problems strictyaml.Problems
}

func (w *warner) warn(path, format string, args ...any) {
	w.problems = append(w.problems, strictyaml.Problem{Position: w.p.positions.Position(path), Path: path, Message: fmt.Sprintf(format, args...)})
}

// ends warns of something that ends, or has ended.
func (w *warner) ends(path, what string, end time.Time) {
	switch {
	case end.IsZero() || end.Sub(w.now) > Soon:
	case w.now.Before(end):
		w.warn(path, "%s ends in %d days, on %s", what, int(end.Sub(w.now).Hours()/24), day(end))
	default:
		w.warn(path, "%s ended on %s", what, day(end))
	}
}

func (w *warner) signer(s *NamedSigner) {
	path := "spec.signers." + s.Name
	if !s.spec.NotAfter.IsZero() {
		w.ends(path+".notAfter", "this signer", s.spec.NotAfter.End())
	}
	for _, key := range s.Keys() {
		what := "key " + key.Fingerprint
		if key.Holder != "" {
			what += " of " + key.Holder
		}
		if s.spec.AllowExpired == nil || w.now.Before(key.Expires) {
			w.ends(path, what, key.Expires)
		}
		if w.now.Before(key.NotBefore) {
			w.warn(path, "%s is not valid before %s", what, day(key.NotBefore))
		}
		if slices.ContainsFunc(append(key.Also, key.Fingerprint), func(name string) bool { return slices.Contains(s.revoked, name) }) {
			w.warn(path, "%s is revoked by spec.revoked", what)
		}
	}
	if s.root == nil {
		return
	}
	if part, ok := s.root.Ends(w.now); ok {
		w.ends(path, fmt.Sprintf("the trusted root's %s %s", part.Role, part.Name), part.Expires)
	}
}
