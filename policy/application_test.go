package policy

import (
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/kustedit"
)

const withApplications = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers: {team: {publicKey: {file: team.pub}}, lead: {publicKey: {file: lead.pub}}}
  enforcement: audit
  sources: [{match: "**", signedBy: [team]}]
  sign: none
  log: {mode: none}
  applications:
  - {match: {project: web, name: "web-*", destinationNamespace: prod, repository: github.com/acme/**}, enforcement: enforce, sign: {key: {file: web.key}}}
  - {match: {name: "team_*"}, sources: [{match: github.com/acme/**, signedBy: [lead]}]}
  - {match: {repository: github.com/acme/app//deploy}}
`

func TestForApplication(t *testing.T) {
	p, err := parseWith(t, withApplications)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		claim Claim
		entry int // counted from 1, 0 for none
	}{
		"first":             {Claim{"web", "web-front", "prod", "github.com/acme/app", "deploy"}, 1},
		"another project":   {Claim{"webb", "web-front", "prod", "github.com/acme/app", "x"}, 0},
		"another name":      {Claim{"web", "evil_web-front", "prod", "github.com/acme/app", "x"}, 0},
		"another namespace": {Claim{"web", "web-front", "production", "github.com/acme/app", "deploy/web"}, 3},
		"another owner":     {Claim{"web", "web-front", "prod", "github.com/acme-evil/app", "x"}, 0},
		"of a namespace":    {Claim{"web", "team_web-front", "prod", "github.com/acme/app", "x"}, 2},
		"a path":            {Claim{"", "", "", "github.com/acme/app", "deploy"}, 3},
		"another path":      {Claim{"", "", "", "github.com/acme/app", "deployed"}, 0},
		"no path":           {Claim{"", "", "", "github.com/acme/app", "."}, 0},
		"plain http":        {Claim{"", "", "", "http:github.com/acme/app", "deploy"}, 0},
	} {
		own, entry, ok := p.ForApplication(c.claim)
		switch {
		case ok != (c.entry > 0):
			t.Errorf("%s: %v", name, ok)
		case !ok:
		case entry.Match != p.Spec.Applications[c.entry-1].Match:
			t.Errorf("%s: entry %+v", name, entry.Match)
		case (own.Spec.Enforcement == Enforce) != (c.entry == 1) || own.Spec.Sign.None != (c.entry != 1):
			t.Errorf("%s: %v, sign none %v", name, own.Spec.Enforcement, own.Spec.Sign.None)
		}
	}
	own, _, _ := p.ForApplication(Claim{Name: "team_x"})
	rule, _ := own.Rule(identity.Identity("github.com/acme/app"), "x")
	other, _ := own.Rule(identity.Identity("github.com/other/app"), "x")
	spec, _ := p.Rule(identity.Identity("github.com/acme/app"), "x")
	if rule.Signers[0].Name != "lead" || other.Signers[0].Name != "team" || spec.Signers[0].Name != "team" {
		t.Errorf("signers %s, %s, %s", rule.Signers[0].Name, other.Signers[0].Name, spec.Signers[0].Name)
	}
	if rule.Threshold != 1 || rule.Closure != ClosureTree {
		t.Errorf("an Application's own rules lack defaults: %+v", rule.Rule)
	}
}

// TestNoApplications holds that a policy without entries lets every Application
// in, and none change anything.
func TestNoApplications(t *testing.T) {
	p, err := parseWith(t, withApplications[:strings.Index(withApplications, "  applications:")])
	if err != nil {
		t.Fatal(err)
	}
	own, entry, ok := p.ForApplication(Claim{Name: "any"})
	if !ok || own != p || entry.Enforcement != Audit || entry.Overrides.Allows(kustedit.Value{Kind: "namePrefix", Text: "x"}) {
		t.Errorf("%v, %+v", ok, entry)
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		kind, pattern, value string
		want                 bool
	}{
		{"images", "nginx", "nginx:2", true},
		{"images", "nginx", "nginx@sha256:1", true},
		{"images", "nginx", "nginx=evil/nginx:2", false},
		{"images", "nginx", "nginx=nginx:2", true},
		{"images", "nginx", "nginx=*:2", true},
		{"images", "nginx", "redis:2", false},
		{"images", "nginx", "ngin.:2", false},
		{"images", "nginx:1.*", "nginx:1.2", true},
		{"images", "nginx:1.*", "nginx:2.0", false},
		{"images", "nginx:1.*", "nginx@sha256:1", false},
		{"images", "nginx:1.*", "nginx:1.2@sha256:1", false},
		{"images", "nginx@sha256:*", "nginx@sha256:1", true},
		{"images", "nginx@sha256:*", "nginx:2@sha256:1", false},
		{"images", "nginx@sha256:*", "nginx:2", false},
		{"images", "nginx=r.example/**", "nginx=r.example/a/b:1", true},
		{"images", "nginx=r.example/**", "nginx=r.example.evil/a:1", false},
		{"images", "nginx=r.example/**", "nginx:1", false},
		{"images", "nginx=r.example/*", "nginx=r.example/a/b:1", false},
		{"images", "nginx=r.example:5000/*:v*", "nginx=r.example:5000/a:v1", true},
		{"images", "nginx=r.example:5000/*:v*", "nginx=r.example:5000/a:1", false},
		{"images", "r.example/*", "r.example/a:1", true},
		{"images", "*=r.example/**", ".*=r.example/a:1", false},
		{"images", "**", ".*=evil:1", true},
		{"replicas", "web=*", "web=5", true},
		{"replicas", "web=*", "api=5", false},
		{"namePrefix", "pr-*", "pr-1-", true},
		{"namePrefix", "pr-*", "x-pr-1-", false},
		{"commonLabels", "team=*", "team=a", true},
		{"commonLabels", "team=*", "app=a", false},
		{"commonLabels", "*=a", "app.kubernetes.io/name=a", false},
		{"commonLabels", "**=a", "app.kubernetes.io/name=a", true},
		{"patches", "Deployment/web", "Deployment/web", true},
		{"patches", "Deployment/*", "", false},
		{"patches", "**", "", true},
		{"components", "components/*", "components/a", true},
		{"components", "components/*", "components/a/b", false},
		{"components", "components/**", "components/../../other", false},
		{"namespace", "a", "a\nb", false},
	} {
		var e kustedit.Edits
		v := kustedit.Value{Kind: c.kind, Text: c.value}
		switch c.kind {
		case "images":
			e.Images = []string{c.value}
			v = e.Values()[0]
		case "components":
			e.Components = []string{c.value}
			v = e.Values()[0]
		}
		o := Overrides{}
		*map[string]*Patterns{
			"images": &o.Images, "replicas": &o.Replicas, "namePrefix": &o.NamePrefix, "commonLabels": &o.CommonLabels,
			"patches": &o.Patches, "components": &o.Components, "namespace": &o.Namespace,
		}[c.kind] = Patterns{c.pattern}
		if got := o.Allows(v); got != c.want {
			t.Errorf("%s %q for %q: %v", c.kind, c.pattern, c.value, got)
		}
		if (&Overrides{}).Allows(v) {
			t.Errorf("%s %q is allowed by nothing", c.kind, c.value)
		}
	}
}
