package git

import (
	"slices"
	"strings"
	"testing"
)

func TestAccess(t *testing.T) {
	const at = "https://git.example.com:8443/acme/app"
	header := Access{Header: "Basic s3cret"}
	if got := header.settings(at); !slices.Equal(got, []string{"-c", "http.followRedirects=false"}) {
		t.Errorf("the command line has %q", got)
	}
	want := []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.https://git.example.com:8443/.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic s3cret"}
	if got := header.environment(at); !slices.Equal(got, want) {
		t.Errorf("the environment has %q", got)
	}
	for _, other := range []string{"git@git.example.com:acme/app", "/srv/acme/app"} {
		if got := append(header.environment(other), header.settings(other)...); len(got) > 0 {
			t.Errorf("%s: %q", other, got)
		}
	}
	helper := Access{Helper: "/usr/bin/helper"}
	if got := helper.settings(at); !slices.Equal(got, []string{"-c", "credential.https://git.example.com:8443.helper=/usr/bin/helper"}) {
		t.Errorf("the helper: %q", got)
	}
	ssh := Access{SSHKey: "/keys/it's mine", KnownHosts: "/keys/known hosts"}
	env := ssh.environment("git@git.example.com:acme/app")
	if len(env) != 2 || !strings.Contains(env[0], `-o 'IdentityFile="/keys/it'\''s mine"' `) || !strings.Contains(env[0], `-o 'UserKnownHostsFile="/keys/known hosts"'`) || env[1] != "SSH_AUTH_SOCK=" {
		t.Errorf("ssh: %q", env)
	}
	if got := ssh.environment(at); len(got) > 0 {
		t.Errorf("ssh at https: %q", got)
	}
}

func TestModules(t *testing.T) {
	g, _, _ := repository(t)
	for content, want := range map[string]string{
		"[submodule \"a\"]\n\tpath = vendor/a\n\turl = ../a.git\n[submodule \"b.c\"]\n\tpath = b/\n\turl = \"https://h/b c\"\n": "b=https://h/b c vendor/a=../a.git",
		"[submodule \"a\"]\n\turl = x\n":    "",
		"[include]\n\tpath = /etc/passwd\n": "",
		"[submodule \"a\"]\n\tpath = p\n\turl = x\n[submodule \"b\"]\n\tpath = p\n\turl = y\n": "!two submodules claim",
		"[submodule": "!.gitmodules",
	} {
		got, err := g.Modules(t.Context(), []byte(content))
		var words []string
		for p, url := range got {
			words = append(words, p+"="+url)
		}
		slices.Sort(words)
		reason, fails := strings.CutPrefix(want, "!")
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), reason) || !fails && strings.Join(words, " ") != want {
			t.Errorf("%q: %q, %v", content, words, err)
		}
	}
}
