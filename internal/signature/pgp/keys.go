package pgp

import (
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// keys returns the block's primary key and its subkeys, without subkeys that are
// of a kind or version that the library does not know.
func (b *block) keys() ([]*key, error) {
	primary, err := parseKey(b.primary.packet)
	if err != nil {
		return nil, err
	}
	void, err := b.describe(primary)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", primary.fingerprint, err)
	}
	if void != "" {
		primary.unfit = void
	}
	all := []*key{primary}
	for _, sub := range b.subkeys {
		k, err := parseKey(sub.packet)
		if isUnsupported(err) {
			continue
		}
		if err == nil {
			err = k.bind(primary, void, sub.signatures)
		}
		if err != nil {
			return nil, fmt.Errorf("a subkey of %s: %w", primary.fingerprint, err)
		}
		all = append(all, k)
	}
	return all, nil
}

// parseKey has the library read a public key. The error is what isUnsupported
// tells where the key's version or algorithm is unknown.
func parseKey(p *packet.OpaquePacket) (*key, error) {
	parsed, err := parse(p)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(*packet.PublicKey)
	if !ok {
		return nil, fmt.Errorf("is a %T", parsed)
	}
	id := public.Fingerprint[:8]
	if public.Version == 4 {
		id = public.Fingerprint[12:]
	}
	return &key{
		public:      public,
		fingerprint: fingerprint(public.Fingerprint),
		id:          keyID(id),
		notBefore:   public.CreationTime.UTC(),
	}, nil
}

// describe finds out by its self-signatures what the primary key may do. Void is
// why nothing that the key signs counts, not even a subkey.
func (b *block) describe(k *key) (void string, err error) {
	if void = weakness(k.public); void != "" {
		return void, nil
	}
	if k.revoked, err = anyRevokes(b.revocations, time.Time{}, k.public.VerifyRevocationSignature); err != nil {
		return "", err
	}
	direct, whyDirect := k.newest(b.primary.signatures, k.public.VerifyDirectKeySignature, packet.SigTypeDirectSignature)
	user, whyUser, err := b.mainUser(k)
	if err != nil {
		return "", err
	}
	k.expires = earliest(end(k.public, user), end(k.public, direct))
	switch {
	case k.public.Version == 6 && direct == nil:
		return "it has no valid signature over itself" + whyDirect, nil
	case k.public.Version == 6:
		k.unfit = mayNotSign(direct)
	case user == nil:
		return "it has no user ID with a valid signature of its own" + whyUser, nil
	case !user.FlagsValid && direct != nil:
		k.unfit = mayNotSign(direct)
	default:
		k.unfit = mayNotSign(user)
	}
	return "", nil
}

// mainUser finds the user ID that is marked as the main one, or else the one that
// was signed last, of those that the key did not revoke. It returns the
// self-signature, or why there is none.
func (b *block) mainUser(k *key) (main *packet.Signature, why string, err error) {
	for _, u := range b.users {
		id := string(u.packet.Contents)
		verify := func(s *packet.Signature) error { return k.public.VerifyUserIdSignature(id, k.public, s) }
		s, whyNot := k.newest(u.signatures, verify,
			packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert)
		if s == nil {
			why = whyNot
			continue
		}
		revocations := k.own(u.signatures, packet.SigTypeCertificationRevocation)
		revoked, err := anyRevokes(revocations, s.CreationTime, verify)
		if err != nil {
			return nil, "", err
		}
		if revoked {
			why = " (of one: the key revoked it)"
			continue
		}
		if main == nil || isMain(s) && !isMain(main) || isMain(s) == isMain(main) && s.CreationTime.After(main.CreationTime) {
			main, k.holder = s, printable(id)
		}
	}
	return main, why, nil
}

func isMain(s *packet.Signature) bool { return s.IsPrimaryId != nil && *s.IsPrimaryId }

