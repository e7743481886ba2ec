package trustomize

import (
	"cmp"
	"errors"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/resolver"
)

// Verdicts of a [ReportJSON].
const (
	Accepted = "accepted"     // a build would go on
	Audited  = "would-refuse" // a build would go on, since the policy only audits
	Rejected = "refused"      // the policy does not accept something
	Failed   = "failed"       // something could not be done
)

// ReportJSON is a report for machines, as verify --format json prints it.
type ReportJSON struct {
	Verdict  string             `json:"verdict"`
	Policy   PolicyJSON         `json:"policy"`
	Sources  []SourceJSON       `json:"sources"`
	Tree     *NodeJSON          `json:"tree,omitempty"`
	Refusals []*refusal.Refusal `json:"refusals"`
	Warnings []*refusal.Refusal `json:"warnings,omitempty"`
	Failures []string           `json:"failures,omitempty"`
}

// PolicyJSON says which policy decided.
type PolicyJSON struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest"`
}

// SourceJSON is one source with the evidence for it.
type SourceJSON struct {
	Identity string             `json:"identity"`
	Kind     string             `json:"kind"` // git, file, archive or oci
	Ref      string             `json:"ref,omitempty"`
	RefName  string             `json:"refName,omitempty"`
	Commit   string             `json:"commit,omitempty"`
	Digest   string             `json:"digest"`
	Location string             `json:"location,omitempty"`
	Files    int                `json:"files"`
	Bytes    int64              `json:"bytes"`
	Vouchers []resolver.Voucher `json:"vouchers"`

	// Configures lists what of the source acts on more than what it loads
	// itself: crds, configurations, openapi.
	Configures []string `json:"configures,omitempty"`
}

// NodeJSON is a kustomization and what it refers to.
type NodeJSON struct {
	Source     string     `json:"source"` // an identity in sources
	Commit     string     `json:"commit,omitempty"`
	Path       string     `json:"path"`                // of the directory, "." for the source's root; or of a single file
	Field      string     `json:"field,omitempty"`     // that refers to it, as in resources[0]
	Reference  string     `json:"reference,omitempty"` // as written there
	Remote     bool       `json:"remote,omitempty"`
	Unresolved bool       `json:"unresolved,omitempty"` // the reference could not be followed
	References []NodeJSON `json:"references,omitempty"` // where the node comes up first
}

// JSON returns the report for machines.
func (r *Report) JSON() ReportJSON {
	out := ReportJSON{
		Verdict:  Accepted,
		Policy:   PolicyJSON{r.Policy.Name, r.Policy.Digest},
		Sources:  []SourceJSON{},
		Refusals: append([]*refusal.Refusal{}, r.refusals()...),
		Warnings: r.Graph.Warnings,
	}
	for _, err := range r.Graph.Failures {
		out.Verdict = Failed
		out.Failures = append(out.Failures, err.Error())
	}
	out.Verdict = cmp.Or(verdictOf(r.Err()), out.Verdict)
	if out.Verdict == Accepted && len(out.Refusals) > 0 {
		out.Verdict = Audited
	}
	for _, s := range r.Graph.Sources {
		out.Sources = append(out.Sources, SourceJSON{
			Identity: string(s.Identity), Kind: string(s.Kind), Ref: s.Ref, RefName: s.RefName, Commit: s.Commit, Digest: s.Digest,
			Location: s.Location, Files: len(s.Tree.Entries()), Bytes: s.Tree.Bytes(),
			Vouchers: append([]resolver.Voucher{}, s.Vouchers()...), Configures: r.Graph.ConfiguresIn(s),
		})
	}
	if r.Graph.Root != nil {
		tree := nodeJSON(r.Graph.Root, map[*resolver.Node]bool{})
		out.Tree = &tree
	}
	return out
}

// verdictOf is the verdict of an error; "" for none.
func verdictOf(err error) string {
	var refused *Refused
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return Rejected
	}
	return Failed
}

// nodeJSON lists a node's references where the node comes up first, so that
// neither a circle nor many ways to one base make the tree endless.
func nodeJSON(n *resolver.Node, seen map[*resolver.Node]bool) NodeJSON {
	out := NodeJSON{Source: string(n.Source.Identity), Commit: n.Source.Commit, Path: n.Dir}
	if seen[n] {
		return out
	}
	seen[n] = true
	for _, e := range n.Edges {
		child := NodeJSON{Unresolved: true}
		switch {
		case e.To != nil:
			child = nodeJSON(e.To, seen)
		case e.Source != nil:
			child = NodeJSON{Source: string(e.Source.Identity), Commit: e.Source.Commit, Path: e.File}
		}
		child.Field, child.Reference, child.Remote = e.Field, e.Text, e.Remote
		out.References = append(out.References, child)
	}
	return out
}
