package resolver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/localdir"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/materials"
)

// Source is one snapshot: of a repository at a commit, or of a local
// directory.
type Source struct {
	Identity identity.Identity
	Root     bool   // the source that is built
	Dir      string // a local source's directory; "" for others
	Commit   string // "" for a local directory whose bytes are no commit's
	Tree     *materials.Tree
	Digest   string // canonical digest of the tree

	Origin // of the first reference to it, in the order of the graph
	*verification
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

func (r *run) limits() gitobject.Limits {
	l := r.cfg.Policy.Spec.Limits
	return gitobject.Limits{Files: l.FilesPerSource, Bytes: l.BytesPerSource}
}

// root makes the source and the node of what is built. Without them, the
// findings say why.
func (r *run) root(root Root) *Node {
	if root.URL != nil {
		s, origin, err := r.source(root.URL)
		if err != nil {
			r.report(place{}, root.URL.Identity, root.URL.Ref, err)
			return nil
		}
		s.Root, s.Origin = true, origin
		return r.enterRoot(s, orDot(root.URL.Path))
	}
	s, dir, err := r.localSource(root)
	if err != nil {
		r.report(place{}, identity.Identity(root.Dir), "", err)
		return nil
	}
	return r.enterRoot(s, dir)
}

func (r *run) enterRoot(s *Source, dir string) *Node {
	n, refusals := r.enter(s, dir)
	r.refuse(place{}, refusals...)
	return n
}

// localSource reads a local directory's source.
func (r *run) localSource(root Root) (*Source, string, error) {
	top, dir, err := localRoot(root)
	if err != nil {
		return nil, "", err
	}
	s := &Source{Root: true, Dir: top}
	if root.Source != nil {
		s.Identity = root.Source.Identity
	} else if s.Identity, err = identity.File(top); err != nil {
		return nil, "", err
	}
	if !root.Unverified && !r.cfg.Policy.Knows(s.Identity) {
		return nil, "", noRule(s.Identity, top)
	}
	if s.Tree, err = localdir.Read(top, r.limits()); err != nil {
		return nil, "", err
	}
	s.Digest = s.Tree.Digest()
	s.Commit = r.checkedOut(top, s.Tree)
	s.verification = newVerification(s, r.cfg.Policy, root.Unverified)
	r.count++
	return s, dir, nil
}

// localRoot finds the root of a local source and the directory below it, links
// and all: whether they are vouched for is for the source's rules to say.
func localRoot(root Root) (top, dir string, err error) {
	if root.Source == nil || root.Source.Path == "" {
		return localdir.RootAsWritten(root.Dir)
	}
	abs, err := filepath.Abs(root.Dir)
	if err != nil {
		return "", "", err
	}
	dir = root.Source.Path
	top, ok := strings.CutSuffix(abs, string(filepath.Separator)+filepath.FromSlash(dir))
	if !ok {
		return "", "", fmt.Errorf("--source says that %s is directory %s of its source, and its path does not end so", abs, dir)
	}
	return localdir.Below(abs, top)
}

// checkedOut returns the commit that a directory's HEAD names, if the bytes on
// disk are exactly those of the commit's tree.
func (r *run) checkedOut(dir string, tree *materials.Tree) string {
	head, err := localdir.Head(dir)
	if err != nil {
		return ""
	}
	id, err := gitobject.TreeID(tree, len(head.ID))
	if err != nil {
		return ""
	}
	committed := ""
	err = r.cfg.Git.Objects(r.ctx, head.Objects, len(head.ID), func(store gitobject.Store) error {
		kind, data, err := store.Object(head.ID, 1<<20)
		if err != nil {
			return err
		}
		if err := gitobject.Check(head.ID, kind, data); err != nil || kind != "commit" {
			return errors.Join(err, errors.New("not a commit"))
		}
		committed, err = gitobject.TreeOf(head.ID, data)
		return err
	})
	if err != nil || committed != id {
		return ""
	}
	return head.ID
}

func noRule(id identity.Identity, dir string) *refusal.Refusal {
	one := &refusal.Refusal{Code: refusal.NoRule, Source: string(id), Reason: "no rule of the policy matches this source"}
	if id.IsFile() && dir != "" {
		if u, err := giturl.ParseRepository(localdir.Origin(dir)); err == nil {
			one.Hints = append(one.Hints, fmt.Sprintf("if this is a checkout of %s, say so with --source %s", u.Identity, u.Identity))
		} else {
			one.Hints = append(one.Hints, "a local directory is a source of its own; say which repository it is with --source URL")
		}
		return one
	}
	one.Hints = append(one.Hints, fmt.Sprintf("add a rule under spec.sources, such as {match: %q, signedBy: [...]}", string(id)))
	return one
}

// source returns the snapshot that a URL names. Each URL and ref is looked up
// once in a run, and each commit of a repository read once.
func (r *run) source(u *giturl.URL) (*Source, Origin, error) {
	return r.once(fetchKey{u.Identity, u.Clone, u.Ref}, func() (*Source, Origin, error) { return r.fetch(u) })
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

func (r *run) fetch(u *giturl.URL) (*Source, Origin, error) {
	if !r.cfg.Policy.Knows(u.Identity) {
		return nil, Origin{}, noRule(u.Identity, "")
	}
	location := r.cfg.Policy.Mirror(u.Identity, u.Repository, u.Clone)
	if u.Scheme == "file" && location == u.Clone && !r.cfg.Policy.Spec.Allow.FileURLs {
		return nil, Origin{}, &refusal.Refusal{Code: refusal.Remote, Source: string(u.Identity), Reason: "file:// reads another checkout of this machine",
			Hints: []string{"spec.allow.fileURLs: true in the policy allows it"}}
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.ctx.Done():
		return nil, Origin{}, context.Cause(r.ctx)
	}
	limit := time.Duration(r.cfg.Policy.Spec.Limits.FetchTimeout)
	ctx, cancel := context.WithTimeoutCause(r.ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	ref, err := r.lookUp(ctx, location, u)
	if err != nil {
		return nil, Origin{}, err
	}
	// Two refs, or two ways to write a URL, may lead to one commit.
	s, _, err := r.once(fetchKey{identity: u.Identity, ref: "commit " + ref.Commit}, func() (*Source, Origin, error) {
		s, err := r.read(ctx, &Source{Identity: u.Identity, Commit: ref.Commit}, location)
		return s, Origin{}, err
	})
	return s, Origin{location, u.Ref, ref.Name}, err
}

// lookUp finds the commit of a ref. What a ref pointed to in the past is not
// kept: nobody vouches for it.
func (r *run) lookUp(ctx context.Context, location string, u *giturl.URL) (git.Ref, error) {
	if gitobject.IsID(u.Ref) {
		return git.Ref{Commit: u.Ref}, nil
	}
	if r.cfg.Offline {
		return git.Ref{}, fmt.Errorf("ref %q cannot be looked up offline; only a full commit id can", u.Ref)
	}
	return r.cfg.Git.Resolve(ctx, location, u.Ref)
}

// tooMany is the error for more sources than the policy allows.
type tooMany int

func (n tooMany) Error() string { return fmt.Sprintf("the build has more than %d sources", int(n)) }

// read reads a source's tree.
func (r *run) read(ctx context.Context, s *Source, location string) (*Source, error) {
	limit := r.cfg.Policy.Spec.Limits.Sources
	r.mu.Lock()
	r.count++
	count := r.count
	r.mu.Unlock()
	if count > limit {
		return nil, tooMany(limit)
	}
	var err error
	if s.Tree, err = r.snapshot(ctx, s, location); err != nil {
		return nil, err
	}
	s.Digest = s.Tree.Digest()
	s.verification = newVerification(s, r.cfg.Policy, false)
	return s, nil
}

const snapshots = "snapshots"

// snapshotName names a snapshot in the cache. The identity is part of it, so
// that a commit counts for a repository only if that repository served it.
func snapshotName(s *Source) string {
	sum := sha256.Sum256([]byte(s.Identity))
	return hex.EncodeToString(sum[:16]) + "-" + s.Commit
}

// snapshot reads a commit's tree from the cache, else from where it is. Either
// way every object is hashed again.
func (r *run) snapshot(ctx context.Context, s *Source, location string) (*materials.Tree, error) {
	name := snapshotName(s)
	tree, err := r.cached(name, s.Commit)
	switch {
	case err == nil:
		return tree, nil
	case r.cfg.Offline && errors.Is(err, os.ErrNotExist):
		return nil, errors.New("it is not in the cache, and no other place may be asked offline")
	case r.cfg.Offline:
		return nil, err
	case !errors.Is(err, os.ErrNotExist):
		r.cfg.Cache.Remove(snapshots, name) // damaged: get it again
	}
	if r.cfg.Observe != nil {
		defer r.cfg.Observe(string(s.Identity))()
	}
	err = r.cfg.Cache.Put(snapshots, name, func(w io.Writer) error {
		return r.cfg.Git.Fetch(ctx, location, s.Commit, func(store gitobject.Store) error {
			var err error
			tree, err = gitobject.ReadTree(&gitobject.Recorder{Store: store, W: w}, s.Commit, r.limits())
			return err
		})
	})
	return tree, err
}

func (r *run) cached(name, commit string) (*materials.Tree, error) {
	f, err := r.cfg.Cache.Get(snapshots, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return gitobject.ReadTree(gitobject.NewStream(f), commit, r.limits())
}
