package bundle

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/github/smimesign/ietf-cms/oid"
	"github.com/github/smimesign/ietf-cms/protocol"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/proto"

	"github.com/trustomize/trustomize/internal/signature"
)

// gitSignature is what gitsign writes into a commit or a tag: an armoured CMS
// SignedData (RFC 5652) over the object's text, which lies outside of it, with
// one signer and its certificate.
//
// What is signed are the signed attributes, among them the text's digest. With
// rekorMode offline gitsign puts the log entry of that signature beside it, as an
// unsigned attribute: a TransparencyLogEntry of protobuf-specs, its body left
// out, since it follows from the rest. Otherwise a verifier must ask the log,
// which is not done here. Timestamps in other unsigned attributes are not read:
// the log's time is needed anyway.
type gitSignature struct {
	cert       *leafCertificate
	hash       crypto.Hash // the text's
	digest     []byte
	attributes []byte // the signed attributes, in DER as they are signed
	raw        []byte // the signature over them
	claimed    time.Time
	unsigned   protocol.Attributes
}

// maxCMS is the size in bytes over which a CMS is not parsed. One of gitsign has
// 2 KiB.
const maxCMS = 64 << 10

// oidLogEntry is gitsign's attribute for the log entry (Rekor's oid-info.md).
var oidLogEntry = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 3, 1}

func (t *identityTrust) verifyCMS(data, message []byte) (signature.Evidence, error) {
	var none signature.Evidence
	s, err := parseCMS(data)
	if err != nil {
		return none, err
	}
	if err := t.recognize(s.cert); err != nil {
		return none, err
	}
	if err := s.covers(message); err != nil {
		return none, err
	}
	pb, err := s.bundle()
	if err != nil {
		return none, err
	}
	evidence, err := t.verify(pb, s.attributes, s.cert)
	evidence.Claimed = s.claimed
	return evidence, err
}

// parseCMS reads a CMS signature. Nothing in it is verified. The error is an
// *[signature.Error].
func parseCMS(data []byte) (*gitSignature, error) {
	sd, err := parseSignedData(data)
	if err != nil {
		return nil, failed(signature.Malformed, "is not a well-formed CMS signature", err)
	}
	signer := sd.SignerInfos[0]
	certs, err := sd.X509Certificates()
	if err != nil {
		return nil, failed(signature.Malformed, "its certificates cannot be read", err)
	}
	leaf, err := signer.FindCertificate(certs)
	if err != nil {
		return nil, failed(signature.Malformed, "its signer's certificate", err)
	}
	cert, err := parseCertificate(leaf.Raw)
	if err != nil {
		return nil, err
	}
	s := &gitSignature{cert: cert, raw: signer.Signature, unsigned: signer.UnsignedAttrs}
	if err := s.readAttributes(signer); err != nil {
		return nil, failed(signature.Malformed, "is not a well-formed CMS signature", err)
	}
	return s, nil
}

// parseSignedData reads armoured SignedData. It is DER, as gitsign writes it:
// BER is not read.
func parseSignedData(data []byte) (*protocol.SignedData, error) {
	block, rest := pem.Decode(data)
	switch {
	case !bytes.HasPrefix(data, []byte("-----BEGIN SIGNED MESSAGE-----")), block == nil, len(block.Headers) > 0:
		return nil, errors.New("it is not armoured as a SIGNED MESSAGE")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("there is something behind it")
	case len(block.Bytes) > maxCMS:
		return nil, fmt.Errorf("it has %d bytes, more than the %d allowed", len(block.Bytes), maxCMS)
	}
	var info protocol.ContentInfo
	if rest, err := asn1.Unmarshal(block.Bytes, &info); err != nil {
		return nil, err
	} else if len(rest) > 0 {
		return nil, protocol.ErrTrailingData
	}
	sd, err := info.SignedDataContent()
	switch {
	case err != nil:
		return nil, err
	case len(sd.SignerInfos) != 1:
		return nil, fmt.Errorf("it has %d signers, want one", len(sd.SignerInfos))
	case !sd.EncapContentInfo.IsTypeData() || len(sd.EncapContentInfo.EContent.FullBytes) > 0:
		return nil, errors.New("it holds what it signs; want a detached signature over data")
	}
	return sd, nil
}

