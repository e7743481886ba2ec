package pgp

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // hashes that signatures may use
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/trustomize/trustomize/internal/signature"
)

// maxSkew is how far in the future a signature may claim to have been made:
// clocks differ.
const maxSkew = 10 * time.Minute

// maxPackets is how many signatures one block may hold.
const maxPackets = signature.MaxSignatures

// Verify checks that a key of the ring made one of the signatures in a block,
// which may hold several, over exactly these bytes.
func (r *Ring) Verify(sig signature.Signature, message []byte, when signature.When) (signature.Evidence, error) {
	if sig.Kind != signature.PGP {
		return signature.Evidence{}, signature.Errorf(signature.OtherKind, "a signature of kind %s, where PGP keys make others", sig.Kind)
	}
	packets, err := signatures(sig.Data)
	if err != nil {
		return signature.Evidence{}, signature.Errorf(signature.Malformed, "%v", err)
	}
	var best *signature.Error
	for _, p := range packets {
		evidence, why := r.verify(p, message, when)
		if why == nil {
			return evidence, nil
		}
		if best == nil || why.Reason > best.Reason {
			best = why
		}
	}
	return signature.Evidence{}, best
}

// signatures reads the packets of a block; all must be signatures.
func signatures(data []byte) ([]*packet.Signature, error) {
	data, err := binary(data)
	if err != nil {
		return nil, err
	}
	var all []*packet.Signature
	in := bytes.NewReader(data)
	for in.Len() > 0 {
		p, err := packet.Read(in)
		sig, ok := p.(*packet.Signature)
		switch {
		case err != nil && unreadable(err):
			return nil, fmt.Errorf("is of a kind or version that is not known: %w", err)
		case err != nil:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("it is cut short")
			}
			return nil, fmt.Errorf("cannot be read: %w", err)
		case !ok:
			return nil, errors.New("holds something else than signatures")
		}
		if all = append(all, sig); len(all) > maxPackets {
			return nil, fmt.Errorf("holds more than %d signatures", maxPackets)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("is empty")
	}
	return all, nil
}

// verify checks one signature: its form, whose key it names, its bytes, and
// only then what it says of itself.
func (r *Ring) verify(sig *packet.Signature, message []byte, when signature.When) (signature.Evidence, *signature.Error) {
	none := signature.Evidence{}
	if why := form(sig); why != nil {
		return none, why
	}
	k := r.find(sig)
	if k == nil {
		why := signature.Errorf(signature.Stranger, "was made by PGP key %s, which is not in the key ring", issuer(sig))
		why.By = "PGP key " + issuer(sig)
		return none, why
	}
	h, err := sig.PrepareVerify()
	if err != nil {
		return none, signature.Errorf(signature.Malformed, "cannot be verified: %v", err)
	}
	h.Write(message)
	if err := k.public.VerifySignature(h, sig); err != nil {
		return none, signature.Errorf(signature.Mismatch, "was made over other bytes, or not by PGP key %s that it names", fingerprint(k.public))
	}
	if why := k.valid(sig, when.Now); why != nil {
		return none, why
	}
	evidence := signature.Evidence{
		Kind: signature.PGP, Fingerprint: fingerprint(k.public), Also: namesOf(k.public), Identity: k.holder, Digest: signature.DigestOf(message),
		Expires: k.expires, Claimed: sig.CreationTime,
	}
	if k.public != k.primary {
		evidence.Above = []string{fingerprint(k.primary)}
	}
	return evidence, nil
}

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// form refuses signatures that would mean something else than these bytes, or
// that use what is broken.
func form(sig *packet.Signature) *signature.Error {
	switch {
	case sig.SigType == packet.SigTypeText:
		return signature.Errorf(signature.Malformed, "is over text, whose line ends may be others; sign without --textmode")
	case sig.SigType != packet.SigTypeBinary:
		return signature.Errorf(signature.Malformed, "is of type 0x%02x, where one over a document, 0x00, is wanted", byte(sig.SigType))
	case !slices.Contains(hashes, sig.Hash):
		return signature.Errorf(signature.Malformed, "uses hash %s, where SHA-256, SHA-384 or SHA-512 is wanted", sig.Hash)
	}
	for _, n := range sig.Notations {
		if n.IsCritical {
			return signature.Errorf(signature.Malformed, "says with a critical notation %q what is not known here", n.Name)
		}
	}
	return nil
}

// find returns the key that a signature names, by its fingerprint where it is
// told, else by its id.
func (r *Ring) find(sig *packet.Signature) *key {
	for _, k := range r.keys {
		if len(sig.IssuerFingerprint) > 0 {
			if bytes.Equal(sig.IssuerFingerprint, k.public.Fingerprint) {
				return k
			}
			continue
		}
		if sig.IssuerKeyId != nil && *sig.IssuerKeyId == k.public.KeyId {
			return k
		}
	}
	return nil
}

func issuer(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return "pgp:" + hex.EncodeToString(sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("with id %016x", *sig.IssuerKeyId)
	}
	return "that it does not name"
}

// valid holds what a signature and its key say of their times against each
// other and against now. That the key has expired since is for the caller to
// judge.
func (k *key) valid(sig *packet.Signature, now time.Time) *signature.Error {
	made, name := sig.CreationTime, fingerprint(k.public)
	switch end := lifeOf(sig); {
	case k.revoked:
		return signature.Errorf(signature.Revoked, "is by PGP key %s of %s, which its holder has revoked", name, k.holder)
	case made.After(now.Add(maxSkew)):
		return signature.Errorf(signature.Expired, "claims to have been made on %s, which is still to come", day(made))
	case !end.IsZero() && !now.Before(end):
		return signature.Errorf(signature.Expired, "was made to count until %s", day(end))
	case made.Before(k.created):
		return signature.Errorf(signature.Expired, "claims to have been made on %s, and PGP key %s is of %s", day(made), name, day(k.created))
	case !k.expires.IsZero() && !made.Before(k.expires):
		return signature.Errorf(signature.Expired, "claims to have been made on %s, and PGP key %s expired on %s", day(made), name, day(k.expires))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
