package materials

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Kind says what is wrong with a path.
type Kind string

// The kinds of a [Problem].
const (
	Changed  Kind = "changed"   // the bytes are not those that were listed
	Missing  Kind = "missing"   // listed, and not there
	Unlisted Kind = "unlisted"  // there, and not listed
	Link     Kind = "link"      // a link that leaves its scope, dangles or loops
	NotFile  Kind = "malformed" // listed, and a directory or a submodule
)

// Problem is one difference between a list and a tree.
type Problem struct {
	Kind      Kind
	Path      string // below the tree's root
	Want, Got string // what was expected and found, as text
	Detail    string
}

// Scope says where a list applies.
type Scope struct {
	Dir   string          // the list's directory, "." for the tree's root
	Inner map[string]bool // directories below Dir that have lists of their own
	// Except are patterns (package path's) of paths below the tree's root that are
	// outside of every list, besides those that [Excepted] names, even where a
	// list names them. They must not be given to a build.
	Except []string
}

// ScopeOf returns the scope of the list in dir, when the tree's lists lie in
// the directories given.
func ScopeOf(dir string, lists []string) Scope {
	s := Scope{Dir: dir, Inner: map[string]bool{}}
	for _, d := range lists {
		if d != dir && within(dir, d) {
			s.Inner[d] = true
		}
	}
	return s
}

// Excepts reports whether the path is outside of the list.
func (s Scope) Excepts(p string) bool {
	return Excepted(Rel(s.Dir, p)) || s.patterned(p)
}

func (s Scope) patterned(p string) bool {
	return slices.ContainsFunc(s.Except, func(pattern string) bool {
		ok, _ := path.Match(pattern, p)
		return ok
	})
}

// Check holds the list against every file of its scope and returns all
// problems, sorted by path.
func (l *List) Check(t *Tree, s Scope) []Problem {
	var problems []Problem
	for _, line := range l.lines {
		if p := path.Join(s.Dir, line.Path); !s.patterned(p) {
			problems = append(problems, l.CheckFile(t, s, p)...)
		}
	}
	for _, e := range t.Entries() {
		if within(s.Dir, e.Path) && !l.Names(Rel(s.Dir, e.Path)) && s.covers(e) {
			problems = append(problems, Problem{Kind: Unlisted, Path: e.Path, Got: describe(e)})
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return problems
}

// covers reports whether an entry that the list does not name should have been
// named.
func (s Scope) covers(e Entry) bool {
	if e.Mode == ModeSubmodule || s.Excepts(e.Path) {
		return false
	}
	for d := path.Dir(e.Path); d != s.Dir && d != "."; d = path.Dir(d) {
		if s.Inner[d] {
			return false
		}
	}
	return true
}

// CheckFile holds one path of the tree against the list: it must be listed and
// unchanged, or neither be listed nor there.
func (l *List) CheckFile(t *Tree, s Scope, p string) []Problem {
	want, listed := l.index[Rel(s.Dir, p)]
	e, exists := t.Lookup(p)
	switch {
	case !listed && !exists:
		return nil
	case !listed:
		return []Problem{{Kind: Unlisted, Path: p, Got: describe(e)}}
	case t.IsDir(p):
		return []Problem{{Kind: NotFile, Path: p, Want: want.String(), Got: "a directory"}}
	case !exists:
		return []Problem{{Kind: Missing, Path: p, Want: want.String()}}
	case e.Mode == ModeSubmodule:
		return []Problem{{Kind: NotFile, Path: p, Want: want.String(), Got: "a submodule"}}
	}
	content := e
	if e.Mode == ModeLink {
		var problem *Problem
		if content, problem = s.follow(t, p); problem != nil {
			problem.Want = want.String()
			return []Problem{*problem}
		}
	}
	if content.Digest != want {
		return []Problem{{Kind: Changed, Path: p, Want: want.String(), Got: content.Digest.String()}}
	}
	return nil
}

// follow returns the file that a link leads to, which must lie in the scope.
func (s Scope) follow(t *Tree, p string) (Entry, *Problem) {
	real, links, err := t.Resolve(p)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, &Problem{Kind: Link, Path: p, Detail: "the link leads nowhere"}
	}
	if err != nil {
		return Entry{}, &Problem{Kind: Link, Path: p, Detail: err.Error()}
	}
	for _, step := range append(links, real) {
		if !within(s.Dir, step) {
			return Entry{}, &Problem{Kind: Link, Path: p, Detail: fmt.Sprintf("the link leads to %q, outside of the list's directory %q", step, s.Dir)}
		}
	}
	e, ok := t.Lookup(real)
	if !ok {
		return Entry{}, &Problem{Kind: Link, Path: p, Detail: "the link leads to a directory, which a list cannot vouch for"}
	}
	return e, nil
}

func describe(e Entry) string {
	switch e.Mode {
	case ModeLink:
		return fmt.Sprintf("a link to %q", e.Data)
	case ModeSubmodule:
		return "submodule " + e.Commit
	}
	return e.Digest.String()
}

// Compute lists every file in the scope with its present digest, sorted by
// path. It is what sha256sum would print, and fails where sha256sum could not
// say it: on a link that leads to a directory, nowhere, or out of the scope.
func Compute(t *Tree, s Scope) (*List, error) {
	var lines []Line
	for _, e := range t.Entries() {
		if !within(s.Dir, e.Path) || !s.covers(e) {
			continue
		}
		content := e
		if e.Mode == ModeLink {
			var problem *Problem
			if content, problem = s.follow(t, e.Path); problem != nil {
				return nil, fmt.Errorf("%s: %s", e.Path, problem.Detail)
			}
		}
		lines = append(lines, Line{Rel(s.Dir, e.Path), content.Digest})
	}
	return NewList(lines)
}
