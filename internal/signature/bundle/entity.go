package bundle

import (
	"crypto"
	"errors"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/trustomize/trustomize/internal/signature"
)

// entity is a bundle as sigstore-go verifies it, with three differences: its
// digest is the message's and not what the bundle claims, certificate and log
// entries are parsed once, and it names no version.
type entity struct {
	*bundle.Bundle
	message []byte
	content verify.VerificationContent // the certificate, or that a key was used
	entries []*tlog.Entry
}

// newEntity checks a bundle's form against the rules of its version. The error
// is an *[signature.Error].
func newEntity(pb *protobundle.Bundle, message []byte, content verify.VerificationContent) (*entity, error) {
	b, err := bundle.NewBundle(pb)
	if err != nil {
		return nil, failed(signature.Malformed, "is not a well-formed bundle", err)
	}
	entries, err := b.TlogEntries()
	if err != nil {
		return nil, failed(signature.Malformed, "has a log entry that cannot be read", err)
	}
	return &entity{b, message, content, entries}, nil
}

// only returns the entity with one of its log entries.
func (e *entity) only(i int) *entity {
	return &entity{e.Bundle, e.message, e.content, e.entries[i : i+1]}
}

// raw returns the signature's bytes.
func (e *entity) raw() []byte { return e.GetMessageSignature().GetSignature() }

func (e *entity) VerificationContent() (verify.VerificationContent, error) { return e.content, nil }

func (e *entity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

// Version keeps sigstore-go from trying SHA-256 with certificates' keys on P-384
// and P-521, of which it would tell on standard error. Such a key signs with the
// hash that fits it, as Rekor v2 demands.
func (e *entity) Version() (string, error) { return "", nil }

// SignatureContent returns the signature with the message's digest, by the
// algorithm of the first log entry: the entry is compared with it.
func (e *entity) SignatureContent() (verify.SignatureContent, error) {
	hash := protocommon.HashAlgorithm_SHA2_256
	if len(e.entries) > 0 {
		_, name, ok := e.entries[0].GetHashedRekordDigest()
		if hash = hashNames[name]; !ok || hash == 0 {
			return nil, errors.New("its log entry is of no known hash")
		}
	}
	h := hashFuncs[hash].New()
	h.Write(e.message)
	return bundle.NewMessageSignature(h.Sum(nil), hash.String(), e.raw()), nil
}

// hashNames are the names of hashes in log entries: of Rekor v1's hashedrekord
// 0.0.1, and of Rekor v2's 0.0.2.
var hashNames = map[string]protocommon.HashAlgorithm{
	"sha256": protocommon.HashAlgorithm_SHA2_256, "SHA2_256": protocommon.HashAlgorithm_SHA2_256,
	"sha384": protocommon.HashAlgorithm_SHA2_384, "SHA2_384": protocommon.HashAlgorithm_SHA2_384,
	"sha512": protocommon.HashAlgorithm_SHA2_512, "SHA2_512": protocommon.HashAlgorithm_SHA2_512,
}

var hashFuncs = map[protocommon.HashAlgorithm]crypto.Hash{
	protocommon.HashAlgorithm_SHA2_256: crypto.SHA256,
	protocommon.HashAlgorithm_SHA2_384: crypto.SHA384,
	protocommon.HashAlgorithm_SHA2_512: crypto.SHA512,
}
