package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// separate holds the keys against each other: who vouches for sources signs no output,
// and what nobody vouches for is not signed like the rest, for whichever application.
func (c *checker) separate(p *Policy) {
	keys := buildKeys(c.spec)
	for _, path := range slices.Sorted(maps.Keys(keys)) {
		key := keys[path]
		c.noSigner(path, key)
		if !strings.HasSuffix(path, unverified) {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(keys)) {
			if other != strings.TrimSuffix(path, unverified)+".key" && !strings.HasSuffix(other, unverified) && sameKey(key, keys[other]) {
				c.fail(path, "is %s; what nobody vouches for must not be signed like the rest", other)
			}
		}
	}
	if s := c.spec.ManifestSign; s != nil && s.Key != nil {
		c.noSigner("spec.manifestSign.key", s.Key)
	}
	for _, key := range p.manifestKeys {
		if name, is := p.SignerOf(key); is {
			c.fail("spec.manifestVerify", "has the key of signer %q; what vouches for a source could pass for a manifest", name)
		}
	}
}

const unverified = ".unverifiedKey"

// noSigner refuses an identity that vouches for sources. Of other keys that is found
// when they are opened.
func (c *checker) noSigner(path string, key *SigningKey) {
	if name, is := identityOf(c.spec.Signers, key.Keyless); is {
		c.fail(path, "is the identity of signer %q as well; with one for both, built output could pass for a source", name)
	}
}

// identityOf returns the first signer, by name, that an identity is.
func identityOf(signers map[string]Signer, key *KeylessSign) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(signers)) {
		k := signers[name].Keyless
		if k != nil && key != nil && isNamed(k.Issuer, k.IssuerRegExp, key.Issuer) && isNamed(k.Subject, k.SubjectRegExp, key.Subject) {
			return name, true
		}
	}
	return "", false
}

func isNamed(exact, expr, text string) bool {
	if exact != "" {
		return exact == text
	}
	whole, err := regexp.Compile("^(?:" + expr + ")$")
	return expr != "" && err == nil && whole.MatchString(text)
}

// sameKey reports whether two references are to one key, as far as the policy tells.
func sameKey(a, b *SigningKey) bool {
	if a.Keyless != nil && b.Keyless != nil {
		return a.Keyless.Issuer == b.Keyless.Issuer && a.Keyless.Subject == b.Keyless.Subject
	}
	return *a == *b
}