// bind finds out what a subkey may do by its primary key's signatures over it. The
// library demands and verifies the subkey's own signature (0x19) where a binding
// says that the subkey signs.
func (k *key) bind(primary *key, void string, signatures []signed) error {
	k.above, k.holder = []string{primary.fingerprint}, primary.holder
	if k.notBefore.Before(primary.notBefore) {
		k.notBefore = primary.notBefore
	}
	if void != "" {
		k.unfit = "its primary key does not count: " + void
		return nil
	}
	revokes := func(s *packet.Signature) error { return primary.public.VerifySubkeyRevocationSignature(s, k.public) }
	revoked, err := anyRevokes(ofKind(signatures, packet.SigTypeSubkeyRevocation), time.Time{}, revokes)
	if err != nil {
		return err
	}
	k.revoked = revoked || primary.revoked
	if k.unfit = weakness(k.public); k.unfit != "" {
		return nil
	}
	verify := func(s *packet.Signature) error {
		if err := primary.public.VerifyKeySignature(k.public, s); err != nil || !s.FlagSign {
			return err
		}
		if err := acceptable(s.EmbeddedSignature, k.public); err != nil {
			return fmt.Errorf("its cross-signature %w", err)
		}
		return nil
	}
	binding, why := primary.newest(signatures, verify, packet.SigTypeSubkeyBinding)
	if binding == nil {
		k.unfit = "it is not bound to its primary key" + why
		return nil
	}
	k.unfit = mayNotSign(binding)
	k.expires = earliest(primary.expires, end(k.public, binding), end(k.public, binding.EmbeddedSignature))
	return nil
}

// mayNotSign says why a self-signature does not let its key sign.
func mayNotSign(s *packet.Signature) string {
	switch {
	case !s.FlagsValid:
		return "it has no key flags, which would have to say that it signs"
	case !s.FlagSign:
		return "its key flags do not say that it signs"
	}
	return ""
}

// newest is the newest of the signatures of some kinds that the key made over
// itself or its subkey and that verify. The text says why there is none.
func (k *key) newest(signatures []signed, verify func(*packet.Signature) error, kinds ...packet.SignatureType) (newest *packet.Signature, why string) {
	for _, s := range k.own(signatures, kinds...) {
		sig, err := s.parse()
		if err == nil {
			err = acceptable(sig, k.public)
		}
		if err == nil {
			err = verify(sig)
		}
		if err != nil {
			why = fmt.Sprintf(" (of one: %v)", err)
			continue
		}
		if newest == nil || !sig.CreationTime.Before(newest.CreationTime) {
			newest = sig
		}
	}
	return newest, why
}

// own are the signatures of some kinds that name the key as their maker, or
// nobody. Those that others made over it tell what they think of it.
func (k *key) own(signatures []signed, kinds ...packet.SignatureType) []signed {
	var own []signed
	for _, s := range ofKind(signatures, kinds...) {
		if len(s.makers) == 0 || s.names(k) {
			own = append(own, s)
		}
	}
	return own
}

// anyRevokes reports whether one of the revocations was made at a time or
// later. One that does not verify is an error: it may be by somebody else who
// may revoke the key, or be made in a way that is not known here.
func anyRevokes(revocations []signed, since time.Time, verify func(*packet.Signature) error) (revoked bool, err error) {
	for _, s := range revocations {
		sig, err := s.parse()
		if err == nil {
			err = verify(sig)
		}
		if err != nil {
			// Without %w: what is unsupported would leave the key out in silence.
			return false, fmt.Errorf("holds a revocation that cannot be checked: %v", err)
		}
		revoked = revoked || !sig.CreationTime.Before(since)
	}
	return revoked, nil
}

// end is when a key ceases to be valid by one of its self-signatures: the key's
// own end (subpacket 9) or the signature's (3), whichever is first. Zero is
// never.
func end(public *packet.PublicKey, s *packet.Signature) time.Time {
	if s == nil {
		return time.Time{}
	}
	return earliest(after(public.CreationTime, s.KeyLifetimeSecs), after(s.CreationTime, s.SigLifetimeSecs))
}

// after adds a number of seconds, of which none and zero stand for forever.
func after(t time.Time, seconds *uint32) time.Time {
	if seconds == nil || *seconds == 0 {
		return time.Time{}
	}
	return t.Add(time.Duration(*seconds) * time.Second).UTC()
}

// earliest is the first of the times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
