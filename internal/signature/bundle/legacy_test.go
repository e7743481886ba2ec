package bundle

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/trustomize/trustomize/internal/signature"
)

// legacy returns the signature as cosign's legacy bundle.
func legacy(t *testing.T, s *signed, logged bool) signature.Signature {
	t.Helper()
	return legacyFile(t, legacyOf(t, s, logged))
}

func legacyFile(t *testing.T, fields map[string]any) signature.Signature {
	t.Helper()
	data, err := json.Marshal(fields)
	must(t, err)
	return signature.Signature{Kind: signature.LegacyBundle, Data: data}
}

func legacyOf(t *testing.T, s *signed, logged bool) map[string]any {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString
	fields := map[string]any{"base64Signature": b64(s.raw)}
	if s.cert != nil {
		text, err := cryptoutils.MarshalCertificateToPEM(s.cert)
		must(t, err)
		fields["cert"] = b64(text)
	}
	if logged {
		e := s.entry()
		fields["rekorBundle"] = map[string]any{
			"SignedEntryTimestamp": b64(e.InclusionPromise.SignedEntryTimestamp),
			"Payload": map[string]any{
				"body": b64(e.CanonicalizedBody), "integratedTime": e.IntegratedTime, "logIndex": e.LogIndex, "logID": hex.EncodeToString(e.LogId.KeyId),
			},
		}
	}
	return fields
}

func TestLegacy(t *testing.T) {
	v := newVirtual(t)
	r := v.root()
	s, twin := v.sign(signing{}), v.sign(signing{})
	text, err := cryptoutils.MarshalCertificateToPEM(s.cert)
	must(t, err)
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		reason signature.Reason
		text   string // "": good
	}{
		{"as cosign writes it", func(map[string]any) {}, 0, ""},
		{"its certificate in PEM", func(m map[string]any) { m["cert"] = string(text) }, 0, ""},
		{"no entry", func(m map[string]any) { delete(m, "rekorBundle") }, signature.Unproven, "has no log entry"},
		{"the entry of another signature", func(m map[string]any) { m["rekorBundle"] = legacyOf(t, twin, true)["rekorBundle"] }, signature.Unproven, "another signature"},
		{"another signature", func(m map[string]any) { m["base64Signature"] = b64(twin.raw) }, signature.Mismatch, "another certificate"},
		{"no certificate", func(m map[string]any) { delete(m, "cert") }, signature.Stranger, "made with a key"},
		{"a key for a certificate", func(m map[string]any) {
			pub, err := cryptoutils.MarshalPublicKeyToPEM(s.cert.PublicKey)
			must(t, err)
			m["cert"] = b64(pub)
		}, signature.Malformed, "not a PEM certificate"},
		{"two certificates", func(m map[string]any) { m["cert"] = b64(append(text, text...)) }, signature.Malformed, "want one certificate"},
		{"a certificate cut short", func(m map[string]any) { m["cert"] = b64(text[:100]) }, signature.Malformed, "not a PEM certificate"},
		{"a body that is no string", func(m map[string]any) { payload(m)["body"] = map[string]any{} }, signature.Malformed, "body"},
		{"a body that is no JSON", func(m map[string]any) { payload(m)["body"] = b64([]byte("x")) }, signature.Malformed, "body"},
		{"a body of an unknown kind", func(m map[string]any) { payload(m)["body"] = b64([]byte(`{"kind":"x","apiVersion":"1"}`)) }, signature.Malformed, "not a well-formed bundle"},
		{"a log id that is no number", func(m map[string]any) { payload(m)["logID"] = "x" }, signature.Malformed, "logID"},
		{"another time", func(m map[string]any) { payload(m)["integratedTime"] = s.at.Unix() + 1 }, signature.Unproven, "does not verify"},
		{"no promise", func(m map[string]any) { m["rekorBundle"].(map[string]any)["SignedEntryTimestamp"] = "" }, signature.Malformed, "promises missing"},
		{"an unknown field", func(m map[string]any) { m["x"] = 1 }, signature.Malformed, "unknown field"},
		{"an envelope", func(m map[string]any) {
			m["base64Signature"] = b64([]byte(`{"payloadType":"text/plain","payload":"","signatures":[]}`))
		}, signature.OtherKind, "want a signature over the list itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields := maps.Clone(legacyOf(t, s, true))
			c.change(fields)
			got, err := trust(t, acme, r).Verify(legacyFile(t, fields), message, signature.When{})
			if c.text != "" {
				wantError(t, err, c.reason, c.text)
				return
			}
			if err != nil || got.Kind != signature.LegacyBundle || got.Identity != subject || got.Proven.Unix() != s.at.Unix() {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
	sig := legacy(t, s, true)
	for _, data := range [][]byte{sig.Data[:len(sig.Data)-1], append(sig.Data, '{', '}')} {
		_, err := trust(t, acme, r).Verify(signature.Signature{Kind: signature.LegacyBundle, Data: data}, message, signature.When{})
		wantError(t, err, signature.Malformed, "not a well-formed bundle")
	}
}

func payload(m map[string]any) map[string]any {
	return m["rekorBundle"].(map[string]any)["Payload"].(map[string]any)
}
