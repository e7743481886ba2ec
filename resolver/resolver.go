// Package resolver builds the graph of sources that a kustomization loads, and
// verifies each one before it follows what that one refers to.
//
// A source is one snapshot of one repository, or of a local directory. Its
// files are vouched for by the rules of a policy. [Resolve] reads kustomizations
// out of snapshots, and only those that were vouched for; it fetches what they
// name, each repository and ref once, several at a time, and goes on until
// nothing is left to follow. What is not vouched for becomes a refusal. All of
// them are collected: one failing source never hides another.
//
// A [Graph] is evidence. Whether its refusals stop a build is decided by
// whoever asked for it.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/kustfile"
	"github.com/trustomize/trustomize/internal/lockfile"
	"github.com/trustomize/trustomize/internal/oci"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
	"github.com/trustomize/trustomize/policy"
)

// Config is what resolving needs from outside.
type Config struct {
	Policy  *policy.Policy
	Git     *git.Git
	Cache   *cache.Cache
	Offline bool // use nothing but the cache

	// HTTP carries requests for files, archives and artifacts. It follows no
	// redirects and adds no credentials.
	HTTP http.RoundTripper

	// LookupEnv finds the variables that the policy names for credentials.
	LookupEnv func(string) (string, bool)

	// AnyFile says that kustomizations of a local root may load files from
	// outside of their own directories, as with LoadRestrictionsNone.
	AnyFile bool

	// EditRoot changes the root's kustomization after it was verified, and before
	// what it refers to is followed. find returns the paths of the root's
	// snapshot that a pattern stands for, seen from the kustomization. nil
	// changes nothing.
	EditRoot func(content []byte, find func(pattern string) []string) ([]byte, error)

	// Askpass, if there is one, lets git in at one host for which the policy
	// has no credential.
	Askpass *Askpass

	// Now is when all this happens: keys and exceptions end.
	Now time.Time

	// Audit goes on after refusals that say that nobody vouches for something
	// (see refusal.Code's Auditable). They are in the graph all the same.
	Audit bool

	// Locking is for the making of a lock: what is to be locked need not be
	// so yet. Relock looks up again what is locked.
	Locking, Relock bool

	ctx context.Context // set by a run

	// Observe, when set, is told of every fetch that begins. It is called from
	// several goroutines.
	Observe func(what string) Task
}

// Root says where to begin: a local directory or a URL.
type Root struct {
	Dir string // a local directory; its bytes as they lie on disk
	URL *sourceurl.URL

	// Source is the identity that the operator gives a local directory, with
	// the directory below the source's root. Without it, the identity is that
	// of the directory itself.
	Source *sourceurl.URL

	// Revision, unless empty, is the commit that somebody says is checked out in
	// the directory. Where git's own data came along, it must agree.
	Revision string

	// Except are patterns (package path's) of files below the source's root that
	// no list speaks of, and that no build may load.
	Except []string

	// Unverified takes a local directory as it is, without asking who vouches
	// for it. What it refers to is verified all the same.
	Unverified bool
}

// A fetch may write fetchFactor times as many bytes as a source may have, and
// minFetch at least: an old server gives all of a repository for one commit, and
// a history has to be fetched whole.
const (
	fetchFactor = 4
	minFetch    = 64 << 20
)

// maxFetches is how many sources are fetched at a time.
const maxFetches = 8

// Resolve resolves and verifies everything below the root. The only error is
// that of a context that ended; everything else is in the graph.
func Resolve(ctx context.Context, cfg Config, root Root) (*Graph, error) {
	r := newRun(ctx, cfg)
	node := r.root(root)
	r.wait.Wait()
	if node != nil {
		r.generatedConfigs()
	}
	cfg.Cache.Trim(cfg.Policy.Spec.Limits.CacheBytes)
	if err := context.Cause(ctx); err != nil {
		return nil, r.interrupted(err)
	}
	return r.graph(node), nil
}

