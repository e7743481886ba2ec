package signer

import (
	"strings"
	"testing"
	"time"
)

const (
	config     = `{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", `
	someCA     = `"caUrls": [{"url": "https://fulcio.example.com", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "a"}], `
	someLogs   = `"rekorTlogUrls": [{"url": "https://v1.example.com", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "a"}, {"url": "https://v2.example.com", "majorApiVersion": 2, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "a"}], `
	anyLog     = `"rekorTlogConfig": {"selector": "ANY"}, `
	someTSAs   = `"tsaUrls": [{"url": "https://a.example.com/t", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "a"}, {"url": "https://b.example.com/t", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "b"}], `
	allTSAs    = `"tsaConfig": {"selector": "ALL"}}`
	wholeSetup = config + someCA + someLogs + anyLog + someTSAs + allTSAs
)

func TestParseSigningConfig(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := ParseSigningConfig([]byte(wholeSetup), now)
	if err != nil {
		t.Fatal(err)
	}
	if s.Fulcio != "https://fulcio.example.com" || len(s.Rekor) != 1 || s.Rekor[0] != (RekorService{"https://v2.example.com", 2}) || len(s.Timestamp) != 2 {
		t.Errorf("%+v", s)
	}
	old := strings.Replace(wholeSetup, `"https://v2.example.com", "majorApiVersion": 2, "validFor": {"start": "2024-01-01T00:00:00Z"`, `"https://v2.example.com", "majorApiVersion": 2, "validFor": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"`, 1)
	if s, err = ParseSigningConfig([]byte(old), now); err != nil || s.Rekor[0].Version != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, tc := range map[string]struct{ data, want string }{
		"nothing":         {"", "syntax error"},
		"another version": {strings.Replace(wholeSetup, "v0.2", "v0.1", 1), "media type"},
		"unknown field":   {config + `"fulcio": "x", ` + someCA + someLogs + anyLog + someTSAs + allTSAs, "unknown field"},
		"no authority":    {config + someLogs + anyLog + someTSAs + allTSAs, "caUrls"},
		"a later Fulcio":  {strings.Replace(wholeSetup, `fulcio.example.com", "majorApiVersion": 1`, `fulcio.example.com", "majorApiVersion": 2`, 1), "caUrls"},
		"not yet":         {strings.ReplaceAll(wholeSetup, "2024-", "2027-"), "caUrls"},
		"no log":          {config + someCA + anyLog + someTSAs + allTSAs, "no log"},
		"how many logs":   {config + someCA + someLogs + someTSAs + allTSAs, "rekorTlogUrls: invalid service selector"},
		"too many":        {strings.Replace(wholeSetup, `"ALL"`, `"EXACT", "count": 3`, 1), "tsaUrls"},
		"no time":         {config + someCA + someLogs + `"rekorTlogConfig": {"selector": "ANY"}}`, "tells no time"},
		"plain http":      {strings.Replace(wholeSetup, "https://fulcio", "http://fulcio", 1), "identity token"},
		"no URL":          {strings.Replace(wholeSetup, "https://fulcio", "fulcio", 1), "want an https"},
		"a password":      {strings.Replace(wholeSetup, "https://v2", "https://u:p@v2", 1), "want an https"},
		"a file":          {strings.Replace(wholeSetup, "https://b", "file://b", 1), "want an https"},
		"large":           {wholeSetup + strings.Repeat(" ", maxSigningConfig), "more than"},
	} {
		if s, err := ParseSigningConfig([]byte(tc.data), now); err == nil || !strings.Contains(err.Error(), tc.want) || s.Fulcio != "" {
			t.Errorf("%s: %+v, %v, want %q", name, s, err, tc.want)
		}
	}
}

func FuzzParseSigningConfig(f *testing.F) {
	f.Add([]byte(wholeSetup))
	f.Add([]byte(config + `"caUrls": [null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSigningConfig(data, time.Unix(1770000000, 0))
		if err == nil && (s.Fulcio == "" || len(s.Rekor) == 0) {
			t.Fatalf("%q: %+v", data, s)
		}
	})
}
