package pgp

import (
	"bytes"
	"crypto"
	stdecdsa "crypto/ecdsa"
	stded25519 "crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/ed25519"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

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

// encodings are the curves of which keys may be trusted in other encodings, by the names
// that the library gives them.
var encodings = map[packet.Curve]elliptic.Curve{packet.CurveNistP256: elliptic.P256(), packet.CurveNistP384: elliptic.P384(), packet.CurveNistP521: elliptic.P521()}

// standard is the key as the standard library has it, or nil.
func standard(k *packet.PublicKey) crypto.PublicKey {
	switch pub := k.PublicKey.(type) {
	case *rsa.PublicKey:
		return pub
	case *ecdsa.PublicKey:
		name, err := k.Curve()
		curve, known := encodings[name]
		if err != nil || !known {
			return nil
		}
		standard, err := stdecdsa.ParseUncompressedPublicKey(curve, pub.MarshalPoint())
		if err != nil {
			return nil
		}
		return standard
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
	data := sig.Data
	if !isBinary(data) {
		var err error
		if data, err = unarmour(data, "SIGNATURE"); err != nil {
			return whole
		}
	}
	packets, err := split(data)
	if err != nil || len(packets) < 2 || len(packets) > maxPackets {
		return whole
	}
	var all []signature.Signature
	for _, p := range packets {
		var one bytes.Buffer
		if p.Serialize(&one) != nil {
			return whole
		}
		all = append(all, signature.Signature{Kind: signature.PGP, Data: one.Bytes()})
	}
	return all
}
