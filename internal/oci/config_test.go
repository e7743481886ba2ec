package oci

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestLoadConfig(t *testing.T) {
	keys, err := LoadConfig([]byte(`{
		"auths": {
			"https://index.docker.io/v1/": {"auth": "` + encoded("hub:p:q") + `"},
			"https://index.docker.io/v1/access-token": {},
			"GHCR.io:443": {"username": "gh", "password": "p"},
			"acr.example": {"auth": "` + encoded("00000000:") + `", "identitytoken": "refresh"},
			"stored.example": {}
		},
		"credsStore": "desktop",
		"credHelpers": {"gcr.io": "gcloud", "ghcr.io:8443": "x"},
		"HttpHeaders": {"User-Agent": "docker"}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]authn.AuthConfig{
		dockerHub:     {Username: "hub", Password: "p:q"},
		"ghcr.io":     {Username: "gh", Password: "p"},
		"acr.example": {Username: "00000000", IdentityToken: "refresh"},
		"quay.io":     {}, "x.ghcr.io": {}, "ghcr.io:444": {}, "": {},
	} {
		if got, err := keys(host); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", host, got, err, want)
		}
	}
	for _, host := range []string{"gcr.io", "ghcr.io:8443", "stored.example"} {
		if got, err := keys(host); err == nil || !strings.Contains(err.Error(), "helper") || got != (authn.AuthConfig{}) {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	for config, want := range map[string]string{
		`{"auths": {"a.io": {"auth": "hunter2"}}}`:                              "cannot be read",
		`{"auths": {"a.io": {"auth": "` + encoded("hunter2") + `"}}}`:           "cannot be read",
		`{"auths": {"a.io": {"auth": 12345678}}}`:                               "cannot be read",
		`{"auths": "hunter2"}`:                                                  "not JSON",
		`hunter2`:                                                               "not JSON",
		`{"auths": {"quay.io/acme": {"username": "u", "password": "hunter2"}}}`: "part of a registry",
		`{"auths": {"*.gcr.io": {"username": "u", "password": "hunter2"}}}`:     "not a host's name",
		`{"auths": {"a.io": {"username": "u"}}}`:                                "lacks",
		`{"auths": {"a.io": {"password": "hunter2"}}}`:                          "lacks",
		`{"auths": {"a.io": {"username": "u", "password": "hunter2"}, "A.io": {"username": "v", "password": "p"}}}`: "differ",
		`{"credHelpers": {"*": "x"}}`: "not a host's name",
	} {
		keys, err := LoadConfig([]byte(config))
		if err == nil || keys != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}
