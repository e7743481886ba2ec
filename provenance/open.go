package provenance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/trustomize/trustomize/internal/signature"
)

// Open returns the statement in a bundle, as build --record writes it, after the
// signature over it verified with one of the keys, whose fingerprint it returns.
// Whether it was logged is not asked.
func Open(data []byte, keys []signature.Key) (*Statement, string, error) {
	if len(data) > maxBundle {
		return nil, "", fmt.Errorf("has more than %d bytes", maxBundle)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, "", fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case envelope == nil:
		return nil, "", errors.New("holds no statement")
	case envelope.GetPayloadType() != PayloadType:
		return nil, "", fmt.Errorf("holds a %q, where %q is wanted", envelope.GetPayloadType(), PayloadType)
	case len(envelope.GetSignatures()) != 1:
		return nil, "", fmt.Errorf("has %d signatures, where one is wanted", len(envelope.GetSignatures()))
	}
	signed := dsse.PAE(envelope.GetPayloadType(), envelope.GetPayload())
	for _, key := range keys {
		if _, err := key.VerifyBytes(envelope.GetSignatures()[0].GetSig(), signed); err == nil {
			s, err := parseStatement(envelope.GetPayload())
			return s, key.Fingerprint, err
		}
	}
	return nil, "", errors.New("is signed with none of the keys that were given")
}

func parseStatement(data []byte) (*Statement, error) {
	s := &Statement{}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(s); err != nil {
		return nil, fmt.Errorf("its statement is malformed: %w", err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateType || s.Predicate.BuildDefinition.BuildType != BuildType {
		return nil, fmt.Errorf("its statement is about something else: %q, %q, %q", s.Type, s.PredicateType, s.Predicate.BuildDefinition.BuildType)
	}
	return s, nil
}
