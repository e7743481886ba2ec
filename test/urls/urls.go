// Package urls reaches kustomize's parser for git URLs, which is internal to
// its module.
package urls

import (
	"unsafe"

	_ "sigs.k8s.io/kustomize/api/krusty" // links the parser in
)

//go:linkname newRepoSpec sigs.k8s.io/kustomize/api/internal/git.NewRepoSpecFromURL
func newRepoSpec(text string) (unsafe.Pointer, error)

// spec is the beginning of kustomize's RepoSpec, v0.21.2.
type spec struct {
	raw, Host, RepoPath, Dir, KustRootPath, Ref string
}

// parse returns what kustomize makes of a text, or an error where it takes it
// for a local path.
func parse(text string) (spec, error) {
	p, err := newRepoSpec(text)
	if err != nil {
		return spec{}, err
	}
	return *(*spec)(p), nil
}
