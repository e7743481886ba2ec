package resolver

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/kustfile"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/materials"
)

// visit reads a directory's kustomization and follows its references, if
// everything on the way is vouched for.
func (r *run) visit(n *Node) {
	data, ok := r.kustomization(n)
	if !ok {
		return
	}
	k, err := kustfile.Parse(data)
	if err != nil {
		r.fail(n.own(), fmt.Errorf("%s: %w", n.Name(), err))
		return
	}
	n.rewrite, n.buildMeta = k.Rewrite, k.BuildMetadata()
	for _, u := range k.Unsupported() {
		r.refuse(n.own(), n.Source.refusal(refusal.Unsupported, n.File, "field "+u.Field+" is not supported: "+u.Reason))
	}
	if !n.Source.Root && k.LoadsSchema() {
		r.refuse(n.own(), n.Source.refusal(refusal.Unsupported, n.File, "field openapi of another source than the root is not supported: it changes how everything that loads it merges"))
	}
	for _, ref := range k.References() {
		r.reference(n, ref)
	}
}

// kustomization finds the one file among the names that kustomize probes for.
// All names are held against the lists: a file that was removed or added under
// one of them would change what is built.
func (r *run) kustomization(n *Node) ([]byte, bool) {
	if err := n.inSubmodule(n.Dir); err != nil {
		r.refuse(n.own(), err)
		return nil, false
	}
	var found []string
	refused := false
	for _, name := range kustfile.Names() {
		p := path.Join(n.Dir, name)
		real, refusals := r.reach(n, p)
		r.refuse(n.own(), refusals...)
		refused = refused || len(refusals) > 0
		switch {
		case real != "" && !n.Source.Tree.IsDir(real):
			found = append(found, p)
		case real != "":
			// A directory in the place of a listed file.
			refusals = n.Source.admit(p)
			r.refuse(n.own(), refusals...)
			refused = refused || len(refusals) > 0
		}
	}
	if refused {
		return nil, false
	}
	if len(found) != 1 {
		r.fail(n.own(), n.notOne(found))
		return nil, false
	}
	n.File = found[0]
	real, _, err := n.Source.Tree.Resolve(n.File)
	if err != nil {
		r.fail(n.own(), err)
		return nil, false
	}
	e, _ := n.Source.Tree.Lookup(real)
	return e.Data, true
}

func (n *Node) notOne(found []string) error {
	where := n.Source.Identity.At(n.Dir)
	switch {
	case len(found) > 1:
		return fmt.Errorf("%s has several kustomizations: %s", where, strings.Join(found, ", "))
	case n.Source.Tree.IsDir(n.Dir):
		return fmt.Errorf("%s has no kustomization; want one of %s", where, strings.Join(kustfile.Names(), ", "))
	}
	return fmt.Errorf("%s: there is no such directory", where)
}

// reach admits a path that a build reads or probes for, and every link on the
// way. It returns the path behind the links, or "" when nothing is there.
func (r *run) reach(n *Node, p string) (string, []*refusal.Refusal) {
	s := n.Source
	real, links, err := s.Tree.Resolve(p)
	var refusals []*refusal.Refusal
	for _, link := range links {
		refusals = append(refusals, s.admit(link)...)
	}
	var linkError *materials.LinkError
	switch {
	case errors.As(err, &linkError):
		return "", append(refusals, n.Source.refusal(refusal.Link, p, linkError.Error()))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", refusals
	case err != nil:
		// What is absent must be so by the list's word as well.
		return "", append(refusals, s.admit(p)...)
	case s.Tree.IsDir(real):
		return real, refusals
	}
	return real, append(refusals, s.admit(real)...)
}

