package materials

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func file(p, data string) Entry { return Entry{Path: p, Mode: ModeFile, Data: []byte(data)} }
func link(p, to string) Entry   { return Entry{Path: p, Mode: ModeLink, Data: []byte(to)} }

func tree(t testing.TB, entries ...Entry) *Tree {
	t.Helper()
	tr, err := NewTree(entries)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestParse(t *testing.T) {
	sum := Sum([]byte("a")).String()
	for _, tc := range []struct {
		name, list string
		wantLine   int // 0: the list as a whole, -1: accepted
		wantPath   string
	}{
		{"two spaces", sum + "  a\n", -1, "a"},
		{"binary mark", sum + " *a\n", -1, "a"},
		{"spaces within", sum + "  a  b \n", -1, "a  b "},
		{"leading space", sum + "   a\n", -1, " a"},
		{"carriage return is a byte", sum + "  a\r\n", -1, "a\r"},
		{"bytes that are no text", sum + "  \xff\xfe\n", -1, "\xff\xfe"},
		{"escapes", `\` + sum + `  a\nb\\c\rd` + "\n", -1, "a\nb\\c\rd"},
		{"backslash without mark", sum + `  a\nb` + "\n", -1, `a\nb`},
		{"unknown escape", `\` + sum + `  a\tb` + "\n", 1, ""},
		{"lone backslash", `\` + sum + `  a\` + "\n", 1, ""},
		{"empty", "", 0, ""},
		{"no final newline", sum + "  a", 1, ""},
		{"empty line", sum + "  a\n\n", 2, ""},
		{"blank line", " \n", 1, ""},
		{"comment", "# list\n", 1, ""},
		{"upper case", strings.ToUpper(Sum([]byte("b")).String()) + "  a\n", 1, ""},
		{"short digest", sum[1:] + "  a\n", 1, ""},
		{"long digest", sum + "0  a\n", 1, ""},
		{"one space", sum + " a\n", 1, ""},
		{"tab", sum + "\t a\n", 1, ""},
		{"no path", sum + "  \n", 1, ""},
		{"duplicate", sum + "  a\n" + sum + " *a\n", 2, ""},
		{"duplicate by escape", sum + "  a\n" + `\` + sum + "  a\n", 2, ""},
		{"absolute", sum + "  /a\n", 1, ""},
		{"parent", sum + "  ../a\n", 1, ""},
		{"parent within", sum + "  a/../b\n", 1, ""},
		{"dot", sum + "  ./a\n", 1, ""},
		{"double slash", sum + "  a//b\n", 1, ""},
		{"directory", sum + "  a/\n", 1, ""},
		{"NUL", sum + "  a\x00b\n", 1, ""},
		{"too large", sum + "  " + strings.Repeat("a", MaxListSize) + "\n", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Parse([]byte(tc.list))
			if tc.wantLine < 0 {
				if err != nil {
					t.Fatal(err)
				}
				if got := l.Lines()[0].Path; got != tc.wantPath {
					t.Errorf("path %q, want %q", got, tc.wantPath)
				}
				return
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if syntax.Line != tc.wantLine {
				t.Errorf("line %d, want %d: %v", syntax.Line, tc.wantLine, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	sum := Sum(nil).String()
	f.Add([]byte(sum + "  a\n"))
	f.Add([]byte(`\` + sum + ` *a\nb` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		// What was accepted is written and read again as the same list.
		again, err := Parse(l.Bytes())
		if err != nil {
			t.Fatalf("%q: %v", l.Bytes(), err)
		}
		if fmt.Sprint(again.Lines()) != fmt.Sprint(l.Lines()) {
			t.Fatalf("%q became %q", data, l.Bytes())
		}
		for _, line := range l.Lines() {
			if filepath.IsAbs(line.Path) || !filepath.IsLocal(line.Path) {
				t.Fatalf("path %q leaves the directory", line.Path)
			}
		}
	})
}

func FuzzParseBinding(f *testing.F) {
	f.Add([]byte("github.com/acme/app//overlays/prod\n"))
	f.Add([]byte("file:/srv/x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBinding(data)
		if err != nil {
			return
		}
		if string(b.Bytes()) != string(data) {
			t.Fatalf("%q became %q", data, b.Bytes())
		}
	})
}

// TestCheck runs the cases of testdata/check: a tree, its lists, and the
// problems that each list has. "LINK -> TARGET" in a file of the section links
// makes links; SUM in a list is replaced by the file's own digest.
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			runCase(t, txtar.Parse(data))
		})
	}
}

func runCase(t *testing.T, a *txtar.Archive) {
	var entries []Entry
	var want string
	digests := map[string]string{}
	for _, f := range a.Files {
		digests[f.Name] = Sum(f.Data).String()
	}
	for _, f := range a.Files {
		switch f.Name {
		case "want":
			want = string(f.Data)
		case "links":
			for line := range strings.Lines(string(f.Data)) {
				from, to, _ := strings.Cut(strings.TrimSpace(line), " -> ")
				entries = append(entries, link(from, to))
			}
		case "submodules":
			for line := range strings.Lines(string(f.Data)) {
				entries = append(entries, Entry{Path: strings.TrimSpace(line), Mode: ModeSubmodule, Commit: strings.Repeat("1", 40)})
			}
		default:
			entries = append(entries, file(f.Name, expandSums(f, digests)))
		}
	}
	tr := tree(t, entries...)
	var got strings.Builder
	for _, dir := range Lists(tr) {
		e, _ := tr.Lookup(strings.TrimPrefix(dir+"/"+ListName, "./"))
		l, err := Parse(e.Data)
		if err != nil {
			fmt.Fprintf(&got, "%s: %v\n", dir, err)
			continue
		}
		problems := l.Check(tr, ScopeOf(dir, Lists(tr)))
		for _, p := range problems {
			fmt.Fprintf(&got, "%s: %s %s\n", dir, p.Kind, p.Path)
		}
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// expandSums replaces "SUM of PATH" by the digest of that file.
func expandSums(f txtar.File, digests map[string]string) string {
	if !strings.HasSuffix(f.Name, ListName) {
		return string(f.Data)
	}
	var b strings.Builder
	for line := range strings.Lines(string(f.Data)) {
		path, listed, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " as ")
		sum := strings.Repeat("0", hexDigits)
		if d, ok := digests[path]; ok {
			sum = d
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, listed)
	}
	return b.String()
}

func TestAbove(t *testing.T) {
	dirs := []string{".", "a", "a/b/c"}
	for p, want := range map[string]string{
		"x": ".", "a/x": "a .", "a/b/x": "a .", "a/b/c/x": "a/b/c a .", "ab/x": ".", "a": ".",
	} {
		if got := strings.Join(Above(dirs, p), " "); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
	if got := Above([]string{"a"}, "b/x"); len(got) > 0 {
		t.Errorf("a list governs what lies beside it: %v", got)
	}
}

// TestDigest holds the canonical digest against the format as it is documented.
func TestDigest(t *testing.T) {
	tr := tree(t, file("b", "b\n"), Entry{Path: "a/x", Mode: ModeExecutable, Data: []byte("#!/bin/sh\n")}, link("c", "b"),
		Entry{Path: "sub", Mode: ModeSubmodule, Commit: "1111111111111111111111111111111111111111"})
	lines := "100755 " + Sum([]byte("#!/bin/sh\n")).String() + "  a/x\n" +
		"100644 " + Sum([]byte("b\n")).String() + "  b\n" +
		"120000 " + Sum([]byte("b")).String() + "  c\n" +
		"160000 1111111111111111111111111111111111111111  sub\n"
	if got, want := tr.Digest(), "sha256:"+Sum([]byte(lines)).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := tree(t, file("a", "a\n")).Digest(); got != "sha256:"+Sum([]byte("100644 "+Sum([]byte("a\n")).String()+"  a\n")).String() {
		t.Errorf("got %s", got)
	}
	// A newline in a name cannot make one tree look like another.
	one := tree(t, file("a", ""), file("b", ""))
	sneaky := "a\n100644 " + Sum(nil).String() + "  b"
	if two := tree(t, file(sneaky, "")); one.Digest() == two.Digest() {
		t.Error("two trees have one digest")
	}
}

func TestNewTreeRefuses(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"absolute":      {file("/a", "")},
		"parent":        {file("a/../b", "")},
		"dot git":       {file(".git/config", "")},
		"dot git below": {file("a/.GIT/config", "")},
		"twice":         {file("a", ""), file("a", "")},
		"file and dir":  {file("a", ""), file("a/b", "")},
		"NUL":           {file("a\x00", "")},
		"mode":          {{Path: "a", Mode: "40000"}},
		"no commit":     {{Path: "a", Mode: ModeSubmodule}},
	} {
		if _, err := NewTree(entries); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestResolve(t *testing.T) {
	tr := tree(t, file("dir/f", ""), link("l", "dir/f"), link("d", "dir"), link("up", "../x"), link("abs", "/etc/passwd"),
		link("loop", "loop"), link("dir/back", "../l"), link("none", "nothing"), link("through", "d/../dir/f"),
		Entry{Path: "sub", Mode: ModeSubmodule, Commit: strings.Repeat("1", 40)}, link("insub", "sub/x"))
	for p, want := range map[string]string{
		"dir/f": "dir/f", "l": "dir/f", "d/f": "dir/f", "d": "dir", "dir/back": "dir/f", "through": "dir/f", ".": ".",
	} {
		if got, _, err := tr.Resolve(p); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", p, got, err, want)
		}
	}
	for _, p := range []string{"up", "abs", "loop", "none", "sub/x", "insub", "dir/f/x", "nothing", "../x"} {
		if got, _, err := tr.Resolve(p); err == nil {
			t.Errorf("%s: resolves to %q", p, got)
		}
	}
}

func TestCompute(t *testing.T) {
	tr := tree(t, file("a", "a"), link("l", "a"), file(ListName, "x"), file(ListName+".sig", "x"), file("inner/"+ListName, "x"), file("inner/f", ""), file("d/"+ListName+".sig", "listed: no list is beside it"))
	l, err := Compute(tr, ScopeOf(".", Lists(tr)))
	if err != nil {
		t.Fatal(err)
	}
	want := Sum([]byte("a")).String() + "  a\n" + Sum([]byte("listed: no list is beside it")).String() + "  d/source-materials.sig\n" + Sum([]byte("a")).String() + "  l\n"
	if got := string(l.Bytes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if problems := l.Check(tr, ScopeOf(".", Lists(tr))); len(problems) > 0 {
		t.Errorf("its own list has problems: %v", problems)
	}
	for _, bad := range []Entry{link("l", "d"), link("l", "../out"), link("l", "nothing")} {
		if _, err := Compute(tree(t, bad, file("d/x", "")), ScopeOf(".", nil)); err == nil {
			t.Errorf("link to %s was listed", bad.Data)
		}
	}
}

func ExampleList_Check() {
	tr, _ := NewTree([]Entry{{Path: "app.yaml", Mode: ModeFile, Data: []byte("replicas: 3\n")}})
	l, _ := Parse([]byte(Sum([]byte("replicas: 1\n")).String() + "  app.yaml\n"))
	for _, p := range l.Check(tr, Scope{Dir: "."}) {
		fmt.Println(p.Kind, p.Path)
	}
	// Output: changed app.yaml
}
