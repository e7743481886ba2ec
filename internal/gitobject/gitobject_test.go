package gitobject

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/materials"
)

var roomy = Limits{Files: 1000, Bytes: 1 << 20}

// memory is a store of objects under whatever ids a test gives them.
type memory map[string]struct {
	kind string
	data []byte
}

func (m memory) Object(id string, maxSize int64) (string, []byte, error) {
	o, ok := m[id]
	if !ok {
		return "", nil, &Error{id, "is missing"}
	}
	if int64(len(o.data)) > maxSize {
		return "", nil, &LimitError{"bytes", maxSize}
	}
	return o.kind, o.data, nil
}

func (m memory) add(t testing.TB, kind string, data []byte) string {
	t.Helper()
	id, err := ID(kind, data, 40)
	if err != nil {
		t.Fatal(err)
	}
	m[id] = struct {
		kind string
		data []byte
	}{kind, data}
	return id
}

func (m memory) commit(t testing.TB, items ...item) string {
	t.Helper()
	tree := m.add(t, "tree", encode(items))
	return m.add(t, "commit", []byte("tree "+tree+"\nauthor x\n\nmessage\n"))
}

// TestReadTree compares with what git itself says of a repository.
func TestReadTree(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x", "-C", dir}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %s", args, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, format := range []string{"sha1", "sha256"} {
		os.RemoveAll(filepath.Join(dir, ".git"))
		git("init", "-q", "--object-format="+format)
		for name, data := range map[string]string{"a": "a", "a.b": "x", "a-b": "x", "d/e/f": "f", "d.x": "x", "empty": ""} {
			p := filepath.Join(dir, name)
			if name == "a" {
				p = filepath.Join(dir, "a", "in") // "a" sorts as "a/"
			}
			os.MkdirAll(filepath.Dir(p), 0o755)
			if err := os.WriteFile(p, []byte(data), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		os.Remove(filepath.Join(dir, "l"))
		if err := os.Symlink("d/e/f", filepath.Join(dir, "l")); err != nil {
			t.Fatal(err)
		}
		git("add", "-A")
		git("commit", "-q", "-m", "x")
		commit := git("rev-parse", "HEAD")
		store := catFile{t, dir}
		tree, err := ReadTree(store, commit, roomy)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range tree.Entries() {
			got = append(got, string(e.Mode)+" "+e.Path)
		}
		want := "100755 a-b\n100755 a.b\n100755 a/in\n100755 d.x\n100755 d/e/f\n100755 empty\n120000 l"
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: got\n%s\nwant\n%s", format, strings.Join(got, "\n"), want)
		}
		id, err := TreeID(tree, len(commit))
		if err != nil || id != git("rev-parse", "HEAD^{tree}") {
			t.Errorf("%s: tree id %s, %v", format, id, err)
		}
		// What was recorded reads as the same tree; any changed byte does not.
		var recorded bytes.Buffer
		if _, err := ReadTree(&Recorder{store, &recorded}, commit, roomy); err != nil {
			t.Fatal(err)
		}
		again, err := ReadTree(NewStream(bytes.NewReader(recorded.Bytes())), commit, roomy)
		if err != nil || again.Digest() != tree.Digest() {
			t.Fatalf("%s: recorded tree: %v", format, err)
		}
		for i := range recorded.Bytes() {
			damaged := bytes.Clone(recorded.Bytes())
			damaged[i] ^= 1
			if bad, err := ReadTree(NewStream(bytes.NewReader(damaged)), commit, roomy); err == nil && bad.Digest() != tree.Digest() {
				t.Fatalf("%s: byte %d changed, and another tree came out", format, i)
			}
		}
	}
}

// catFile asks git for one object at a time.
type catFile struct {
	t   *testing.T
	dir string
}

func (c catFile) Object(id string, _ int64) (string, []byte, error) {
	kind, err := exec.Command("git", "-C", c.dir, "cat-file", "-t", id).Output()
	if err != nil {
		return "", nil, err
	}
	k := strings.TrimSpace(string(kind))
	data, err := exec.Command("git", "-C", c.dir, "cat-file", k, id).Output()
	return k, data, err
}

func TestReadTreeRefuses(t *testing.T) {
	m := memory{}
	blob := m.add(t, "blob", []byte("data"))
	other := m.add(t, "blob", []byte("other"))
	m2 := memory{}
	m2[blob] = m[other] // other bytes under this name
	tampered := m2.commit(t, item{"100644", "a", blob})
	empty := m.add(t, "tree", nil)
	for name, tc := range map[string]struct {
		store  Store
		commit string
		limits Limits
		want   string
	}{
		"other bytes":     {m2, tampered, roomy, "holds other bytes"},
		"missing":         {m, strings.Repeat("0", 40), roomy, "is missing"},
		"a tree":          {m, empty, roomy, "is a tree where a commit is wanted"},
		"no tree":         {m, m.add(t, "commit", []byte("parent x\n")), roomy, "without a tree"},
		"sha256 tree":     {m, m.add(t, "commit", []byte("tree "+strings.Repeat("0", 64)+"\n")), roomy, "without a tree"},
		"mode":            {m, m.commit(t, item{"100600", "a", blob}), roomy, "of mode 100600"},
		"slash":           {m, m.commit(t, item{"100644", "a/b", blob}), roomy, `named "a/b"`},
		"parent":          {m, m.commit(t, item{"40000", "..", empty}), roomy, `named ".."`},
		"dot git":         {m, m.commit(t, item{"100644", ".git", blob}), roomy, ".git"},
		"twice":           {m, m.commit(t, item{"100644", "a", blob}, item{"100644", "a", other}), roomy, "twice"},
		"cut short":       {m, m.add(t, "commit", []byte("tree "+m.add(t, "tree", []byte("100644 a\x00short"))+"\n")), roomy, "cut short"},
		"blob for a tree": {m, m.commit(t, item{"40000", "d", blob}), roomy, "is a blob where a tree is wanted"},
		"files":           {m, m.commit(t, item{"100644", "a", blob}, item{"100644", "b", blob}), Limits{1, 100}, "more than 1 files"},
		"bytes":           {m, m.commit(t, item{"100644", "a", blob}), Limits{9, 30}, "more than 30 bytes"},
		"tree bomb":       {m, m.bomb(t, 200), roomy, "more than 1000 files"},
		"long path":       {m, m.commit(t, item{"40000", strings.Repeat("a", 5000), empty}), roomy, "a path of more than 4096 bytes"},
		"long link":       {m, m.commit(t, item{"120000", "l", m.add(t, "blob", make([]byte, 5000))}), roomy, "link"},
	} {
		if _, err := ReadTree(tc.store, tc.commit, tc.limits); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// bomb commits trees of which each names the next twice.
func (m memory) bomb(t testing.TB, depth int) string {
	id := m.add(t, "tree", nil)
	for range depth {
		id = m.add(t, "tree", encode([]item{{"40000", "a", id}, {"40000", "b", id}}))
	}
	return m.add(t, "commit", []byte("tree "+id+"\n"))
}

func TestIDRefusesOtherLengths(t *testing.T) {
	if _, err := ID("blob", nil, 39); err == nil {
		t.Error("an id of 39 digits was computed")
	}
}

func FuzzStream(f *testing.F) {
	m := memory{}
	commit := m.commit(f, item{"100644", "a", m.add(f, "blob", []byte("data"))})
	var b bytes.Buffer
	if _, err := ReadTree(&Recorder{m, &b}, commit, roomy); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	want, _ := ReadTree(m, commit, roomy)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadTree(NewStream(bytes.NewReader(data)), commit, roomy)
		if err == nil && got.Digest() != want.Digest() {
			t.Fatal("another tree under the same commit id")
		}
		var objectError *Error
		var limitError *LimitError
		if err != nil && !errors.As(err, &objectError) && !errors.As(err, &limitError) {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := memory{}
		commit := m.add(t, "commit", []byte("tree "+m.add(t, "tree", data)+"\n"))
		tree, err := ReadTree(m, commit, roomy)
		if err == nil {
			for _, e := range tree.Entries() {
				if e.Mode != materials.ModeSubmodule {
					t.Fatalf("%v came out of nothing", e)
				}
			}
		}
	})
}
