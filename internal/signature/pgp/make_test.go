package pgp

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgped25519 "github.com/ProtonMail/go-crypto/openpgp/ed25519"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/trustomize/trustomize/internal/signature"
)

// The times of these tests: keys are made on created, sign on signedAt, and the
// signatures are verified at now.
var (
	created  = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	signedAt = created.Add(24 * time.Hour)
	now      = created.Add(30 * 24 * time.Hour)
)

const days = 24 * 60 * 60 // in seconds

// unsalted has the library sign with SHA-1 as well.
var unsalted = &packet.Config{NonDeterministicSignaturesViaNotation: packet.BoolPointer(false)}

var message = []byte("0000  kustomization.yaml\n")

// newEntity makes a key of Ed25519 with one user ID and an encryption subkey,
// or what the changes make of it.
func newEntity(t testing.TB, name string, changes ...func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, Time: func() time.Time { return created }}
	for _, change := range changes {
		change(c)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.com", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// withSubkey adds a signing subkey and returns it.
func withSubkey(t testing.TB, e *openpgp.Entity, changes ...func(*packet.Config)) *openpgp.Subkey {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, Time: func() time.Time { return created }}
	for _, change := range changes {
		change(c)
	}
	if err := e.AddSigningSubkey(c); err != nil {
		t.Fatal(err)
	}
	return &e.Subkeys[len(e.Subkeys)-1]
}

// certify makes the self-signatures of the entity's user IDs again, after changes.
func certify(t testing.TB, e *openpgp.Entity, change func(*packet.Signature)) {
	t.Helper()
	for _, id := range e.Identities {
		sig := id.SelfCertifications[0].Packet
		change(sig)
		if err := sig.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, unsalted); err != nil {
			t.Fatal(err)
		}
	}
}

// bindAgain makes the binding of a subkey again, after changes.
func bindAgain(t testing.TB, s *openpgp.Subkey, change func(*packet.Signature)) {
	t.Helper()
	sig := s.Bindings[0].Packet
	change(sig)
	if err := sig.SignKey(s.PublicKey, s.Primary.PrivateKey, unsalted); err != nil {
		t.Fatal(err)
	}
}

// export is the public ring of the entities.
func export(t testing.TB, all ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range all {
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func armour(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func mustParse(t testing.TB, ring []byte) *Ring {
	t.Helper()
	r, err := Parse(ring)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sign makes a binary document signature over the message on signedAt with
// SHA-256, or what the changes make of it.
func sign(t testing.TB, key *packet.PrivateKey, over []byte, changes ...func(*packet.Signature)) []byte {
	t.Helper()
	sig := &packet.Signature{
		Version: key.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo,
		Hash: crypto.SHA256, CreationTime: signedAt, IssuerKeyId: &key.KeyId,
	}
	for _, change := range changes {
		change(sig)
	}
	h, err := sig.PrepareSign(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(over)
	if err := sig.Sign(h, key, unsalted); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sig.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func madeAt(at time.Time) func(*packet.Signature) {
	return func(s *packet.Signature) { s.CreationTime = at }
}

func seconds(n uint32) *uint32 { return &n }

// subpacket is one of a signature.
func subpacket(kind byte, contents ...byte) []byte {
	return append([]byte{byte(len(contents) + 1), kind}, contents...)
}

// madeOn is the subpacket that every signature has: when it was made.
func madeOn(at time.Time) []byte {
	return subpacket(0x82, binary.BigEndian.AppendUint32(nil, uint32(at.Unix()))...)
}

// signRaw makes a signature packet of an Ed25519 key by hand, with subpackets that
// the library would not write.
func signRaw(key *packet.PrivateKey, over []byte, kind byte, hashed, unhashed []byte) []byte {
	body := []byte{4, kind, byte(packet.PubKeyAlgoEd25519), 8}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(hashed))), hashed...)
	covered := slices.Concat(over, body, []byte{4, 0xff}, binary.BigEndian.AppendUint32(nil, uint32(len(body))))
	h := crypto.SHA256.New()
	h.Write(covered)
	sum := h.Sum(nil)
	private := ed25519.PrivateKey(key.PrivateKey.(*pgped25519.PrivateKey).Key)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(unhashed))), unhashed...)
	body = slices.Concat(body, sum[:2], ed25519.Sign(private, sum))
	return rawPacket(tagSignature, body)
}

// rawPacket puts a header of the new format before a packet's body.
func rawPacket(tag byte, body []byte) []byte {
	return slices.Concat([]byte{0xc0 | tag, 0xff}, binary.BigEndian.AppendUint32(nil, uint32(len(body))), body)
}

func verifyAt(r *Ring, data, over []byte, at time.Time) (signature.Evidence, error) {
	return r.Verify(signature.Signature{Kind: signature.PGP, Data: data}, over, signature.When{Now: at})
}

// reasonOf is why a signature was refused, -1 where it was not or by another
// error.
func reasonOf(err error) signature.Reason {
	var why *signature.Error
	if !errors.As(err, &why) {
		return -1
	}
	return why.Reason
}
