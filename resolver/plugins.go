package resolver

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/kustfile"
	"github.com/trustomize/trustomize/internal/refusal"
)

// inlineConfigs looks at the plugins' configurations that a kustomization holds
// itself.
func (r *run) inlineConfigs(n *Node, k *kustfile.File) {
	found := k.InlineConfigs()
	for _, field := range slices.Sorted(maps.Keys(found)) {
		r.configs(n, field, []byte(found[field]))
	}
}

// configs looks at configurations of plugins, which a field of the node's
// kustomization gives or names. Whatever files they name are relative to that
// kustomization.
func (r *run) configs(n *Node, field string, content []byte) {
	refs, unsupported, err := kustfile.Configs(content)
	if err != nil {
		r.fail(n.named(), fmt.Errorf("field %s: a plugin's configuration: %w", field, err))
		return
	}
	for _, u := range unsupported {
		r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File, fmt.Sprintf("field %s, %s: %s", field, u.Field, u.Reason)))
	}
	for _, ref := range refs {
		ref.Field = field + ", " + ref.Field
		if giturl.IsHTTP(ref.Text) {
			r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File,
				fmt.Sprintf("field %s names %q: a plugin's configuration cannot name a file over http; keep the file beside it", ref.Field, giturl.Redact(ref.Text))))
			continue
		}
		if n.Source.hasSubmodule(joined(n, ref.Text)) {
			r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File,
				fmt.Sprintf("field %s names %q: a plugin's configuration cannot name a file of a submodule", ref.Field, giturl.Redact(ref.Text))))
			continue
		}
		r.local(n, ref)
	}
}

func joined(n *Node, text string) string {
	p, _ := kustfile.Join(n.Dir, text)
	return p
}

// generatedConfigs looks at the configurations that kustomizations make: where
// generators, transformers or validators name a directory, what is built there
// are configurations. The files from which they are built are looked at; should
// the build make of them what names other files, those are not served.
func (r *run) generatedConfigs() {
	for _, n := range r.sortedNodes() {
		for _, e := range n.Edges {
			if e.configs && e.To != nil {
				r.configsBelow(n, e.Field, e.To, map[*Node]bool{})
			}
		}
	}
}

func (r *run) configsBelow(n *Node, field string, at *Node, seen map[*Node]bool) {
	if seen[at] {
		return
	}
	seen[at] = true
	for _, file := range at.resources {
		e, _ := at.Source.Tree.Lookup(file)
		r.configs(n, field, e.Data)
	}
	for _, e := range at.Edges {
		switch {
		case e.To != nil:
			r.configsBelow(n, field, e.To, seen)
		case e.Source != nil && e.resource:
			entry, _ := e.Source.Tree.Lookup(e.File)
			r.configs(n, field, entry.Data)
		}
	}
}

// sortedNodes returns all nodes in an order that does not depend on chance.
func (r *run) sortedNodes() []*Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.nodes), func(a, b *Node) int {
		return compareNodes(a, b)
	})
}

func compareNodes(a, b *Node) int {
	return slices.Compare([]string{string(a.Source.Identity), a.Source.Commit, a.Dir}, []string{string(b.Source.Identity), b.Source.Commit, b.Dir})
}
