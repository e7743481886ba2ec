// Package materials reads, writes and checks source-materials: the signed list
// of what a source's files were when somebody vouched for them.
//
// # Format
//
// A list is what sha256sum prints, and the format of ArgoCD Interlace, so that
// repositories signed for it verify unchanged. A line is
//
//	SHA256  PATH\n
//
// 64 lower-case hexadecimal digits, two characters (two spaces, or a space and
// an asterisk), a path below the list's own directory, and a newline, the last
// line's as well. sha256sum's escapes are honoured: where a line begins with a
// backslash, \\, \n and \r in its path stand for a backslash, a newline and a
// carriage return. Paths are bytes, relative and clean, each listed once. A
// list is at most [MaxListSize] bytes and has at least one line.
//
// For a symbolic link, the digest is that of the file that it leads to, as
// sha256sum has it; the link must not leave the list's directory. A link to a
// directory cannot be listed.
//
// Signatures lie beside the list, under one of [SignatureNames]. They cover its
// exact bytes and are checked before anything here is called.
//
// # What is checked
//
// A file is governed by the nearest list at or above it ([Above]).
// [List.Check] holds a whole directory against its list: every file of its
// scope must be listed and unchanged, every listed file be there. Out of scope
// are the list itself and its signatures in its own directory, submodules, and
// files below an inner list that this list does not name. [List.CheckFile] holds
// one path against it.
package materials

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ListName is the list's file name.
const ListName = "source-materials"

// BindingName is the file that binds a list to a repository; see [Binding].
const BindingName = "trustomize.source"

// MaxListSize is the size in bytes over which a list is refused.
const MaxListSize = 16 << 20

// SignatureNames returns the names under which signatures of a list lie beside
// it: base64, PGP or SSH in the first, Sigstore bundles in the others.
func SignatureNames() []string {
	return []string{ListName + ".sig", ListName + ".sigstore.json", ListName + ".bundle"}
}

// Excepted reports whether a path relative to the list's directory is outside
// of the list: the list and its signatures themselves. Such a file is never
// given to a build.
func Excepted(rel string) bool {
	return rel == ListName || slices.Contains(SignatureNames(), rel)
}

// Line is one line of a list.
type Line struct {
	Path   string
	Digest Digest
}

// List is a well-formed list. Make one with [Parse] or [NewList].
type List struct {
	lines []Line
	index map[string]Digest
}

// SyntaxError says which line of a list is not well-formed, counted from 1.
// Line 0 stands for the whole list.
type SyntaxError struct {
	Line   int
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return ListName + " " + e.Reason
	}
	return fmt.Sprintf("%s line %d %s", ListName, e.Line, e.Reason)
}

// Parse reads a list. Every error is a *[SyntaxError].
func Parse(data []byte) (*List, error) {
	switch {
	case len(data) > MaxListSize:
		return nil, &SyntaxError{0, fmt.Sprintf("has %d bytes, more than the %d allowed", len(data), MaxListSize)}
	case len(data) == 0:
		return nil, &SyntaxError{0, "is empty"}
	case data[len(data)-1] != '\n':
		return nil, &SyntaxError{bytes.Count(data, []byte("\n")) + 1, "does not end in a newline"}
	}
	var lines []Line
	for raw := range strings.Lines(string(data)) {
		l, err := parseLine(strings.TrimSuffix(raw, "\n"))
		if err != nil {
			return nil, &SyntaxError{len(lines) + 1, err.Error()}
		}
		lines = append(lines, l)
	}
	return NewList(lines)
}

const hexDigits = 2 * len(Digest{})

func parseLine(s string) (Line, error) {
	s, escaped := strings.CutPrefix(s, `\`)
	if len(s) < hexDigits+2 {
		return Line{}, fmt.Errorf("is not a digest, two characters and a path")
	}
	digits, sep, name := s[:hexDigits], s[hexDigits:hexDigits+2], s[hexDigits+2:]
	var l Line
	if _, err := hex.Decode(l.Digest[:], []byte(digits)); err != nil || digits != strings.ToLower(digits) {
		return Line{}, fmt.Errorf("does not begin with %d lower-case hexadecimal digits", hexDigits)
	}
	if sep != "  " && sep != " *" {
		return Line{}, fmt.Errorf("has %q between digest and path, not two spaces or a space and an asterisk", sep)
	}
	if escaped {
		var err error
		if name, err = unescape(name); err != nil {
			return Line{}, err
		}
	}
	l.Path = name
	return l, nil
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		if rest == "" {
			return "", fmt.Errorf("ends in a lone backslash")
		}
		switch rest[0] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", fmt.Errorf(`has an escape \%c that sha256sum does not write`, rest[0])
		}
		s = rest[1:]
	}
}

// NewList makes a list of lines. It refuses an empty list, a path that is not
// clean and relative, and one that stands twice.
func NewList(lines []Line) (*List, error) {
	if len(lines) == 0 {
		return nil, &SyntaxError{0, "is empty"}
	}
	l := &List{lines: slices.Clone(lines), index: make(map[string]Digest, len(lines))}
	for i, line := range lines {
		if err := checkPath(line.Path); err != nil {
			return nil, &SyntaxError{i + 1, "has " + err.Error()}
		}
		if _, dup := l.index[line.Path]; dup {
			return nil, &SyntaxError{i + 1, fmt.Sprintf("names %q a second time", line.Path)}
		}
		l.index[line.Path] = line.Digest
	}
	return l, nil
}

// Lines returns the list's lines in their order. The slice is the list's own.
func (l *List) Lines() []Line { return l.lines }

// Names reports whether the list names the path, relative to its directory.
func (l *List) Names(rel string) bool {
	_, ok := l.index[rel]
	return ok
}

// Bytes returns the list as sha256sum prints it, lines in their order.
func (l *List) Bytes() []byte {
	var b bytes.Buffer
	for _, line := range l.lines {
		mark, name := "", line.Path
		if strings.ContainsAny(name, "\\\n\r") {
			mark, name = `\`, lineEscaper.Replace(name)
		}
		fmt.Fprintf(&b, "%s%s  %s\n", mark, line.Digest, name)
	}
	return b.Bytes()
}

var lineEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// Lists returns the directories of the tree that hold a list, sorted. Only a
// file is a list, not a link or a submodule of that name.
func Lists(t *Tree) []string {
	var dirs []string
	for _, e := range t.Entries() {
		if path.Base(e.Path) == ListName && (e.Mode == ModeFile || e.Mode == ModeExecutable) {
			dirs = append(dirs, path.Dir(e.Path))
		}
	}
	slices.Sort(dirs)
	return dirs
}

// Above returns, of the directories given, those at or above the path, the
// nearest first. The first governs the path.
func Above(dirs []string, p string) []string {
	var above []string
	for d := path.Dir(p); ; d = path.Dir(d) {
		if slices.Contains(dirs, d) {
			above = append(above, d)
		}
		if d == "." {
			return above
		}
	}
}

// Rel returns the path relative to a directory at or above it.
func Rel(dir, p string) string {
	if dir == "." {
		return p
	}
	return strings.TrimPrefix(p, dir+"/")
}

// within reports whether the path lies below the directory.
func within(dir, p string) bool {
	return dir == "." || strings.HasPrefix(p, dir+"/")
}
