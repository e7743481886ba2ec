package giturl

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct{ raw, identity, clone, path, ref string }{
		{"https://github.com/acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"https://github.com/acme/app.git", "github.com/acme/app", "https://github.com/acme/app.git", "", ""},
		{"https://github.com/acme/app?ref=v1", "github.com/acme/app", "https://github.com/acme/app", "", "v1"},
		{"https://github.com/acme/app?version=v1", "github.com/acme/app", "https://github.com/acme/app", "", "v1"},
		{"https://github.com/acme/app?version=v1&ref=v2", "github.com/acme/app", "https://github.com/acme/app", "", "v2"},
		{"https://github.com/acme/app//base?ref=v1&timeout=5", "github.com/acme/app", "https://github.com/acme/app", "base", "v1"},
		{"https://github.com/acme/app/base/x", "github.com/acme/app", "https://github.com/acme/app", "base/x", ""},
		{"https://github.com/acme/app.git/base", "github.com/acme/app", "https://github.com/acme/app.git", "base", ""},
		{"HTTPS://GitHub.com/acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"http://github.com/acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"github.com/acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"github.com:acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"git::https://github.com/acme/app", "github.com/acme/app", "https://github.com/acme/app", "", ""},
		{"git@github.com:acme/app.git", "github.com/acme/app", "git@github.com:acme/app.git", "", ""},
		{"git@github.com/acme/app.git", "github.com/acme/app", "git@github.com:acme/app.git", "", ""},
		{"ssh://git@github.com/acme/app.git//base", "github.com/acme/app", "git@github.com:acme/app.git", "base", ""},
		{"ssh://git@git.example.com:2222/acme/app.git", "git.example.com:2222/acme/app", "ssh://git@git.example.com:2222/acme/app.git", "", ""},
		{"user@git.example.com:acme/app//x", "git.example.com/acme/app", "user@git.example.com:acme/app", "x", ""},
		{"user@git.example.com:/srv/app.git", "git.example.com/srv/app", "user@git.example.com:/srv/app.git", "", ""},
		{"https://git.example.com/group/sub/app//x", "git.example.com/group/sub/app", "https://git.example.com/group/sub/app", "x", ""},
		{"https://me@dev.azure.com/org/project/_git/repo/path?ref=v1", "dev.azure.com/org/project/_git/repo", "https://dev.azure.com/org/project/_git/repo", "path", "v1"},
		{"http://git.example.com/acme/app", "http:git.example.com/acme/app", "http://git.example.com/acme/app", "", ""},
		{"file:///srv/app.git//x?ref=main", "file:/srv/app.git", "/srv/app.git", "x", "main"},
		{"https://git.example.com/acme/%61pp", "git.example.com/acme/app", "https://git.example.com/acme/app", "", ""},
	} {
		u, err := Parse(tc.raw)
		if err != nil {
			t.Errorf("%s: %v", tc.raw, err)
			continue
		}
		if string(u.Identity) != tc.identity || u.Clone != tc.clone || u.Path != tc.path || u.Ref != tc.ref {
			t.Errorf("%s: %s %s %q %q, want %s %s %q %q", tc.raw, u.Identity, u.Clone, u.Path, u.Ref, tc.identity, tc.clone, tc.path, tc.ref)
		}
	}
}

func TestParseLocal(t *testing.T) {
	for _, raw := range []string{"", "base", "../base", "/abs", "./github.com/acme/app", "git.example.com/acme/app", "base.yaml", "a:b", "github.com"} {
		if u, err := Parse(raw); !errors.Is(err, ErrLocal) {
			t.Errorf("%q: %v, %v, want ErrLocal", raw, u, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, raw := range []string{
		"https://github.com/acme/app?ref=--upload-pack=x", "https://github.com/acme/app?ref=a..b", "https://github.com/acme/app?ref=a%20b",
		"https://github.com/acme/app?ref=a;b", "https://github.com/acme/app?ref=%zz", "https://github.com/acme/app?ref=a:b",
		"https://github.com/acme/app//../x", "https://github.com/acme/app//a/../../x", "https://git.example.com/acme/../evil",
		"https://git.example.com/acme/app%2f..%2f..%2fevil", "https://-oProxyCommand=x/acme/app", "https://evil.com\\@github.com/acme/app",
		"https://a@b@github.com/acme/app", "file:///srv/trusted/%2e%2e/evil.git", "file:///srv/../evil", "ssh://git@file:2222/srv/x.git", "https://http:8443/acme/x.git", "https://[::1]443/a/b", "git@:x.git", "me@:a/b/c",
		"https://git.example.com", "ssh://", "https://exa mple.com/a/b",
	} {
		if u, err := Parse(raw); err == nil || errors.Is(err, ErrLocal) {
			t.Errorf("%s: %+v, %v, want a refusal", raw, u, err)
		}
	}
	_, err := Parse("https://joe:hunter2@git.example.com/acme/app")
	if !errors.Is(err, ErrSecret) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want ErrSecret", err)
	}
}

func TestParseRepository(t *testing.T) {
	for s, want := range map[string]string{
		"https://gitlab.com/group/sub/app":       "gitlab.com/group/sub/app .",
		"git@gitlab.com:group/sub/app.git":       "gitlab.com/group/sub/app .",
		"git@gitlab.com:group/sub/app":           "gitlab.com/group/sub/app .",
		"gitlab.com/group/sub/app":               "gitlab.com/group/sub/app .",
		"github.com/acme/app//overlays/prod":     "github.com/acme/app .overlays/prod",
		"https://github.com/acme/app.git//x":     "github.com/acme/app .x",
		"https://dev.azure.com/o/p/_git/r":       "dev.azure.com/o/p/_git/r .",
		"ssh://git@example.com:2222/srv/a/b.git": "example.com:2222/srv/a/b .",
		"https://github.com/acme/app/":           "github.com/acme/app .",
	} {
		u, err := ParseRepository(s)
		if err != nil || string(u.Identity)+" ."+u.Path != want {
			t.Errorf("%s: %+v, %v, want %s", s, u, err, want)
		}
	}
	for _, s := range []string{"", "app", "../app"} {
		if u, err := ParseRepository(s); err == nil {
			t.Errorf("%q: %+v", s, u)
		}
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"https://token@github.com/acme/app?ref=v1&access_token=x": "https://github.com/acme/app?ref=v1",
		"https://u:hunter2@h/a/b?ref=-x":                          "https://h/a/b?ref=-x",
		"git::HTTPS://u:p@w@h/a":                                  "git::HTTPS://h/a",
		"ssh://git:hunter2@h/a/b":                                 "ssh://h/a/b",
		"git://user:hunter2@host/x":                               "git://host/x",
		"oci://robot:hunter2@reg/x":                               "oci://reg/x",
		"user:hunter2@github.com/x":                               "github.com/x",
		"https://user:s3c/ret@host/x":                             "https://host/x",
		"ssh://git:s3c/ret@host/x":                                "ssh://host/x",
		"https://host/x#access_token=hunter2":                     "https://host/x",
		"https://host/x?ref=a#token=hunter2":                      "https://host/x?ref=a",
		"https://host/a@b/c":                                      "https://host/a@b/c",
		"ssh://git@host/x":                                        "ssh://git@host/x",
		"a/b@c.yaml":                                              "a/b@c.yaml",
		"git@github.com:acme/app?ref=main":                        "git@github.com:acme/app?ref=main",
		"../base":                                                 "../base",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	for _, raw := range []string{"https://user:hunter2@host", "https://u:hunter2@h/a/b?ref=-x", "https://hunter2@github.com/acme/app?ref=-x", "https://u%3Ahunter2@h/a/b", "ssh://u:hunter2@h/a/b"} {
		if _, err := Parse(raw); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://github.com/acme/app//x?ref=v1", "git@github.com:acme/app", "file:///srv//x", "git::ssh://u@h:22/_git/r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		if err != nil {
			return
		}
		if u.Identity == "" || strings.HasPrefix(u.Clone, "-") || strings.HasPrefix(u.Ref, "-") || strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "../") || strings.ContainsAny(u.Clone, "\n\x00") {
			t.Fatalf("%q: %+v", raw, u)
		}
	})
}
