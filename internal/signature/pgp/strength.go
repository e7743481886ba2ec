package pgp

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha3" // for crypto.SHA3_256 and crypto.SHA3_512
	"fmt"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// minRSABits is the smallest RSA modulus that is accepted (NIST SP 800-131A).
const minRSABits = 2048

// curves are those of RFC 9580, 9.2, that sign. secp256k1 is not among them.
var curves = []packet.Curve{
	packet.CurveNistP256, packet.CurveNistP384, packet.CurveNistP521,
	packet.CurveBrainpoolP256, packet.CurveBrainpoolP384, packet.CurveBrainpoolP512,
	packet.Curve25519, packet.Curve448,
}

// weakness says why what a key signs does not count, "" where it does.
func weakness(public *packet.PublicKey) string {
	switch public.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		// The packet says a length as well, which need not be true.
		k, ok := public.PublicKey.(*rsa.PublicKey)
		if !ok || k.N.BitLen() < minRSABits {
			return fmt.Sprintf("it is an RSA key of fewer than the %d bits required", minRSABits)
		}
		return ""
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		curve, err := public.Curve()
		if err != nil || !slices.Contains(curves, curve) {
			return fmt.Sprintf("its curve %q is not accepted", curve)
		}
		return ""
	case packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return ""
	case packet.PubKeyAlgoDSA:
		return "it is a DSA key, which is not accepted"
	}
	return "its algorithm does not sign"
}

// strong are the hash algorithms of RFC 9580, 9.5, that count.
var strong = []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}

// weak are those that never do, by their numbers.
var weak = map[byte]string{1: "MD5", 2: "SHA-1", 3: "RIPEMD-160"}
