package resolver

import (
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/resource"
)

// Origins puts what sources really are in place of the directories that they
// have during a build, in the annotations with which kustomize tells where a
// resource comes from.
//
// kustomize makes an origin by appending to the one before it every reference
// on the way, as text. So are these: once with the references as a build has
// them, once as they were written. An origin that neither way makes is somebody
// else's, and stays.
type Origins struct {
	layout *layout
	seen   map[visit]bool
	real   map[string]resource.Origin // by the path during a build
}

// visit is one way to come to a node: the path that kustomize has for it, and
// the origin that it would have.
type visit struct {
	node    *Node
	mounted string
	real    resource.Origin
}

// maxVisits bounds the ways that are looked at.
const maxVisits = 1 << 17

// Origins returns the graph's.
func (g *Graph) Origins() (*Origins, error) {
	o := &Origins{layout: g.layout(), seen: map[visit]bool{}, real: map[string]resource.Origin{}}
	o.walk(visit{node: g.Root})
	if len(o.seen) >= maxVisits {
		return nil, fmt.Errorf("there are more than %d ways to come to a kustomization, too many to tell origins apart", maxVisits)
	}
	return o, nil
}

func (o *Origins) walk(v visit) {
	if o.seen[v] || len(o.seen) >= maxVisits {
		return
	}
	o.seen[v] = true
	o.add(v, path.Base(v.node.File), path.Base(v.node.File))
	for _, text := range v.node.loaded {
		o.add(v, text, text)
	}
	for _, e := range v.node.Edges {
		switch {
		case e.Source != nil:
			o.add(v, path.Join(o.layout.names[e], e.fileName()), e.written)
		case e.To != nil:
			mounted := e.written
			if e.Remote {
				mounted = o.layout.target(v.node, e)
			}
			o.walk(visit{e.To, path.Join(v.mounted, mounted), *v.real.Append(e.written)})
		}
	}
}

// add notes the origin of what a kustomization names. Where a build changes
// nothing, there is nothing to restore.
func (o *Origins) add(v visit, mounted, written string) {
	p, real := path.Join(v.mounted, mounted), v.real.Append(written)
	if _, known := o.real[p]; !known && (real.Path != p || real.Repo != "") {
		o.real[p] = *real
	}
}

// Restore corrects an origin that kustomize made, and reports whether there was
// anything to correct.
func (o *Origins) Restore(origin *resource.Origin) bool {
	restored := false
	for _, p := range []*string{&origin.Path, &origin.ConfiguredIn} {
		if real, ok := o.real[*p]; ok && *p != "" {
			*p, origin.Repo, origin.Ref = real.Path, real.Repo, real.Ref
			restored = true
		}
	}
	return restored
}
