package resolver

import (
	"strings"

	"github.com/trustomize/trustomize/internal/lockfile"
)

// Reference is a place that refers to a source.
type Reference struct {
	From  string `json:"from"`  // identity//path of the kustomization
	Field string `json:"field"` // as in resources[0]
	Text  string `json:"text"`  // as written
	Path  string `json:"path"`  // what it leads to: a directory, "." for the source's root, or a single file
}

// ReferencesTo returns the remote references that lead to a source, in the
// order of the graph.
func (g *Graph) ReferencesTo(s *Source) []Reference {
	var refs []Reference
	for _, n := range g.reached() {
		for _, e := range n.Edges {
			if !e.Remote || e.Target() != s {
				continue
			}
			ref := Reference{n.Source.Identity.At(n.File), e.Field, e.Text, e.File}
			if e.To != nil {
				ref.Path = e.To.Dir
			}
			refs = append(refs, ref)
		}
	}
	return refs
}

// ConfiguresIn returns what of a source acts on more than what it loads itself:
// fields crds, configurations and openapi of its kustomizations, as FIELD of
// PATH, and such fields elsewhere that name it.
func (g *Graph) ConfiguresIn(s *Source) []string {
	var found []string
	for _, n := range g.reached() {
		if n.Source == s {
			for _, field := range n.configures {
				found = append(found, field+" of "+n.File)
			}
		}
		for _, e := range n.Edges {
			if e.Source == s && configures(e.Field) {
				found = append(found, e.Field+" of "+n.Source.Identity.At(n.File))
			}
		}
	}
	return found
}

func configures(field string) bool {
	return strings.HasPrefix(field, "crds[") || strings.HasPrefix(field, "configurations[") || strings.HasPrefix(field, "openapi")
}

// reached returns the nodes that a build visits, in its order.
func (g *Graph) reached() []*Node {
	l := layout{names: map[*Edge]string{}}
	if g.Root != nil {
		l.assign(g.Root, map[*Node]bool{})
	}
	return l.nodes
}

// LockEntries returns a lock's entries for every remote reference below the
// root. It must not be called for a graph with refusals or failures.
func (g *Graph) LockEntries() []lockfile.Entry {
	var entries []lockfile.Entry
	for _, n := range g.reached() {
		for _, e := range n.Edges {
			if s := e.Target(); e.Remote && s != nil {
				entries = append(entries, lockfile.Entry{URL: e.lockedAs, Commit: s.Commit, Digest: s.Digest})
			}
		}
	}
	return entries
}
