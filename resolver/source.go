package resolver

import (
	"context"
	"fmt"
	"strings"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
)

// Source is one snapshot: of a repository at a commit, of a file, an archive
// or an artifact, or of a local directory.
type Source struct {
	Identity identity.Identity
	Kind     sourceurl.Kind
	Root     bool   // the source that is built
	Dir      string // a local source's directory; "" for others
	Tree     *materials.Tree

	// Commit is the id that Kind gives a state: a git commit, the SHA-256 of
	// a file or an archive, an artifact's manifest digest. It is "" for a local
	// directory whose bytes are no commit's.
	Commit string

	// Digest is the canonical digest of the tree; of a single file, the SHA-256
	// of its bytes.
	Digest string

	// Lock is the entry by which the source was found; nil when there is none.
	Lock *Lock

	Origin // of the first reference to it, in the order of the graph
	*verification

	written    string // the location as written, to which submodules' URLs are relative
	submodules bool   // are followed
	signatures []signatureFile
	reachable  reachable
	commitData []byte   // the commit object, of a git source at a commit
	tags       []gitTag // tag objects that point to the commit, where a rule asks for them
}

// Origin is how a reference led to a source.
type Origin struct {
	Location string // where the bytes come from, mirrors applied; "" for local ones
	Ref      string // as written; "" is the default branch
	RefName  string // the ref's full name, "" for a commit id
}

// fetch is a ref that is being looked up and fetched, once.
type fetch struct {
	done   chan struct{}
	source *Source
	origin Origin
	err    error
}

// fetchKey names what is fetched once. References with different locks do not
// share a source: whether a lock vouches for it is a source's own matter.
type fetchKey struct {
	identity      identity.Identity
	kind          sourceurl.Kind
	location, ref string
	submodules    bool
	lock          string
}

func (r *run) limits() gitobject.Limits {
	l := r.cfg.Policy.Spec.Limits
	return gitobject.Limits{Files: l.FilesPerSource, Bytes: l.BytesPerSource}
}

// source returns the snapshot that a URL names, at the commit that the lock
// says, if there is one. Each URL and ref is looked up once in a run, and each
// commit of a repository read once.
func (r *run) source(u *sourceurl.URL, lock *Lock) (*Source, Origin, error) {
	key := fetchKey{u.Identity, u.Kind, u.Location, u.Ref, u.Submodules, lock.key()}
	return r.once(key, func() (*Source, Origin, error) { return r.fetch(u, lock) })
}

// once runs do for a key the first time, and gives its result to everybody who
// asks for the same key.
func (r *run) once(key fetchKey, do func() (*Source, Origin, error)) (*Source, Origin, error) {
	r.mu.Lock()
	f, begun := r.fetches[key]
	if !begun {
		f = &fetch{done: make(chan struct{})}
		r.fetches[key] = f
	}
	r.mu.Unlock()
	if !begun {
		f.source, f.origin, f.err = do()
		close(f.done)
	}
	<-f.done
	return f.source, f.origin, f.err
}

func (r *run) fetch(u *sourceurl.URL, lock *Lock) (*Source, Origin, error) {
	if !r.cfg.Policy.Knows(u.Identity) && !r.cfg.Audit {
		return nil, Origin{}, noRule(u.Identity, "")
	}
	at := wanted{u, r.location(u)}
	if u.Scheme == "file" && at.location == u.Location && !r.cfg.Policy.Spec.Allow.FileURLs {
		return nil, Origin{}, &refusal.Refusal{Code: refusal.Remote, Source: string(u.Identity), Reason: "file:// reads another checkout of this machine",
			Hints: []string{"spec.allow.fileURLs: true in the policy allows it"}}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.ctx.Done():
		return nil, Origin{}, context.Cause(r.ctx)
	}
	ctx, cancel := r.withTimeout()
	defer cancel()
	ref, err := r.pick(ctx, at, lock)
	if err != nil {
		return nil, Origin{}, err
	}
	// Two refs may lead to one commit. Two ways to write a URL do not make one
	// source: a submodule's URL can be relative to it.
	key := fetchKey{identity: u.Identity, kind: u.Kind, location: u.Location, ref: "commit " + ref.Commit, submodules: u.Submodules, lock: lock.key()}
	s, _, err := r.once(key, func() (*Source, Origin, error) {
		s, err := r.read(ctx, at, ref, lock)
		return s, Origin{}, err
	})
	return s, Origin{at.shown(), u.Ref, ref.Name}, err
}

