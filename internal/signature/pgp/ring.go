// Package pgp trusts the keys of an OpenPGP key ring (RFC 9580).
//
// # The ring
//
// It is what gpg --export prints, armoured or not, or several of those one
// behind the other, or a pubring.gpg of GnuPG 1. It holds public keys only. The
// operator chose it: whatever is in it counts, its web of trust does not.
//
// What a key says of itself counts as it says it last, whatever the day: the
// newest self-signature decides about its end and its flags, and a revocation
// ends the key for all time, also for what it signed before. Only keys that say
// that they sign do, and a subkey only with its own signature over the primary
// key.
//
// # What counts
//
// A signature is a detached one over bytes (type 0x00). One over text (0x01),
// as gpg --textmode makes it, is refused: it holds for other bytes as well,
// with other line ends. Hashes are SHA-256, SHA-384 and SHA-512, keys RSA of at
// least 2048 bits, ECDSA and EdDSA.
package pgp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/trustomize/trustomize/internal/signature"
)

// MaxSize is the size in bytes over which a key ring is refused.
const MaxSize = 4 << 20

// Ring is a [signature.Trust]: the signing keys of a key ring.
type Ring struct{ keys []*key }

// key is a key that signs, or that could and must not.
type key struct {
	public  *packet.PublicKey
	primary *packet.PublicKey
	holder  string
	created time.Time
	expires time.Time // zero: never
	revoked bool
}

const (
	armourBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	armourEnd   = "-----END PGP PUBLIC KEY BLOCK-----"
)

// Parse reads a key ring. At least one of its keys must be able to sign.
func Parse(data []byte) (*Ring, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), MaxSize)
	}
	bare, err := dearmour(data)
	if err != nil {
		return nil, err
	}
	packets, err := publicPackets(bare)
	if err != nil {
		return nil, err
	}
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(packets))
	if err != nil {
		return nil, fmt.Errorf("is no key ring that can be read: %w", err)
	}
	ring := &Ring{}
	for _, e := range entities {
		ring.keys = append(ring.keys, keysOf(e)...)
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("holds no key that can sign")
	}
	return ring, once(entities)
}

// dearmour returns the bytes within armour, block by block, or data as it is.
func dearmour(data []byte) ([]byte, error) {
	if len(data) > 0 && data[0]&0x80 != 0 { // a packet's first byte, RFC 9580, 4.2
		return data, nil
	}
	var packets bytes.Buffer
	rest := strings.TrimSpace(string(data))
	for rest != "" {
		if strings.HasPrefix(rest, "-----BEGIN PGP PRIVATE KEY BLOCK-----") {
			return nil, errPrivate
		}
		end := strings.Index(rest, armourEnd)
		if !strings.HasPrefix(rest, armourBegin) || end < 0 {
			return nil, errors.New("is no key ring: want blocks of armour, each from BEGIN PGP PUBLIC KEY BLOCK to its END, or binary packets")
		}
		end += len(armourEnd)
		if _, err := readArmour(&packets, rest[:end], "PGP PUBLIC KEY BLOCK"); err != nil {
			return nil, err
		}
		rest = strings.TrimSpace(rest[end:])
	}
	return packets.Bytes(), nil
}

var errPrivate = errors.New("holds a private key; a signer is named by public keys")

// readArmour decodes one block of a type.
func readArmour(w io.Writer, text, want string) (int64, error) {
	block, err := armor.Decode(strings.NewReader(text + "\n"))
	if err != nil {
		return 0, fmt.Errorf("is not well-formed armour: %w", err)
	}
	if block.Type != want {
		return 0, fmt.Errorf("is armour of type %q, where %q is wanted", block.Type, want)
	}
	n, err := io.Copy(w, block.Body)
	if err != nil {
		return 0, fmt.Errorf("is not well-formed armour: %w", err)
	}
	return n, nil
}

// Packet types (RFC 9580, 5).
const (
	secretKey    = 5
	secretSubkey = 7
	trust        = 12
)

// publicPackets checks that data is whole packets without a private key, and
// leaves out what GnuPG 1 notes between them about its own trust: a reader would
// take it for the end of what belongs to a key.
func publicPackets(data []byte) ([]byte, error) {
	var kept bytes.Buffer
	reader := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		p, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("is cut short or damaged: %w", err)
		}
		switch p.Tag {
		case secretKey, secretSubkey:
			return nil, errPrivate
		case trust:
			continue
		}
		if err := p.Serialize(&kept); err != nil {
			return nil, err
		}
	}
	if kept.Len() == 0 {
		return nil, errors.New("is empty")
	}
	return kept.Bytes(), nil
}

