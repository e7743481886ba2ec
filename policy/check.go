package policy

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/strictyaml"
)

// checker holds a policy that could be decoded against what its fields may
// say, and collects all problems.
type checker struct {
	doc      *strictyaml.Document
	spec     *Spec
	read     func(string) ([]byte, error)
	broken   strictyaml.Problems // what could not be decoded
	problems strictyaml.Problems
}

// within reports whether a path is another, or leads to something in it.
func within(outer, path string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// fail reports a problem, unless what stands there could not even be decoded.
func (c *checker) fail(path, format string, args ...any) {
	if slices.ContainsFunc(c.broken, func(p strictyaml.Problem) bool { return within(p.Path, path) || within(path, p.Path) }) {
		return
	}
	c.problems = append(c.problems, strictyaml.Problem{
		Position: c.doc.Position(path), Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// unsupported refuses a field by name when it is there, even empty.
func (c *checker) unsupported(path string) {
	if c.doc.Has(path) {
		c.fail(path, "this version cannot act on this field; remove it, it is not ignored")
	}
}

func (c *checker) check(doc *document, p *Policy) {
	if doc.APIVersion != APIVersion {
		c.fail("apiVersion", "want %s, not %q", APIVersion, doc.APIVersion)
	}
	if doc.Kind != Kind {
		c.fail("kind", "want %s, not %q", Kind, doc.Kind)
	}
	if c.spec.Report != nil && c.spec.Report.File == "" {
		c.fail("spec.report.file", "not said")
	}
	p.signers = c.signers()
	if len(c.spec.Sources) == 0 {
		c.fail("spec.sources", "no rule: every source would be refused")
	}
	p.rules = c.rulesAt("spec.sources", c.spec.Sources, p.signers)
	c.mirrors()
	c.limits()
	c.sign()
	p.logKeys = c.log()
	c.credentials()
	c.flags()
	c.manifestSign()
	p.manifestKeys = c.manifestVerify()
	p.applications = c.applications(p.signers)
	c.separate(p)
}

// rulesAt checks and compiles a list of rules.
func (c *checker) rulesAt(list string, written []Rule, signers map[string]*NamedSigner) []CompiledRule {
	var rules []CompiledRule
	for i, r := range written {
		path := fmt.Sprintf("%s[%d]", list, i)
		pattern, err := identity.ParsePattern(r.Match)
		if err != nil {
			c.fail(path+".match", "%v", err)
			continue
		}
		for j, earlier := range rules {
			if earlier.Pattern.Hides(pattern) {
				c.fail(path+".match", "can never apply: rule %d, %q, matches everything that %q does and stands before it", j+1, earlier.Pattern, pattern)
			}
		}
		c.rule(path, r)
		c.signersOf(path+".lockedBy", r.LockedBy, signers)
		rules = append(rules, CompiledRule{
			Rule: r, Pattern: pattern, Position: c.doc.Position(path), Refs: c.refs(path+".refs", r.Refs),
			Signers: c.signersOf(path+".signedBy", r.SignedBy, signers), CommitSigners: c.signersOf(path+".commitSignedBy", r.CommitSignedBy, signers),
		})
	}
	return rules
}

// rule checks one rule by itself.
func (c *checker) rule(path string, r Rule) {
	c.unsupported(path + ".artifactSignedBy")
	c.vouched(path, r)
	if c.doc.Has(path+".lockedBy") && !r.Locked {
		c.fail(path+".lockedBy", "says whose locks count besides the root's; it wants locked: true")
	}
	if c.doc.Has(path+".threshold") && (r.Threshold < 1 || r.Threshold > len(r.SignedBy)) {
		c.fail(path+".threshold", "want a number from 1 to the %d signers named, not %d", len(r.SignedBy), r.Threshold)
	}
	if c.doc.Has(path+".pinned") && len(r.Pinned) == 0 {
		c.fail(path+".pinned", "names no state: nothing would be accepted")
	}
	for i, pin := range r.Pinned {
		c.pin(fmt.Sprintf("%s.pinned[%d]", path, i), pin)
	}
}

// vouched checks that somebody vouches for what a rule matches, or that the
// rule says why nobody does.
func (c *checker) vouched(path string, r Rule) {
	vouched := len(r.SignedBy)+len(r.Pinned)+len(r.CommitSignedBy) > 0 || r.Locked
	switch {
	case r.Unverified != nil:
		c.unverified(path, r, vouched)
	case !vouched:
		c.fail(path, "nothing vouches for what this rule matches; want signedBy, commitSignedBy, pinned or locked")
	}
	if len(r.SignedBy) == 0 && (c.doc.Has(path+".bound") || c.doc.Has(path+".threshold") || c.doc.Has(path+".closure")) {
		c.fail(path, "bound, threshold and closure speak of a signed list; they want signedBy")
	}
	if len(r.CommitSignedBy) > 0 && len(r.Refs) == 0 {
		c.fail(path+".commitSignedBy", "wants refs as well: a signed commit names neither its repository nor its branch, and stays signed in a fork or an old branch")
	}
}

func (c *checker) unverified(path string, r Rule, vouched bool) {
	path += ".unverified"
	if vouched {
		c.fail(path, "lets pass what nobody vouches for, and the rule says who does")
	}
	if strings.TrimSpace(r.Unverified.Reason) == "" {
		c.fail(path+".reason", "not said; whoever reads the output wants to know it")
	}
	if r.Unverified.Until.IsZero() {
		c.fail(path+".until", "not said; want the last day on which this may pass, such as 2027-01-31")
	}
}

func (c *checker) pin(path string, pin Pin) {
	if pin.Commit == "" && pin.Digest == "" {
		c.fail(path, "want a commit, a digest, or both")
	}
	if pin.Commit != "" && !isHex(pin.Commit, 40) && !isHex(pin.Commit, 64) {
		c.fail(path+".commit", "want a full commit id of 40 or 64 lower-case hexadecimal digits, not %q", pin.Commit)
	}
	if digits, ok := strings.CutPrefix(pin.Digest, "sha256:"); pin.Digest != "" && (!ok || !isHex(digits, 64)) {
		c.fail(path+".digest", "want sha256: and 64 lower-case hexadecimal digits, not %q", pin.Digest)
	}
}

func isHex(s string, digits int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == digits && s == strings.ToLower(s)
}

func (c *checker) signersOf(path string, names []string, signers map[string]*NamedSigner) []*NamedSigner {
	if c.doc.Has(path) && len(names) == 0 {
		c.fail(path, "names no signer")
	}
	seen := map[string]bool{}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, ok := c.spec.Signers[name]; !ok {
			c.fail(at, "no signer is named %q; named are %s", name, strings.Join(sortedNames(c.spec.Signers), ", "))
		}
		if seen[name] {
			c.fail(at, "%q is named twice", name)
		}
		seen[name] = true
	}
	return named(signers, names)
}

func named(signers map[string]*NamedSigner, names []string) []*NamedSigner {
	var some []*NamedSigner
	for _, name := range names {
		if s, ok := signers[name]; ok {
			some = append(some, s)
		}
	}
	return some
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// refs reads the patterns of refs from which a commit must be reachable.
func (c *checker) refs(path string, texts []string) []RefPattern {
	if c.doc.Has(path) && len(texts) == 0 {
		c.fail(path, "names no ref: nothing would be accepted")
	}
	var patterns []RefPattern
	for i, text := range texts {
		p, err := ParseRefPattern(text)
		if err != nil {
			c.fail(fmt.Sprintf("%s[%d]", path, i), "%v", err)
			continue
		}
		patterns = append(patterns, p)
	}
	return patterns
}

func (c *checker) mirrors() {
	for i, m := range c.spec.Mirrors {
		path := fmt.Sprintf("spec.mirrors[%d]", i)
		if err := checkPrefix(m.Prefix); err != nil {
			c.fail(path+".prefix", "want a host in lower case and perhaps the beginning of a path, such as github.com/acme/: %v", err)
		}
		for j, earlier := range c.spec.Mirrors[:i] {
			if mirrors(earlier.Prefix, strings.TrimSuffix(m.Prefix, "/")) {
				c.fail(path+".prefix", "can never apply: mirror %d, %q, stands before it", j+1, earlier.Prefix)
			}
		}
		if err := checkLocation(m.To); err != nil {
			c.fail(path+".to", "%v", err)
		}
		if strings.HasPrefix(m.Prefix, "oci:") != strings.HasPrefix(m.To, "oci://") {
			c.fail(path+".to", "a registry mirrors artifacts, and nothing else does: want oci: on both sides or on none")
		}
	}
}

// checkPrefix accepts the beginning of an identity, up to a whole segment.
func checkPrefix(prefix string) error {
	trimmed := strings.TrimSuffix(prefix, "/")
	if strings.ContainsAny(trimmed, "*@%") || strings.HasPrefix(trimmed, "file:") {
		return fmt.Errorf("%q is not one", prefix)
	}
	if !strings.Contains(trimmed, "/") {
		trimmed += "/x"
	}
	_, err := identity.Parse(trimmed)
	return err
}

// checkLocation accepts what git may be sent to: https, http, ssh, or an
// absolute path.
func checkLocation(to string) error {
	if filepath.IsAbs(to) {
		return nil
	}
	u, err := url.Parse(to)
	if err != nil {
		return fmt.Errorf("want a URL or an absolute path: %w", err)
	}
	if _, hasPassword := u.User.Password(); hasPassword || u.User != nil && u.Scheme != "ssh" {
		return fmt.Errorf("holds a user or password, which do not belong into a mirror's URL")
	}
	switch u.Scheme {
	case "https", "http", "ssh", "oci":
		if u.Host == "" || strings.HasPrefix(u.Host, "-") || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("want scheme, host and path alone, not %q", to)
		}
		return nil
	case "file":
		return nil
	}
	return fmt.Errorf("want an https, http, ssh or file URL, or an absolute path, not %q", to)
}

func (c *checker) limits() {
	l := c.spec.Limits
	for name, v := range map[string]int64{
		"sources": int64(l.Sources), "depth": int64(l.Depth),
		"filesPerSource": int64(l.FilesPerSource), "bytesPerSource": l.BytesPerSource, "cacheBytes": l.CacheBytes,
	} {
		if v < 0 {
			c.fail("spec.limits."+name, "want a positive number, not %d", v)
		}
	}
	if l.Redirects != nil && *l.Redirects < 0 {
		c.fail("spec.limits.redirects", "want a number, 0 for none, not %d", *l.Redirects)
	}
}