// withTimeout returns the context for one source.
func (r *run) withTimeout() (context.Context, context.CancelFunc) {
	limit := r.timeout()
	return context.WithTimeoutCause(r.ctx, limit, fmt.Errorf("no answer within %s; the policy's spec.limits.fetchTimeout sets this limit", limit))
}

// pick finds the commit that is wanted: the locked one, else what the ref stands
// for at present. What a ref pointed to in the past is not kept: nobody vouches
// for it.
func (r *run) pick(ctx context.Context, at wanted, lock *Lock) (git.Ref, error) {
	if lock != nil {
		return git.Ref{Commit: lock.Commit}, nil
	}
	return r.transport(at.Kind).lookUp(ctx, at)
}

// tooMany is the error for more sources than the policy allows.
type tooMany int

func (n tooMany) Error() string { return fmt.Sprintf("the build has more than %d sources", int(n)) }

// read reads a source's tree and what else is known of it.
func (r *run) read(ctx context.Context, at wanted, ref git.Ref, lock *Lock) (*Source, error) {
	limit := r.cfg.Policy.Spec.Limits.Sources
	r.mu.Lock()
	r.count++
	count := r.count
	r.mu.Unlock()
	if count > limit {
		return nil, tooMany(limit)
	}
	s := &Source{Identity: at.Identity, Kind: at.Kind, Commit: ref.Commit, Lock: lock, written: at.Location, submodules: at.Submodules}
	// Its bytes are the same however its URL is written, and fetched once.
	same := fetchKey{identity: s.Identity, kind: s.Kind, ref: "tree " + s.Commit}
	tree, _, err := r.once(same, func() (*Source, Origin, error) {
		bytes := &Source{Identity: s.Identity, Kind: s.Kind, Commit: s.Commit}
		var err error
		bytes.Tree, err = r.transport(at.Kind).tree(ctx, at, bytes)
		return bytes, Origin{}, err
	})
	if err != nil {
		return nil, err
	}
	s.Tree, s.signatures, s.commitData = tree.Tree, tree.signatures, tree.commitData
	s.Digest = s.Tree.Digest()
	if s.Kind == sourceurl.File {
		s.Digest = "sha256:" + s.file().Digest.String()
	}
	if s.reachable, err = r.reach(ctx, s, at.location, ref); err != nil {
		return nil, err
	}
	s.verification = newVerification(s, r.cfg, false)
	s.standing = lock.holds(s)
	if r.stops(s.standing) {
		return nil, s.standing[0]
	}
	if !r.cfg.Policy.Knows(s.Identity) {
		s.standing = append(s.standing, noRule(s.Identity, ""))
	}
	return s, r.findTags(ctx, s, at.location, ref.Name)
}

// file returns the one file of a source that is one.
func (s *Source) file() materials.Entry { return s.Tree.Entries()[0] }

// shown is the location as it may be recorded: a query may be a secret.
func (w wanted) shown() string {
	if w.Kind == sourceurl.File || w.Kind == sourceurl.Archive {
		location, _, _ := strings.Cut(w.location, "?")
		return location
	}
	return w.location
}

// Task is a fetch that is under way.
type Task interface {
	Bytes(n int64) // that have come so far
	Done()
}

// observe tells of a fetch that begins.
func (r *run) observe(s *Source) Task {
	if r.cfg.Observe == nil {
		return silent{}
	}
	return r.cfg.Observe(string(s.Identity))
}

type silent struct{}

func (silent) Bytes(int64) {}
func (silent) Done()       {}