// interrupted adds to why a run ended what it was waiting for.
func (r *run) interrupted(cause error) error {
	var names []string
	for key, f := range r.fetches {
		if errors.Is(f.err, cause) && !slices.Contains(names, string(key.identity)) {
			names = append(names, string(key.identity))
		}
	}
	if len(names) == 0 {
		return cause
	}
	slices.Sort(names)
	return fmt.Errorf("%w (while fetching %s)", cause, strings.Join(names, ", "))
}

// LookUp finds the commit that a locked reference stands for at present, and
// fetches nothing that can be left alone.
func LookUp(ctx context.Context, cfg Config, e lockfile.Entry) (string, error) {
	r := newRun(ctx, cfg)
	u, err := sourceurl.ParseLocked(e.URL, e.Commit, e.Digest)
	if err != nil {
		return "", err
	}
	if !cfg.Policy.Knows(u.Identity) && !cfg.Audit {
		return "", noRule(u.Identity, "")
	}
	ctx, cancel := r.withTimeout()
	defer cancel()
	ref, err := r.pick(ctx, wanted{u, r.location(u)}, nil)
	return ref.Commit, err
}

func newRun(ctx context.Context, cfg Config) *run {
	cfg.ctx = ctx
	own := *cfg.Git
	r := &run{
		ctx:     ctx,
		cfg:     cfg,
		git:     &own,
		slots:   make(chan struct{}, maxFetches),
		nodes:   map[nodeKey]*Node{},
		fetches: map[fetchKey]*fetch{},

		registries: map[string]*oci.Client{},
	}
	own.Access = r.gitAccess
	own.MaxBytes = max(fetchFactor*cfg.Policy.Spec.Limits.BytesPerSource, minFetch)
	own.NoRedirects = *cfg.Policy.Spec.Limits.Redirects == 0
	return r
}

// run is one resolution. Its maps are guarded by mu.
type run struct {
	ctx   context.Context
	cfg   Config
	git   *git.Git
	slots chan struct{}
	wait  sync.WaitGroup
	lock  *lockFile // the root's; nil when there is none

	mu       sync.Mutex
	nodes    map[nodeKey]*Node
	fetches  map[fetchKey]*fetch
	count    int // sources that were begun
	findings []finding

	registries map[string]*oci.Client // by registry/repository
}

type nodeKey struct {
	source *Source
	dir    string
}

// finding is a refusal or a failure, and the place that led to it.
// The chain is put together at the end, so that it does not depend on what came
// first.
type finding struct {
	place
	refusal *refusal.Refusal
	failure error
}

// place is where a finding belongs: to what a node's kustomization names, or to
// that kustomization itself. Without a node, it is the root's.
type place struct {
	node *Node
	self bool
}

// named is the place of what the node's kustomization refers to.
func (n *Node) named() place { return place{n, false} }

// own is the place of the node's kustomization itself.
func (n *Node) own() place { return place{n, true} }

func (r *run) find(f finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, f)
}

func (r *run) refuse(at place, refusals ...*refusal.Refusal) {
	for _, one := range refusals {
		r.find(finding{place: at, refusal: one})
	}
}

// fail notes what could not be done. What a source holds may be part of the
// error's text; it stays on one line.
func (r *run) fail(at place, err error) {
	if strings.ContainsAny(err.Error(), "\r\n") {
		err = errors.New(strings.Join(strings.FieldsFunc(err.Error(), func(c rune) bool { return c == '\r' || c == '\n' }), "; "))
	}
	r.find(finding{place: at, failure: err})
}

