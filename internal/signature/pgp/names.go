package pgp

import (
	"bytes"
	"crypto"
	stdecdsa "crypto/ecdsa"
	stded25519 "crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/ed25519"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/trustomize/trustomize/internal/signature"
)

// namesOf are the names that a key has in other encodings.
func namesOf(k *packet.PublicKey) []string {
	pub := standard(k)
	if pub == nil {
		return nil
	}
	return signature.Names(pub)
}

// curves are those of which keys may be trusted in other encodings, by the names
// that the library gives them.
var curves = map[packet.Curve]elliptic.Curve{packet.CurveNistP256: elliptic.P256(), packet.CurveNistP384: elliptic.P384(), packet.CurveNistP521: elliptic.P521()}

// standard is the key as the standard library has it, or nil.
func standard(k *packet.PublicKey) crypto.PublicKey {
	switch pub := k.PublicKey.(type) {
	case *rsa.PublicKey:
		return pub
	case *ecdsa.PublicKey:
		name, err := k.Curve()
		curve, known := curves[name]
		if err != nil || !known {
			return nil
		}
		return &stdecdsa.PublicKey{Curve: curve, X: pub.X, Y: pub.Y}
	case *eddsa.PublicKey:
		if len(pub.X) == stded25519.PublicKeySize {
			return stded25519.PublicKey(pub.X)
		}
	case *ed25519.PublicKey:
		return stded25519.PublicKey(pub.Point)
	}
	return nil
}

// Separate takes a block of several signatures apart, so that each is judged by
// itself. What cannot be taken apart is returned as it is: verifying it says why.
func Separate(sig signature.Signature) []signature.Signature {
	whole := []signature.Signature{sig}
	data, err := binary(sig.Data)
	if err != nil {
		return whole
	}
	var all []signature.Signature
	in := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var one bytes.Buffer
		if err != nil || p.Serialize(&one) != nil || len(all) > signature.MaxSignatures {
			return whole
		}
		all = append(all, signature.Signature{Kind: signature.PGP, Data: one.Bytes()})
	}
	if len(all) < 2 {
		return whole
	}
	return all
}

// binary returns a block's packets.
func binary(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0]&0x80 != 0 {
		return data, nil
	}
	var out bytes.Buffer
	_, err := readArmour(&out, string(data), "PGP SIGNATURE")
	return out.Bytes(), err
}

// once refuses a ring that holds a key twice, as a primary key or a subkey: an
// older copy could hide that it was revoked, or ends.
func once(entities openpgp.EntityList) error {
	seen := map[string]bool{}
	for _, e := range entities {
		keys := []*packet.PublicKey{e.PrimaryKey}
		for _, s := range e.Subkeys {
			keys = append(keys, s.PublicKey)
		}
		for _, k := range keys {
			if seen[fingerprint(k)] {
				return fmt.Errorf("holds key %s twice; an older copy could hide that it was revoked: import all into one ring, and export that", fingerprint(k))
			}
			seen[fingerprint(k)] = true
		}
	}
	return nil
}
