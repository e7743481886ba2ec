package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/signature/bundle"
	"github.com/trustomize/trustomize/internal/signature/pgp"
	"github.com/trustomize/trustomize/internal/signature/sshsig"
)

// signers makes every signer ready to verify.
func (c *checker) signers() map[string]*NamedSigner {
	c.revoked()
	signers := map[string]*NamedSigner{}
	for _, name := range sortedNames(c.spec.Signers) {
		s, path := c.spec.Signers[name], "spec.signers."+name
		if trust, root := c.trust(path, &s); trust != nil {
			signers[name] = &NamedSigner{Name: name, trust: trust, root: root, spec: &s, revoked: c.spec.Revoked}
		}
	}
	return signers
}

// fingerprint is a key's, as [signature.Evidence] has it.
var fingerprint = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|pgp:([0-9a-f]{40}|[0-9a-f]{64})|SHA256:[A-Za-z0-9+/]{43})$`)

func (c *checker) revoked() {
	for i, f := range c.spec.Revoked {
		if !fingerprint.MatchString(f) {
			c.fail(fmt.Sprintf("spec.revoked[%d]", i), "want a key's fingerprint as verify prints it: sha256: and 64 hexadecimal digits, pgp: and 40 or 64, or SHA256: and base64 as ssh-keygen -l prints; not %q", f)
		}
	}
}

// trust reads whose signatures a signer's are, and which root proves what they
// need, if one does.
func (c *checker) trust(path string, s *Signer) (signature.Trust, *bundle.Root) {
	n := 0
	for _, set := range []bool{s.PublicKey != nil, s.Keyless != nil, s.PGP != nil, s.SSH != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		c.fail(path, "want exactly one of publicKey, keyless, pgp, ssh")
		return nil, nil
	}
	if s.TrustedRoot != nil && s.PublicKey == nil {
		c.fail(path+".trustedRoot", "stands beside publicKey, to prove when a signature was made; keyless has its own")
	}
	c.allowExpired(path, s)
	switch {
	case s.PublicKey != nil:
		return c.keyTrust(path, s)
	case s.Keyless != nil:
		return c.keylessTrust(path+".keyless", s.Keyless)
	case s.PGP != nil:
		return parsed(c, path+".pgp", s.PGP.File, pgp.Parse), nil
	}
	return parsed(c, path+".ssh", s.SSH.File, func(data []byte) (*sshsig.Allowed, error) {
		return sshsig.Parse(data, s.SSH.Principals)
	}), nil
}

func (c *checker) allowExpired(path string, s *Signer) {
	switch {
	case s.AllowExpired == nil:
	case s.PGP == nil && s.SSH == nil:
		c.fail(path+".allowExpired", "stands beside pgp or ssh, whose keys expire")
	case s.AllowExpired.Before.IsZero():
		c.fail(path+".allowExpired.before", "not said; want the day before which a signature claims to have been made")
	}
}

// parsed reads a file that the policy names. A nil result was reported.
func parsed[T signature.Trust](c *checker, path, file string, parse func([]byte) (T, error)) signature.Trust {
	data, ok := c.file(path, file)
	if !ok {
		return nil
	}
	trust, err := parse(data)
	if err != nil {
		c.fail(path+".file", "%s: %v", file, err)
		return nil
	}
	return trust
}

// file reads a file that the policy names at path.file.
func (c *checker) file(path, name string) ([]byte, bool) {
	if name == "" {
		c.fail(path+".file", "not said")
		return nil, false
	}
	data, err := c.read(name)
	if err != nil {
		c.fail(path+".file", "%v", err)
		return nil, false
	}
	return data, true
}

func (c *checker) keyTrust(path string, s *Signer) (signature.Trust, *bundle.Root) {
	key, ok := c.publicKey(path+".publicKey", s.PublicKey)
	if !ok {
		return nil, nil
	}
	var root *bundle.Root
	if s.TrustedRoot != nil {
		if root = c.trustedRoot(path+".trustedRoot", s.TrustedRoot); root == nil {
			return nil, nil
		}
	}
	return bundle.NewKey(key, root), root
}

func (c *checker) trustedRoot(path string, ref *FileRef) *bundle.Root {
	data, ok := c.file(path, ref.File)
	if !ok {
		return nil
	}
	root, err := bundle.ParseRoot(data)
	if err != nil {
		c.fail(path+".file", "%s: %v", ref.File, err)
		return nil
	}
	return root
}

func (c *checker) keylessTrust(path string, k *Keyless) (signature.Trust, *bundle.Root) {
	c.oneOf(path, "issuer", k.Issuer, k.IssuerRegExp)
	c.oneOf(path, "subject", k.Subject, k.SubjectRegExp)
	if k.TrustedRoot == nil {
		c.fail(path+".trustedRoot", "not said; nothing vouches for certificates without one, not even the public good instance's")
		return nil, nil
	}
	root := c.trustedRoot(path+".trustedRoot", k.TrustedRoot)
	if root == nil {
		return nil, nil
	}
	trust, err := bundle.NewIdentity(bundle.Identity{
		Issuer: k.Issuer, IssuerRegExp: k.IssuerRegExp, Subject: k.Subject, SubjectRegExp: k.SubjectRegExp, NoSCT: k.SCT == SCTNone,
	}, root)
	if err != nil {
		c.fail(path, "%v", err)
		return nil, nil
	}
	return trust, root
}

// oneOf wants a text, or a regular expression for it.
func (c *checker) oneOf(path, name, exact, expression string) {
	if (exact == "") == (expression == "") {
		c.fail(path, "want exactly one of %s, %[1]sRegExp", name)
	}
	if strings.ContainsAny(exact, "*") {
		c.fail(path+"."+name, "is compared as it stands, and %q holds a *; patterns go into %sRegExp", exact, name)
	}
}

// publicKey loads a public key.
func (c *checker) publicKey(path string, ref *KeyRef) (signature.Key, bool) {
	data, ok := []byte(ref.PEM), true
	switch {
	case (ref.File == "") == (ref.PEM == "") && ref.KMS != "":
		c.fail(path, "verification is offline: beside kms, want the public half of the key as file or pem (cosign public-key --key %s prints it)", ref.KMS)
		return signature.Key{}, false
	case (ref.File == "") == (ref.PEM == ""):
		c.fail(path, "want exactly one of file, pem")
		return signature.Key{}, false
	case ref.File != "":
		if data, ok = c.file(path, ref.File); !ok {
			return signature.Key{}, false
		}
		path += ".file"
	}
	key, err := signature.ParseKey(data)
	if err != nil {
		c.fail(path, "%v", err)
		return signature.Key{}, false
	}
	return key, true
}
