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
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
)

// visit reads a directory's kustomization and follows its references, if
// everything on the way is vouched for.
func (r *run) visit(n *Node) {
	data, ok := r.kustomization(n)
	if !ok {
		return
	}
	data, err := r.edit(n, data)
	if err != nil {
		r.fail(n.own(), err)
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
	if k.LoadsSchema() {
		n.configures = append(n.configures, "openapi")
		r.mayConfigure(n.own(), n.Source, n.File)
	}
	r.inlineConfigs(n, k)
	for _, ref := range k.References() {
		r.reference(n, ref)
	}
}

// mayConfigure refuses a file that changes how everything that loads it is
// merged, unless it is the root's own, or the rules for it, and for every link on
// the way, say that it may.
func (r *run) mayConfigure(at place, s *Source, file string) {
	if s.Root {
		return
	}
	real, links, err := s.Tree.Resolve(file)
	if err != nil {
		return // reading it says why
	}
	for _, p := range append(links, real) {
		if rule, ok := s.rule(p); ok && rule.Config {
			continue
		}
		one := s.refusal(refusal.Config, p, "field openapi of another source than the root changes how everything that loads it is merged")
		one.Hints = []string{"review it, then say config: true in the source's rule"}
		r.refuse(at, one)
	}
}

// isSchema is the field that names a schema.
const isSchema = "openapi.path"

// kustomization finds the one file among the names that kustomize probes for.
// All names are held against the lists: a file that was removed or added under
// one of them would change what is built.
func (r *run) kustomization(n *Node) ([]byte, bool) {
	if e, ok := n.Source.submodule(n.Dir); ok {
		r.refuse(n.own(), n.Source.refusal(refusal.Unsupported, n.Dir, fmt.Sprintf("lies in submodule %s; build that repository itself", e.Path)))
		return nil, false
	}
	var found []string
	refused := false
	for _, name := range kustfile.Names() {
		p := path.Join(n.Dir, name)
		real, refusals := n.Source.reach(p)
		r.refuse(n.own(), refusals...)
		refused = refused || n.Source.stops(refusals)
		switch {
		case real != "" && !n.Source.Tree.IsDir(real):
			found = append(found, p)
		case real != "":
			// A directory in the place of a listed file.
			refusals = n.Source.admit(p)
			r.refuse(n.own(), refusals...)
			refused = refused || n.Source.stops(refusals)
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
func (s *Source) reach(p string) (string, []*refusal.Refusal) {
	real, links, err := s.Tree.Resolve(p)
	var refusals []*refusal.Refusal
	for _, link := range links {
		refusals = append(refusals, s.admit(link)...)
	}
	var linkError *materials.LinkError
	switch {
	case errors.As(err, &linkError):
		return "", append(refusals, s.refusal(refusal.Link, p, linkError.Error()))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", refusals
	case err != nil:
		// What is absent must be so by the list's word as well.
		return "", append(refusals, s.admit(p)...)
	case s.Tree.IsDir(real):
		return real, append(refusals, s.admitDir(real)...)
	}
	return real, append(refusals, s.admit(real)...)
}

// reference follows one reference the way kustomize would.
func (r *run) reference(n *Node, ref kustfile.Reference) {
	n.note(ref)
	u, err := r.parse(ref)
	mayBeFile := ref.Kind == kustfile.Resource || ref.Kind == kustfile.Config
	if mayBeFile && !giturl.IsHTTP(ref.Text) && r.isFile(n, ref.Text) {
		if !errors.Is(err, giturl.ErrLocal) {
			// If kustomize cannot use the file, it goes on to the URL.
			r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s names %q, which is a file and could be a URL as well; write ./%[2]s", ref.Field, giturl.Redact(ref.Text))))
			return
		}
		r.local(n, ref)
		return
	}
	switch {
	case errors.Is(err, giturl.ErrLocal):
		r.local(n, ref)
	case err != nil:
		r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s: %v", ref.Field, err)))
	case ref.Kind == kustfile.Base && u.Kind == sourceurl.File:
		r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s names %q, a file, where a directory is wanted", ref.Field, giturl.Redact(ref.Text))))
	case ref.Kind == kustfile.Data && u.Kind != sourceurl.File:
		r.refuse(n.named(), n.Source.refusal(refusal.Remote, n.File, fmt.Sprintf("field %s names %q, where a file is wanted", ref.Field, giturl.Redact(ref.Text))))
	default:
		e := r.edge(n, ref)
		e.Remote = true
		r.follow(n, e, u, r.locked(n, u))
	}
}

// parse reads a reference. An http URL that could be a repository or a file is
// what the policy knows it as: a file, where a rule names just that one, or where
// no rule knows the repository.
func (r *run) parse(ref kustfile.Reference) (*sourceurl.URL, error) {
	u, err := sourceurl.Parse(ref.Text, ref.Kind == kustfile.Data)
	if err != nil || u.Kind != sourceurl.Git || ref.Kind == kustfile.Base {
		return u, err
	}
	file, fileErr := sourceurl.Parse(ref.Text, true)
	if fileErr != nil || file.Kind != sourceurl.File || file.Identity == u.Identity || u.Ref != "" {
		return u, nil //nolint:nilerr // then it is no file
	}
	rule, known := r.cfg.Policy.Rule(file.Identity, ".")
	if known && (rule.Match == string(file.Identity) || !r.cfg.Policy.Knows(u.Identity)) {
		return file, nil
	}
	return u, nil
}

// note keeps what acts on more than the resources that a kustomization loads.
func (n *Node) note(ref kustfile.Reference) {
	if strings.HasPrefix(ref.Field, "crds[") || strings.HasPrefix(ref.Field, "configurations[") {
		n.configures = append(n.configures, ref.Field)
	}
}

// edge adds a reference to its kustomization.
func (r *run) edge(n *Node, ref kustfile.Reference) *Edge {
	e := &Edge{
		Field: ref.Field, Text: giturl.Redact(ref.Text), written: ref.Text,
		resource: ref.Kind == kustfile.Resource || ref.Kind == kustfile.Config, configs: ref.Kind == kustfile.Config,
	}
	n.Edges = append(n.Edges, e)
	return e
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
	if e, ok := n.Source.submodule(p); ok {
		r.intoSubmodule(n, ref, p, e)
		return
	}
	real, refusals := n.Source.reach(p)
	r.refuse(n.named(), refusals...)
	if n.Source.stops(refusals) {
		return
	}
	switch {
	case real == "":
		r.fail(n.named(), fmt.Errorf("field %s names %q: there is no such file or directory", ref.Field, giturl.Redact(ref.Text)))
	case !n.Source.Tree.IsDir(real):
		r.localFile(n, ref, p, real)
	case ref.Kind == kustfile.Data:
		r.fail(n.named(), isDirectory(ref))
	default:
		to, refusals := r.enter(n.Source, real)
		r.refuse(n.named(), refusals...)
		r.edge(n, ref).To = to
	}
}

// localFile takes a file of the node's own source.
func (r *run) localFile(n *Node, ref kustfile.Reference, p, real string) {
	switch {
	case isKustomization(p) || isKustomization(real):
		r.refuse(n.named(), asData(n, ref))
		return
	case !r.mayLoad(n, real):
		r.fail(n.named(), fmt.Errorf("field %s names %q: the file is not in or below the kustomization's own directory", ref.Field, giturl.Redact(ref.Text)))
		return
	}
	if ref.Field == isSchema {
		r.mayConfigure(n.named(), n.Source, p)
	}
	n.Source.addData(real)
	e, _ := n.Source.Tree.Lookup(real)
	if err := kustfile.CheckAliases(e.Data); err != nil {
		r.fail(n.named(), fmt.Errorf("%s: %w", n.Source.Identity.At(real), err))
		return
	}
	switch ref.Kind {
	case kustfile.Resource:
		n.resources, n.loaded = append(n.resources, real), append(n.loaded, ref.Text)
	case kustfile.Config:
		n.loaded = append(n.loaded, ref.Text)
		r.configs(n, ref.Field, e.Data)
	}
}

// mayLoad reports whether a kustomization may load a file of its source. Where
// restrictions are off, they are so for a local root alone: kustomize never
// lets a clone out of its directories.
func (r *run) mayLoad(n *Node, file string) bool {
	if r.cfg.AnyFile && n.Source.Root && n.Source.Dir != "" {
		return true
	}
	return n.Dir == "." || strings.HasPrefix(file, n.Dir+"/")
}

func isDirectory(ref kustfile.Reference) error {
	return fmt.Errorf("field %s names %q: this is a directory, where a file is wanted", ref.Field, giturl.Redact(ref.Text))
}

// asData refuses a kustomization that is loaded as a file: what a build reads
// of it may have references rewritten.
func asData(n *Node, ref kustfile.Reference) *refusal.Refusal {
	return n.Source.refusal(refusal.Unsupported, n.File, fmt.Sprintf("field %s names %q: a kustomization cannot be loaded as data", ref.Field, giturl.Redact(ref.Text)))
}

func isKustomization(p string) bool { return slices.Contains(kustfile.Names(), path.Base(p)) }
