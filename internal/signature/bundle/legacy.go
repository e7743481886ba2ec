package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// legacyBundle is what cosign sign-blob --bundle wrote before version 2.4, and
// still does without --new-bundle-format: LocalSignedPayload in cosign's
// pkg/cosign/fetch.go, with RekorBundle of pkg/cosign/bundle/rekor.go. Those
// packages would bring another 180 with them, so the shape is declared here.
type legacyBundle struct {
	Base64Signature string `json:"base64Signature"`
	Cert            string `json:"cert"` // base64 of PEM, or PEM; absent or empty for a key
	RekorBundle     *struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           string `json:"body"`           // base64 of the log entry's JSON
			IntegratedTime int64  `json:"integratedTime"` // seconds since 1970
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"` // hexadecimal
		}
	} `json:"rekorBundle"`
}

// fromLegacy turns a legacy bundle into a Sigstore bundle 0.1, whose log entries
// are proven as here, by a promise and not by an inclusion proof.
func fromLegacy(data []byte) (*protobundle.Bundle, error) {
	var l legacyBundle
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something behind it")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(l.Base64Signature)
	if err != nil {
		return nil, fmt.Errorf("base64Signature: %w", err)
	}
	if isDSSE(raw) {
		return &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{}}}, nil
	}
	der, err := l.certificate()
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	pb := messageBundle(mediaType01, raw, der)
	if l.RekorBundle == nil {
		return pb, nil
	}
	entry, err := l.entry()
	if err != nil {
		return nil, fmt.Errorf("rekorBundle: %w", err)
	}
	pb.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	return pb, nil
}

// isDSSE tells the JSON of a DSSE envelope, which cosign attest-blob puts in the
// signature's place, from a signature's bytes.
func isDSSE(raw []byte) bool {
	var probe struct {
		PayloadType string `json:"payloadType"`
	}
	return json.Unmarshal(raw, &probe) == nil && probe.PayloadType != ""
}

// certificate returns the certificate in DER, nil if there is none.
func (l *legacyBundle) certificate() ([]byte, error) {
	if l.Cert == "" {
		return nil, nil
	}
	text, err := base64.StdEncoding.DecodeString(l.Cert)
	if err != nil {
		text = []byte(l.Cert)
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil || block.Type != string(cryptoutils.CertificatePEMType):
		return nil, errors.New("is not a PEM certificate")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("want one certificate and nothing behind it")
	}
	return block.Bytes, nil
}

func (l *legacyBundle) entry() (*protorekor.TransparencyLogEntry, error) {
	p := l.RekorBundle.Payload
	body, err := base64.StdEncoding.Strict().DecodeString(p.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	var kind struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	id, err := hex.DecodeString(p.LogID)
	if err != nil {
		return nil, fmt.Errorf("logID: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          p.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    p.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: l.RekorBundle.SignedEntryTimestamp},
		CanonicalizedBody: body,
	}, nil
}