// never is the time for which a key's validity is asked: none in particular.
// Times are compared here.
var never time.Time

// keysOf returns an entity's keys that say that they sign. An entity without a
// valid self-signature has none.
func keysOf(e *openpgp.Entity) []*key {
	self, err := e.PrimarySelfSignature(never, nil)
	if err != nil {
		return nil
	}
	primary := &key{public: e.PrimaryKey, primary: e.PrimaryKey, holder: holderOf(e), created: e.PrimaryKey.CreationTime}
	primary.revoked = len(e.Revocations) > 0 // by whomever: who could be meant is not known here
	primary.expires = earliest(endOf(e.PrimaryKey, self), lifeOf(self))
	if direct, err := e.LatestValidDirectSignature(never, nil); err == nil {
		primary.expires = earliest(primary.expires, endOf(e.PrimaryKey, direct))
	}
	var keys []*key
	if signs(self) && accepted(e.PrimaryKey) {
		keys = append(keys, primary)
	}
	for i := range e.Subkeys {
		s := &e.Subkeys[i]
		binding, err := s.LatestValidBindingSignature(never, nil) // holds the subkey's own signature as well
		if err != nil || !signs(binding) || binding.EmbeddedSignature == nil || !accepted(s.PublicKey) {
			continue
		}
		sub := *primary
		sub.public, sub.created = s.PublicKey, latest(primary.created, s.PublicKey.CreationTime)
		sub.expires = earliest(primary.expires, earliest(endOf(s.PublicKey, binding), lifeOf(binding)))
		sub.revoked = primary.revoked || len(s.Revocations) > 0
		keys = append(keys, &sub)
	}
	return keys
}

func signs(self *packet.Signature) bool { return self.FlagsValid && self.FlagSign }

// minRSABits is the smallest RSA modulus that is accepted (NIST SP 800-131A).
const minRSABits = 2048

// accepted reports whether a key is of a kind whose signatures count.
func accepted(k *packet.PublicKey) bool {
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		bits, err := k.BitLength()
		return err == nil && bits >= minRSABits
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return true
	}
	return false
}

// endOf is when a key ends by a signature's word; zero is never.
func endOf(k *packet.PublicKey, sig *packet.Signature) time.Time {
	return after(k.CreationTime, sig.KeyLifetimeSecs)
}

// lifeOf is when a signature itself ends; zero is never.
func lifeOf(sig *packet.Signature) time.Time { return after(sig.CreationTime, sig.SigLifetimeSecs) }

func after(t time.Time, seconds *uint32) time.Time {
	if seconds == nil || *seconds == 0 {
		return time.Time{}
	}
	return t.Add(time.Duration(*seconds) * time.Second)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// maxHolder is the length in bytes to which a user's name is cut for people.
const maxHolder = 120

func holderOf(e *openpgp.Entity) string {
	_, identity := e.PrimaryIdentity(never, nil)
	if identity == nil {
		return ""
	}
	name := strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, identity.Name), "?")
	if len(name) > maxHolder {
		name = strings.ToValidUTF8(name[:maxHolder], "") + "..."
	}
	return name
}

func fingerprint(k *packet.PublicKey) string { return "pgp:" + hex.EncodeToString(k.Fingerprint) }

// Keys returns the signing keys.
func (r *Ring) Keys() []signature.KeyInfo {
	var all []signature.KeyInfo
	for _, k := range r.keys {
		all = append(all, signature.KeyInfo{Fingerprint: fingerprint(k.public), Holder: k.holder, Also: namesOf(k.public), NotBefore: k.created, Expires: k.expires})
	}
	return all
}

// maxNamed is how many holders a ring's description names.
const maxNamed = 3

// String names the holders of the ring's keys.
func (r *Ring) String() string {
	var holders []string
	for _, k := range r.keys {
		if !slices.Contains(holders, k.holder) {
			holders = append(holders, k.holder)
		}
	}
	text := "PGP " + strings.Join(holders[:min(len(holders), maxNamed)], ", ")
	if more := len(holders) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// unreadable reports whether an error says that a packet is of a kind or
// version that is not known, rather than damaged.
func unreadable(err error) bool {
	var unsupported pgperrors.UnsupportedError
	return errors.As(err, &unsupported)
}