// readAttributes reads the signed attributes. Content type and digest must be
// among them (RFC 5652, 11.1 and 11.2).
func (s *gitSignature) readAttributes(signer protocol.SignerInfo) error {
	kind, err := signer.GetContentTypeAttribute()
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if !kind.Equal(oid.ContentTypeData) {
		return fmt.Errorf("it is signed as content of type %s, want data", kind)
	}
	if s.digest, err = signer.GetMessageDigestAttribute(); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if s.hash, err = signer.Hash(); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	if s.hash != crypto.SHA256 && s.hash != crypto.SHA384 && s.hash != crypto.SHA512 {
		return fmt.Errorf("its hash, %s, is not accepted", s.hash)
	}
	if s.claimed, err = signer.GetSigningTimeAttribute(); err != nil {
		return fmt.Errorf("signing time: %w", err)
	}
	s.attributes, err = signer.SignedAttrs.MarshaledForVerification()
	return err
}

// covers checks that the signed attributes speak of the message, and that the
// certificate's key signed them.
func (s *gitSignature) covers(message []byte) error {
	h := s.hash.New()
	h.Write(message)
	if !bytes.Equal(h.Sum(nil), s.digest) {
		return signature.Errorf(signature.Mismatch, "was made over other bytes")
	}
	key := signature.Key{Public: s.cert.cert.PublicKey, Fingerprint: s.cert.fingerprint}
	if _, err := key.VerifyBytes(s.raw, s.attributes); err != nil {
		return signature.Errorf(signature.Mismatch, "was made with another certificate")
	}
	return nil
}

// bundle returns a Sigstore bundle of the signature over the signed attributes.
func (s *gitSignature) bundle() (*protobundle.Bundle, error) {
	if !s.unsigned.HasAttribute(oidLogEntry) {
		return nil, signature.Errorf(signature.Unproven, "holds no log entry; verification is offline and never asks a log, so gitsign must be configured with rekorMode offline")
	}
	entry, err := s.entry()
	if err != nil {
		return nil, failed(signature.Malformed, "its log entry cannot be read", err)
	}
	mediaType := mediaType03
	if entry.GetInclusionProof() == nil {
		mediaType = mediaType01
	}
	pb := messageBundle(mediaType, s.raw, s.cert.cert.Raw)
	pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	return pb, nil
}

// entry returns the embedded log entry, its body made anew.
func (s *gitSignature) entry() (*protorekor.TransparencyLogEntry, error) {
	value, err := s.unsigned.GetOnlyAttributeValueBytes(oidLogEntry)
	if err != nil {
		return nil, err
	}
	if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagOctetString || value.IsCompound {
		return nil, errors.New("it is not an octet string")
	}
	entry := new(protorekor.TransparencyLogEntry)
	if err := proto.Unmarshal(value.Bytes, entry); err != nil {
		return nil, err
	}
	if k := entry.GetKindVersion(); k.GetKind() != "hashedrekord" || k.GetVersion() != "0.0.1" {
		return nil, fmt.Errorf("it is a %s %s, want a hashedrekord 0.0.1", k.GetKind(), k.GetVersion())
	}
	entry.CanonicalizedBody, err = hashedRekord(s.attributes, s.raw, s.cert.cert)
	return entry, err
}

// hashedRekord returns the body of Rekor v1's hashedrekord 0.0.1, in the
// canonical JSON (RFC 8785) of which the log keeps a hash.
func hashedRekord(message, raw []byte, cert *x509.Certificate) ([]byte, error) {
	certPEM, err := cryptoutils.MarshalCertificateToPEM(cert)
	if err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},`+
		`"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`, sha256.Sum256(message), b64(raw), b64(certPEM)), nil
}
