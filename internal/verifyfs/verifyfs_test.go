package verifyfs

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/trustomize/trustomize/materials"
)

func mounted(t *testing.T) *FS {
	t.Helper()
	tree, err := materials.NewTree([]materials.Entry{
		{Path: "dir/f", Mode: materials.ModeFile, Data: []byte("bytes")},
		{Path: "dir/secret", Mode: materials.ModeFile, Data: []byte("secret")},
		{Path: "k", Mode: materials.ModeFile, Data: []byte("old")},
		{Path: "dir/kustomization.yaml", Mode: materials.ModeFile, Data: []byte("x")},
		{Path: "kustomization.yaml", Mode: materials.ModeFile, Data: []byte("x")},
		{Path: "good", Mode: materials.ModeLink, Data: []byte("dir/f")},
		{Path: "bad", Mode: materials.ModeLink, Data: []byte("dir/f")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New([]Mount{{Name: "source-0", Tree: tree, Checked: map[string]bool{"dir/f": true, "good": true, "k": true, "kustomization.yaml": true, "dir/kustomization.yaml": true}, Kustomizations: map[string]bool{"kustomization.yaml": true}, Replaced: map[string][]byte{"k": []byte("new")}}})
}

func TestReads(t *testing.T) {
	f := mounted(t)
	for p, want := range map[string]string{"/source-0/dir/f": "bytes", "source-0/dir/../dir/f": "bytes", "/source-0/good": "bytes", "/source-0/k": "new", "/source-0/kustomization.yaml": "x"} {
		if got, err := f.ReadFile(p); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	dir, name, err := f.CleanedAbs("/source-0/good")
	if err != nil || dir != "/source-0/dir" || name != "f" {
		t.Errorf("%s %s %v", dir, name, err)
	}
	if dir, name, err := f.CleanedAbs("/source-0/dir/"); err != nil || dir != "/source-0/dir" || name != "" {
		t.Errorf("%s %s %v", dir, name, err)
	}
	for _, p := range []string{"/source-0/absent", "/source-1/x", "/", "/etc/passwd", "/source-0/../etc/passwd", "/source-0/dir/f/x"} {
		if got, err := f.ReadFile(p); err == nil {
			t.Errorf("%s: read %q", p, got)
		}
	}
	if _, err := f.ReadFile("/source-0/absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if f.Violation() != nil {
		t.Errorf("a violation: %v", f.Violation())
	}
	// Bytes that were handed out are the caller's.
	data, _ := f.ReadFile("/source-0/dir/f")
	data[0] = 'X'
	if again, _ := f.ReadFile("/source-0/dir/f"); string(again) != "bytes" {
		t.Error("a caller changed the verified bytes")
	}
}

func TestViolationIsKept(t *testing.T) {
	for _, p := range []string{"/source-0/dir/secret", "/source-0/bad", "/source-0/dir/kustomization.yaml"} {
		f := mounted(t)
		if _, err := f.ReadFile(p); !errors.Is(err, ErrUnchecked) {
			t.Errorf("%s: %v", p, err)
		}
		if _, err := f.ReadFile("/source-0/k"); err != nil {
			t.Error(err)
		}
		if !errors.Is(f.Violation(), ErrUnchecked) {
			t.Errorf("%s: the violation is forgotten", p)
		}
	}
}

func TestNothingIsWritten(t *testing.T) {
	f := mounted(t)
	if err := f.RemoveAll("/source-0/k"); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadFile("/source-0/k"); err != nil {
		t.Error(err)
	}
	_, createErr := f.Create("/x")
	_, openErr := f.Open("/source-0/k")
	for _, err := range []error{f.WriteFile("/x", nil), f.Mkdir("/x"), f.MkdirAll("/x"), createErr, openErr} {
		if err == nil {
			t.Error("no error")
		}
	}
}
