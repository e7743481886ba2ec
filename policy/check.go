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
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/strictyaml"
)

// checker holds a policy that could be decoded against what its fields may
// say, and collects all problems.
type checker struct {
	doc      *strictyaml.Document
	spec     *Spec
	read     func(string) ([]byte, error)
	problems strictyaml.Problems
}

func (c *checker) fail(path, format string, args ...any) {
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
	p.signers = c.signers()
	p.rules = c.rules(p.signers)
	c.mirrors()
	c.limits()
	c.sign()
	p.logKeys = c.log()
	c.credentials()
	c.flags()
	c.unsupported("spec.manifestSign")
	c.unsupported("spec.applications")
}

func (c *checker) signers() map[string]signature.Key {
	keys := map[string]signature.Key{}
	for _, name := range sortedNames(c.spec.Signers) {
		s, path := c.spec.Signers[name], "spec.signers."+name
		c.unsupported(path + ".keyless")
		c.unsupported(path + ".pgp")
		c.unsupported(path + ".ssh")
		if s.PublicKey == nil {
			if s.Keyless == nil && s.PGP == nil && s.SSH == nil {
				c.fail(path, "names no key; want publicKey")
			}
			continue
		}
		if key, ok := c.publicKey(path+".publicKey", s.PublicKey); ok {
			keys[name] = key
		}
	}
	return keys
}

// publicKey loads a public key.
func (c *checker) publicKey(path string, ref *KeyRef) (signature.Key, bool) {
	if !c.keyRef(path, ref) {
		return signature.Key{}, false
	}
	data := []byte(ref.PEM)
	if ref.File != "" {
		path += ".file"
		var err error
		if data, err = c.read(ref.File); err != nil {
			c.fail(path, "%v", err)
			return signature.Key{}, false
		}
	}
	key, err := signature.ParseKey(data)
	if err != nil {
		c.fail(path, "%v", err)
		return signature.Key{}, false
	}
	return key, true
}

// keyRef checks that one way to find a key is given, and a supported one.
func (c *checker) keyRef(path string, ref *KeyRef) bool {
	c.unsupported(path + ".kms")
	if (ref.File == "") == (ref.PEM == "") {
		if ref.KMS == "" {
			c.fail(path, "want exactly one of file, pem")
		}
		return false
	}
	return ref.KMS == ""
}

func (c *checker) rules(signers map[string]signature.Key) []CompiledRule {
	if len(c.spec.Sources) == 0 {
		c.fail("spec.sources", "no rule: every source would be refused")
	}
	var rules []CompiledRule
	for i, r := range c.spec.Sources {
		path := fmt.Sprintf("spec.sources[%d]", i)
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
		rules = append(rules, CompiledRule{r, pattern, c.signersOf(path+".signedBy", r.SignedBy, signers), c.refs(path+".refs", r.Refs)})
	}
	return rules
}

// rule checks one rule by itself.
func (c *checker) rule(path string, r Rule) {
	c.unsupported(path + ".commitSignedBy")
	c.unsupported(path + ".artifactSignedBy")
	c.unsupported(path + ".unverified")
	if len(r.SignedBy) == 0 {
		if len(r.Pinned) == 0 && !r.Locked {
			c.fail(path, "nothing vouches for what this rule matches; want signedBy, pinned or locked")
		}
		if c.doc.Has(path+".bound") || c.doc.Has(path+".threshold") || c.doc.Has(path+".closure") {
			c.fail(path, "bound, threshold and closure speak of a signed list; they want signedBy")
		}
	}
	if c.doc.Has(path+".lockedBy") && !r.Locked {
		c.fail(path+".lockedBy", "says whose locks count besides the root's; it wants locked: true")
	}
	if c.doc.Has(path+".threshold") && (r.Threshold < 1 || r.Threshold > len(r.SignedBy)) {
		c.fail(path+".threshold", "want a number from 1 to the %d signers named, not %d", len(r.SignedBy), r.Threshold)
	}
	for i, pin := range r.Pinned {
		c.pin(fmt.Sprintf("%s.pinned[%d]", path, i), pin)
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

func (c *checker) signersOf(path string, names []string, signers map[string]signature.Key) []NamedKey {
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
	return namedKeys(signers, names)
}

func namedKeys(signers map[string]signature.Key, names []string) []NamedKey {
	var keys []NamedKey
	for _, name := range names {
		if key, ok := signers[name]; ok {
			keys = append(keys, NamedKey{name, key})
		}
	}
	return keys
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

func (c *checker) sign() {
	s := c.spec.Sign
	switch {
	case s == nil:
		c.fail("spec.sign", "not said; want a key, or none")
		return
	case s.None:
		return
	case s.Key == nil:
		c.fail("spec.sign", "want a key, or none")
	default:
		c.keyRef("spec.sign.key", s.Key)
	}
	c.unsupported("spec.sign.unverifiedKey")
}

func (c *checker) log() []signature.Key {
	l := c.spec.Log
	switch {
	case l == nil || l.Mode == "":
		c.fail("spec.log.mode", "not said; want required or none")
		return nil
	case l.Mode == LogSpool:
		c.fail("spec.log.mode", "this version cannot spool; want required or none")
	case l.Mode == LogNone && len(l.Rekor) > 0:
		c.fail("spec.log.rekor", "a log is named, and the mode is none")
	case l.Mode == LogRequired && len(l.Rekor) != 1:
		c.fail("spec.log.rekor", "want exactly one log, not %d", len(l.Rekor))
	case l.Mode == LogRequired && c.spec.Sign != nil && c.spec.Sign.None:
		c.fail("spec.log.mode", "a statement is logged with a signature, and spec.sign is none")
	}
	var keys []signature.Key
	for i, r := range l.Rekor {
		path := fmt.Sprintf("spec.log.rekor[%d]", i)
		if u, err := url.Parse(r.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			c.fail(path+".url", "want an https or http URL, not %q", r.URL)
		}
		if r.Version != 1 && r.Version != 2 {
			c.fail(path+".version", "want 1 or 2, not %d", r.Version)
		}
		if r.PublicKey == nil {
			c.fail(path+".publicKey", "not said; an inclusion proof counts only if this key signed it")
			continue
		}
		if key, ok := c.publicKey(path+".publicKey", r.PublicKey); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
