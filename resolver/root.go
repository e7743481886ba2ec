package resolver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/localdir"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
)

// root makes the source and the node of what is built. Without them, the
// findings say why.
func (r *run) root(root Root) *Node {
	if root.URL != nil {
		if root.URL.Kind == sourceurl.File {
			r.fail(place{}, fmt.Errorf("%s is a single file; want a directory with a kustomization", root.URL.Identity))
			return nil
		}
		s, origin, err := r.source(root.URL, nil)
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

// enterRoot reads the root's lock before anything is followed.
func (r *run) enterRoot(s *Source, dir string) *Node {
	r.lock = r.rootLock(s, dir)
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
	s := &Source{Kind: sourceurl.Git, Root: true, Dir: top, written: "file://" + top, submodules: true}
	if root.Source != nil {
		s.Identity, s.written = root.Source.Identity, root.Source.Location
	} else if s.Identity, err = identity.File(top); err != nil {
		return nil, "", err
	}
	unknown := !root.Unverified && !r.cfg.Policy.Knows(s.Identity)
	if unknown && !r.cfg.Audit {
		return nil, "", noRule(s.Identity, top)
	}
	read := localdir.Read
	if root.Unverified {
		read = localdir.ReadAsIs
	}
	if s.Tree, err = read(top, r.limits()); err != nil {
		return nil, "", err
	}
	if err := agrees(s, root.Revision); err != nil {
		return nil, "", err
	}
	s.Digest = s.Tree.Digest()
	s.Commit, s.commitData = r.checkedOut(top, s.Tree)
	if s.reachable, err = r.rootReach(root, s); err != nil {
		return nil, "", err
	}
	s.verification = newVerification(s, r.cfg, root.Unverified)
	s.except = root.Except
	if unknown {
		s.standing = append(s.standing, noRule(s.Identity, top))
	}
	r.count++
	return s, dir, r.rootTags(root, s)
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

// agrees holds the commit that somebody says is checked out against what git's
// own data says, where that is there.
func agrees(s *Source, revision string) error {
	if _, err := os.Lstat(filepath.Join(s.Dir, ".git")); revision == "" || err != nil {
		return nil //nolint:nilerr // it did not come along
	}
	head, err := localdir.Head(s.Dir)
	if err != nil {
		return fmt.Errorf("the commit that is checked out: %w", err)
	}
	if head.ID != revision {
		return &refusal.Refusal{Code: refusal.Application, Source: string(s.Identity), Reason: "another commit is checked out than is said", Want: revision, Got: head.ID}
	}
	return nil
}

// checkedOut returns the commit that a directory's HEAD names, if the bytes on
// disk are exactly those of the commit's tree, and the commit's own bytes.
func (r *run) checkedOut(dir string, tree *materials.Tree) (string, []byte) {
	head, err := localdir.Head(dir)
	if err != nil {
		return "", nil
	}
	id, err := gitobject.TreeID(tree, len(head.ID))
	if err != nil {
		return "", nil
	}
	committed, commit := "", []byte(nil)
	err = r.git.Objects(r.ctx, head.Objects(), len(head.ID), func(store gitobject.Store) error {
		kind, data, err := store.Object(head.ID, 1<<20)
		if err != nil {
			return err
		}
		if err := gitobject.Check(head.ID, kind, data); err != nil || kind != "commit" {
			return errors.Join(err, errors.New("not a commit"))
		}
		committed, err = gitobject.TreeOf(head.ID, data)
		commit = data
		return err
	})
	if err != nil || committed != id {
		return "", nil
	}
	return head.ID, commit
}

// rootReach holds a checkout's commit against the refs that its rules allow.
func (r *run) rootReach(root Root, s *Source) (reachable, error) {
	if root.Unverified || s.Commit == "" || root.Source == nil {
		return nil, nil // no rule's refs reach it
	}
	ctx, cancel := r.withTimeout()
	defer cancel()
	return r.reach(ctx, s, r.location(root.Source), git.Ref{})
}

// rootTags finds tags of a checkout's commit.
func (r *run) rootTags(root Root, s *Source) error {
	if root.Unverified || s.Commit == "" || root.Source == nil {
		return nil
	}
	ctx, cancel := r.withTimeout()
	defer cancel()
	return r.findTags(ctx, s, r.location(root.Source), "")
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
