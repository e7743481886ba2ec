package bundle

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// body returns the log entry's body.
func (s *signed) body() []byte {
	t := s.v.t
	t.Helper()
	var pub []byte
	var err error
	if s.cert != nil {
		pub, err = cryptoutils.MarshalCertificateToPEM(s.cert)
	} else {
		pub, err = cryptoutils.MarshalPublicKeyToPEM(s.key.Public())
	}
	must(t, err)
	name := map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[s.hash]
	b64 := base64.StdEncoding.EncodeToString
	return []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"` + name + `","value":"` + hex.EncodeToString(s.sum) +
		`"}},"signature":{"content":"` + b64(s.raw) + `","publicKey":{"content":"` + b64(pub) + `"}}}}`)
}

// entry logs the signature in Rekor v1.
func (s *signed) entry() *protorekor.TransparencyLogEntry {
	t := s.v.t
	t.Helper()
	id, err := s.v.RekorLogID()
	must(t, err)
	rawID, err := hex.DecodeString(id)
	must(t, err)
	body := s.body()
	set, err := s.v.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: s.at.Unix(), LogIndex: 7, LogID: id,
	})
	must(t, err)
	proof, err := s.v.GetInclusionProof(body)
	must(t, err)
	rootHash, err := hex.DecodeString(*proof.RootHash)
	must(t, err)
	return &protorekor.TransparencyLogEntry{
		LogIndex: 7, LogId: &protocommon.LogId{KeyId: rawID},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.1"},
		IntegratedTime:    s.at.Unix(),
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: set},
		CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: *proof.LogIndex, TreeSize: *proof.TreeSize, RootHash: rootHash,
			Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
		},
	}
}

func (s *signed) stamp() *protobundle.TimestampVerificationData {
	s.v.t.Helper()
	data, err := s.v.TimestampResponse(s.raw)
	must(s.v.t, err)
	return &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: data}},
	}
}

// pb returns a bundle v0.3 with an entry of Rekor v1.
func (s *signed) pb() *protobundle.Bundle {
	s.v.t.Helper()
	var der []byte
	if s.cert != nil {
		der = s.cert.Raw
	}
	pb := messageBundle(mediaType03, s.raw, der)
	pb.GetMessageSignature().MessageDigest = &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: s.sum}
	if s.cert == nil {
		pb.VerificationMaterial.GetPublicKey().Hint = base64.StdEncoding.EncodeToString(keyID(s.v.t, s.key.Public()))
	}
	pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.entry()}
	return pb
}

// origin is the name under which the Rekor v2 signs.
const origin = "rekor2.example"

// entry2 logs the signature in a Rekor v2 that holds nothing else, so that the
// entry's hash is the tree's. VirtualSigstore does this for DSSE envelopes only.
func (s *signed) entry2() *protorekor.TransparencyLogEntry {
	t := s.v.t
	t.Helper()
	body := s.body2()
	leaf := sha256.Sum256(append([]byte{0}, body...))
	return &protorekor.TransparencyLogEntry{
		LogId:             &protocommon.LogId{KeyId: keyID(t, s.v.rekor2.Public())},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{
			TreeSize: 1, RootHash: leaf[:], Checkpoint: &protorekor.Checkpoint{Envelope: s.v.checkpoint(leaf)},
		},
	}
}

func (s *signed) body2() []byte {
	s.v.t.Helper()
	name, der := "x509Certificate", []byte(nil)
	if s.cert != nil {
		der = s.cert.Raw
	} else {
		var err error
		name = "publicKey"
		der, err = x509.MarshalPKIXPublicKey(s.key.Public())
		must(s.v.t, err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"},`+
		`"signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","%s":{"rawBytes":"%s"}}}}}}`, b64(s.sum), b64(s.raw), name, b64(der))
}

// checkpoint signs a tree of one entry (C2SP tlog-checkpoint and signed-note).
func (v *virtual) checkpoint(leaf [32]byte) string {
	v.t.Helper()
	text := fmt.Sprintf("%s\n1\n%s\n", origin, base64.StdEncoding.EncodeToString(leaf[:]))
	sig, err := v.rekor2.Sign(rand.Reader, hashOf(crypto.SHA256, []byte(text)), crypto.SHA256)
	must(v.t, err)
	id, _, err := note.KeyHash(origin, v.rekor2.Public())
	must(v.t, err)
	return fmt.Sprintf("%s\n— %s %s\n", text, origin, base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, id), sig...)))
}
