// Package bundle verifies Sigstore bundles, and the two formats that carry the
// same parts in other clothes: the bundles that cosign wrote before version 2.4,
// and the CMS that gitsign writes into commits.
//
// Whose signatures count is one of two things. [NewKey] takes those of one
// public key, raw or in a bundle. [NewIdentity] takes those of whoever showed an
// OIDC issuer to be a certain subject, which a short-lived certificate of Fulcio
// attests; that it was signed within the certificate's few minutes, a log or a
// timestamp authority attests.
//
// All authorities and logs are those of a [Root], a trusted_root.json that the
// operator chose. A key or certificate that a bundle carries is verified with
// them and never trusted by itself; with [NewKey] none in the bundle counts. The
// digest in a bundle is ignored: the message itself is hashed. Verification is
// offline; the proofs are those that the bundle carries.
//
// # Formats
//
//   - Sigstore bundles v0.1 to v0.3 (protobuf-specs, sigstore_bundle.proto) in
//     JSON, with a message signature. DSSE envelopes sign a statement about a
//     file, not the file, and are refused.
//   - cosign's legacy bundle, see legacy.go.
//   - gitsign's CMS with an embedded log entry, see cms.go.
//
// A file is at most [signature.MaxSize] bytes, a certificate or the body of a
// log entry in it 16 KiB, a timestamp 32 KiB; there are at most 32 log entries
// and 32 timestamps.
package bundle

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/trustomize/trustomize/internal/signature"
)

// The sizes in bytes that no part of an honest bundle comes near. They bound
// what a key or an encoding made to be slow can cost.
const (
	maxPart      = 16 << 10 // a certificate, a log entry's body
	maxTimestamp = 32 << 10
	maxCount     = 32 // log entries, timestamps; as sigstore-go has it
)

// parse reads a Sigstore bundle or a legacy one. Nothing in it is verified.
func parse(sig signature.Signature) (*protobundle.Bundle, error) {
	if len(sig.Data) > signature.MaxSize {
		return nil, signature.Errorf(signature.Malformed, "has %d bytes, more than the %d allowed", len(sig.Data), signature.MaxSize)
	}
	read := fromJSON
	if sig.Kind == signature.LegacyBundle {
		read = fromLegacy
	}
	pb, err := read(sig.Data)
	if err != nil {
		return nil, failed(signature.Malformed, "is not a well-formed bundle", err)
	}
	if pb.GetDsseEnvelope() != nil {
		return nil, notDSSE()
	}
	if err := bounded(pb); err != nil {
		return nil, failed(signature.Malformed, "is not a well-formed bundle", err)
	}
	return pb, nil
}

func notDSSE() error {
	return signature.Errorf(signature.OtherKind, "a DSSE envelope; want a signature over the list itself")
}

func fromJSON(data []byte) (*protobundle.Bundle, error) {
	pb := new(protobundle.Bundle)
	if err := protojson.Unmarshal(data, pb); err != nil {
		return nil, err
	}
	return pb, nil
}

// bounded checks that there is a signature by something, and holds the parts to
// their limits.
func bounded(pb *protobundle.Bundle) error {
	m := pb.GetVerificationMaterial()
	if len(pb.GetMessageSignature().GetSignature()) == 0 {
		return errors.New("there is no signature in it")
	}
	if m.GetPublicKey() == nil && len(leafOf(pb)) == 0 {
		return errors.New("it names neither a key nor a certificate")
	}
	stamps := m.GetTimestampVerificationData().GetRfc3161Timestamps()
	switch {
	case len(m.GetTlogEntries()) > maxCount:
		return fmt.Errorf("%d log entries, more than the %d allowed", len(m.GetTlogEntries()), maxCount)
	case len(stamps) > maxCount:
		return fmt.Errorf("%d timestamps, more than the %d allowed", len(stamps), maxCount)
	}
	for _, e := range m.GetTlogEntries() {
		if n := len(e.GetCanonicalizedBody()); n > maxPart {
			return fmt.Errorf("a log entry has %d bytes, more than the %d allowed", n, maxPart)
		}
	}
	for _, s := range stamps {
		if n := len(s.GetSignedTimestamp()); n > maxTimestamp {
			return fmt.Errorf("a timestamp has %d bytes, more than the %d allowed", n, maxTimestamp)
		}
	}
	return nil
}

// leafOf returns the certificate that a bundle carries, in DER; nil for one that
// was made with a key. Of a chain, which versions 0.1 and 0.2 allow, the rest is
// not used: a chain is built from the trusted root alone.
func leafOf(pb *protobundle.Bundle) []byte {
	m := pb.GetVerificationMaterial()
	if chain := m.GetX509CertificateChain().GetCertificates(); len(chain) > 0 {
		return chain[0].GetRawBytes()
	}
	return m.GetCertificate().GetRawBytes()
}

// Media types of the bundles that other formats are turned into.
const (
	mediaType01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	mediaType03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// messageBundle returns a bundle of a signature and, unless der is nil, its
// certificate.
func messageBundle(mediaType string, raw, der []byte) *protobundle.Bundle {
	m := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	if der != nil {
		m.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: der}}
	}
	return &protobundle.Bundle{
		MediaType:            mediaType,
		VerificationMaterial: m,
		Content: &protobundle.Bundle_MessageSignature{
			MessageSignature: &protocommon.MessageSignature{Signature: raw},
		},
	}
}

// failed makes an error of another package's. Its text may quote what the
// bundle says, so it is made printable, one line and short.
func failed(reason signature.Reason, what string, err error) *signature.Error {
	return signature.Errorf(reason, "%s: %s", what, printable(err.Error()))
}

// maxQuote is the length in runes of what is quoted from elsewhere.
const maxQuote = 300

func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxQuote {
		s = string(runes[:maxQuote]) + "..."
	}
	return s
}
