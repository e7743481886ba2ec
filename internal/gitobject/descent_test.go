package gitobject

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// history makes commits, each with the parents named, and returns their ids.
func history(t *testing.T, m memory, parents map[string]string, order ...string) map[string]string {
	t.Helper()
	tree := m.add(t, "tree", nil)
	ids := map[string]string{}
	for _, name := range order {
		text := "tree " + tree + "\n"
		for p := range strings.FieldsSeq(parents[name]) {
			text += "parent " + ids[p] + "\n"
		}
		ids[name] = m.add(t, "commit", fmt.Appendf(nil, "%sauthor %s\nparent %s\n\nm\n", text, name, strings.Repeat("0", 40)))
	}
	return ids
}

func TestDescent(t *testing.T) {
	m := memory{}
	ids := history(t, m, map[string]string{"b": "a", "c": "b", "side": "a", "merge": "c side", "fork": "a"}, "a", "b", "c", "side", "merge", "fork")
	for commit, want := range map[string]int{"merge": 1, "side": 2, "c": 2, "a": 3} {
		found, err := Descent(m, []string{ids["merge"]}, ids[commit])
		if err != nil || len(found) != want {
			t.Fatalf("%s: %v, %v", commit, found, err)
		}
		var stored bytes.Buffer
		if err := WriteDescent(&stored, m, found); err != nil {
			t.Fatal(err)
		}
		if err := CheckDescent(bytes.NewReader(stored.Bytes()), ids["merge"], ids[commit]); err != nil {
			t.Error(err)
		}
		for _, wrong := range [][2]string{{ids["c"], ids[commit]}, {ids["merge"], ids["fork"]}} {
			if err := CheckDescent(bytes.NewReader(stored.Bytes()), wrong[0], wrong[1]); err == nil {
				t.Errorf("the chain to %s passes for one from %s to %s", commit, wrong[0], wrong[1])
			}
		}
		for i := range stored.Len() {
			changed := slices.Clone(stored.Bytes())
			changed[i] ^= 1
			if err := CheckDescent(bytes.NewReader(changed), ids["merge"], ids[commit]); err == nil && i < stored.Len()-1 {
				t.Fatalf("%s: byte %d was changed, unseen", commit, i)
			}
			if err := CheckDescent(bytes.NewReader(stored.Bytes()[:i]), ids["merge"], ids[commit]); err == nil {
				t.Fatalf("%s: cut to %d bytes, unseen", commit, i)
			}
		}
	}
	if _, err := Descent(m, []string{ids["merge"]}, ids["fork"]); !errors.Is(err, ErrNoDescent) {
		t.Error(err)
	}
	blob := m.add(t, "blob", []byte("tagged"))
	if found, err := Descent(m, []string{blob, ids["merge"]}, ids["a"]); err != nil || len(found) != 3 {
		t.Errorf("beside a tag on a blob: %v, %v", found, err)
	}
	// A chain whose links are not parents.
	var forged bytes.Buffer
	if err := WriteDescent(&forged, m, []string{ids["merge"], ids["fork"]}); err != nil {
		t.Fatal(err)
	}
	var object *Error
	if err := CheckDescent(&forged, ids["merge"], ids["fork"]); !errors.As(err, &object) {
		t.Error(err)
	}
	// A commit under another's name.
	m[ids["c"]] = m[ids["fork"]]
	if _, err := Descent(m, []string{ids["merge"]}, ids["b"]); !errors.As(err, &object) {
		t.Error(err)
	}
}
