package resolver

import (
	"fmt"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/kustfile"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
)

// A submodule is a source of its own. Its URL comes from .gitmodules, which its
// superproject's list covers, and its commit from the superproject's tree, which
// no list covers: a rule for the submodule decides about it.

const gitmodules = ".gitmodules"

// intoSubmodule follows a reference that leads into a submodule.
func (r *run) intoSubmodule(n *Node, ref kustfile.Reference, p string, at materials.Entry) {
	e := r.edge(n, ref)
	e.Remote, e.submodule = true, true
	if !n.Source.submodules {
		r.fail(n.named(), fmt.Errorf("field %s names %q, which lies in a submodule, and the URL that led here says submodules=false", ref.Field, giturl.Redact(ref.Text)))
		return
	}
	r.wait.Go(func() {
		u, err := r.submoduleURL(n, at)
		if err != nil {
			r.report(n.named(), n.Source.Identity, n.Source.Commit, err)
			return
		}
		s, origin, err := r.source(u, r.locked(n, u))
		if err != nil {
			r.report(n.named(), u.Identity, u.Ref, err)
			return
		}
		r.mu.Lock()
		e.lockedAs = u.Text
		r.mu.Unlock()
		r.within(n, e, ref, s, orDot(strings.TrimPrefix(strings.TrimPrefix(path.Clean(p), at.Path), "/")), origin)
	})
}

// within finds out what lies at a path of a submodule.
func (r *run) within(n *Node, e *Edge, ref kustfile.Reference, s *Source, p string, origin Origin) {
	real, refusals := s.reach(p)
	r.refuse(n.named(), refusals...)
	switch {
	case s.stops(refusals):
	case real == "":
		r.fail(n.named(), fmt.Errorf("field %s names %q: the submodule %s has no such file or directory", ref.Field, giturl.Redact(ref.Text), s.Identity))
	case s.Tree.IsDir(real) && ref.Kind == kustfile.Data:
		r.fail(n.named(), isDirectory(ref))
	case s.Tree.IsDir(real):
		r.lead(n, e, s, real, origin)
	case isKustomization(p) || isKustomization(real):
		r.refuse(n.named(), asData(n, ref))
	default:
		r.take(n, e, s, real, origin)
	}
}

// submoduleURL finds where a submodule comes from.
func (r *run) submoduleURL(n *Node, at materials.Entry) (*sourceurl.URL, error) {
	s := n.Source
	refusals := s.admit(gitmodules)
	r.refuse(n.named(), refusals...)
	if s.stops(refusals) {
		return nil, refusals[0]
	}
	e, ok := s.Tree.Lookup(gitmodules)
	if !ok || !isFile(e) {
		return nil, fmt.Errorf("submodule %s: there is no %s that says where it comes from", at.Path, gitmodules)
	}
	modules, err := r.git.Modules(r.ctx, e.Data)
	if err != nil {
		return nil, err
	}
	text, ok := modules[at.Path]
	if !ok {
		return nil, fmt.Errorf("submodule %s: %s does not say where it comes from", at.Path, gitmodules)
	}
	absolute, err := relativeURL(s.written, text)
	if err != nil {
		return nil, fmt.Errorf("submodule %s: %w", at.Path, err)
	}
	u, err := giturl.ParseRepository(absolute)
	if err != nil || u.Path != "" || u.Ref != "" {
		one := s.refusal(refusal.Remote, gitmodules, fmt.Sprintf("submodule %s comes from %q, which names no repository that a build may ask", at.Path, giturl.Redact(text)))
		return nil, one
	}
	u.Ref, u.Submodules = at.Commit, true
	return sourceurl.FromGit(u, u.Clone+"?ref="+at.Commit), nil
}

// relativeURL resolves a submodule's URL that begins with ./ or ../ against its
// superproject's, as git does (git-submodule's manual, "add").
func relativeURL(super, text string) (string, error) {
	if !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") {
		return text, nil
	}
	base := strings.TrimSuffix(super, "/")
	for {
		if rest, ok := strings.CutPrefix(text, "./"); ok {
			text = rest
			continue
		}
		rest, ok := strings.CutPrefix(text, "../")
		if !ok {
			break
		}
		i := strings.LastIndexAny(base, "/:")
		if i < 0 || strings.HasSuffix(base[:i], "/") || strings.HasSuffix(base[:i], ":/") {
			return "", fmt.Errorf("its URL %q leads above the host of %s", giturl.Redact(text), giturl.Redact(super))
		}
		text = rest
		if base[i] == ':' {
			return base[:i+1] + text, nil // user@host:
		}
		base = base[:i]
	}
	return base + "/" + text, nil
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
