package pgp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Types of packets (RFC 9580, 5).
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagMarker        = 10
	tagTrust         = 12 // GnuPG's notes in a pubring.gpg
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
	tagPadding       = 21
)

// Types of subpackets of a signature (RFC 9580, 5.2.3.7).
const (
	subExportable  = 4
	subIssuer      = 16
	subEmbedded    = 32
	subFingerprint = 33
)

// split cuts binary data into packets, all of it.
func split(data []byte) ([]*packet.OpaquePacket, error) {
	var all []*packet.OpaquePacket
	r := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("packet %d is cut short or is none: %w", len(all)+1, err)
		}
		all = append(all, p)
	}
}

// isBinary tells packets from armour: a packet's first bit is set, and ASCII's is
// not.
func isBinary(data []byte) bool { return len(data) > 0 && data[0]&0x80 != 0 }

// unarmour returns what is in the armour of one or several blocks (RFC 9580, 6.2)
// of a kind, such as "SIGNATURE". Nothing but white space may stand around
// them.
func unarmour(text []byte, kind string) ([]byte, error) {
	begin, end := "-----BEGIN PGP "+kind+"-----", "-----END PGP "+kind+"-----"
	var all []byte
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte(begin)) {
			line, _, _ := bytes.Cut(rest, []byte("\n"))
			return nil, fmt.Errorf("has %q where %s is wanted", shorten(strings.TrimSpace(string(line)), maxHolder), begin)
		}
		n := bytes.Index(rest, []byte("\n"+end))
		if n < 0 {
			return nil, fmt.Errorf("is cut short: there is no %s", end)
		}
		n += 1 + len(end)
		body, err := unarmourOne(rest[:n])
		if err != nil {
			return nil, err
		}
		all, rest = append(all, body...), rest[n:]
	}
	return all, nil
}

// unarmourOne reads one block. The library looks for a beginning anywhere, and
// stops at any end and at a checksum, which it does not check (RFC 9580, 6.1, has
// it ignored): nothing may hide around them.
func unarmourOne(text []byte) ([]byte, error) {
	if bytes.Count(text, []byte("-----BEGIN ")) > 1 || bytes.Count(text, []byte("-----END ")) > 1 {
		return nil, errors.New("has an armour that begins or ends inside another")
	}
	checksum := false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if checksum && len(line) > 0 && !bytes.HasPrefix(line, []byte("-----END ")) {
			return nil, errors.New("has an armour that goes on after its checksum")
		}
		checksum = checksum || len(line) == 5 && line[0] == '='
	}
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("has an armour without an empty line after its headers")
	}
	body, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, fmt.Errorf("has an armour that cannot be read: %w", err)
	}
	return body, nil
}

// parse has the library read a packet. The library does not look whether
// a packet goes on after what belongs to it.
func parse(p *packet.OpaquePacket) (packet.Packet, error) {
	var b bytes.Buffer
	if err := p.Serialize(&b); err != nil {
		return nil, err
	}
	r := bytes.NewReader(b.Bytes())
	parsed, err := packet.Read(r)
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("goes on for %d bytes after its end", r.Len())
	}
	return parsed, err
}

// isUnsupported tells a packet that the library does not know from one that
// is malformed.
func isUnsupported(err error) bool {
	var unsupported pgperrors.UnsupportedError
	return errors.As(err, &unsupported)
}

// signed is a signature packet, and what it says of itself (RFC 9580, 5.2.3)
// before the library parses it.
type signed struct {
	packet  *packet.OpaquePacket
	version byte
	kind    packet.SignatureType
	hash    byte
	makers  []string // the keys that it names as its maker: fingerprints first, then key IDs
	embeds  bool     // another signature
}

// maxMakers is how many keys a signature may name as its maker: one, in two
// ways and both areas. Each one of the ring costs a verification.
const maxMakers = 4

var errCut = errors.New("is cut short")

