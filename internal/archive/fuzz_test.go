package archive

import (
	"archive/tar"
	"testing"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/materials"
)

// FuzzRead checks that whatever is read is clean, within its limits, and reads
// the same again. Kind 0 is a zip, 1 a compressed tar, 2 a tar that is
// compressed here, where mutations get past the checksum.
func FuzzRead(f *testing.F) {
	f.Add(byte(0), zipOf(f, item{name: "a", data: "x"}))
	f.Add(byte(2), tarOf(f, headers([]item{{name: "./a", data: "x"}})...))
	f.Add(byte(0), zipOf(f, sample[1:]...))
	f.Add(byte(1), tgz(f, sample...))
	f.Add(byte(2), tarOf(f, headers(sample)...))
	f.Add(byte(2), tarOf(f, &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}},
		&tar.Header{Name: "a", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}}))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		name := "a.tgz"
		switch kind % 3 {
		case 0:
			name = "a.zip"
		case 2:
			data = gz(t, data)
		}
		limits := gitobject.Limits{Files: 20, Bytes: 32 << 10}
		tree, err := read(name, data, limits)
		if err != nil {
			if tree != nil {
				t.Error("a tree and an error")
			}
			return
		}
		checkTree(t, tree, limits)
		again, err := read(name, data, limits)
		if err != nil || again.Digest() != tree.Digest() {
			t.Errorf("read again: %v, or another digest", err)
		}
	})
}

func checkTree(t *testing.T, tree *materials.Tree, limits gitobject.Limits) {
	entries := tree.Entries()
	if len(entries) == 0 || len(entries) > limits.Files || tree.Bytes() > limits.Bytes {
		t.Errorf("%d entries of %d bytes", len(entries), tree.Bytes())
	}
	for _, e := range entries {
		if err := checkPath(e.Path); err != nil {
			t.Errorf("%q: %v", e.Path, err)
		}
		if e.Mode == materials.ModeSubmodule || e.Digest != materials.Sum(e.Data) {
			t.Errorf("%q: mode %s, digest %s", e.Path, e.Mode, e.Digest)
		}
	}
}
