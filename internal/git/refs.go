package git

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// Resolve finds the commit that a ref names at the location; the empty ref is
// the default branch. Tags come before branches, as git has it, and stand for
// the commit that they point to.
func (g *Git) Resolve(ctx context.Context, location, ref string) (Ref, error) {
	if gitobject.IsID(ref) {
		return Ref{Commit: ref}, nil
	}
	dir, err := g.initRepository(40)
	if err != nil {
		return Ref{}, err
	}
	defer os.RemoveAll(dir)
	names := candidates(ref)
	args := append([]string{"ls-remote", "--quiet", "--end-of-options", location}, names...)
	for _, n := range names {
		args = append(args, n+"^{}")
	}
	out, err := g.run(ctx, dir, location, args...)
	if err != nil {
		return Ref{}, err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && gitobject.IsID(id) {
			found[name] = id
		}
	}
	for _, name := range names {
		if id, ok := found[name+"^{}"]; ok {
			return Ref{Name: name, Commit: id}, nil
		}
		if id, ok := found[name]; ok {
			return Ref{Name: name, Commit: id}, nil
		}
	}
	if isAbbreviation(ref) {
		return g.expand(ctx, location, ref)
	}
	return Ref{}, fmt.Errorf("%w: %q at %s", ErrNoRef, ref, location)
}

// candidates returns the full names that a ref may stand for, best first.
func candidates(ref string) []string {
	if ref == "" || ref == "HEAD" {
		return []string{"HEAD"}
	}
	if strings.HasPrefix(ref, "refs/") {
		return []string{ref}
	}
	return []string{"refs/" + ref, "refs/tags/" + ref, "refs/heads/" + ref}
}

func isAbbreviation(ref string) bool {
	return len(ref) >= 4 && len(ref) < 40 && strings.Trim(ref, "0123456789abcdef") == ""
}

// expand finds the commit that an abbreviated id stands for, among those that
// a branch or tag can reach.
func (g *Git) expand(ctx context.Context, location, short string) (Ref, error) {
	dir, err := g.initRepository(40)
	if err != nil {
		return Ref{}, err
	}
	defer os.RemoveAll(dir)
	if err := g.fetchAll(ctx, dir, location, nil, "--filter=tree:0"); err != nil {
		return Ref{}, err
	}
	out, err := g.run(ctx, dir, location, "rev-parse", "--verify", "--quiet", "--end-of-options", short+"^{commit}")
	id := strings.TrimSpace(out)
	if err != nil || !gitobject.IsID(id) {
		return Ref{}, fmt.Errorf("%w: %q at %s names no single commit", ErrNoRef, short, location)
	}
	return Ref{Commit: id}, nil
}
