package resolver

import (
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/kustedit"
	"github.com/trustomize/trustomize/internal/kustfile"
)

// Askpass is a program that git asks for a user's name and password at one
// host.
type Askpass struct {
	Location string // a URL; its scheme and host alone are offered anything
	Program  string // absolute path
	Env      []string
}

// offer returns what lets git in at a location.
func (a *Askpass) offer(u *giturl.URL) git.Access {
	if a == nil {
		return git.Access{}
	}
	own, err := giturl.ParseRepository(a.Location)
	if err != nil || own.Scheme != u.Scheme || u.Scheme != "https" || hostOf(own) != hostOf(u) {
		return git.Access{}
	}
	return git.Access{Askpass: a.Program, AskpassEnv: a.Env}
}

// hostOf is a source's host and port.
func hostOf(u *giturl.URL) string {
	host, _, _ := strings.Cut(string(u.Identity), "/")
	return host
}

// edit changes the root's kustomization, which was verified as it is in the
// snapshot.
func (r *run) edit(n *Node, content []byte) ([]byte, error) {
	if !n.root || r.cfg.EditRoot == nil {
		return content, nil
	}
	n.edited = true
	return r.cfg.EditRoot(content, func(pattern string) []string { return r.pathsOf(n, pattern) })
}

// pathsOf returns the paths of the node's source that a pattern stands for. What is
// not there must be absent by the lists' word too.
func (r *run) pathsOf(n *Node, pattern string) []string {
	if strings.ContainsAny(pattern, `*?[\`) {
		found, err := kustedit.Matches(n.Source.names(), n.Dir, pattern)
		if err != nil {
			return nil
		}
		return found
	}
	p, inside := kustfile.Join(n.Dir, pattern)
	if !inside {
		return nil
	}
	if real, _, err := n.Source.Tree.Resolve(p); err == nil && n.Source.has(real) {
		return []string{pattern}
	}
	for _, name := range kustfile.Names() {
		_, refusals := n.Source.reach(path.Join(p, name))
		r.refuse(n.own(), refusals...)
	}
	return nil
}

// names returns every path of the source's tree, directories too.
func (s *Source) names() []string {
	seen := map[string]bool{}
	var all []string
	for _, e := range s.Tree.Entries() {
		for p := e.Path; p != "." && !seen[p]; p = path.Dir(p) {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all
}
