package identity

import (
	"fmt"
	"path"
	"strings"
)

// Pattern is a rule's match: host/repository[//path], as identities are
// written. "*" is one whole segment or a part of one; "**" is any number of
// whole segments. A path without either names that file or directory and
// everything below it; a pattern without a path matches every path.
//
// A pattern matches only sources of its own scheme: none that lacks a prefix
// "http:", "file:" or "oci:" matches a source that has it.
type Pattern struct {
	text    string
	scheme  string
	repo    []string
	path    []string
	hasPath bool
}

// ParsePattern reads a pattern. Errors say what is wrong with it.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: s}
	scheme, rest := split(s)
	p.scheme = scheme
	repo, sub, hasPath := strings.Cut(rest, "//")
	p.hasPath = hasPath
	if scheme == filePrefix {
		if !strings.HasPrefix(repo, "/") && repo != "**" {
			return Pattern{}, fmt.Errorf("%q: a file: pattern wants an absolute path", s)
		}
		repo = strings.TrimPrefix(repo, "/")
	}
	var err error
	if p.repo, err = segments(s, repo); err != nil {
		return Pattern{}, err
	}
	if hasPath {
		if p.path, err = segments(s, sub); err != nil {
			return Pattern{}, err
		}
	}
	return p, p.check()
}

// segments splits a pattern's part and refuses what could never match, or
// could be read in two ways.
func segments(whole, part string) ([]string, error) {
	if err := checkText(part); err != nil {
		return nil, fmt.Errorf("%q: %w", whole, err)
	}
	segs := strings.Split(part, "/")
	for _, seg := range segs {
		switch {
		case seg == "":
			return nil, fmt.Errorf("%q has an empty segment", whole)
		case seg == "." || seg == "..":
			return nil, fmt.Errorf("%q has a segment %q", whole, seg)
		case seg != "**" && strings.Contains(seg, "**"):
			return nil, fmt.Errorf("%q: ** stands for whole segments, not within %q", whole, seg)
		}
	}
	return segs, nil
}

func (p Pattern) check() error {
	if strings.Contains(p.text, "%") {
		return fmt.Errorf("%q: identities are decoded; write the character itself", p.text)
	}
	if p.scheme == filePrefix {
		return nil
	}
	if strings.Contains(p.text, "@") {
		return fmt.Errorf("%q: identities have no user; leave out what stands before @", p.text)
	}
	if host := p.repo[0]; host != strings.ToLower(host) {
		return fmt.Errorf("%q: hosts are in lower case", p.text)
	}
	if last := p.repo[len(p.repo)-1]; strings.HasSuffix(last, ".git") {
		return fmt.Errorf("%q: identities have no final .git", p.text)
	}
	if strings.HasSuffix(p.repo[0], ":") {
		return fmt.Errorf("%q: write host/repository, without a scheme", p.text)
	}
	if len(p.repo) == 1 && p.repo[0] != "**" {
		return fmt.Errorf("%q names no repository; write %s/** for all of a host", p.text, p.repo[0])
	}
	if len(p.repo) == 1 {
		return nil
	}
	// With any name in place of its wildcards it must be an identity; else it
	// would never match, and a rule behind it decide.
	example := p.scheme + strings.ReplaceAll(strings.ReplaceAll(strings.Join(p.repo, "/"), "**", "x"), "*", "x")
	if _, err := Parse(example); err != nil {
		return fmt.Errorf("%q can never match: %w", p.text, err)
	}
	return nil
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// MatchesSource reports whether some path of the source could match.
func (p Pattern) MatchesSource(id Identity) bool {
	scheme, rest := split(string(id))
	if scheme != p.scheme {
		return false
	}
	return match(p.repo, strings.Split(strings.TrimPrefix(rest, "/"), "/"))
}

// Matches reports whether the file or directory at path below the source's
// root matches. An empty path or "." is the root itself.
func (p Pattern) Matches(id Identity, file string) bool {
	if !p.MatchesSource(id) {
		return false
	}
	if !p.hasPath {
		return true
	}
	file = path.Clean(file)
	if file == "." {
		return len(p.path) == 1 && p.path[0] == "**"
	}
	segs := strings.Split(file, "/")
	if p.literalPath() && len(segs) > len(p.path) {
		segs = segs[:len(p.path)]
	}
	return match(p.path, segs)
}

func (p Pattern) literalPath() bool {
	return !strings.Contains(strings.Join(p.path, "/"), "*")
}

// Hides reports whether every file that later matches is matched by p, so
// that a rule with pattern later, standing behind p, could never apply.
func (p Pattern) Hides(later Pattern) bool {
	if p.scheme != later.scheme || !match(p.repo, later.repo) {
		return false
	}
	if !p.hasPath {
		return true
	}
	if !later.hasPath {
		return len(p.path) == 1 && p.path[0] == "**"
	}
	below := later.path
	if p.literalPath() && len(below) > len(p.path) {
		below = below[:len(p.path)]
	}
	// A literal later path covers what is below it as well, which a pattern
	// with wildcards covers only when it ends in "**".
	if later.literalPath() && !p.literalPath() && p.path[len(p.path)-1] != "**" {
		return false
	}
	return match(p.path, below)
}

// match reports whether the pattern's segments match all of segs. Wildcards
// in segs are ordinary text, which only an equal or wider wildcard matches.
func match(pattern, segs []string) bool {
	if len(pattern) == 0 {
		return len(segs) == 0
	}
	if pattern[0] == "**" {
		for i := 0; i <= len(segs); i++ {
			if match(pattern[1:], segs[i:]) {
				return true
			}
		}
		return false
	}
	if len(segs) == 0 || segs[0] == "**" {
		return false
	}
	return matchSegment(pattern[0], segs[0]) && match(pattern[1:], segs[1:])
}

// matchSegment matches one segment, in which "*" is any text, also none.
func matchSegment(pattern, seg string) bool {
	if pattern == "*" {
		return true
	}
	prefix, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == seg
	}
	if !strings.HasPrefix(seg, prefix) {
		return false
	}
	for i := len(prefix); i <= len(seg); i++ {
		if matchSegment(rest, seg[i:]) {
			return true
		}
	}
	return false
}
