package resolver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/kustfile"
	"github.com/trustomize/trustomize/internal/verifyfs"
)

// Mounts lays the graph out as directories for a build and returns the path of
// the root's directory. It must not be called for a graph with refusals or
// failures.
//
// Each remote reference to a directory gets a directory of its own, since
// kustomize takes two references into one directory for a circle. A single file
// of another source appears below the directory that refers to it, since
// kustomize loads no file from elsewhere, under the name that it has.
func (g *Graph) Mounts() (mounts []verifyfs.Mount, target string, err error) {
	l := g.layout()
	for _, n := range l.nodes {
		if err := l.rewrite(n); err != nil {
			return nil, "", fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	root := g.rootName()
	mounts = append(mounts, l.mount(root, g.Root.Source))
	for _, e := range l.edges {
		m := l.mount(l.names[e], e.To.Source)
		if alias := e.mountedDir(); alias != e.To.Dir {
			m.Alias, m.AliasOf = alias, e.To.Dir
		}
		mounts = append(mounts, m)
	}
	return mounts, path.Join("/", root, g.Root.Dir), nil
}

// rootName is the name of the root's directory: that of a local one stays, since
// a plugin without a value takes it for one.
func (g *Graph) rootName() string {
	if name := path.Base(g.Root.Source.Dir); g.Root.Source.Dir != "" && name != "/" {
		return name
	}
	return "source-" + g.nonce() + "-0"
}

// nonce is part of the names that a build needs. It is made of the digests of
// all sources, so that equal builds have equal names and no source can hold one:
// it would have to contain a digest of itself.
func (g *Graph) nonce() string {
	h := sha256.New()
	for _, s := range g.Sources {
		fmt.Fprintln(h, s.Identity, s.Commit, s.Digest)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Leaks reports whether an output holds a name that only a build has: bytes of a
// rewritten kustomization, which nobody signed, came out.
func (g *Graph) Leaks(output []byte) bool { return bytes.Contains(output, []byte(g.nonce())) }

type layout struct {
	nonce    string
	nodes    []*Node
	edges    []*Edge // to directories of other sources, in order
	files    []*Edge // to single files of other sources, in order
	names    map[*Edge]string
	wanted   map[*Source]map[string][]byte // kustomizations as those who read them want them
	replaced map[*Source]map[string][]byte // those that differ from the source's
	added    map[*Source]map[string][]byte
}

// layout gives every remote reference its place.
func (g *Graph) layout() *layout {
	l := &layout{nonce: g.nonce(), names: map[*Edge]string{}, wanted: map[*Source]map[string][]byte{}, replaced: map[*Source]map[string][]byte{}, added: map[*Source]map[string][]byte{}}
	l.assign(g.Root, map[*Node]bool{})
	return l
}

func (l *layout) assign(n *Node, seen map[*Node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	l.nodes = append(l.nodes, n)
	for _, e := range n.Edges {
		switch {
		case e.Source != nil:
			l.files = append(l.files, e)
			l.names[e] = fmt.Sprintf(".source-%s-%d", l.nonce, len(l.files))
		case e.To == nil: // not followed
		default:
			if e.Remote {
				l.edges = append(l.edges, e)
				l.names[e] = fmt.Sprintf("source-%s-%d", l.nonce, len(l.edges))
			}
			l.assign(e.To, seen)
		}
	}
}

// rewrite points a kustomization's remote references at their places. All
// mounts lie side by side, so that a relative path serves wherever the
// kustomization's own source is mounted.
func (l *layout) rewrite(n *Node) error {
	to := map[string]string{}
	for _, e := range n.Edges {
		switch {
		case e.Source != nil:
			p, err := l.add(n, e)
			if err != nil {
				return err
			}
			to[e.Field] = p
		case e.Remote:
			to[e.Field] = l.target(n, e)
		}
	}
	data, err := n.rewrite(to)
	if err != nil {
		return err
	}
	real, _, err := n.Source.Tree.Resolve(n.File)
	if err != nil {
		return err
	}
	changed := len(to) > 0 || n.edited
	return l.replace(n.Source, real, data, changed)
}

// replace has a kustomization read as data. All that read it must want the same
// of it; its own bytes, where nothing is changed.
func (l *layout) replace(s *Source, real string, data []byte, changed bool) error {
	wanted, ok := l.wanted[s][real]
	switch {
	case ok && !bytes.Equal(wanted, data):
		return fmt.Errorf("%s is the kustomization of two directories, through links, and has remote references or is changed by an override", real)
	case !ok && l.wanted[s] == nil:
		l.wanted[s] = map[string][]byte{}
	}
	l.wanted[s][real] = data
	if !changed {
		return nil
	}
	if s.isData(real) {
		return fmt.Errorf("%s is loaded as data too, and has remote references or is changed by an override", real)
	}
	if l.replaced[s] == nil {
		l.replaced[s] = map[string][]byte{}
	}
	l.replaced[s][real] = data
	return nil
}

// target is the path from a node's directory to where an edge leads.
func (l *layout) target(n *Node, e *Edge) string {
	up := ".."
	if n.Dir != "." {
		up += strings.Repeat("/..", strings.Count(n.Dir, "/")+1)
	}
	return path.Join(up, l.names[e], e.mountedDir())
}

// mountedDir is the directory that the edge leads to, as a path may have it.
// kustomize takes a segment such as a..b for a slip in a path, though not in a
// URL (api/internal/loader, v0.21); it gets a name without.
func (e *Edge) mountedDir() string {
	segs := strings.Split(e.To.Dir, "/")
	for i, seg := range segs {
		if seg == ".." || !strings.Contains(seg, "..") {
			continue
		}
		segs[i] = strings.ReplaceAll(seg, "..", "__")
		// One that nothing beside it has.
		for e.To.Source.has(path.Join(path.Join(strings.Split(e.To.Dir, "/")[:i]...), segs[i])) {
			segs[i] += "_"
		}
	}
	return strings.Join(segs, "/")
}

func (s *Source) has(p string) bool {
	_, isEntry := s.Tree.Lookup(p)
	return isEntry || s.Tree.IsDir(p)
}

// add has a single file appear below the node's directory, and returns its path
// from there. A generator's key is made of the file's name; it stays.
func (l *layout) add(n *Node, e *Edge) (string, error) {
	dir := path.Join(n.Dir, l.names[e])
	if n.Source.has(dir) {
		return "", fmt.Errorf("%s is a name that the build needs", dir)
	}
	entry, _ := e.Source.Tree.Lookup(e.File)
	name := e.fileName()
	files := l.added[n.Source]
	if files == nil {
		files = map[string][]byte{}
		l.added[n.Source] = files
	}
	files[path.Join(dir, name)] = entry.Data
	return path.Join(l.names[e], name), nil
}

// fileName is the name that a single file has: the last part of its reference,
// as kustomize makes keys of it, without a query, which may be a secret.
func (e *Edge) fileName() string {
	name, _, _ := strings.Cut(path.Base(e.written), "?")
	if name == "" || name == "." || name == ".." {
		return "file"
	}
	return name
}

func (l *layout) mount(name string, s *Source) verifyfs.Mount {
	visited := map[string]bool{}
	for _, n := range l.nodes {
		if real, _, err := s.Tree.Resolve(n.File); err == nil && n.Source == s {
			visited[real] = true
		}
	}
	return verifyfs.Mount{
		Name: name, Tree: s.Tree, Checked: s.Checked(), Replaced: l.replaced[s], Added: l.added[s], Kustomizations: visited,
		Admit: s.admitNow,
	}
}

// admitNow checks a file of which only the build knew that it is read.
func (s *Source) admitNow(p string) error {
	refusals := s.admit(p)
	if s.stops(refusals) {
		return refusals[0]
	}
	s.mu.Lock()
	s.late = append(s.late, refusals...)
	s.mu.Unlock()
	if e, ok := s.Tree.Lookup(p); ok {
		return kustfile.CheckAliases(e.Data)
	}
	return nil
}

// MountNames returns what is mounted in each directory, for messages.
func (g *Graph) MountNames() map[string]string {
	l := g.layout()
	names := map[string]string{g.rootName(): string(g.Root.Source.Identity)}
	for _, e := range l.edges {
		names[l.names[e]] = string(e.To.Source.Identity)
	}
	for _, e := range l.files {
		names[l.names[e]] = string(e.Source.Identity)
	}
	return names
}
