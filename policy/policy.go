// Package policy says whose word counts for which source.
//
// A policy is one YAML file that the operator owns. It is never looked for in a
// repository, and its relative paths are relative to its own folder. Unknown
// fields are errors, and so is every field that this version does not act on:
// nothing that an operator wrote is ignored.
//
// Rules are tried in order and the first whose match fits decides; a source
// that none fits is refused. For the syntax of a match see [Rule] and the
// package's example.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/strictyaml"
)

// MaxSize is the size in bytes over which a policy, or a key that it names, is
// not read.
const MaxSize = 4 << 20

// Policy is a policy that was read, checked, and its keys loaded. Make one with
// [Load].
type Policy struct {
	Name   string
	File   string
	Digest string // "sha256:" and the SHA-256 of the file in hexadecimal
	Spec   Spec

	rules        []CompiledRule
	applications []compiledApplication
	signers      map[string]*NamedSigner
	logKeys      []signature.Key
	manifestKeys []signature.Key

	positions *strictyaml.Document
}

// CompiledRule is a rule with its match read and its signers looked up.
type CompiledRule struct {
	Rule
	Pattern  identity.Pattern
	Position strictyaml.Position // in the policy's file
	Refs     []RefPattern

	Signers       []*NamedSigner // of the list
	CommitSigners []*NamedSigner
}

// RefPattern is a full ref name, in which * is any text without a slash and **
// any text.
type RefPattern struct {
	text string
	re   *regexp.Regexp
}

// ParseRefPattern reads a pattern of full ref names, such as refs/heads/main or
// refs/tags/v*.
func ParseRefPattern(s string) (RefPattern, error) {
	if !strings.HasPrefix(s, "refs/heads/") && !strings.HasPrefix(s, "refs/tags/") {
		return RefPattern{}, fmt.Errorf("want a full name below refs/heads/ or refs/tags/, not %q", s)
	}
	quoted := strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(s))
	re, err := regexp.Compile(`^` + quoted + `$`)
	return RefPattern{s, re}, err
}

// Matches reports whether a full ref name fits.
func (p RefPattern) Matches(ref string) bool { return p.re.MatchString(ref) }

func (p RefPattern) String() string { return p.text }

// Error is all that is wrong with a policy.
type Error struct {
	File     string
	Problems strictyaml.Problems
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = "policy " + e.File + ":" + p.Error()
		if p.Line == 0 {
			lines[i] = "policy " + e.File + ": " + p.Error()
		}
	}
	return strings.Join(lines, "\n")
}

// Load reads a policy and the public keys that it names. What is wrong with
// its content comes as an *[Error] with all problems.
func Load(file string) (*Policy, error) {
	data, err := readLimited(file)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return parse(file, data, func(name string) ([]byte, error) {
		return readLimited(beside(filepath.Dir(file), name))
	})
}

// beside makes a path of the policy relative to the policy's folder.
func beside(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// Path returns where a file that the policy names is.
func (p *Policy) Path(name string) string { return beside(filepath.Dir(p.File), name) }

func readLimited(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", file)
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d allowed", file, info.Size(), MaxSize)
	}
	return os.ReadFile(file)
}

// parse reads a policy; read returns the content of a file that it names.
func parse(file string, data []byte, read func(string) ([]byte, error)) (*Policy, error) {
	var doc document
	positions, err := strictyaml.Decode(data, &doc)
	c := &checker{doc: positions, spec: &doc.Spec, read: read}
	if problems, ok := err.(strictyaml.Problems); ok {
		c.broken, c.problems = problems, problems
	}
	sum := sha256.Sum256(data)
	p := &Policy{
		Name:   doc.Metadata.Name,
		File:   file,
		Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Spec:   doc.Spec,
	}
	if positions.Has("") {
		c.check(&doc, p)
	}
	if len(c.problems) > 0 {
		c.problems.Sort()
		return nil, &Error{file, c.problems}
	}
	p.positions = positions
	p.applyDefaults()
	return p, nil
}

// Defaults of [Limits].
const (
	DefaultSources        = 256
	DefaultDepth          = 32
	DefaultFilesPerSource = 100_000
	DefaultBytesPerSource = 512 << 20
	DefaultFetchTimeout   = 2 * time.Minute
	DefaultRedirects      = 5
	DefaultCacheBytes     = 10 << 30
)

func (p *Policy) applyDefaults() {
	l := &p.Spec.Limits
	setDefault(&p.Spec.Enforcement, Enforce)
	setDefault(&l.Sources, DefaultSources)
	setDefault(&l.Depth, DefaultDepth)
	setDefault(&l.FilesPerSource, DefaultFilesPerSource)
	setDefault(&l.BytesPerSource, int64(DefaultBytesPerSource))
	setDefault(&l.FetchTimeout, Duration(DefaultFetchTimeout))
	setDefault(&l.CacheBytes, int64(DefaultCacheBytes))
	if l.Redirects == nil {
		l.Redirects = new(int)
		*l.Redirects = DefaultRedirects
	}
	defaultRules(p.rules)
	for i := range p.applications {
		defaultRules(p.applications[i].rules)
	}
}

