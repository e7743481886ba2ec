package git

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// Refs lists the branches and tags at the location, tags with the commits that
// they point to, sorted by name.
func (g *Git) Refs(ctx context.Context, location string) ([]Ref, error) {
	dir, err := g.initRepository(40)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := g.run(ctx, dir, location, "ls-remote", "--quiet", "--heads", "--tags", "--end-of-options", location)
	if err != nil {
		return nil, err
	}
	commits, tags := map[string]string{}, map[string]string{}
	for line := range strings.Lines(out) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || !gitobject.IsID(id) {
			continue
		}
		// An annotated tag is followed by the commit behind it.
		name, behind := strings.CutSuffix(name, "^{}")
		if behind {
			tags[name] = commits[name]
		}
		commits[name] = id
	}
	var refs []Ref
	for name, id := range commits {
		refs = append(refs, Ref{name, id, tags[name]})
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return refs, nil
}

// History fetches the commits that refs reach, without trees and blobs where the
// server can leave them out, and hands them to use.
func (g *Git) History(ctx context.Context, location string, refs []Ref, progress func(int64), use func(gitobject.Store) error) error {
	dir, err := g.initRepository(len(refs[0].Commit))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := []string{"--filter=tree:0", "--end-of-options", location}
	for _, ref := range refs {
		args = append(args, "+"+ref.Name+":"+ref.Name)
	}
	if err := g.fetch(ctx, dir, location, progress, args...); err != nil {
		return err
	}
	return g.objects(ctx, dir, filepath.Join(dir, "objects"), use)
}

// Tags fetches tag objects and hands them to use, with the commits that they
// point to.
func (g *Git) Tags(ctx context.Context, location string, refs []Ref, use func(gitobject.Store) error) error {
	dir, err := g.initRepository(len(refs[0].Commit))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := []string{"--depth=1", "--filter=tree:0", "--end-of-options", location}
	for _, ref := range refs {
		args = append(args, "+"+ref.Name+":"+ref.Name)
	}
	if err := g.fetch(ctx, dir, location, nil, args...); err != nil {
		return err
	}
	return g.objects(ctx, dir, filepath.Join(dir, "objects"), use)
}
