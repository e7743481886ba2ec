package policy

import (
	"fmt"
	"slices"

	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/signature"
	"github.com/trustomize/trustomize/internal/signature/bundle"
	"github.com/trustomize/trustomize/internal/signature/pgp"
)

// NamedSigner is a signer under the name that the policy gives it, ready to
// verify.
type NamedSigner struct {
	Name string

	trust   signature.Trust
	root    *bundle.Root // nil: none
	spec    *Signer
	revoked []string
}

// Occasion is when, and for what, a signature is to count.
type Occasion struct {
	signature.When
	Source identity.Identity // whose content it vouches for
}

// Signatures reads the signatures in a file, each by itself.
func Signatures(file []byte) ([]signature.Signature, error) {
	sigs, err := signature.Split(file)
	var all []signature.Signature
	for _, sig := range sigs {
		if sig.Kind != signature.PGP {
			all = append(all, sig)
			continue
		}
		all = append(all, pgp.Separate(sig)...)
	}
	if len(all) > signature.MaxSignatures {
		return nil, fmt.Errorf("holds more than %d signatures", signature.MaxSignatures)
	}
	return all, err
}

// Verify checks that the signer made a signature over the message, and that it
// counts on this occasion. The error is a *signature.Error.
func (s *NamedSigner) Verify(sig signature.Signature, message []byte, at Occasion) (signature.Evidence, error) {
	e, err := s.trust.Verify(sig, message, at.When)
	if err != nil {
		return signature.Evidence{}, err
	}
	for _, check := range []func(signature.Evidence, Occasion) error{s.notRevoked, s.forRepository, s.inTime, s.notExpired} {
		if err := check(e, at); err != nil {
			return signature.Evidence{}, err
		}
	}
	return e, nil
}

// String describes the signer for people.
func (s *NamedSigner) String() string { return s.Name + " (" + s.trust.String() + ")" }

// KMS is the URI of the signer's key, where the policy says one beside the
// public half that signatures are verified with.
func (s *NamedSigner) KMS() string {
	if s.spec.PublicKey == nil {
		return ""
	}
	return s.spec.PublicKey.KMS
}

// Keys are the signer's keys, where they are known beforehand.
func (s *NamedSigner) Keys() []signature.KeyInfo { return s.trust.Keys() }

func (s *NamedSigner) notRevoked(e signature.Evidence, _ Occasion) error {
	for _, f := range slices.Concat([]string{e.Fingerprint}, e.Also, e.Above) {
		if slices.Contains(s.revoked, f) {
			return signature.Errorf(signature.Revoked, "is by key %s, which the policy has revoked", f)
		}
	}
	return nil
}

// forRepository holds the repository that a CI's certificate names against the
// source: else every workflow that may use a name could sign for all.
func (s *NamedSigner) forRepository(e signature.Evidence, at Occasion) error {
	if e.Repository == "" || s.spec.Keyless == nil || s.spec.Keyless.AnyRepository {
		return nil
	}
	u, err := giturl.ParseRepository(e.Repository)
	if err == nil && u.Identity == at.Source {
		return nil
	}
	why := signature.Errorf(signature.Stranger, "is by a workflow of repository %s, and the source is %s", e.Repository, at.Source)
	why.By = e.Identity
	return why
}

// inTime holds the time of signing against notAfter: by the word of a log or a
// timestamp authority, else it is now.
func (s *NamedSigner) inTime(e signature.Evidence, at Occasion) error {
	if s.spec.NotAfter.IsZero() {
		return nil
	}
	made, how := e.Proven, "it was made on "+day(e.Proven)
	if made.IsZero() {
		made, how = at.Now, "nothing that is trusted proves that it was made before"
	}
	if made.Before(s.spec.NotAfter.End()) {
		return nil
	}
	return signature.Errorf(signature.Expired, "counts only if made until %s (notAfter), and %s", s.spec.NotAfter, how)
}

// notExpired refuses keys that have expired since, unless the policy allows
// what they signed long ago.
func (s *NamedSigner) notExpired(e signature.Evidence, at Occasion) error {
	if e.Expires.IsZero() || at.Now.Before(e.Expires) {
		return nil
	}
	expired := fmt.Sprintf("is by key %s, which expired on %s", e.Fingerprint, day(e.Expires))
	allowed := s.spec.AllowExpired
	switch {
	case allowed == nil:
		return signature.Errorf(signature.Expired, "%s", expired)
	case e.Claimed.IsZero():
		return signature.Errorf(signature.Expired, "%s; allowExpired needs a signature that says when it was made", expired)
	case !e.Claimed.Before(allowed.Before.Begin()):
		return signature.Errorf(signature.Expired, "%s; it claims to have been made on %s, and allowExpired accepts what is older than %s", expired, day(e.Claimed), allowed.Before)
	}
	return nil
}

// Distinct is how many signers vouch, each as a person of its own: neither one
// signer with two keys counts twice, nor one key or one certified identity under
// two names. vouched has, for each signer's name, the evidence of its signatures.
func Distinct(vouched map[string][]signature.Evidence) int {
	persons := newPersons(vouched)
	holder := map[string]string{} // of a person
	var assign func(name string, seen map[string]bool) bool
	assign = func(name string, seen map[string]bool) bool {
		for _, e := range vouched[name] {
			person := persons.of(e.Fingerprint)
			if seen[person] {
				continue
			}
			seen[person] = true
			if other, taken := holder[person]; !taken || assign(other, seen) {
				holder[person] = name
				return true
			}
		}
		return false
	}
	count := 0
	for _, name := range sortedNames(vouched) {
		if assign(name, map[string]bool{}) {
			count++
		}
	}
	return count
}

// persons tells who is the same: names that one signature has in common belong to
// one person.
type persons map[string]string // from a name to another one of the same person

func newPersons(vouched map[string][]signature.Evidence) persons {
	p := persons{}
	for _, name := range sortedNames(vouched) {
		for _, e := range vouched[name] {
			for _, other := range e.Names() {
				if a, b := p.of(e.Fingerprint), p.of(other); a != b {
					p[a] = b
				}
			}
		}
	}
	return p
}

// of is the name that stands for a name's person.
func (p persons) of(name string) string {
	for {
		next, ok := p[name]
		if !ok {
			return name
		}
		name = next
	}
}