func defaultRules(rules []CompiledRule) {
	for i := range rules {
		setDefault(&rules[i].Closure, ClosureTree)
		setDefault(&rules[i].Threshold, 1)
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Knows reports whether some rule could apply to some file of the source. A
// source that no rule knows is refused before anything is fetched.
func (p *Policy) Knows(id identity.Identity) bool {
	for i := range p.rules {
		if p.rules[i].Pattern.MatchesSource(id) {
			return true
		}
	}
	return false
}

// Rule returns the first rule that matches the file below the source's root.
func (p *Policy) Rule(id identity.Identity, file string) (*CompiledRule, bool) {
	for i := range p.rules {
		if p.rules[i].Pattern.Matches(id, file) {
			return &p.rules[i], true
		}
	}
	return nil, false
}

// RulesFor returns every rule that could apply to some file of the source, in
// their order.
func (p *Policy) RulesFor(id identity.Identity) []*CompiledRule {
	var rules []*CompiledRule
	for i := range p.rules {
		if p.rules[i].Pattern.MatchesSource(id) {
			rules = append(rules, &p.rules[i])
		}
	}
	return rules
}

// CredentialFor returns the first credential for what comes from a location
// with this identity.
func (p *Policy) CredentialFor(id identity.Identity) (*Credential, bool) {
	for i := range p.Spec.Credentials {
		if c := &p.Spec.Credentials[i]; mirrors(c.Prefix, string(id)) {
			return c, true
		}
	}
	return nil, false
}

// ReadSecret returns a secret that the policy names. lookup finds variables.
func (p *Policy) ReadSecret(s *Secret, lookup func(string) (string, bool)) (string, error) {
	if s.Env != "" {
		if v, ok := lookup(s.Env); ok && v != "" {
			return v, nil
		}
		return "", fmt.Errorf("variable %s, which the policy names for a credential, is not set", s.Env)
	}
	data, err := readLimited(p.Path(s.File))
	if err != nil {
		return "", fmt.Errorf("credential: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("credential: %s does not hold one line", s.File)
	}
	return text, nil
}

// SignerOf returns the name of a signer that has a key, in whatever encoding,
// whether or not any rule accepts it.
func (p *Policy) SignerOf(key signature.Key) (string, bool) {
	names := append(signature.Names(key.Public), key.Fingerprint)
	for _, s := range p.Signers() {
		for _, k := range s.Keys() {
			if slices.ContainsFunc(append(k.Also, k.Fingerprint), func(name string) bool { return slices.Contains(names, name) }) {
				return s.Name, true
			}
		}
	}
	return "", false
}

// Signers returns every signer, sorted by name.
func (p *Policy) Signers() []*NamedSigner { return named(p.signers, sortedNames(p.signers)) }

// BuildKeys returns the keys that builds are signed with.
func (p *Policy) BuildKeys() []*SigningKey {
	var keys []*SigningKey
	for _, key := range buildKeys(&p.Spec) {
		keys = append(keys, key)
	}
	return keys
}

// VerifiedKeys returns those that builds are signed with of which every source was
// vouched for.
func (p *Policy) VerifiedKeys() []*SigningKey {
	var keys []*SigningKey
	for path, key := range buildKeys(&p.Spec) {
		if !strings.HasSuffix(path, unverified) {
			keys = append(keys, key)
		}
	}
	return keys
}

// ManifestKeys returns the keys whose signatures of manifests count: those that are not
// revoked.
func (p *Policy) ManifestKeys() []signature.Key {
	return slices.DeleteFunc(slices.Clone(p.manifestKeys), p.revokes)
}

// ManifestTrust returns all of them, to verify with: what a revoked one signed is
// refused as that.
func (p *Policy) ManifestTrust() []signature.Trust {
	var all []signature.Trust
	for _, key := range p.manifestKeys {
		if p.revokes(key) {
			all = append(all, revokedKey{key})
		} else {
			all = append(all, key)
		}
	}
	return all
}

func (p *Policy) revokes(key signature.Key) bool {
	return slices.ContainsFunc(append(signature.Names(key.Public), key.Fingerprint), func(name string) bool { return slices.Contains(p.Spec.Revoked, name) })
}

// revokedKey is a key of which no signature counts.
type revokedKey struct{ signature.Key }

// Verify fails for every signature, the key's own among them.
func (k revokedKey) Verify(sig signature.Signature, message []byte, at signature.When) (signature.Evidence, error) {
	e, err := k.Key.Verify(sig, message, at)
	if err == nil {
		err = signature.Errorf(signature.Revoked, "is by key %s, which the policy has revoked", e.Fingerprint)
	}
	return signature.Evidence{}, err
}

// LogKeys returns the keys of the policy's logs, in their order.
func (p *Policy) LogKeys() []signature.Key { return p.logKeys }

// Mirror returns where the bytes of a source come from: the location that the
// first matching mirror gives, else what the URL says. repository is the
// source's path as it was written.
func (p *Policy) Mirror(id identity.Identity, repository, clone string) string {
	for _, m := range p.Spec.Mirrors {
		if !mirrors(m.Prefix, string(id)) {
			continue
		}
		// Host and first segments are those of the prefix; what follows is
		// taken as it was written, with a final .git where there was one.
		skip := strings.Count(strings.Trim(m.Prefix, "/"), "/")
		written := strings.Split(repository, "/")
		if skip >= len(written) {
			return m.To
		}
		return strings.TrimSuffix(m.To, "/") + "/" + escapeFor(m.To, strings.Join(written[skip:], "/"))
	}
	return clone
}

// mirrors reports whether a prefix, which ends with a whole segment, applies.
func mirrors(prefix, id string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return id == prefix || strings.HasPrefix(id, prefix+"/")
}

// escapeFor percent-encodes a path where it becomes part of a URL.
func escapeFor(to, p string) string {
	if strings.Contains(to, "://") {
		return (&url.URL{Path: p}).EscapedPath()
	}
	return p
}
