package policy

import (
	"fmt"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
)

// Explanation says which rule decides about a source, or about a file of it,
// and what it would require.
type Explanation struct {
	Source string `json:"source"`
	Path   string `json:"path,omitempty"`

	// Rules are those that could decide, in their order: the one that does,
	// where a path was asked for; without a path, every rule for some path of
	// the source.
	Rules []ExplainedRule `json:"rules"`

	Passed     []string `json:"passed,omitempty"` // earlier rules that do not match, and why
	From       string   `json:"from,omitempty"`   // where the bytes come from, if a mirror says so
	Credential string   `json:"credential,omitempty"`
}

// ExplainedRule is a rule in words.
type ExplainedRule struct {
	Number   int      `json:"number"` // counted from 1
	Line     int      `json:"line"`
	Match    string   `json:"match"`
	Requires []string `json:"requires"`
}

// Explain says what the policy wants of a source. A path of "" asks for the
// source as a whole, "." for its root.
func (p *Policy) Explain(id identity.Identity, path string) Explanation {
	e := Explanation{Source: string(id), Path: path, Rules: []ExplainedRule{}}
	for i := range p.rules {
		rule := &p.rules[i]
		switch {
		case !rule.Pattern.MatchesSource(id):
			e.Passed = append(e.Passed, fmt.Sprintf("rule %d, %s: another source", i+1, rule.Match))
		case path != "" && !rule.Pattern.Matches(id, path):
			e.Passed = append(e.Passed, fmt.Sprintf("rule %d, %s: another path of the source", i+1, rule.Match))
		default:
			e.Rules = append(e.Rules, ExplainedRule{i + 1, rule.Position.Line, rule.Match, rule.requires(p)})
		}
		if len(e.Rules) > 0 && (path != "" || !strings.Contains(rule.Match, "//")) {
			break
		}
	}
	for _, m := range p.Spec.Mirrors {
		if mirrors(m.Prefix, string(id)) {
			e.From = fmt.Sprintf("the mirror of %s at %s", m.Prefix, m.To)
			break
		}
	}
	if c, ok := p.CredentialFor(id); ok && e.From == "" {
		e.Credential = c.Prefix
	}
	return e
}

// requires lists what must hold, all at once.
func (r *CompiledRule) requires(p *Policy) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.Unverified != nil {
		add("nothing: it passes unverified until %s (%s)", r.Unverified.Until, r.Unverified.Reason)
	}
	if len(r.Signers) > 0 {
		who := "one"
		if r.Threshold > 1 {
			who = fmt.Sprint(r.Threshold)
		}
		add("every file in a source-materials signed by %s of: %s", who, names(r.Signers))
		if r.Closure == ClosureReached {
			add("that list names every file that the build reads; others may differ")
		} else {
			add("that list names all files of its directory, and nothing else is there")
		}
	}
	if r.Bound {
		add("that list says that it was made for this repository (trustomize.source)")
	}
	if len(r.CommitSigners) > 0 {
		add("the commit, or a tag of it, signed by one of: %s", names(r.CommitSigners))
	}
	for _, pin := range r.Pinned {
		add("or exactly %s", strings.TrimSpace(pin.Commit+" "+pin.Digest))
	}
	if len(r.Refs) > 0 {
		add("a commit that one of these refs reaches: %s", strings.Join(r.Rule.Refs, ", "))
	}
	if r.Locked {
		add("an entry in the root's trustomize.lock%s", lockers(r.LockedBy))
	}
	if r.Config {
		add("(its openapi may act on what loads it)")
	}
	return firstOr(all, len(r.Pinned))
}

// firstOr turns the first of several pins from "or exactly" into "exactly".
func firstOr(all []string, pins int) []string {
	for i, text := range all {
		if rest, ok := strings.CutPrefix(text, "or exactly "); ok && pins > 0 {
			all[i] = "exactly " + rest
			break
		}
	}
	return all
}

func lockers(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", or in a lock signed by " + strings.Join(names, ", ")
}

func names(signers []*NamedSigner) string {
	text := make([]string, len(signers))
	for i, s := range signers {
		text[i] = s.String()
		if !s.spec.NotAfter.IsZero() {
			text[i] += " until " + s.spec.NotAfter.String()
		}
	}
	return strings.Join(text, ", ")
}
