package identity

import (
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	for _, tc := range []struct{ scheme, host, repository, want string }{
		{"https", "github.com", "acme/app", "github.com/acme/app"},
		{"https", "GitHub.com", "/acme/app.git", "github.com/acme/app"},
		{"https", "github.com:443", "acme/app/", "github.com/acme/app"},
		{"ssh", "github.com:22", "acme/app", "github.com/acme/app"},
		{"ssh", "github.com:443", "acme/app", "github.com:443/acme/app"},
		{"https", "github.com:22", "acme/app", "github.com:22/acme/app"},
		{"http", "github.com", "acme/app", "http:github.com/acme/app"},
		{"http", "github.com:80", "acme/app", "http:github.com/acme/app"},
		{"https", "github.com", "acme/%61pp", "github.com/acme/app"},
		{"https", "github.com", "acme%2Fapp", "github.com/acme/app"},
		{"https", "github.com", "acme/app.git.git", "github.com/acme/app.git"},
		{"https", "github.com", "Acme/App", "github.com/Acme/App"},
		{"https", "dev.azure.com", "org/project/_git/repo", "dev.azure.com/org/project/_git/repo"},
		{"https", "[::1]:8443", "a/b", "[::1]:8443/a/b"},
		{"https", "xn--gthub-n4a.com", "acme/app", "xn--gthub-n4a.com/acme/app"},
	} {
		got, err := New(tc.scheme, tc.host, tc.repository)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s %s %s: got %q, %v, want %q", tc.scheme, tc.host, tc.repository, got, err, tc.want)
		}
	}
	for _, tc := range [][3]string{
		{"git", "github.com", "acme/app"},
		{"https", "", "acme/app"},
		{"https", "-oProxyCommand=x", "acme/app"},
		{"https", "github.com.", "acme/app"},
		{"https", "github..com", "acme/app"},
		{"https", "gіthub.com", "acme/app"}, // Cyrillic
		{"https", "github.com@evil.com", "acme/app"},
		{"https", `evil.com\@github.com`, "acme/app"},
		{"https", "github.com%2eevil.com", "acme/app"},
		{"https", "github.com:0", "acme/app"},
		{"https", "github.com:65536", "acme/app"},
		{"https", "github.com:0443", "acme/app"},
		{"https", "github.com:", "acme/app"},
		{"https", "github.com:443x", "acme/app"},
		{"https", "github.com", ""},
		{"https", "github.com", ".git"},
		{"https", "github.com", "acme/../evil/app"},
		{"https", "github.com", "acme/%2e%2e/evil"},
		{"https", "github.com", "acme/./app"},
		{"https", "github.com", "acme//app"},
		{"https", "github.com", "acme/app%00"},
		{"https", "github.com", "acme/app%0a"},
		{"https", "github.com", "acme/a pp"},
		{"https", "github.com", `acme\app`},
		{"https", "github.com", "acme/app%3Fx"},
		{"https", "github.com", "acme/app%23x"},
		{"https", "github.com", "acme/%zz"},
	} {
		if got, err := New(tc[0], tc[1], tc[2]); err == nil {
			t.Errorf("%v: got %q, want an error", tc, got)
		}
	}
}

