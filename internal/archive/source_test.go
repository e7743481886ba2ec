package archive

import (
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.com/a.tar.gz":                             "https://example.com/a.tar.gz",
		"http://example.com:8080/a.zip?token=secret":               "http://example.com:8080/a.zip",
		"https://example.com/a::b.zip":                             "https://example.com/a::b.zip",
		"s3::https://s3.amazonaws.com/b/k.zip":                     "s3::https://s3.amazonaws.com/b/k.zip",
		"s3::https://s3-eu-west-1.amazonaws.com/b/k.zip":           "s3::https://s3-eu-west-1.amazonaws.com/b/k.zip",
		"s3::https://b.s3.eu-west-1.amazonaws.com/k.zip?version=1": "s3::https://b.s3.eu-west-1.amazonaws.com/k.zip",
		"s3::https://minio.corp.example:9000/b/k.zip?region=x":     "s3::https://minio.corp.example:9000/b/k.zip",
		"gcs::https://www.googleapis.com/storage/v1/b/o.zip#7":     "gcs::https://www.googleapis.com/storage/v1/b/o.zip",
	} {
		src, err := parseSource(raw)
		if err != nil || src.String() != want {
			t.Errorf("%s: %v, %v; want %s", raw, src, err, want)
		}
	}
}

func TestParseSourceRefuses(t *testing.T) {
	const scheme = "neither https://"
	for raw, want := range map[string]string{
		"":                                                        scheme,
		"example.com/a.zip":                                       scheme,
		"/etc/passwd.zip":                                         scheme,
		"file:///etc/a.zip":                                       scheme,
		"git::https://h/secret.zip":                               scheme,
		"s3::gcs::https://h/secret.zip":                           scheme,
		"https::https://h/secret.zip":                             scheme,
		"s3::/bucket/secret.zip":                                  scheme,
		"s3://bucket/secret.zip":                                  scheme,
		"https:secret.zip":                                        scheme,
		"https:///a.zip":                                          scheme,
		"https://me:secret@h/a.zip":                               "holds a user or password",
		"https://secret@h/a.zip":                                  "holds a user or password",
		"https://me:secret%zz@h/a.zip":                            "cannot be parsed",
		"https://h:secret/a.zip":                                  "cannot be parsed",
		"https://h/a.zip//sub":                                    "segment",
		"https://h/../a.zip":                                      "segment",
		"https://h/%2e%2e/a.zip":                                  "segment",
		"https://h/a.zip/":                                        "segment",
		"https://h":                                               "segment",
		"https://h/a.zip#secret":                                  "fragment",
		"https://h/a.zip?x=secret;y":                              "malformed",
		"https://h/a.zip?x=%zzsecret":                             "malformed",
		"https://h/a.zip?archive=false":                           `"archive"`,
		"https://h/a.zip?checksum=secret":                         `"checksum"`,
		"https://h/a.zip?filename=secret":                         `"filename"`,
		"https://h/a.zip?sshkey=secret":                           `"sshkey"`,
		"s3::https://h/b/a.zip?x=1":                               `"x"`,
		"gcs::https://h/b/a.zip?region=1":                         `"region"`,
		"s3::https://h/b/a.zip?aws_profile=secret":                `"aws_profile"`,
		"s3::https://h/b/a.zip?aws_access_key_id=secret":          `"aws_access_key_id"`,
		"s3::https://h/b/a.zip?aws_access_key_secret=secret":      `"aws_access_key_secret"`,
		"s3::https://h/b/a.zip?aws_access_token=secret":           `"aws_access_token"`,
		"s3::https://s3.evilamazonaws.com/b/a.zip":                "want the host as",
		"s3::https://s3.eu-west-1.amazonaws.com/b/a.zip":          "want the host as",
		"s3::https://b.ec2.eu-west-1.amazonaws.com/a.zip":         "want the host as",
		"s3::https://b.c.s3.eu-west-1.amazonaws.com/a.zip":        "want the host as",
		"gcs::http://www.googleapis.com/storage/v1/b/a.zip":       "want https://www.googleapis.com/storage/v1/",
		"gcs::https://storage.googleapis.com/b/a.zip":             "want https://www.googleapis.com/storage/v1/",
		"gcs::https://www.googleapis.com/other/v1/b/a.zip":        "want https://www.googleapis.com/storage/v1/",
		"gcs::https://www.googleapis.com/storage/v1/b/a.zip#main": "no generation",
	} {
		_, err := parseSource(raw)
		wantError(t, err, want)
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "_secret", ""), "secret") {
			t.Errorf("%v: repeats what may be a secret", err)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		`Get "https://h/a.zip?x=1&y=%22": dial tcp`: `Get "https://h/a.zip": dial tcp`,
		`Get "https://h/a?x=\"quoted\"": refused`:   `Get "https://h/a": refused`,
		`see https://h/a?x=1, or https://h/b`:       `see https://h/a, or https://h/b`,
		`see https://h/a?x=1`:                       `see https://h/a`,
		`what? no URL`:                              `what? no URL`,
		`key is s/k+y, or s%2Fk%2By`:                `key is (a secret), or (a secret)`,
	} {
		if got := withoutSecrets(text, &S3Credentials{SecretAccessKey: "s/k+y"}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
