package pgp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/trustomize/trustomize/internal/signature"
)

// MaxSkew is how far in the future a signature's time may lie: what the clocks of
// two machines may differ.
const MaxSkew = 5 * time.Minute

// maxPackets is how many signature packets are looked at.
const maxPackets = signature.MaxSignatures

// Verify checks that a key of the ring made the signature over exactly the
// message. Of several signature packets one is enough, and the evidence is of
// that one. The rules are the same for a commit. A zero when.Now refuses every
// signature as one of the future; when.Claimed is not looked at, since the
// signature says its own time.
//
// Evidence.Expires is the first of the ends of the key, its primary key and the
// signatures that bind them; it can lie in the past. The reasons of a refusal are
// those of package signature; these are not obvious:
//   - Stranger: no key of the ring made it, or one that may not sign;
//   - Mismatch: as well a text signature or one of another type, a weak hash, a
//     critical notation or subpacket, and a version that is not the key's;
//   - Expired: the key was not valid yet or any more at the time of the signature,
//     the signature itself has an end that has passed, or its time lies more than
//     MaxSkew in the future;
//   - Revoked: as well where a subkey's primary key is.
func (r *Ring) Verify(sig signature.Signature, message []byte, when signature.When) (signature.Evidence, error) {
	if sig.Kind != signature.PGP {
		return signature.Evidence{}, signature.Errorf(signature.OtherKind, "a signature of kind %s, where the key ring makes PGP signatures", sig.Kind)
	}
	all, err := readSignatures(sig.Data)
	if err != nil {
		return signature.Evidence{}, signature.Errorf(signature.Malformed, "%v", err)
	}
	var worst *signature.Error
	for _, s := range all {
		e, why := r.verify(s, message, when)
		if why == nil {
			return e, nil
		}
		if worst == nil || why.Reason > worst.Reason {
			worst = why
		}
	}
	return signature.Evidence{}, worst
}

