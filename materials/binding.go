package materials

import (
	"fmt"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
)

// Binding says for which repository and directory a list was made. A list
// itself names neither, so a valid one could be replayed elsewhere; listing a
// file [BindingName] that says it closes that. The file is one line,
//
//	IDENTITY[//DIRECTORY]\n
//
// with the repository's identity as policies write it (host/repository) and
// the list's directory below the repository's root, left out for the root.
type Binding struct {
	Source identity.Identity
	Dir    string // "." for the root
}

// Bytes returns the binding as it stands in its file.
func (b Binding) Bytes() []byte { return []byte(b.String() + "\n") }

func (b Binding) String() string { return b.Source.At(b.Dir) }

// ParseBinding reads a binding.
func ParseBinding(data []byte) (Binding, error) {
	text, ok := strings.CutSuffix(string(data), "\n")
	if !ok || strings.Contains(text, "\n") {
		return Binding{}, fmt.Errorf("%s is not one line", BindingName)
	}
	source, dir, hasDir := strings.Cut(text, "//")
	id, err := identity.Parse(source)
	if err != nil {
		return Binding{}, fmt.Errorf("%s: %w", BindingName, err)
	}
	if !hasDir {
		return Binding{id, "."}, nil
	}
	if err := checkPath(dir); err != nil {
		return Binding{}, fmt.Errorf("%s has %w", BindingName, err)
	}
	return Binding{id, dir}, nil
}

// Binding returns the binding that a list names, and whether it names one. The
// file must be what was listed; [List.CheckFile] tells.
func (l *List) Binding(t *Tree, s Scope) (Binding, bool, error) {
	if !l.Names(BindingName) {
		return Binding{}, false, nil
	}
	e, ok := t.Lookup(path.Join(s.Dir, BindingName))
	if !ok || e.Mode == ModeLink || e.Mode == ModeSubmodule {
		return Binding{}, true, fmt.Errorf("%s is listed, and not a file", BindingName)
	}
	b, err := ParseBinding(e.Data)
	return b, true, err
}