// reference follows one reference the way kustomize would.
func (r *run) reference(n *Node, ref kustfile.Reference) {
	if ref.Kind == kustfile.Data {
		if giturl.IsHTTP(ref.Text) {
			r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File, fmt.Sprintf("field %s names %q: files over http are not supported", ref.Field, giturl.Redact(ref.Text))))
			return
		}
		r.local(n, ref)
		return
	}
	u, err := giturl.Parse(ref.Text)
	if ref.Kind == kustfile.Resource && !giturl.IsHTTP(ref.Text) && r.isFile(n, ref.Text) {
		if !errors.Is(err, giturl.ErrLocal) {
			// If kustomize cannot use the file, it goes on to the URL.
			r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s names %q, which is a file and could be a URL as well; write ./%[2]s", ref.Field, giturl.Redact(ref.Text))))
			return
		}
		r.local(n, ref)
		return
	}
	if giturl.LooksLikeFile(ref.Text) {
		r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File, fmt.Sprintf("field %s names %q: single files over http are not supported", ref.Field, giturl.Redact(ref.Text))))
		return
	}
	switch {
	case errors.Is(err, giturl.ErrLocal):
		r.local(n, ref)
	case err != nil:
		r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s: %v", ref.Field, err)))
	default:
		r.remote(n, ref, u)
	}
}

func (r *run) remote(n *Node, ref kustfile.Reference, u *giturl.URL) {
	e := &Edge{Field: ref.Field, Text: giturl.Redact(ref.Text), Remote: true}
	n.Edges = append(n.Edges, e)
	r.follow(n, e, u)
}

// isFile reports whether the text names a file of the snapshot, which
// kustomize would take before it looked at the text as a URL.
func (r *run) isFile(n *Node, text string) bool {
	p, inside := kustfile.Join(n.Dir, text)
	if !inside {
		return false
	}
	real, _, err := n.Source.Tree.Resolve(p)
	return err == nil && !n.Source.Tree.IsDir(real)
}

// local follows a reference within the source: a file is admitted, a directory
// becomes a node.
func (r *run) local(n *Node, ref kustfile.Reference) {
	p, inside := kustfile.Join(n.Dir, ref.Text)
	if !inside {
		one := n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s names %q, outside of its source", ref.Field, giturl.Redact(ref.Text)))
		if n.Source.Root && n.Source.Identity.IsFile() {
			one.Hints = []string{"a local source is the repository that holds DIR, else DIR alone; give its root with --source ID//PATH"}
		}
		r.refuse(n.named(), one)
		return
	}
	if err := n.inSubmodule(p); err != nil {
		r.refuse(n.named(), err)
		return
	}
	real, refusals := r.reach(n, p)
	if len(refusals) > 0 {
		r.refuse(n.named(), refusals...)
		return
	}
	switch {
	case real == "":
		r.fail(n.named(), fmt.Errorf("field %s names %q: there is no such file or directory", ref.Field, giturl.Redact(ref.Text)))
	case !n.Source.Tree.IsDir(real) && (isKustomization(p) || isKustomization(real)):
		// What a build reads of it may have references rewritten.
		r.refuse(n.named(), n.Source.refusal(refusal.Unsupported, n.File, fmt.Sprintf("field %s names %q: a kustomization cannot be loaded as data", ref.Field, giturl.Redact(ref.Text))))
	case !n.Source.Tree.IsDir(real):
		n.Source.addData(real)
	case ref.Kind == kustfile.Data:
		r.fail(n.named(), fmt.Errorf("field %s names %q: this is a directory, where a file is wanted", ref.Field, giturl.Redact(ref.Text)))
	default:
		to, refusals := r.enter(n.Source, real)
		r.refuse(n.named(), refusals...)
		n.Edges = append(n.Edges, &Edge{Field: ref.Field, Text: giturl.Redact(ref.Text), To: to})
	}
}

func isKustomization(p string) bool { return slices.Contains(kustfile.Names(), path.Base(p)) }

// inSubmodule refuses a path at or below a submodule.
func (n *Node) inSubmodule(p string) *refusal.Refusal {
	e, ok := n.Source.submodule(p)
	if !ok {
		return nil
	}
	one := n.Source.refusal(refusal.Unsupported, p, fmt.Sprintf("lies in submodule %s, and submodules are not supported yet", e.Path))
	one.Got = "submodule at commit " + e.Commit
	return one
}

// submodule returns the submodule at or above a path.
func (s *Source) submodule(p string) (materials.Entry, bool) {
	for d := path.Clean(p); d != "." && d != ".."; d = path.Dir(d) {
		if e, ok := s.Tree.Lookup(d); ok && e.Mode == materials.ModeSubmodule {
			return e, true
		}
	}
	return materials.Entry{}, false
}

func (s *Source) hasSubmodule(p string) bool {
	_, ok := s.submodule(p)
	return ok
}
