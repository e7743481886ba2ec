package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/materials"
)

var roomy = gitobject.Limits{Files: 100, Bytes: 1 << 20}

// item is an entry of an archive that a test makes.
type item struct {
	name string
	mode fs.FileMode // 0 stands for 0644
	data string      // a link's text
}

// tarOf makes a tar of headers, each with its content.
func tarOf(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		must(t, w.WriteHeader(h))
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return out.Bytes()
}

// headers turns items into headers; a file's content travels in Linkname.
func headers(items []item) []*tar.Header {
	var all []*tar.Header
	for _, it := range items {
		h := &tar.Header{Name: it.name, Typeflag: tar.TypeReg, Mode: int64(it.mode.Perm()), Linkname: it.data}
		switch {
		case it.mode&fs.ModeSymlink != 0:
			h.Typeflag = tar.TypeSymlink
		case it.mode.IsDir():
			h.Typeflag = tar.TypeDir
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		all = append(all, h)
	}
	return all
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func tgz(t testing.TB, items ...item) []byte { return gz(t, tarOf(t, headers(items)...)) }

func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		if it.mode != 0 {
			h.SetMode(it.mode)
		}
		f, err := w.CreateHeader(h)
		must(t, err)
		if _, err := f.Write([]byte(it.data)); it.data != "" && err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return out.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(name string, data []byte, limits gitobject.Limits) (*materials.Tree, error) {
	return Read(name, bytes.NewReader(data), int64(len(data)), limits)
}

func TestIsArchive(t *testing.T) {
	for path, want := range map[string]bool{
		"/a.tar.gz": true, "/b/a.tgz": true, "/a.zip": true,
		"/a.tar": false, "/a.ZIP": false, "/a.gz": false, "/a.zip/": false, "/zip": false, "": false,
	} {
		if got := IsArchive(path); got != want {
			t.Errorf("IsArchive(%q) = %v, want %v", path, got, want)
		}
	}
}

var sample = []item{
	{name: "./", mode: fs.ModeDir | 0o755},
	{name: "./base/", mode: fs.ModeDir | 0o755},
	{name: "./base/kustomization.yaml", data: "resources: [a.yaml]\n"},
	{name: "base/a.yaml", data: strings.Repeat("x", 5000)},
	{name: "base/empty"},
	{name: "run", mode: 0o755, data: "#!/bin/sh\n"},
	{name: "group", mode: 0o674, data: "others may, the owner may not\n"},
	{name: "link", mode: fs.ModeSymlink | 0o777, data: "base/a.yaml"},
	{name: "outside", mode: fs.ModeSymlink | 0o777, data: "../x"},
	{name: longName, data: "long"},
}

// longName fits in no tar header's first field.
var longName = strings.Repeat("d", 90) + "/" + strings.Repeat("n", 90)

var sampleModes = map[string]materials.Mode{
	"base/kustomization.yaml": materials.ModeFile, "base/a.yaml": materials.ModeFile, "base/empty": materials.ModeFile,
	"run": materials.ModeExecutable, "group": materials.ModeFile,
	"link": materials.ModeLink, "outside": materials.ModeLink,
	longName: materials.ModeFile,
}

func TestRead(t *testing.T) {
	withoutRoot := sample[1:] // zip has no "./"
	zipped := zipOf(t, withoutRoot...)
	for name, data := range map[string][]byte{"a.tgz": tgz(t, sample...), "a.tar.gz": tgz(t, sample...), "a.zip": zipped} {
		t.Run(name, func(t *testing.T) {
			tree, err := read(name, data, roomy)
			must(t, err)
			if got := len(tree.Entries()); got != len(sampleModes) {
				t.Errorf("%d entries, want %d", got, len(sampleModes))
			}
			for path, mode := range sampleModes {
				if e, ok := tree.Lookup(path); !ok || e.Mode != mode {
					t.Errorf("%s: mode %q, want %q", path, e.Mode, mode)
				}
			}
			if e, _ := tree.Lookup("link"); string(e.Data) != "base/a.yaml" {
				t.Errorf("link leads to %q", e.Data)
			}
			if e, _ := tree.Lookup("base/a.yaml"); len(e.Data) != 5000 {
				t.Errorf("a.yaml has %d bytes", len(e.Data))
			}
		})
	}
}

// Both formats give one tree one digest.
func TestReadSameDigest(t *testing.T) {
	a, err := read("a.tgz", tgz(t, sample...), roomy)
	must(t, err)
	b, err := read("a.zip", zipOf(t, sample[1:]...), roomy)
	must(t, err)
	if a.Digest() != b.Digest() {
		t.Errorf("digests %s and %s", a.Digest(), b.Digest())
	}
}

func TestReadNames(t *testing.T) {
	for _, name := range []string{"é", "a b", "a\nb", "...", "..a", ".gitignore", "C:x", "-rf", "*"} {
		for format, data := range map[string][]byte{"a.tgz": tgz(t, item{name: name}), "a.zip": zipOf(t, item{name: name})} {
			tree, err := read(format, data, roomy)
			if err != nil {
				t.Errorf("%s, %q: %v", format, name, err)
			} else if _, ok := tree.Lookup(name); !ok {
				t.Errorf("%s, %q: not found", format, name)
			}
		}
	}
}

// Refused in both formats.
func TestReadRefuses(t *testing.T) {
	file := item{name: "a", data: "x"}
	for _, c := range []struct {
		name, want string
		items      []item
	}{
		{"nothing", "without a file", nil},
		{"directories alone", "without a file", []item{{name: "d/", mode: fs.ModeDir | 0o755}}},
		{"absolute", "an absolute path", []item{file, {name: "/etc/x"}}},
		{"above", `a segment "", "." or ".."`, []item{file, {name: "../x"}}},
		{"above within", `a segment "", "." or ".."`, []item{file, {name: "d/../../x"}}},
		{"above, a directory", `a segment "", "." or ".."`, []item{file, {name: "../x/", mode: fs.ModeDir | 0o755}}},
		{"dot twice", `a segment "", "." or ".."`, []item{file, {name: "././x"}}},
		{"two slashes", `a segment "", "." or ".."`, []item{file, {name: "d//x"}}},
		{"twice", "twice", []item{file, file}},
		{"twice, once with a dot", "twice", []item{file, {name: "./a"}}},
		{"a directory twice", "twice", []item{file, {name: "d/", mode: fs.ModeDir | 0o755}, {name: "d/", mode: fs.ModeDir | 0o755}}},
		{"a file and a directory", "twice", []item{file, {name: "a/", mode: fs.ModeDir | 0o755}}},
		{"a file above a file", "a file and a directory at once", []item{file, {name: "a/b"}}},
		{"a file above a directory", "a file and a directory at once", []item{file, {name: "a/b/", mode: fs.ModeDir | 0o755}}},
		{"through a link", "a file and a directory at once", []item{{name: "l", mode: fs.ModeSymlink | 0o777, data: "/etc"}, {name: "l/x"}}},
		{"git", "a segment \".git\"", []item{file, {name: ".git/config"}}},
		{"git, a directory", "a segment .git", []item{file, {name: "d/.GIT/", mode: fs.ModeDir | 0o755}}},
		{"deep", "nested directories", []item{file, {name: strings.Repeat("d/", 300) + "x"}}},
		{"a link to nothing", "no system can make", []item{file, {name: "l", mode: fs.ModeSymlink | 0o777}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read("a.tgz", tgz(t, c.items...), gitobject.Limits{Files: 1000, Bytes: 1 << 20})
			wantError(t, err, c.want)
			_, err = read("a.zip", zipOf(t, c.items...), roomy)
			wantError(t, err, c.want)
		})
	}
	_, err := read("a.rar", nil, roomy)
	wantError(t, err, "neither .tar.gz")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestReadLimits(t *testing.T) {
	items := []item{{name: "d/", mode: fs.ModeDir | 0o755}, {name: "a", data: strings.Repeat("x", 1000)}, {name: "b", data: strings.Repeat("y", 1000)}}
	tarred := tarOf(t, headers(items)...)
	archives := map[string][]byte{"a.tgz": gz(t, tarred), "a.zip": zipOf(t, items...)}
	for name, enough := range map[string]int64{"a.tgz": int64(len(tarred)), "a.zip": 2000} {
		if _, err := read(name, archives[name], gitobject.Limits{Files: 3, Bytes: enough}); err != nil {
			t.Errorf("%s at its limits: %v", name, err)
		}
		for _, want := range []gitobject.LimitError{{What: "files", Limit: 2}, {What: "bytes", Limit: enough - 1}} {
			limits := gitobject.Limits{Files: 3, Bytes: enough}
			if want.What == "files" {
				limits.Files = 2
			} else {
				limits.Bytes--
			}
			_, err := read(name, archives[name], limits)
			var got *gitobject.LimitError
			if !errors.As(err, &got) || *got != want {
				t.Errorf("%s: error %v, want %v", name, err, &want)
			}
		}
	}
}

// A bomb is given up at the limit, not unpacked.
func TestReadBomb(t *testing.T) {
	zeros := strings.Repeat("\x00", 64<<20)
	for name, data := range map[string][]byte{"a.tgz": tgz(t, item{name: "a", data: zeros}), "a.zip": zipOf(t, item{name: "a", data: zeros})} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(name, data, roomy)
		runtime.ReadMemStats(&after)
		wantTooLarge(t, err, roomy.Bytes)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
			t.Errorf("%s: %d bytes allocated for a limit of %d", name, got, roomy.Bytes)
		}
	}
}