// enter returns the node of a directory, with links on the way to it followed
// and vouched for, and visits it the first time. Without a node, the refusals
// say why.
func (r *run) enter(s *Source, dir string) (*Node, []*refusal.Refusal) {
	real, links, err := s.Tree.Resolve(dir)
	var refusals []*refusal.Refusal
	for _, link := range links {
		refusals = append(refusals, s.admit(link)...)
	}
	var linkError *materials.LinkError
	switch {
	case s.stops(refusals):
		return nil, refusals
	case errors.As(err, &linkError) && !s.hasSubmodule(dir):
		return nil, append(refusals, s.refusal(refusal.Link, dir, linkError.Error()))
	case err != nil:
		real = path.Clean(dir) // the visit tells what is wrong with it
	default:
		if refusals = append(refusals, s.admitDir(real)...); s.stops(refusals) {
			return nil, refusals
		}
	}
	r.mu.Lock()
	n, known := r.nodes[nodeKey{s, real}]
	if !known {
		n = &Node{Source: s, Dir: real, root: len(r.nodes) == 0}
		r.nodes[nodeKey{s, real}] = n
	}
	r.mu.Unlock()
	if !known {
		r.wait.Go(func() { r.visit(n) })
	}
	return n, refusals
}

// follow fetches what a reference names and visits it, or takes the one file
// that it is.
func (r *run) follow(from *Node, e *Edge, u *sourceurl.URL, lock *Lock) {
	e.lockedAs = u.Text
	r.wait.Go(func() {
		s, origin, err := r.source(u, lock)
		if err != nil {
			r.report(from.named(), u.Identity, u.Ref, err)
			return
		}
		if s.Kind == sourceurl.File {
			r.take(from, e, s, s.file().Path, origin)
			return
		}
		r.lead(from, e, s, orDot(u.Path), origin)
	})
}

// lead has an edge lead to a directory of a source.
func (r *run) lead(from *Node, e *Edge, s *Source, dir string, origin Origin) {
	n, refusals := r.enter(s, dir)
	r.refuse(from.named(), refusals...)
	r.mu.Lock()
	defer r.mu.Unlock()
	e.To, e.origin = n, origin
}

// take has an edge lead to a single file of another source.
func (r *run) take(from *Node, e *Edge, s *Source, file string, origin Origin) {
	refusals := s.admit(file)
	r.refuse(from.named(), refusals...)
	if s.stops(refusals) {
		return
	}
	if e.Field == isSchema {
		r.mayConfigure(from.named(), s, file)
	}
	entry, _ := s.Tree.Lookup(file)
	if err := kustfile.CheckAliases(entry.Data); err != nil {
		r.fail(from.named(), fmt.Errorf("%s: %w", s.Identity, err))
		return
	}
	r.mu.Lock()
	e.Source, e.File, e.origin = s, file, origin
	r.mu.Unlock()
	if e.configs {
		r.configs(from, e.Field, entry.Data)
	}
}

// report files an error under what it is: a refusal, or a failure that says
// nothing about trust.
func (r *run) report(at place, id identity.Identity, ref string, err error) {
	var refused *refusal.Refusal
	var many tooMany
	var object *gitobject.Error
	var limit *gitobject.LimitError
	switch {
	case errors.As(err, &refused):
		r.refuse(at, refused)
	case errors.As(err, &many):
		// Which source is one too many is chance; the refusal names none.
		r.refuse(place{}, &refusal.Refusal{Code: refusal.Limit, Reason: many.Error(), Hints: []string{"the policy's spec.limits.sources sets this limit"}})
	case errors.As(err, &object):
		r.refuse(at, &refusal.Refusal{Code: refusal.Object, Source: string(id), Commit: commitOf(ref), Reason: object.Error()})
	case errors.As(err, &limit):
		r.refuse(at, &refusal.Refusal{Code: refusal.Limit, Source: string(id), Commit: commitOf(ref), Reason: limit.Error(),
			Hints: []string{"the policy's spec.limits sets this limit"}})
	default:
		r.fail(at, fmt.Errorf("cannot get %s: %w", id, err))
	}
}

func commitOf(ref string) string {
	if gitobject.IsID(ref) {
		return ref
	}
	return ""
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
