package resolver

import (
	"testing"

	"github.com/trustomize/trustomize/internal/giturl"
)

// TestAskpass holds that ArgoCD's credentials are offered to the Application's
// own host over https, and to nothing else.
func TestAskpass(t *testing.T) {
	a := &Askpass{Location: "https://git.example.com/acme/app.git", Program: "/bin/argocd", Env: []string{"NONCE=1"}}
	for location, want := range map[string]bool{
		"https://git.example.com/acme/base":            true,
		"https://GIT.example.com/other/base":           true,
		"https://git.example.com:443/acme/base":        true,
		"https://git.example.com:8443/acme/base":       false,
		"https://evil.example.com/acme/base":           false,
		"https://git.example.com.evil.com/acme/base":   false,
		"https://evil.com/git.example.com/base":        false,
		"http://git.example.com/acme/base":             false,
		"ssh://git@git.example.com/acme/base":          false,
		"git@git.example.com:acme/base":                false,
		"https://git.example.com@evil.example.com/a/b": false,
	} {
		u, err := giturl.ParseRepository(location)
		if err != nil {
			t.Logf("%s: %v", location, err)
			continue
		}
		if got := a.offer(u); (got.Askpass != "") != want {
			t.Errorf("%s: offered %v", location, got)
		}
	}
	for _, own := range []string{"http://git.example.com/acme/app", "ssh://git@git.example.com/acme/app", "oci://git.example.com/acme/app", "nonsense"} {
		u, _ := giturl.ParseRepository("https://git.example.com/acme/base")
		if got := (&Askpass{Location: own, Program: "/bin/argocd"}).offer(u); got.Askpass != "" {
			t.Errorf("an Application from %s: offered %v", own, got)
		}
	}
	var none *Askpass
	u, _ := giturl.ParseRepository("https://git.example.com/acme/base")
	if got := none.offer(u); got.Askpass != "" {
		t.Errorf("nobody's: %v", got)
	}
}
