package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/signature"
)

// stated is a trust that found this evidence: what is tested is what the policy
// makes of evidence.
type stated struct {
	signature.Evidence
	keys []signature.KeyInfo
}

func (s stated) Verify(signature.Signature, []byte, signature.When) (signature.Evidence, error) {
	return s.Evidence, nil
}
func (s stated) String() string            { return "stated" }
func (s stated) Keys() []signature.KeyInfo { return s.keys }

func on(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func dayOf(t *testing.T, text string) Date {
	t.Helper()
	var d Date
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSignerCounts(t *testing.T) {
	const key, primary = "pgp:1111111111111111111111111111111111111111", "pgp:2222222222222222222222222222222222222222"
	at := func(text string) time.Time { return on(t, text) }
	for name, tc := range map[string]struct {
		evidence signature.Evidence
		spec     Signer
		revoked  []string
		now      string
		want     signature.Reason // -1 counts
		text     string
	}{
		"plain":                    {now: "2026-01-01 00:00:00", want: -1},
		"revoked":                  {revoked: []string{key}, want: signature.Revoked, text: key},
		"primary key revoked":      {revoked: []string{primary}, want: signature.Revoked, text: primary},
		"revoked and expired":      {evidence: signature.Evidence{Expires: at("2020-01-01 00:00:00")}, revoked: []string{key}, want: signature.Revoked},
		"another one revoked":      {revoked: []string{"pgp:3333333333333333333333333333333333333333"}, want: -1},
		"not expired yet":          {evidence: signature.Evidence{Expires: at("2026-01-02 00:00:00")}, want: -1},
		"expired":                  {evidence: signature.Evidence{Expires: at("2023-02-15 10:00:00"), Claimed: at("2022-01-01 00:00:00")}, want: signature.Expired, text: "2023-02-15"},
		"expired this moment":      {evidence: signature.Evidence{Expires: at("2026-01-01 00:00:00")}, want: signature.Expired},
		"expired and allowed":      {evidence: signature.Evidence{Expires: at("2023-02-15 10:00:00"), Claimed: at("2023-02-14 23:59:59")}, spec: Signer{AllowExpired: &AllowExpired{dayOf(t, "2023-02-15")}}, want: -1},
		"expired, signed that day": {evidence: signature.Evidence{Expires: at("2023-02-15 10:00:00"), Claimed: at("2023-02-15 00:00:00")}, spec: Signer{AllowExpired: &AllowExpired{dayOf(t, "2023-02-15")}}, want: signature.Expired, text: "claims to have been made on 2023-02-15"},
		"expired, without a time":  {evidence: signature.Evidence{Expires: at("2023-02-15 10:00:00")}, spec: Signer{AllowExpired: &AllowExpired{dayOf(t, "2023-02-15")}}, want: signature.Expired, text: "says when"},
		"before notAfter":          {spec: Signer{NotAfter: dayOf(t, "2026-01-01")}, now: "2026-01-01 23:59:59", want: -1},
		"after notAfter":           {spec: Signer{NotAfter: dayOf(t, "2026-01-01")}, now: "2026-01-02 00:00:00", want: signature.Expired, text: "nothing that is trusted proves"},
		"claimed before notAfter":  {evidence: signature.Evidence{Claimed: at("2025-01-01 00:00:00")}, spec: Signer{NotAfter: dayOf(t, "2026-01-01")}, now: "2026-01-02 00:00:00", want: signature.Expired},
		"proven before notAfter":   {evidence: signature.Evidence{Proven: at("2025-01-01 00:00:00")}, spec: Signer{NotAfter: dayOf(t, "2026-01-01")}, now: "2026-01-02 00:00:00", want: -1},
		"proven after notAfter":    {evidence: signature.Evidence{Proven: at("2026-01-02 00:00:00")}, spec: Signer{NotAfter: dayOf(t, "2026-01-01")}, now: "2026-02-01 00:00:00", want: signature.Expired, text: "made on 2026-01-02"},
		"its own repository":       {evidence: signature.Evidence{Repository: "https://github.com/acme/app"}, spec: Signer{Keyless: &Keyless{}}, want: -1},
		"another repository":       {evidence: signature.Evidence{Repository: "https://github.com/acme/app2", Identity: "workflow"}, spec: Signer{Keyless: &Keyless{}}, want: signature.Stranger, text: "app2"},
		"any repository":           {evidence: signature.Evidence{Repository: "https://github.com/acme/app2"}, spec: Signer{Keyless: &Keyless{AnyRepository: true}}, want: -1},
		"no URL for a repository":  {evidence: signature.Evidence{Repository: "::"}, spec: Signer{Keyless: &Keyless{}}, want: signature.Stranger},
	} {
		if tc.now == "" {
			tc.now = "2026-01-01 00:00:00"
		}
		tc.evidence.Fingerprint, tc.evidence.Above = key, []string{primary}
		s := &NamedSigner{Name: "x", trust: stated{Evidence: tc.evidence}, spec: &tc.spec, revoked: tc.revoked}
		got := signature.Reason(-1)
		_, err := s.Verify(signature.Signature{}, nil, Occasion{signature.When{Now: at(tc.now)}, identity.Identity("github.com/acme/app")})
		var why *signature.Error
		if errors.As(err, &why) {
			got = why.Reason
		}
		if got != tc.want || err != nil && !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDistinct(t *testing.T) {
	key := func(names ...string) signature.Evidence {
		return signature.Evidence{Fingerprint: names[0], Also: names[1:]}
	}
	certified := func(fingerprint, authority, identity string) signature.Evidence {
		return signature.Evidence{Kind: signature.SSH, Fingerprint: fingerprint, Above: []string{authority}, Identity: identity}
	}
	keyless := func(fingerprint, identity string) signature.Evidence {
		return signature.Evidence{Kind: signature.Bundle, Fingerprint: fingerprint, Above: []string{"root"}, Issuer: "issuer", Identity: identity}
	}
	subkey := func(fingerprint, primary string) signature.Evidence {
		return signature.Evidence{Kind: signature.PGP, Fingerprint: fingerprint, Above: []string{primary}}
	}
	type vouched = map[string][]signature.Evidence
	for name, tc := range map[string]struct {
		vouched vouched
		want    int
	}{
		"nobody":                        {nil, 0},
		"two with a key each":           {vouched{"a": {key("1")}, "b": {key("2")}}, 2},
		"one with two keys":             {vouched{"a": {key("1"), key("2")}}, 1},
		"one key under two names":       {vouched{"a": {key("1")}, "b": {key("1")}}, 1},
		"one key in two encodings":      {vouched{"a": {key("ssh", "spki")}, "b": {key("spki", "ssh")}}, 1},
		"the shared key can be spared":  {vouched{"a": {key("1"), key("2")}, "b": {key("1")}}, 2},
		"three on two keys":             {vouched{"a": {key("1"), key("2")}, "b": {key("1")}, "c": {key("2")}}, 2},
		"a chain":                       {vouched{"a": {key("1")}, "b": {key("1"), key("2")}, "c": {key("2"), key("3")}}, 3},
		"one person's two certificates": {vouched{"a": {certified("1", "ca", "alice")}, "b": {certified("2", "ca", "alice")}}, 1},
		"one certificate, two names":    {vouched{"a": {certified("1", "ca", "alice")}, "b": {certified("1", "ca", "admin")}}, 1},
		"two persons of one authority":  {vouched{"a": {certified("1", "ca", "alice")}, "b": {certified("2", "ca", "bob")}}, 2},
		"one identity signs twice":      {vouched{"a": {keyless("1", "x")}, "b": {keyless("2", "x")}}, 1},
		"two identities":                {vouched{"a": {keyless("1", "x")}, "b": {keyless("2", "y")}}, 2},
		"two subkeys of one key":        {vouched{"a": {subkey("1", "p")}, "b": {subkey("2", "p")}}, 1},
	} {
		if got := Distinct(tc.vouched); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	doc := strings.Replace(good, team, "{publicKey: {file: team.pub}, notAfter: 2026-12-01}", 1)
	doc = strings.Replace(doc, pinned, "unverified: {reason: x, until: 2026-10-31}", 1)
	p, err := parseWith(t, doc)
	if err != nil {
		t.Fatal(err)
	}
	p.signers["lead"].trust = stated{keys: []signature.KeyInfo{
		{Fingerprint: "pgp:1", Holder: "Lead", Expires: on(t, "2026-11-20 00:00:00")}, {Fingerprint: "pgp:2", Expires: on(t, "2027-11-20 00:00:00")},
	}}
	for now, want := range map[string][]string{
		"2026-09-01 00:00:00": nil,
		"2026-10-10 00:00:00": {"15:17: spec.sources[2].unverified.until: this exception ends in 22 days, on 2026-11-01"},
		"2026-11-03 00:00:00": {
			"spec.signers.team.notAfter: this signer ends in 29 days, on 2026-12-02",
			"spec.signers.lead: key pgp:1 of Lead ends in 17 days, on 2026-11-20",
			"this exception ended on 2026-11-01",
		},
	} {
		warnings := p.Warnings(on(t, now))
		if len(warnings) != len(want) {
			t.Errorf("%s: %v", now, warnings)
		}
		for _, text := range want {
			if !strings.Contains(warnings.Error(), text[strings.Index(text, "spec")+1:]) {
				t.Errorf("%s: %v\nlacks %q", now, warnings, text)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	p, err := parseWith(t, good)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		id, path string
		rules    []string
		passed   int
	}{
		{"github.com/acme/mono", "", []string{"github.com/acme/mono//teams/a", "github.com/acme/**"}, 0},
		{"github.com/acme/mono", "teams/a/x", []string{"github.com/acme/mono//teams/a"}, 0},
		{"github.com/acme/mono", "teams/b", []string{"github.com/acme/**"}, 1},
		{"github.com/other/base", "", []string{"github.com/other/base"}, 2},
		{"github.com/nobody/x", "", nil, 3},
	} {
		e := p.Explain(identity.Identity(tc.id), tc.path)
		var rules []string
		for _, r := range e.Rules {
			rules = append(rules, r.Match)
			if len(r.Requires) == 0 || r.Line == 0 {
				t.Errorf("%+v", r)
			}
		}
		if strings.Join(rules, " ") != strings.Join(tc.rules, " ") || len(e.Passed) != tc.passed || !strings.Contains(e.From, "git.example.com") {
			t.Errorf("%s//%s: %+v", tc.id, tc.path, e)
		}
	}
}
