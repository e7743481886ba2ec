// Package pgp verifies OpenPGP signatures (RFC 9580) against a ring of public
// keys that somebody trusts.
//
// # The ring
//
// [Parse] reads what gpg --export writes, binary or armoured, and the pubring.gpg
// of GnuPG before version 2.1. The newest self-signature of a user ID or a
// subkey says what the key may do and how long it is valid, also for signatures
// that are older, as gpg has it: it is the holder's last word. A key may sign if
//
//   - it is RSA of at least 2048 bits, ECDSA on a NIST or Brainpool curve, or
//     EdDSA, and its primary key is as well;
//   - its key flags say that it signs; a key without flags does not;
//   - a version 4 key has a user ID that it signed itself and did not revoke;
//   - a subkey is bound by its primary key and itself vouches for it (0x19);
//   - all these self-signatures are made with SHA-2 or SHA-3, and none has a
//     critical notation.
//
// Other keys of a ring are left out: a signature that names one is refused, and
// the refusal says why. A ring without a key that may sign is an error.
//
// A key that is revoked in the ring is revoked, whatever the revocation's date
// and reason: a key whose compromise became known later may have been used by
// others before. A revocation that cannot be checked, such as a designated
// revoker's or one made with MD5, makes the ring an error, since to overlook it
// would be to trust a revoked key.
//
// # Signatures
//
// [Ring.Verify] accepts version 4 and version 6 signatures over a binary
// document (type 0x00), made with SHA-2 or SHA-3. A text signature (type 0x01)
// covers the text with its line ends made CRLF, so that a file and the same
// file with other line ends share it; what is signed here is exact bytes, and
// such a signature is refused. What travels with a signature, such as a key in
// front of it, is refused as well.
//
// A signature says itself when it was made. The key must have been valid at
// that time, and the time must not lie in the future. Whether a key that
// expired since still counts, the caller decides by [signature.Evidence].
package pgp

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/trustomize/trustomize/internal/signature"
)

// MaxRingSize is the size in bytes over which a ring is refused. A key with one
// user ID and one subkey has 1 to 3 KiB; the ring of Debian's thousand
// developers, with what they certified of each other, has 28 MB.
const MaxRingSize = 64 << 20

// Ring is a set of public keys whose signatures count. Make one with [Parse]. It
// is a [signature.Trust].
type Ring struct {
	keys []*key
}

var _ signature.Trust = (*Ring)(nil)

// key is a primary key or a subkey of the ring.
type key struct {
	public      *packet.PublicKey
	fingerprint string   // as in signature.Evidence
	id          string   // as keyID writes it
	above       []string // a subkey's primary key
	holder      string   // the primary user ID, printable

	unfit   string // why it may not sign, "" where it may
	revoked bool   // it, or its primary key

	notBefore time.Time
	expires   time.Time // zero: never
}

// Parse reads a ring of public keys: binary, or armoured in one or several
// blocks with nothing but white space around them. It is an error if the ring
// holds a private key, the same key twice, a packet that does not belong into a
// ring, a revocation that cannot be checked, or no key that may sign. Keys of
// kinds and versions that this package does not know are left out.
func Parse(keyring []byte) (*Ring, error) {
	packets, err := ringPackets(keyring)
	if err != nil {
		return nil, err
	}
	blocks, err := splitBlocks(packets)
	if err != nil {
		return nil, err
	}
	ring, left := &Ring{}, []string{}
	for i, b := range blocks {
		keys, err := b.keys()
		if isUnsupported(err) {
			left = append(left, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		ring.keys = append(ring.keys, keys...)
	}
	if err := ring.check(left); err != nil {
		return nil, err
	}
	return ring, nil
}

// check refuses a ring that holds a key twice, since what revokes the one would
// not be seen in the other, and one where no key may sign.
func (r *Ring) check(left []string) error {
	seen, fit := map[string]bool{}, false
	for _, k := range r.keys {
		if seen[k.fingerprint] {
			return fmt.Errorf("holds the key %s twice", k.fingerprint)
		}
		seen[k.fingerprint] = true
		fit = fit || k.unfit == ""
		if k.unfit != "" {
			left = append(left, k.fingerprint+": "+k.unfit)
		}
	}
	switch {
	case fit:
		return nil
	case len(left) == 0:
		return errors.New("holds no key")
	}
	return fmt.Errorf("holds no key that may sign: %s", enumerate(left, "; "))
}

// Keys are the keys that may sign and are not revoked, expired ones as well.
func (r *Ring) Keys() []signature.KeyInfo {
	var all []signature.KeyInfo
	for _, k := range r.keys {
		if k.unfit == "" && !k.revoked {
			all = append(all, signature.KeyInfo{Fingerprint: k.fingerprint, Also: namesOf(k.public), Holder: k.holder, NotBefore: k.notBefore, Expires: k.expires})
		}
	}
	return all
}

// String names the first of the ring's keys and their holders.
func (r *Ring) String() string {
	var names []string
	for _, k := range r.Keys() {
		names = append(names, shorten(k.Holder, maxHolder)+" ("+k.Fingerprint+")")
	}
	switch len(names) {
	case 0:
		return "PGP key ring whose keys are revoked"
	case 1:
		return "PGP key ring with 1 key: " + strings.TrimSpace(names[0])
	}
	return fmt.Sprintf("PGP key ring with %d keys: %s", len(names), enumerate(names, ", "))
}

const (
	maxListed   = 3   // keys in String and in errors
	maxHolder   = 64  // characters of a holder in String
	maxIdentity = 256 // characters of a holder elsewhere
)

func enumerate(items []string, sep string) string {
	if more := len(items) - maxListed; more > 0 {
		return fmt.Sprintf("%s%sand %d more", strings.Join(items[:maxListed], sep), sep, more)
	}
	return strings.Join(items, sep)
}

// printable makes a user ID, which may hold any bytes, one that can be shown on
// one line: what is no UTF-8 or cannot be seen becomes U+FFFD.
func printable(id string) string {
	clean := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return utf8.RuneError
		}
		return c
	}, id)
	return shorten(clean, maxIdentity)
}

func shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit]) + "..."
}
