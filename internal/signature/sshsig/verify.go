package sshsig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	wire "github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/trustomize/trustomize/internal/signature"
)

// signed is a signature that could be read.
type signed struct {
	*wire.Signature
	key  ssh.PublicKey    // that signed; of a certificate, the key that it is for
	cert *ssh.Certificate // nil: the signature carries the key itself
}

// fingerprint is the key's own, also where a certificate came with it.
func (s *signed) fingerprint() string { return ssh.FingerprintSHA256(s.key) }

const (
	armourBegin = "-----BEGIN SSH SIGNATURE-----"
	armourEnd   = "-----END SSH SIGNATURE-----"
)

// decode reads an armoured SSHSIG. It takes one encoding of each signature
// only: nothing before or behind the armour, strict base64 in lines that end as
// ssh-keygen's do, an empty reserved field, a key as it would be written again.
func decode(text []byte) (*signed, error) {
	body, begins := bytes.CutPrefix(text, []byte(armourBegin))
	body, ends := bytes.CutSuffix(bytes.TrimRight(body, "\n"), []byte(armourEnd))
	if !begins || !ends || !bytes.HasPrefix(body, []byte("\n")) || !bytes.HasSuffix(body, []byte("\n")) || bytes.ContainsRune(body, '\r') {
		return nil, errors.New("is no SSH signature in its armour")
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(string(body))
	if err != nil {
		return nil, errors.New("is an SSH signature that is not base64")
	}
	parsed, err := wire.ParseSignature(blob)
	if err != nil {
		return nil, fmt.Errorf("is an SSH signature that cannot be read: %s", detail(err))
	}
	if !bytes.Equal(parsed.Marshal(), blob) {
		return nil, errors.New("is an SSH signature with a reserved field in use, or one that is not encoded as it should be")
	}
	s := &signed{Signature: parsed, key: parsed.PublicKey}
	if s.cert, _ = parsed.PublicKey.(*ssh.Certificate); s.cert != nil {
		s.key = s.cert.Key
	}
	return s, nil
}

// Verify implements [signature.Trust]. When.Now must be set. SSHSIG holds no
// time: the key must be valid at when.Claimed where that is set, and must have
// begun to be valid by when.Now. Without a claim, a key whose validity has
// ended is evidence all the same, and Expires says when it ended.
//
// Evidence.Identity is the principal: the first of those given to [Parse] that
// the line matches, else the line's patterns as they are written; of a
// certificate, the first of its own principals that the line accepts.
func (a *Allowed) Verify(sig signature.Signature, message []byte, when signature.When) (signature.Evidence, error) {
	if sig.Kind != signature.SSH {
		return signature.Evidence{}, signature.Errorf(signature.OtherKind, "a signature of kind %s, where SSH keys are trusted", sig.Kind)
	}
	s, err := decode(sig.Data)
	if err != nil {
		return signature.Evidence{}, signature.Errorf(signature.Malformed, "%v", err)
	}
	evidence, why := a.verify(s, message, when)
	if why != nil {
		why.By = s.fingerprint()
		return signature.Evidence{}, why
	}
	evidence.Kind, evidence.Digest = signature.SSH, signature.DigestOf(message)
	return evidence, nil
}

func (a *Allowed) verify(s *signed, message []byte, when signature.When) (signature.Evidence, *signature.Error) {
	if want := namespace(when); s.Namespace != want {
		return signature.Evidence{}, signature.Errorf(signature.Stranger, "was made for namespace %q, where %q is wanted", shorten(s.Namespace), want)
	}
	lines := a.vouching(s)
	if len(lines) == 0 {
		return signature.Evidence{}, a.stranger(s)
	}
	if s.cert != nil {
		if why := checkCertificate(s.cert); why != nil {
			return signature.Evidence{}, why
		}
	}
	if why := s.check(lines[0], message); why != nil {
		return signature.Evidence{}, why
	}
	return choose(lines, s, when)
}

func namespace(when signature.When) string {
	if when.Git {
		return NamespaceGit
	}
	return NamespaceFile
}

// vouching returns the lines for the signature's key or, where that is a
// certificate, for the authority that it names.
func (a *Allowed) vouching(s *signed) []*line {
	wanted := s.key
	if s.cert != nil {
		wanted = s.cert.SignatureKey
	}
	var lines []*line
	for _, l := range a.lines {
		if l.authority == (s.cert != nil) && sameKey(l.key, wanted) {
			lines = append(lines, l)
		}
	}
	return lines
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// stranger says who made the signature, and how near it comes to a line.
func (a *Allowed) stranger(s *signed) *signature.Error {
	if s.cert != nil {
		return signature.Errorf(signature.Stranger, "was made with a certificate for %s of the authority %s, which is not allowed",
			s.fingerprint(), ssh.FingerprintSHA256(s.cert.SignatureKey))
	}
	for _, l := range a.lines {
		if sameKey(l.key, s.key) {
			return signature.Errorf(signature.Stranger, "was made by %s itself, which is allowed as a certificate authority only", s.fingerprint())
		}
	}
	return signature.Errorf(signature.Stranger, "was made by %s, which is not an allowed signer", s.fingerprint())
}

// check verifies the signature over the message: with the line's key, or with
// that of a certificate which the line's key signed.
func (s *signed) check(l *line, message []byte) *signature.Error {
	public := l.key
	if s.cert != nil {
		public = s.cert
	}
	if err := checkAlgorithm(s.key, s.Signature.Signature); err != nil {
		return signature.Errorf(signature.Malformed, "%v", err)
	}
	if untouched(s.key, s.Signature.Signature) {
		return signature.Errorf(signature.Mismatch, "was made by a security key that nobody touched")
	}
	if err := wire.Verify(bytes.NewReader(message), s.Signature, public, s.HashAlgorithm, s.Namespace); err != nil {
		return signature.Errorf(signature.Mismatch, "was made by another key than it names, or over other bytes")
	}
	return nil
}

// choose returns the evidence of the line that is valid longest, or the error
// that tells most.
func choose(lines []*line, s *signed, when signature.When) (signature.Evidence, *signature.Error) {
	var best *signature.Evidence
	var worst *signature.Error
	for _, l := range lines {
		evidence, why := l.accept(s, when)
		switch {
		case why != nil:
			if worst == nil || why.Reason > worst.Reason {
				worst = why
			}
		case best == nil || earlier(best.Expires, evidence.Expires):
			best = &evidence
		}
	}
	if best == nil {
		return signature.Evidence{}, worst
	}
	return *best, nil
}

// accept judges a signature that verified by what the line demands.
func (l *line) accept(s *signed, when signature.When) (signature.Evidence, *signature.Error) {
	evidence := signature.Evidence{Fingerprint: s.fingerprint(), Also: namesOf(s.key), Identity: l.holder(), Expires: l.expires, Claimed: when.Claimed}
	if l.namespaces != nil && !l.namespaces.match(s.Namespace) {
		return evidence, signature.Errorf(signature.Stranger, "was made by %s, which is allowed to sign for namespaces %s only, not %q",
			s.fingerprint(), shorten(l.namespaces.String()), s.Namespace)
	}
	if l.names != nil {
		evidence.Identity = l.names[0]
	}
	notBefore := l.notBefore
	if s.cert != nil {
		principal, ok := l.principal(s.cert)
		if !ok {
			return evidence, signature.Errorf(signature.Stranger, "was made with a certificate for %s, where %s is wanted",
				principals(s.cert), shorten(l.holder()))
		}
		from, until := validity(s.cert)
		if notBefore.Before(from) {
			notBefore = from
		}
		if earlier(until, evidence.Expires) {
			evidence.Expires = until
		}
		evidence.Identity, evidence.Above = principal, []string{ssh.FingerprintSHA256(l.key)}
	}
	return evidence, window(notBefore, evidence.Expires, when)
}

// earlier compares ends of validity; zero is never.
func earlier(a, b time.Time) bool {
	return !a.IsZero() && (b.IsZero() || a.Before(b))
}

// window checks that a key was valid when it is claimed to have signed. That
// its validity has ended since is for the caller to judge; that it has not
// begun cannot be mended by a claim.
func window(notBefore, expires time.Time, when signature.When) *signature.Error {
	at := when.Claimed
	if at.IsZero() || when.Now.Before(notBefore) {
		at = when.Now
	}
	if at.Before(notBefore) {
		return signature.Errorf(signature.Expired, "was made by a key that is valid from %s, at %s", stamp(notBefore), stamp(at))
	}
	if !when.Claimed.IsZero() && !expires.IsZero() && !when.Claimed.Before(expires) {
		return signature.Errorf(signature.Expired, "was made by a key that was valid until %s, at %s", stamp(expires), stamp(when.Claimed))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// namesOf are the names that a key has in other encodings, too.
func namesOf(key ssh.PublicKey) []string {
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	return signature.Names(k.CryptoPublicKey())
}
