package sourceurl

import (
	"errors"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/giturl"
)

func TestParse(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for _, tc := range []struct {
		text     string
		wantFile bool
		want     string // kind identity location path ref, or what the error says
	}{
		{"https://github.com/acme/app//dir?ref=v1", false, "git github.com/acme/app https://github.com/acme/app dir v1"},
		{"git@example.com:acme/app.git", false, "git example.com/acme/app git@example.com:acme/app.git  "},
		{"https://h.example/a/b/c.yaml", false, "file h.example/a/b/c.yaml https://h.example/a/b/c.yaml  "},
		{"https://h.example/a/b?x=1", true, "file h.example/a/b https://h.example/a/b?x=1  "},
		{"https://h.example/one", false, "file h.example/one https://h.example/one  "},
		{"http://h.example/one.yaml", false, "file http:h.example/one.yaml http://h.example/one.yaml  "},
		{"HTTPS://H.example:443/One.yaml", false, "file h.example/One.yaml https://H.example:443/One.yaml  "},
		{"https://h.example/a%2fb.yaml", false, "file h.example/a/b.yaml https://h.example/a/b.yaml  "},
		{"https://h.example/x/base-1.2.tar.gz//deep/dir/", false, "archive h.example/x/base-1.2.tar.gz https://h.example/x/base-1.2.tar.gz deep/dir "},
		{"https://h.example/base.zip", false, "archive h.example/base.zip https://h.example/base.zip  "},
		{"s3::https://s3.amazonaws.com/bucket/base.tgz//x?region=eu", false, "archive s3.amazonaws.com/bucket/base.tgz s3::https://s3.amazonaws.com/bucket/base.tgz?region=eu x "},
		{"oci://h.example/acme/base:v1//dir", false, "oci oci:h.example/acme/base oci://h.example/acme/base dir v1"},
		{"oci://h.example/acme/base@sha256:" + hex, false, "oci oci:h.example/acme/base oci://h.example/acme/base  sha256:" + hex},

		{"dir", false, "local"},
		{"../dir", true, "local"},
		{"ssh://h.example/a/b", true, "local"},
		{"https://u:hunter2@h.example/x.yaml", false, "!credentials belong to the operator"},
		{"https://u:hunter2@h.example/x.tar.gz", false, "!credentials belong to the operator"},
		{"https://h.example/x.yaml#hunter2", false, "!a fragment names nothing"},
		{"https://h.example/x.git", true, "!not the name of a file"},
		{"https://h.example/dir/", true, "!not the name of a file"},
		{"https://h.example/a/../b.yaml", true, "!segment \"..\""},
		{"https://h.example/a//b.yaml", true, "!not the name of a file"},
		{"https://h.example/base.tar.gz//../x", false, "!leaves the archive"},
		{"s3::https://s3.amazonaws.com/bucket/base", false, "!not the name of an archive"},
		{"https://h.example/acme/app?ref=--upload-pack=x", false, "!not a ref's name"},
		{"oci://h.example/acme/base.git", false, "!ends in .git"},
		{"oci://h.example", false, "!no repository"},
	} {
		u, err := Parse(tc.text, tc.wantFile)
		var got string
		switch {
		case errors.Is(err, giturl.ErrLocal):
			got = "local"
		case err != nil:
			got = "!" + err.Error()
		default:
			got = strings.Join([]string{string(u.Kind), string(u.Identity), u.Location, u.Path, u.Ref}, " ")
		}
		if reason, refused := strings.CutPrefix(tc.want, "!"); got != tc.want && (!refused || !strings.HasPrefix(got, "!") || !strings.Contains(got, reason)) {
			t.Errorf("%s: got %q, want %q", tc.text, got, tc.want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: a secret is told: %s", tc.text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"https://h/x.yaml", "https://h/x.tar.gz//d?a=b", "s3::https://h/b/k.zip", "oci://h.e/x:v//d", "https://github.com/a/b//c?ref=d"} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, wantFile bool) {
		u, err := Parse(text, wantFile)
		if err != nil {
			return
		}
		if wantFile && u.Kind == Git {
			t.Fatalf("%q: a repository where a file is wanted", text)
		}
		if strings.HasPrefix(u.Path, "/") || u.Path == ".." || strings.HasPrefix(u.Path, "../") {
			t.Fatalf("%q: path %q", text, u.Path)
		}
		// What is asked names the same source as what is judged.
		if u.Kind == File {
			again, err := Parse(u.Location, true)
			if err != nil || again.Identity != u.Identity {
				t.Fatalf("%q: %+v, then %+v, %v", text, u, again, err)
			}
		}
	})
}
