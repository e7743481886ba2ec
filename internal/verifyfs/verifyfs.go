// Package verifyfs is the file system that kustomize builds from: snapshots
// in memory, of which only checked files are served.
//
// Each reference's source appears in a directory of its own below the root.
// Nothing is ever read from disk or from a network, and nothing can be
// written. kustomize swallows some read errors and goes on; therefore the first
// attempt to read what was not checked is kept, and [FS.Violation] tells of it
// after the build.
package verifyfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/trustomize/trustomize/materials"
)

// Mount is one snapshot and what may be read of it.
type Mount struct {
	Name     string            // of its directory below the root
	Tree     *materials.Tree   // the snapshot
	Checked  map[string]bool   // paths that were checked, links included
	Replaced map[string][]byte // contents that differ from the snapshot's: rewritten kustomizations
	Added    map[string][]byte // checked files of other sources, at paths that the snapshot lacks

	// Alias is a second name for directory AliasOf, which the snapshot lacks:
	// kustomize takes some names for mistakes when they stand in a path.
	Alias, AliasOf string

	// Admit, when set, checks a path that the build asks for and that was not
	// checked before: which files some plugins read is known only when the
	// build has made their configuration. An error says why it is not served.
	Admit func(path string) error

	// Kustomizations are the files that were examined as such, links
	// followed. Any other file of such a name is not served.
	Kustomizations map[string]bool
}

// FS implements kustomize's file system. The zero value is empty; make one with
// [New].
type FS struct {
	mounts map[string]Mount

	mu        sync.Mutex
	violation error
}

// New returns a file system of mounts.
func New(mounts []Mount) *FS {
	f := &FS{mounts: make(map[string]Mount, len(mounts))}
	for _, m := range mounts {
		f.mounts[m.Name] = m
	}
	return f
}

// ErrUnchecked is in the chain of a violation.
var ErrUnchecked = errors.New("the build asked for a file that was not verified")

// Violation returns the first attempt to reach what was not checked.
func (f *FS) Violation() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.violation
}

// checked reports whether a path was checked, or stands a check now.
func (f *FS) checked(m Mount, p string) error {
	if m.Checked[p] {
		return nil
	}
	cause := ErrUnchecked
	if m.Admit != nil {
		if cause = m.Admit(p); cause == nil {
			return nil
		}
	}
	return f.violate(path.Join("/", m.Name, p), cause)
}

func (f *FS) violate(p string, cause error) error {
	err := fmt.Errorf("%w: %s", cause, p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.violation == nil {
		f.violation = err
	}
	return err
}

// locate splits a path into mount and path below it, links followed.
func (f *FS) locate(p string) (m Mount, real string, err error) {
	abs := path.Join("/", filepath.ToSlash(p))
	name, rest, _ := strings.Cut(strings.TrimPrefix(abs, "/"), "/")
	m, ok := f.mounts[name]
	if !ok {
		return Mount{}, "", &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	if rest == "" {
		rest = "."
	}
	if below, ok := strings.CutPrefix(rest+"/", m.Alias+"/"); ok && m.Alias != "" {
		rest = path.Join(m.AliasOf, below)
	}
	if _, added := m.Added[rest]; added {
		return m, rest, nil
	}
	real, links, err := m.Tree.Resolve(rest)
	if err != nil {
		return Mount{}, "", err
	}
	for _, link := range links {
		if err := f.checked(m, link); err != nil {
			return Mount{}, "", err
		}
	}
	return m, real, nil
}

// CleanedAbs returns the directory, and the file in it unless the path is a
// directory's, with links followed.
func (f *FS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	m, real, err := f.locate(p)
	if err != nil {
		return "", "", err
	}
	if m.Tree.IsDir(real) {
		return filesys.ConfirmedDir(path.Join("/", m.Name, real)), "", nil
	}
	return filesys.ConfirmedDir(path.Join("/", m.Name, path.Dir(real))), path.Base(real), nil
}

// ReadFile returns a checked file's bytes.
func (f *FS) ReadFile(p string) ([]byte, error) {
	m, real, err := f.locate(p)
	if err != nil {
		return nil, err
	}
	if m.Tree.IsDir(real) {
		return nil, &fs.PathError{Op: "read", Path: p, Err: errors.New("is a directory")}
	}
	if data, ok := m.Added[real]; ok {
		return append([]byte(nil), data...), nil
	}
	if err := f.checked(m, real); err != nil {
		return nil, err
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(real)) && !m.Kustomizations[real] {
		return nil, f.violate(path.Join("/", m.Name, real), ErrUnchecked)
	}
	if data, ok := m.Replaced[real]; ok {
		return append([]byte(nil), data...), nil
	}
	e, ok := m.Tree.Lookup(real)
	if !ok || e.Mode == materials.ModeSubmodule {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fs.ErrNotExist}
	}
	return append([]byte(nil), e.Data...), nil
}

// IsDir reports whether the path is a directory.
func (f *FS) IsDir(p string) bool {
	m, real, err := f.locate(p)
	return err == nil && m.Tree.IsDir(real)
}

// Exists reports whether the path is there.
func (f *FS) Exists(p string) bool {
	_, _, err := f.locate(p)
	return err == nil
}

// RemoveAll succeeds and does nothing: kustomize cleans up clones that were
// never made.
func (f *FS) RemoveAll(string) error { return nil }

// errReadOnly answers whatever would write.
var errReadOnly = errors.New("the verified file system cannot be written")

// Create fails.
func (f *FS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir fails.
func (f *FS) Mkdir(string) error { return errReadOnly }

// MkdirAll fails.
func (f *FS) MkdirAll(string) error { return errReadOnly }

// WriteFile fails.
func (f *FS) WriteFile(string, []byte) error { return errReadOnly }

var _ filesys.FileSystem = (*FS)(nil)

// errUnused answers what a build does not call.
var errUnused = errors.New("the verified file system offers no such operation")

// Open fails.
func (f *FS) Open(string) (filesys.File, error) { return nil, errUnused }

// ReadDir fails.
func (f *FS) ReadDir(string) ([]string, error) { return nil, errUnused }

// Glob fails.
func (f *FS) Glob(string) ([]string, error) { return nil, errUnused }

// Walk fails.
func (f *FS) Walk(string, filepath.WalkFunc) error { return errUnused }
