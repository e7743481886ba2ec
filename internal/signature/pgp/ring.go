package pgp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// part is a primary key, a user ID or a subkey, and the signatures after it.
type part struct {
	packet     *packet.OpaquePacket
	signatures []signed
}

// block is a primary key and what belongs to it: a transferable public key (RFC
// 9580, 10.1).
type block struct {
	primary        part
	users, subkeys []part
	attributes     part // pictures: not looked at
	revocations    []signed
}

// ringPackets returns the packets of a ring, binary or armoured.
func ringPackets(data []byte) ([]*packet.OpaquePacket, error) {
	switch {
	case len(data) > MaxRingSize:
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), MaxRingSize)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("is empty")
	case len(data) > 12 && string(data[8:12]) == "KBXf":
		return nil, errors.New("is a keybox, which GnuPG keeps for itself; want what gpg --export writes")
	case bytes.Contains(data, []byte("-----BEGIN PGP PRIVATE KEY")):
		return nil, errPrivate
	case isBinary(data):
		return split(data)
	}
	body, err := unarmour(data, "PUBLIC KEY BLOCK")
	if err != nil {
		return nil, err
	}
	return split(body)
}

var errPrivate = errors.New("holds a private key; a signer is named by public keys")

// splitBlocks groups a ring's packets by their primary keys.
func splitBlocks(packets []*packet.OpaquePacket) ([]*block, error) {
	var blocks []*block
	var b *block
	var at *part
	for i, p := range packets {
		switch p.Tag {
		case tagMarker, tagTrust, tagPadding:
			continue
		case tagSecretKey, tagSecretSubkey:
			return nil, errPrivate
		case tagPublicKey:
			b = &block{primary: part{packet: p}}
			at = &b.primary
			blocks = append(blocks, b)
			continue
		}
		if b == nil {
			return nil, fmt.Errorf("begins with a packet of type %d, not with a public key", p.Tag)
		}
		next, err := b.add(p, at)
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", i+1, err)
		}
		at = next
	}
	return blocks, nil
}

// add puts a packet where it belongs, at the part that came last, and returns the
// part that comes last now.
func (b *block) add(p *packet.OpaquePacket, at *part) (*part, error) {
	switch p.Tag {
	case tagUserID:
		b.users = append(b.users, part{packet: p})
		return &b.users[len(b.users)-1], nil
	case tagPublicSubkey:
		b.subkeys = append(b.subkeys, part{packet: p})
		return &b.subkeys[len(b.subkeys)-1], nil
	case tagUserAttribute:
		b.attributes.packet = p
		return &b.attributes, nil
	case tagSignature:
		return at, b.addSignature(p, at)
	}
	return nil, fmt.Errorf("is of type %d, which does not belong into a key ring", p.Tag)
}

func (b *block) addSignature(p *packet.OpaquePacket, at *part) error {
	s, err := readSigned(p)
	switch {
	case err != nil:
		return fmt.Errorf("a signature that %w", err)
	case s.kind == packet.SigTypeKeyRevocation:
		b.revocations = append(b.revocations, s)
	case s.kind == packet.SigTypeSubkeyRevocation && at.packet.Tag != tagPublicSubkey:
		return errors.New("revokes a subkey, and follows none")
	default:
		at.signatures = append(at.signatures, s)
	}
	return nil
}