// readSignatures reads signature packets, binary or armoured, and refuses anything
// else beside them.
func readSignatures(data []byte) ([]signed, error) {
	if len(data) > signature.MaxSize {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), signature.MaxSize)
	}
	if !isBinary(data) {
		var err error
		if data, err = unarmour(data, "SIGNATURE"); err != nil {
			return nil, err
		}
	}
	packets, err := split(data)
	if err != nil {
		return nil, err
	}
	if len(packets) == 0 || len(packets) > maxPackets {
		return nil, fmt.Errorf("holds %d signatures, where 1 to %d are wanted", len(packets), maxPackets)
	}
	var all []signed
	for _, p := range packets {
		if p.Tag != tagSignature {
			return nil, fmt.Errorf("holds a packet of type %d beside signatures", p.Tag)
		}
		s, err := readSigned(p)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// verify checks one signature packet. Of what several keys lead to, it returns the
// greatest reason.
func (r *Ring) verify(s signed, message []byte, when signature.When) (signature.Evidence, *signature.Error) {
	worst := s.stranger()
	for _, k := range r.keys {
		if !s.names(k) {
			continue
		}
		e, why := k.verify(s, message, when)
		if why == nil {
			return e, nil
		}
		if worst.Reason == signature.Stranger || why.Reason > worst.Reason {
			worst = why
		}
	}
	return signature.Evidence{}, worst
}

// stranger is what there is to say of a signature by no key of the ring.
func (s signed) stranger() *signature.Error {
	if len(s.makers) == 0 {
		return signature.Errorf(signature.Stranger, "does not name the key that made it")
	}
	why := signature.Errorf(signature.Stranger, "was made by %s, which is not in the key ring", s.makers[0])
	why.By = s.makers[0]
	return why
}

func (k *key) verify(s signed, message []byte, when signature.When) (signature.Evidence, *signature.Error) {
	if k.unfit != "" {
		why := signature.Errorf(signature.Stranger, "was made by %s of the key ring, which may not sign: %s", k, k.unfit)
		why.By = k.fingerprint
		return signature.Evidence{}, why
	}
	sig, why := s.document(k)
	if why != nil {
		return signature.Evidence{}, why
	}
	hash, err := sig.PrepareVerify()
	if err != nil {
		return signature.Evidence{}, signature.Errorf(signature.Mismatch, "cannot be verified: %v", err)
	}
	hash.Write(message)
	if err := k.public.VerifySignature(hash, sig); err != nil {
		return signature.Evidence{}, signature.Errorf(signature.Mismatch, "does not verify over these bytes with %s", k)
	}
	if why := k.checkTimes(sig, when.Now); why != nil {
		return signature.Evidence{}, why
	}
	return signature.Evidence{
		Kind:        signature.PGP,
		Fingerprint: k.fingerprint,
		Also:        namesOf(k.public),
		Above:       k.above,
		Identity:    k.holder,
		Digest:      signature.DigestOf(message),
		Expires:     k.expires,
		Claimed:     sig.CreationTime.UTC(),
	}, nil
}

// document parses a signature that can be the key's over a binary document.
func (s signed) document(k *key) (*packet.Signature, *signature.Error) {
	switch {
	case s.version < 4:
		return nil, signature.Errorf(signature.Mismatch, "is a signature of version %d, which is out of use", s.version)
	case s.kind == packet.SigTypeText:
		return nil, signature.Errorf(signature.Mismatch, "is a text signature (type 0x01), which files that differ in their line ends share; want a binary one, as gpg makes without --textmode")
	case s.kind != packet.SigTypeBinary:
		return nil, signature.Errorf(signature.Mismatch, "is a signature of type 0x%02x, where one over a document is wanted (0x00)", byte(s.kind))
	case s.embeds:
		return nil, signature.Errorf(signature.Malformed, "embeds another signature")
	case weak[s.hash] != "":
		return nil, signature.Errorf(signature.Mismatch, "is made with %s, which is too weak", weak[s.hash])
	}
	sig, err := s.parse()
	if isUnsupported(err) {
		return nil, signature.Errorf(signature.Mismatch, "is not understood: %v", err)
	}
	if err != nil {
		return nil, signature.Errorf(signature.Malformed, "%v", err)
	}
	if err := acceptable(sig, k.public); err != nil {
		return nil, signature.Errorf(signature.Mismatch, "%v", err)
	}
	return sig, nil
}

// acceptable refuses signatures that do not count whatever they are over: a
// version other than the key's, a weak hash, a critical notation. Critical
// subpackets that it does not know the library refuses.
func acceptable(s *packet.Signature, public *packet.PublicKey) error {
	switch {
	case s == nil:
		return errors.New("there is no signature")
	case s.Version != public.Version:
		return fmt.Errorf("is a signature of version %d by a key of version %d", s.Version, public.Version)
	case !slices.Contains(strong, s.Hash):
		return fmt.Errorf("is made with %v, which is too weak", s.Hash)
	}
	for _, n := range s.Notations {
		if n.IsCritical {
			return fmt.Errorf("has the critical notation %q, which is not understood", shorten(n.Name, maxHolder))
		}
	}
	return nil
}

// checkTimes refuses a good signature by a key that is revoked or was not
// valid, and one that is over or not yet.
func (k *key) checkTimes(s *packet.Signature, now time.Time) *signature.Error {
	made := s.CreationTime.UTC()
	over := after(made, s.SigLifetimeSecs)
	switch {
	case k.revoked:
		return signature.Errorf(signature.Revoked, "was made by %s, which its holder revoked", k)
	case made.After(now.Add(MaxSkew)):
		return signature.Errorf(signature.Expired, "was made on %s, and it is %s now", date(made), date(now))
	case made.Before(k.notBefore):
		return signature.Errorf(signature.Expired, "was made on %s by %s, which is valid from %s on", date(made), k, date(k.notBefore))
	case !k.expires.IsZero() && !made.Before(k.expires):
		return signature.Errorf(signature.Expired, "was made on %s by %s, which expired on %s", date(made), k, date(k.expires))
	case !over.IsZero() && !now.Before(over):
		return signature.Errorf(signature.Expired, "was made on %s to be valid until %s, and it is %s now", date(made), date(over), date(now))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// String names the key and its holder.
func (k *key) String() string {
	if k.holder == "" {
		return k.fingerprint
	}
	return k.fingerprint + " (" + shorten(k.holder, maxHolder) + ")"
}
