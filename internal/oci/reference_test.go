package oci

import (
	"errors"
	"strings"
	"testing"
)

const someDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	for _, test := range []struct {
		raw, want string // want as String has it
	}{
		{"oci://ghcr.io/acme/bases", "oci://ghcr.io/acme/bases:latest"},
		{"oci://ghcr.io/acme/bases:v1", "oci://ghcr.io/acme/bases:v1"},
		{"oci://ghcr.io/acme/bases:v1//web/prod", "oci://ghcr.io/acme/bases:v1//web/prod"},
		{"oci://ghcr.io/acme/bases//web?ref=v1", "oci://ghcr.io/acme/bases:v1//web"},
		{"oci://ghcr.io/acme/bases?ref=sha256:" + someDigest, "oci://ghcr.io/acme/bases@sha256:" + someDigest},
		{"oci://ghcr.io/acme/bases@sha256:" + someDigest + "//web", "oci://ghcr.io/acme/bases@sha256:" + someDigest + "//web"},
		{"oci://GHCR.io:443/acme/bases", "oci://ghcr.io/acme/bases:latest"},
		{"oci://localhost:5000/a", "oci://localhost:5000/a:latest"},
		{"oci://localhost:443/a", "oci://localhost:443/a:latest"},
		{"oci://registry:5000/a", "oci://registry:5000/a:latest"},
		{"oci://[0:0::1]:5000/a", "oci://[::1]:5000/a:latest"},
		{"oci://docker.io/nginx", "oci://index.docker.io/library/nginx:latest"},
		{"oci://registry-1.docker.io:443/acme/nginx", "oci://index.docker.io/acme/nginx:latest"},
		{"oci://ghcr.io/a//", "oci://ghcr.io/a:latest"},
		{"oci://ghcr.io/a//.//b/./c/", "oci://ghcr.io/a:latest//b/c"},
		{"oci://ghcr.io/a__b/c--d.e", "oci://ghcr.io/a__b/c--d.e:latest"},
	} {
		r, err := Parse(test.raw)
		if err != nil || r.String() != test.want {
			t.Errorf("%s: %v, %v, want %s", test.raw, r, err, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"https://ghcr.io/a":                           "not an oci:// URL",
		"OCI://ghcr.io/a":                             "not an oci:// URL",
		"oci://ghcr.io":                               "no repository",
		"oci:////ghcr.io/a":                           "no repository",
		"oci://ghcr.io/":                              "not a repository's name",
		"oci://ghcr.io/a/":                            "not a repository's name",
		"oci://ghcr.io/A":                             "not a repository's name",
		"oci://ghcr.io/a/../b":                        "not a repository's name",
		"oci://ghcr.io/a..b":                          "not a repository's name",
		"oci://ghcr.io/-a":                            "not a repository's name",
		"oci://ghcr.io/" + strings.Repeat("a", 250):   "more than 255 bytes",
		"oci://acme/bases":                            "neither dot nor port",
		"oci:///a":                                    "not a host's name",
		"oci://ghcr.io./a":                            "not a host's name",
		"oci://-x.io/a":                               "not a host's name",
		"oci://127.1/a":                               "not a host's name",
		"oci://0x7f000001:5000/a":                     "not a host's name",
		"oci://2130706433:5000/a":                     "not a host's name",
		"oci://ghcr.io:/a":                            "port",
		"oci://ghcr.io:0443/a":                        "port",
		"oci://ghcr.io:65536/a":                       "port",
		"oci://ghcr.io:http/a":                        "port",
		"oci://[::1]5000/a":                           "malformed",
		"oci://[::1/a":                                "port",
		"oci://[fe80::1-eth0]:5000/a":                 "IPv6",
		"oci://[::ffff:127.0.0.1]:5000/a":             "IPv6",
		"oci://[127.0.0.1]:5000/a":                    "IPv6",
		"oci://ghcr.io/a:":                            "not a tag",
		"oci://ghcr.io/a:-x":                          "not a tag",
		"oci://ghcr.io/a:" + strings.Repeat("x", 129): "not a tag",
		"oci://ghcr.io/a?ref=":                        "not a tag",
		"oci://ghcr.io/a?ref=v1&ref=v2":               "not a tag",
		"oci://ghcr.io/a?":                            "something else than ref=",
		"oci://ghcr.io/a?version=v1":                  "something else than ref=",
		"oci://ghcr.io/a@sha256:abc":                  "not a digest",
		"oci://ghcr.io/a@sha256:" + strings.ToUpper(someDigest): "not a digest",
		"oci://ghcr.io/a:v1@sha256:" + someDigest:               "more than once",
		"oci://ghcr.io/a:v1?ref=v1":                             "more than once",
		"oci://ghcr.io/a@sha256:" + someDigest + "?ref=v1":      "more than once",
		"oci://ghcr.io/a//..":                                   ".. in it",
		"oci://ghcr.io/a//b/../c":                               ".. in it",
		"oci://ghcr.io/a//b:v1":                                 "before //",
		"oci://ghcr.io/a//b@sha256:" + someDigest:               "before //",
		"oci://ghcr.io/a//b%2e":                                 "unprintable",
		"oci://ghcr.io/a#x":                                     "unprintable",
		"oci://ghcr.io/a//b\nc":                                 "unprintable",
		"oci://ghcr.io/a//b\xff":                                "unprintable",
	} {
		r, err := Parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want an error with %q", raw, r, err, want)
		}
	}
}

