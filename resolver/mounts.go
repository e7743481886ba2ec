package resolver

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/verifyfs"
)

// Mounts lays the graph out as directories for a build and returns the path of
// the root's directory. It must not be called for a graph with refusals or
// failures.
//
// Each remote reference gets a directory of its own, since kustomize takes two
// references into one directory for a circle. A directory's name tells
// nothing of the source.
func (g *Graph) Mounts() (mounts []verifyfs.Mount, target string, err error) {
	l := layout{names: map[*Edge]string{}, replaced: map[*Source]map[string][]byte{}}
	l.assign(g.Root, map[*Node]bool{})
	for _, n := range l.nodes {
		if err := l.rewrite(n); err != nil {
			return nil, "", fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	mounts = append(mounts, l.mount(mountName(0), g.Root.Source))
	for _, e := range l.edges {
		mounts = append(mounts, l.mount(l.names[e], e.To.Source))
	}
	return mounts, path.Join("/", mountName(0), g.Root.Dir), nil
}

func mountName(i int) string { return fmt.Sprintf("source-%d", i) }

type layout struct {
	nodes    []*Node
	edges    []*Edge // remote ones, in order
	names    map[*Edge]string
	replaced map[*Source]map[string][]byte
}

func (l *layout) assign(n *Node, seen map[*Node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	l.nodes = append(l.nodes, n)
	for _, e := range n.Edges {
		if e.Remote {
			l.edges = append(l.edges, e)
			l.names[e] = mountName(len(l.edges))
		}
		l.assign(e.To, seen)
	}
}

// rewrite points a kustomization's remote references at their directories.
// All mounts lie side by side, so that a relative path serves wherever the
// kustomization's own source is mounted.
func (l *layout) rewrite(n *Node) error {
	up := ".."
	if n.Dir != "." {
		up += strings.Repeat("/..", strings.Count(n.Dir, "/")+1)
	}
	to := map[string]string{}
	for _, e := range n.Edges {
		if e.Remote {
			to[e.Field] = path.Join(up, l.names[e], e.To.Dir)
		}
	}
	data, err := n.rewrite(to)
	if err != nil || len(to) == 0 {
		return err
	}
	real, _, err := n.Source.Tree.Resolve(n.File)
	if err != nil {
		return err
	}
	files := l.replaced[n.Source]
	if files == nil {
		files = map[string][]byte{}
		l.replaced[n.Source] = files
	}
	if old, ok := files[real]; ok && !bytes.Equal(old, data) {
		return fmt.Errorf("%s is the kustomization of two directories, through links, and has remote references", real)
	}
	if n.Source.isData(real) {
		return fmt.Errorf("%s is loaded as data too, and has remote references", real)
	}
	files[real] = data
	return nil
}

func (l *layout) mount(name string, s *Source) verifyfs.Mount {
	visited := map[string]bool{}
	for _, n := range l.nodes {
		if real, _, err := s.Tree.Resolve(n.File); err == nil && n.Source == s {
			visited[real] = true
		}
	}
	return verifyfs.Mount{Name: name, Tree: s.Tree, Checked: s.Checked(), Replaced: l.replaced[s], Kustomizations: visited}
}

// MountNames returns the name of the source in each mounted directory, for
// messages.
func (g *Graph) MountNames() map[string]string {
	l := layout{names: map[*Edge]string{}}
	l.assign(g.Root, map[*Node]bool{})
	names := map[string]string{mountName(0): string(g.Root.Source.Identity)}
	for _, e := range l.edges {
		names[l.names[e]] = string(e.To.Source.Identity)
	}
	return names
}
