package resolver

import (
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
)

// Origins puts what sources really are in place of the directories that they
// have during a build, in the annotations with which kustomize tells where a
// resource comes from.
type Origins struct {
	layout  *layout
	prefix  string // that leads from the root's directory to the mounts
	parents map[*Edge]*Node
	above   map[*Node]*Edge // one remote reference that leads to the node's source
}

// Origins returns the graph's.
func (g *Graph) Origins() *Origins {
	o := &Origins{layout: g.layout(), prefix: "../", parents: map[*Edge]*Node{}, above: map[*Node]*Edge{}}
	if g.Root.Dir != "." {
		o.prefix = strings.Repeat("../", strings.Count(g.Root.Dir, "/")+2)
	}
	o.walk(g.Root, nil)
	return o
}

func (o *Origins) walk(n *Node, above *Edge) {
	if _, seen := o.above[n]; seen {
		return
	}
	o.above[n] = above
	for _, e := range n.Edges {
		o.parents[e] = n
		switch {
		case e.To == nil:
		case e.Remote:
			o.walk(e.To, e)
		default:
			o.walk(e.To, above)
		}
	}
}

// Restore changes an origin that kustomize made.
func (o *Origins) Restore(origin *resource.Origin) {
	for _, p := range []*string{&origin.Path, &origin.ConfiguredIn} {
		if *p == "" {
			continue
		}
		real := o.real(*p)
		*p, origin.Repo, origin.Ref = real.Path, real.Repo, real.Ref
	}
}

// real returns the origin that a path during a build stands for.
func (o *Origins) real(p string) *resource.Origin {
	if dir, file, ok := o.single(p); ok {
		return o.real(dir).Append(file)
	}
	rest, ok := strings.CutPrefix(p, o.prefix+"source-")
	if !ok {
		return &resource.Origin{Path: p}
	}
	number, rest, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(number)
	if err != nil || i < 1 || i > len(o.layout.edges) {
		return &resource.Origin{Path: p}
	}
	e := o.layout.edges[i-1]
	real := o.of(e)
	// What follows is counted from the source's root.
	real.Path = path.Join(real.Path, relative(e.mountedDir(), rest))
	return real
}

// of returns the origin of what an edge leads to, as kustomize would have made
// it out of the reference.
func (o *Origins) of(e *Edge) *resource.Origin {
	parent := &resource.Origin{}
	if n := o.parents[e]; n != nil && e.submodule {
		if above := o.above[n]; above != nil {
			parent = o.of(above)
			parent.Path = path.Join(parent.Path, relative(above.To.Dir, n.Dir))
		} else {
			parent.Path = relative(o.layout.nodes[0].Dir, n.Dir)
		}
	}
	return parent.Append(e.written)
}

// single recognizes a single file of another source: the directory that refers
// to it, and the reference.
func (o *Origins) single(p string) (dir, written string, ok bool) {
	at := strings.LastIndex("/"+p, "/.trustomize-")
	if at < 0 {
		return "", "", false
	}
	number, _, _ := strings.Cut(p[at:], "/")
	i, err := strconv.Atoi(strings.TrimPrefix(number, ".trustomize-"))
	if err != nil || i < 1 || i > len(o.layout.files) {
		return "", "", false
	}
	return path.Clean(p[:at]), o.layout.files[i-1].written, true
}

// relative returns the way from one directory of a source to a path of it.
func relative(dir, p string) string {
	if dir == "." {
		return p
	}
	from, to := strings.Split(dir, "/"), strings.Split(path.Clean(p), "/")
	for len(from) > 0 && len(to) > 0 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	return path.Join(strings.Repeat("../", len(from)), path.Join(to...))
}
