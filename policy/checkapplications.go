package policy

import (
	"fmt"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
)

func (c *checker) applications(signers map[string]*NamedSigner) []compiledApplication {
	if c.doc.Has("spec.applications") && len(c.spec.Applications) == 0 {
		c.fail("spec.applications", "names none: every Application would be refused")
	}
	var all []compiledApplication
	for i, a := range c.spec.Applications {
		path := fmt.Sprintf("spec.applications[%d]", i)
		if !c.doc.Has(path + ".match") {
			c.fail(path, "has no match; match: {} is for every Application")
		}
		one := compiledApplication{Application: a}
		if a.Match.Repository != "" {
			pattern, err := identity.ParsePattern(a.Match.Repository)
			if err != nil {
				c.fail(path+".match.repository", "%v", err)
			}
			one.repository = pattern
		}
		for j, earlier := range c.spec.Applications[:i] {
			if earlier.Match == a.Match || earlier.Match == (ApplicationMatch{}) {
				c.fail(path+".match", "can never apply: entry %d stands before it and matches everything that it does", j+1)
			}
		}
		c.overrides(path+".overrides", &a.Overrides)
		if c.doc.Has(path+".emits") && len(a.Emits) == 0 {
			c.fail(path+".emits", "names nothing: every output would be refused")
		}
		if c.doc.Has(path+".sources") && len(a.Sources) == 0 {
			c.fail(path+".sources", "names no rule")
		}
		one.rules = c.rulesAt(path+".sources", a.Sources, signers)
		if a.Sign != nil {
			c.signAt(path+".sign", a.Sign)
		}
		all = append(all, one)
	}
	return all
}

func (c *checker) overrides(path string, o *Overrides) {
	for kind, patterns := range o.kinds() {
		at := path + "." + kind
		for i, pattern := range patterns {
			switch {
			case pattern == "":
				c.fail(fmt.Sprintf("%s[%d]", at, i), "is empty")
			case pattern == anyValue:
			case kind == "patches" && strings.Count(pattern, "/") != 1 && !strings.Contains(pattern, "**"):
				c.fail(fmt.Sprintf("%s[%d]", at, i), "want KIND/NAME of what may be patched, not %q", pattern)
			case (kind == "replicas" || kind == "commonLabels" || kind == "commonAnnotations") && !strings.Contains(pattern, "="):
				c.fail(fmt.Sprintf("%s[%d]", at, i), "want NAME=VALUE, not %q", pattern)
			case kind == "buildOptions" && !strings.HasPrefix(pattern, "--"):
				c.fail(fmt.Sprintf("%s[%d]", at, i), "want a flag such as --reorder=legacy, not %q", pattern)
			}
		}
	}
}
