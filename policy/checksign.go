package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/signature"
)

func (c *checker) sign() {
	if c.spec.Sign == nil {
		c.fail("spec.sign", "not said; want a key, or none")
		return
	}
	c.signAt("spec.sign", c.spec.Sign)
}

func (c *checker) signAt(path string, s *Sign) {
	switch {
	case s.None:
		return
	case s.Key == nil:
		c.fail(path, "want a key, or none")
	default:
		c.signingKey(path+".key", s.Key)
	}
	for _, key := range []*SigningKey{s.Key, s.UnverifiedKey} {
		if key != nil && key.Keyless != nil && c.spec.Log != nil && c.spec.Log.Mode != LogNone {
			c.fail(path, "a keyless signature is logged by the logs of its signing configuration, the statement's as well; want log: {mode: none} beside it")
		}
	}
	if s.UnverifiedKey != nil {
		c.signingKey(path+".unverifiedKey", s.UnverifiedKey)
		if s.Key != nil && sameKey(s.Key, s.UnverifiedKey) {
			c.fail(path+".unverifiedKey", "is %s.key; what nobody vouches for must not be signed like the rest", path)
		}
	}
	if s.Image != nil {
		c.image(path+".image", s.Image)
		for _, key := range []*SigningKey{s.Key, s.UnverifiedKey} {
			if key != nil && key.Keyless != nil {
				c.fail(path+".image", "is signed with a key, and not with a keyless one; want key: {file}, {pem} or {kms}")
			}
		}
	}
	if s.EmbedSecrets && !namesSecrets(s.Match) {
		c.fail(path+".embedSecrets", "wants kind: Secret in match; other Secrets are not signed")
	}
}

func namesSecrets(matches []ResourceMatch) bool {
	for _, m := range matches {
		if m.Kind == "Secret" {
			return true
		}
	}
	return false
}

// repository is a registry and a path in it, as the distribution specification
// names them.
var repository = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)

func (c *checker) image(path string, image *Image) {
	if !repository.MatchString(image.Repository) {
		c.fail(path+".repository", "want HOST[:PORT]/PATH of a repository in a registry, without scheme, tag and digest, not %q", image.Repository)
		return
	}
	if _, err := identity.Parse("oci:" + strings.ToLower(image.Repository)); err != nil {
		c.fail(path+".repository", "%v", err)
	}
}

// kmsURI is a KMS plugin's name and what it calls a key.
var kmsURI = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*://\S+$`)

// signingKey checks that one way to find a private key is given.
func (c *checker) signingKey(path string, ref *SigningKey) {
	n := 0
	for _, set := range []bool{ref.File != "", ref.PEM != "", ref.KMS != "", ref.Keyless != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		c.fail(path, "want exactly one of file, pem, kms, keyless")
	}
	if ref.KMS != "" && !kmsURI.MatchString(ref.KMS) {
		c.fail(path+".kms", "want NAME://ID, where sigstore-kms-NAME is a plugin, not %q", ref.KMS)
	}
	if ref.Password != nil {
		if ref.File == "" && ref.PEM == "" {
			c.fail(path+".password", "stands beside file or pem")
		}
		c.secret(path+".password", ref.Password)
	}
	if k := ref.Keyless; k != nil {
		path += ".keyless"
		c.keylessTrust(path, &Keyless{Issuer: k.Issuer, Subject: k.Subject, TrustedRoot: k.TrustedRoot, SCT: k.SCT})
		if k.SigningConfig == nil {
			c.fail(path+".signingConfig", "not said; what is logged in a public log is public for ever, so none is asked by default")
		} else {
			c.file(path+".signingConfig", k.SigningConfig.File)
		}
	}
}

func (c *checker) manifestSign() {
	s := c.spec.ManifestSign
	if s == nil {
		return
	}
	const path = "spec.manifestSign"
	if s.Key == nil {
		c.fail(path+".key", "not said")
		return
	}
	c.signingKey(path+".key", s.Key)
	if s.EmbedSecrets && !namesSecrets(s.Match) {
		c.fail(path+".embedSecrets", "wants kind: Secret in match; other Secrets are not signed")
	}
	for name, other := range buildKeys(c.spec) {
		if sameKey(other, s.Key) {
			c.fail(path+".key", "is %s; what was only handed in must not be signed like what was verified and built", name)
		}
	}
}

// buildKeys are the keys that builds are signed with, by where they stand.
func buildKeys(spec *Spec) map[string]*SigningKey {
	keys := map[string]*SigningKey{}
	add := func(path string, s *Sign) {
		if s == nil {
			return
		}
		if s.Key != nil {
			keys[path+".key"] = s.Key
		}
		if s.UnverifiedKey != nil {
			keys[path+".unverifiedKey"] = s.UnverifiedKey
		}
	}
	add("spec.sign", spec.Sign)
	for i, a := range spec.Applications {
		add(fmt.Sprintf("spec.applications[%d].sign", i), a.Sign)
	}
	return keys
}

// manifestVerify reads the keys whose signatures of manifests count.
func (c *checker) manifestVerify() []signature.Key {
	if c.spec.ManifestVerify == nil {
		return nil
	}
	const path = "spec.manifestVerify.keys"
	if len(c.spec.ManifestVerify.Keys) == 0 {
		c.fail(path, "names no key: nothing would be accepted")
	}
	var keys []signature.Key
	for i, ref := range c.spec.ManifestVerify.Keys {
		if key, ok := c.publicKey(fmt.Sprintf("%s[%d]", path, i), &ref); ok {
			keys = append(keys, key)
		}
	}
	return keys
}