func TestParseRepeatsNoSecret(t *testing.T) {
	for _, raw := range []string{
		"oci://u:hunter2@ghcr.io/a", "oci://hunter2@ghcr.io/a", "oci://u:hunter2/x@ghcr.io/a",
		"oci://u:hunter2@sha256:x/a", "oci://ghcr.io/a@hunter2", "oci://u:x@y@ghcr.io/hunter2",
	} {
		if _, err := Parse(raw); !errors.Is(err, ErrSecret) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if _, err := Parse("oci://ghcr.io/a?token=hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestLoopbackAndInternal(t *testing.T) {
	for host, want := range map[string][2]bool{
		"localhost": {true, true}, "localhost:5000": {true, true}, "127.0.0.1:1": {true, true}, "127.9.9.9": {true, true},
		"[::1]:5000": {true, true}, "[::1]": {true, true}, "a.localhost": {false, true}, "localhost.evil.example": {false, false},
		"10.0.0.1": {false, true}, "169.254.169.254": {false, true}, "[fe80::1%25eth0]": {false, true}, "[::ffff:10.0.0.1]:1": {false, true},
		"127.1": {false, true}, "0x7f.1": {false, true}, "0": {false, true}, "LOCALHOST": {false, true},
		"ghcr.io": {false, false}, "8.8.8.8": {false, false}, "my_bucket.s3.amazonaws.com": {false, false}, "registry.local": {false, false},
	} {
		if got := [2]bool{isLoopback(host), isInternal(host)}; got != want {
			t.Errorf("%s: loopback, internal = %v, want %v", host, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"oci://ghcr.io/acme/bases:v1//web", "oci://[::1]:5000/a@sha256:" + someDigest, "oci://docker.io/nginx?ref=v1",
		"oci://u:p@h.io/a", "oci://localhost:443/a//b/../c", "oci://127.0.0.1/a:latest?ref=sha256:" + someDigest,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := Parse(raw)
		if err != nil {
			if r != (Reference{}) {
				t.Errorf("%q: a reference beside an error: %v", raw, r)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil || again != r {
			t.Errorf("%q: %+v, read again: %+v, %v", raw, r, again, err)
		}
		if (r.Tag == "") == (r.Digest == "") || strings.Contains("/"+r.Path+"/", "/../") || strings.HasPrefix(r.Path, "/") {
			t.Errorf("%q: %+v", raw, r)
		}
		if _, err := r.registry(); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