// readSigned reads a signature packet's head. It refuses what would make the
// library panic or take memory without bounds: lengths beyond the packet, an empty
// subpacket 4, signatures in signatures in signatures.
func readSigned(p *packet.OpaquePacket) (signed, error) {
	return readNested(p, 1)
}

func readNested(p *packet.OpaquePacket, depth int) (signed, error) {
	s, body := signed{packet: p}, p.Contents
	if len(body) < 4 {
		return s, errCut
	}
	s.version, s.kind, s.hash = body[0], packet.SignatureType(body[1]), body[3]
	width := 2
	switch s.version {
	case 2, 3: // the library does not know them, but they can revoke
		return s, s.readOld(body)
	case 4, 5:
	case 6:
		width = 4
	default:
		return s, fmt.Errorf("is of version %d, which is unknown", s.version)
	}
	hashed, rest, err := area(body[4:], width)
	if err != nil {
		return s, err
	}
	unhashed, _, err := area(rest, width)
	if err != nil {
		return s, err
	}
	return s, s.look(append(hashed, unhashed...), depth)
}

// readOld reads the head of a signature of version 2 or 3 (RFC 9580, 5.2.2):
// its type, and the key ID of its maker.
func (s *signed) readOld(body []byte) error {
	if len(body) < 15 {
		return errCut
	}
	s.kind, s.makers = packet.SignatureType(body[2]), []string{keyID(body[7:15])}
	return nil
}

// ofKind are the signatures of some types.
func ofKind(all []signed, kinds ...packet.SignatureType) []signed {
	var some []signed
	for _, s := range all {
		if slices.Contains(kinds, s.kind) {
			some = append(some, s)
		}
	}
	return some
}

// area reads subpackets and their length, a number of so many bytes.
func area(body []byte, width int) (subpackets []*packet.OpaqueSubpacket, rest []byte, err error) {
	if len(body) < width {
		return nil, nil, errCut
	}
	number := make([]byte, 8)
	copy(number[8-width:], body)
	n := binary.BigEndian.Uint64(number)
	if body = body[width:]; n > uint64(len(body)) {
		return nil, nil, errCut
	}
	subpackets, err = packet.OpaqueSubpackets(body[:n])
	return subpackets, body[n:], err
}

func (s *signed) look(subpackets []*packet.OpaqueSubpacket, depth int) error {
	var ids []string
	for _, sub := range subpackets {
		switch kind := sub.SubType & 0x7f; { // without the critical bit
		case kind == subExportable && len(sub.Contents) != 1:
			return fmt.Errorf("has a subpacket of type %d with %d bytes, not 1", kind, len(sub.Contents))
		case kind == subIssuer:
			ids = append(ids, keyID(sub.Contents))
		case kind == subFingerprint && len(sub.Contents) > 1:
			s.makers = append(s.makers, fingerprint(sub.Contents[1:])) // after the key's version
		case kind == subEmbedded && depth == 0:
			return errors.New("has a signature in a signature in a signature")
		case kind == subEmbedded:
			s.embeds = true
			if _, err := readNested(&packet.OpaquePacket{Tag: tagSignature, Contents: sub.Contents}, depth-1); err != nil {
				return fmt.Errorf("embeds a signature that %w", err)
			}
		}
	}
	if s.makers = append(s.makers, ids...); len(s.makers) > maxMakers {
		return fmt.Errorf("names %d keys as its maker, more than the %d allowed", len(s.makers), maxMakers)
	}
	return nil
}

func fingerprint(raw []byte) string { return "pgp:" + hex.EncodeToString(raw) }

func keyID(raw []byte) string { return "key ID " + strings.ToUpper(hex.EncodeToString(raw)) }

// names reports whether the signature says that the key made it.
func (s signed) names(k *key) bool {
	return slices.Contains(s.makers, k.fingerprint) || slices.Contains(s.makers, k.id)
}

// parse has the library read the signature.
func (s signed) parse() (*packet.Signature, error) {
	p, err := parse(s.packet)
	if err != nil {
		return nil, err
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, fmt.Errorf("is a %T", p)
	}
	return sig, nil
}