// TestMatches holds patterns against look-alikes.
func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, id, file string
		want              bool
	}{
		{"github.com/acme/**", "github.com/acme/app", "x", true},
		{"github.com/acme/**", "github.com/acme/group/app", "x", true},
		{"github.com/acme/**", "github.com/acme-evil/x", "x", false},
		{"github.com/acme/**", "github.com/acme.evil/x", "x", false},
		{"github.com/acme/**", "github.com/Acme/x", "x", false},
		{"github.com/acme/**", "github.com.evil.com/acme/x", "x", false},
		{"github.com/acme/**", "evil.com/github.com/acme/x", "x", false},
		{"github.com/acme/**", "github.com:8443/acme/x", "x", false},
		{"github.com/acme/**", "http:github.com/acme/x", "x", false},
		{"http:github.com/acme/**", "github.com/acme/x", "x", false},
		{"http:github.com/acme/**", "http:github.com/acme/x", "x", true},
		{"github.com/acme/app", "file:/github.com/acme/app", "x", false},
		{"**", "http:github.com/acme/app", "x", false},
		{"**", "file:/srv/app", "x", false},
		{"**", "github.com/acme/app", "x", true},
		{"file:/srv/**", "file:/srv/app", "x", true},
		{"file:/srv/**", "file:/srv-evil/app", "x", false},
		{"file:**", "file:/srv/app", "x", true},
		{"github.com/acme/*", "github.com/acme/app", "x", true},
		{"github.com/acme/*", "github.com/acme/group/app", "x", false},
		{"github.com/*/app", "github.com/acme/app", "x", true},
		{"github.com/*/app", "github.com/a/b/app", "x", false},
		{"github.com/acme/app-*", "github.com/acme/app-web", "x", true},
		{"github.com/acme/app-*", "github.com/acme/app", "x", false},
		{"github.com/acme/*-app", "github.com/acme/evil/x-app", "x", false},
		{"*.example.com/**", "git.example.com/a", "x", true},
		{"*.example.com/**", "example.com/a", "x", false},
		{"*.example.com/**", "evil.com/a.example.com/b", "x", false},
		{"github.com/acme/app", "github.com/acme/app2", "x", false},
		{"github.com/acme/mono//teams/a", "github.com/acme/mono", "teams/a/k.yaml", true},
		{"github.com/acme/mono//teams/a", "github.com/acme/mono", "teams/a", true},
		{"github.com/acme/mono//teams/a", "github.com/acme/mono", "teams/ab/k.yaml", false},
		{"github.com/acme/mono//teams/a", "github.com/acme/mono", "teams", false},
		{"github.com/acme/mono//teams/a", "github.com/acme/mono", "x/teams/a/k.yaml", false},
		{"github.com/acme/mono//teams/*", "github.com/acme/mono", "teams/a", true},
		{"github.com/acme/mono//teams/*", "github.com/acme/mono", "teams/a/k.yaml", false},
		{"github.com/acme/mono//teams/*/**", "github.com/acme/mono", "teams/a/k.yaml", true},
		{"github.com/acme/mono//**", "github.com/acme/mono", ".", true},
		{"github.com/acme/mono//teams", "github.com/acme/mono", ".", false},
		{"github.com/acme/mono//teams", "github.com/acme/other", "teams/x", false},
	} {
		p, err := ParsePattern(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		if got := p.Matches(Identity(tc.id), tc.file); got != tc.want {
			t.Errorf("%s on %s//%s: %v, want %v", tc.pattern, tc.id, tc.file, got, tc.want)
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for _, s := range []string{
		"", "github.com", "github.com/", "https://github.com/acme/app", "git@github.com/acme/app", "GitHub.com/acme/**",
		"github.com/acme/app.git", "github.com/acme/**x", "github.com/a**/x", "github.com/../x", "github.com/acme//",
		"github.com/acme/app//a//b", "github.com/acme/app//../x", "file:srv/x", "github.com/acme/a b", "github.com//x",
	} {
		if p, err := ParsePattern(s); err == nil {
			t.Errorf("%q: accepted as %v", s, p)
		}
	}
}

func TestHides(t *testing.T) {
	for _, tc := range []struct {
		earlier, later string
		want           bool
	}{
		{"github.com/acme/**", "github.com/acme/app", true},
		{"github.com/acme/**", "github.com/acme/*", true},
		{"github.com/acme/*", "github.com/acme/**", false},
		{"github.com/acme/*", "github.com/acme/app-*", true},
		{"github.com/acme/app", "github.com/acme/*", false},
		{"github.com/acme/app", "github.com/acme/app", true},
		{"github.com/acme/app", "github.com/acme/app//x", true},
		{"github.com/acme/app//x", "github.com/acme/app", false},
		{"github.com/acme/app//**", "github.com/acme/app", true},
		{"github.com/acme/app//x", "github.com/acme/app//x/y", true},
		{"github.com/acme/app//x/*", "github.com/acme/app//x/y", false},
		{"github.com/acme/app//x/**", "github.com/acme/app//x/y", true},
		{"**", "http:github.com/acme/app", false},
	} {
		earlier, err1 := ParsePattern(tc.earlier)
		later, err2 := ParsePattern(tc.later)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if got := earlier.Hides(later); got != tc.want {
			t.Errorf("%s before %s: %v, want %v", tc.earlier, tc.later, got, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, s := range []string{"github.com/acme/app", "http:localhost:8080/x", "file:/srv/x", "host/100%25"} {
		if id, err := Parse(s); err != nil || string(id) != s {
			t.Errorf("%s: %q, %v", s, id, err)
		}
	}
	for _, s := range []string{"github.com", "GitHub.com/a", "github.com/a.git", "github.com:443/a", "file:srv", "file:/srv/../x", "https://github.com/a/b"} {
		if id, err := Parse(s); err == nil {
			t.Errorf("%s: accepted as %q", s, id)
		}
	}
}

// FuzzNew holds that an identity, taken as it is, is itself again: nothing in
// it can be read in a second way.
func FuzzNew(f *testing.F) {
	f.Add("https", "github.com:443", "acme/app.git")
	f.Add("ssh", "[::1]:22", "/srv/%41")
	f.Fuzz(func(t *testing.T, scheme, host, repository string) {
		id, err := New(scheme, host, repository)
		if err != nil {
			return
		}
		if strings.Contains(string(id), "//") || strings.Contains(string(id), "@") && !strings.Contains(repository, "@") && !strings.Contains(repository, "%40") {
			t.Fatalf("%q", id)
		}
		if _, err := Parse(string(id)); err != nil && !strings.HasSuffix(string(id), ".git") && !strings.HasSuffix(string(id), "/") {
			t.Fatalf("%q is not its own identity: %v", id, err)
		}
	})
}
