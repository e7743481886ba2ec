package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/identity"
)

func publicKey(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/team.pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	team   = "{publicKey: {file: team.pub}}"
	pinned = `pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}]`
)

const good = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
metadata: {name: platform}
spec:
  signers:
    team: {publicKey: {file: team.pub}}
    lead: {publicKey: {file: lead.pub}}
  sources:
  - match: github.com/acme/mono//teams/a
    signedBy: [team]
    threshold: 1
    closure: reached
  - {match: github.com/acme/**, signedBy: [team, lead], threshold: 2, bound: true}
  - match: github.com/other/base
    pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}]
  mirrors: [{prefix: github.com/, to: "https://git.example.com/mirror/"}]
  limits: {sources: 3, fetchTimeout: 90s}
  allow: {fileURLs: true}
  sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}
  log: {mode: required, rekor: [{url: "https://rekor.example.com", version: 2, publicKey: {file: lead.pub}}]}
`

func parseWith(t testing.TB, doc string) (*Policy, error) {
	t.Helper()
	files := map[string]string{"team.pub": publicKey(t), "lead.pub": publicKey(t), "out.pub": outPublic, "bad.pub": "no key"}
	return parse("/policy/policy.yaml", []byte(doc), func(name string) ([]byte, error) {
		data, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("open %s: no such file", name)
		}
		return []byte(data), nil
	})
}

// outPublic is a public key of no signer's.
const outPublic = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

// TestManifestTrust: of a revoked key, no signature counts, and it is told why.
func TestManifestTrust(t *testing.T) {
	doc := strings.Replace(good, "  allow:", "  manifestVerify: {keys: [{file: out.pub}]}\n  allow:", 1)
	p, err := parseWith(t, doc)
	if err != nil || len(p.ManifestKeys()) != 1 || len(p.ManifestTrust()) != 1 {
		t.Fatal(p, err)
	}
	key := p.ManifestKeys()[0]
	p, err = parseWith(t, strings.Replace(doc, "  allow:", "  revoked: ['"+key.Fingerprint+"']\n  allow:", 1))
	if err != nil || len(p.ManifestKeys()) != 0 || len(p.ManifestTrust()) != 1 {
		t.Error(p, err)
	}
}

func TestParse(t *testing.T) {
	p, err := parseWith(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "platform" || p.Spec.Limits.Sources != 3 || p.Spec.Limits.Depth != DefaultDepth || len(p.LogKeys()) != 1 || len(p.Signers()) != 2 {
		t.Errorf("%+v", p)
	}
	for _, tc := range []struct{ id, file, match string }{
		{"github.com/acme/mono", "teams/a/k.yaml", "github.com/acme/mono//teams/a"},
		{"github.com/acme/mono", "teams/b/k.yaml", "github.com/acme/**"},
		{"github.com/other/base", "k.yaml", "github.com/other/base"},
		{"github.com/other/base2", "k.yaml", ""},
		{"http:github.com/acme/app", "k.yaml", ""},
	} {
		r, ok := p.Rule(identity.Identity(tc.id), tc.file)
		if ok != (tc.match != "") || ok && r.Match != tc.match {
			t.Errorf("%s//%s: %v", tc.id, tc.file, r)
		}
		if p.Knows(identity.Identity(tc.id)) != ok {
			t.Errorf("%s: Knows is %v", tc.id, !ok)
		}
	}
	if r, _ := p.Rule("github.com/acme/x", "k"); len(r.Signers) != 2 || r.Threshold != 2 || r.Closure != ClosureTree {
		t.Errorf("%+v", r)
	}
	if p.Path("x") != "/policy/x" || p.Path("/x") != "/x" {
		t.Error("paths are not relative to the policy's folder")
	}
}

func TestLogModes(t *testing.T) {
	for _, mode := range []LogMode{LogRequired, LogSpool} {
		p, err := parseWith(t, strings.Replace(good, "mode: required", "mode: "+string(mode), 1))
		if err != nil || p.Spec.Log.Mode != mode || len(p.LogKeys()) != 1 {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestMirror(t *testing.T) {
	for _, tc := range []struct{ prefix, to, id, repository, want string }{
		{"github.com/", "https://m/x/", "github.com/acme/app", "acme/app.git", "https://m/x/acme/app.git"},
		{"github.com", "/srv", "github.com/acme/app", "acme/app", "/srv/acme/app"},
		{"github.com/acme/", "ssh://m/y", "github.com/acme/app", "acme/app", "ssh://m/y/app"},
		{"github.com/acme/app", "/srv/one.git", "github.com/acme/app", "acme/app.git", "/srv/one.git"},
		{"github.com/acme", "/srv", "github.com/acme-evil/app", "acme-evil/app", "CLONE"},
		{"github.com/", "/srv", "github.com.evil.com/acme/app", "acme/app", "CLONE"},
		{"github.com/", "/srv", "http:github.com/acme/app", "acme/app", "CLONE"},
		{"http:github.com/", "/srv", "http:github.com/acme/app", "acme/app", "/srv/acme/app"},
		{"github.com/", "https://m", "github.com/acme/a+b", "acme/a+b", "https://m/acme/a+b"},
	} {
		p := &Policy{Spec: Spec{Mirrors: []Mirror{{tc.prefix, tc.to}}}}
		if got := p.Mirror(identity.Identity(tc.id), tc.repository, "CLONE"); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.prefix, got, tc.want)
		}
	}
}

// TestProblems changes one line of a good policy at a time.
func TestProblems(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"kind: Policy", "kind: Polizei", "2:7: kind: want Policy"},
		{"apiVersion: trustomize.dev/v1alpha1", "apiVersion: v1", "1:13: apiVersion: want trustomize.dev/v1alpha1"},
		{"    signedBy: [team]\n", "    signdBy: [team]\n", "10:5: spec.sources[0].signdBy: unknown field"},
		{"signedBy: [team]\n", "signedBy: [nobody]\n", "10:16: spec.sources[0].signedBy[0]: no signer is named \"nobody\"; named are lead, team"},
		{"[team, lead]", "[team, team]", "spec.sources[1].signedBy[1]: \"team\" is named twice"},
		{"threshold: 2", "threshold: 3", "threshold: want a number from 1 to the 2 signers"},
		{"threshold: 2", "threshold: -1", "threshold: want a number"},
		{"closure: reached", "closure: none", "12:14: spec.sources[0].closure: want \"tree\" or \"reached\""},
		{"match: github.com/other/base", "match: github.com/acme/late", "14:12: spec.sources[2].match: can never apply: rule 2"},
		{"match: github.com/other/base", "match: https://github.com/x/y", "spec.sources[2].match"},
		{"commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6", "commit: bb8adff", "spec.sources[2].pinned[0].commit: want a full commit id"},
		{`"sha256:0`, `"sha512:0`, "spec.sources[2].pinned[0].digest"},
		{"    pinned: [", "    refs: [main]\n    pinned: [", "15:12: spec.sources[2].refs[0]: want a full name below refs/heads/ or refs/tags/"},
		{"    pinned: [", "    refs: [refs/pull/1/head]\n    pinned: [", "spec.sources[2].refs[0]: want a full name"},
		{"    pinned: [", "    lockedBy: [team]\n    pinned: [", "lockedBy: says whose locks count besides the root's; it wants locked: true"},
		{"    pinned: [", "    locked: true\n    lockedBy: [nobody]\n    pinned: [", "lockedBy[0]: no signer is named"},
		{"    pinned: [", "    commitSignedBy: [team]\n    pinned: [", "commitSignedBy: wants refs as well"},
		{"    pinned: [", "    artifactSignedBy: [team]\n    pinned: [", "artifactSignedBy: this version cannot"},
		{"    pinned: [", "    unverified: {reason: x, until: 2030-01-01}\n    pinned: [", "unverified: lets pass what nobody vouches for, and the rule says who does"},
		{"    pinned: [", "    bound: true\n    pinned: [", "bound, threshold and closure"},
		{"file: team.pub", "file: none.pub", "spec.signers.team.publicKey.file: open none.pub"},
		{"file: team.pub", "file: bad.pub", "not a PEM public key"},
		{"{publicKey: {file: team.pub}}", "{pgp: {file: x}}", "spec.signers.team.pgp.file: open x"},
		{"{publicKey: {file: team.pub}}", "{ssh: {file: x}}", "spec.signers.team.ssh.file: open x"},
		{"{publicKey: {file: team.pub}}", "{keyless: {issuer: x, subject: y}}", "spec.signers.team.keyless.trustedRoot: not said"},
		{"{publicKey: {file: team.pub}}", "{publicKey: {kms: \"awskms:///x\"}}", "publicKey: verification is offline"},
		{"{publicKey: {file: team.pub}}", "{publicKey: {}}", "want exactly one of file, pem"},
		{"{publicKey: {file: team.pub}}", "{}", "spec.signers.team: want exactly one of publicKey, keyless, pgp, ssh"},
		{"prefix: github.com/", "prefix: GitHub.com/", "spec.mirrors[0].prefix: want a host in lower case"},
		{`to: "https://git.example.com/mirror/"`, `to: "ext::sh -c x"`, "spec.mirrors[0].to: want"},
		{`to: "https://git.example.com/mirror/"`, `to: mirror`, "spec.mirrors[0].to: want"},
		{`to: "https://git.example.com/mirror/"`, `to: "https://u:p@git.example.com/"`, "holds a user or password"},
		{"prefix: github.com/", "prefix: github.com/acme/app.git", "spec.mirrors[0].prefix: want a host"},
		{"mirrors: [", "mirrors: [{prefix: github.com, to: /srv}, ", "spec.mirrors[1].prefix: can never apply: mirror 1"},
		{"match: github.com/other/base", "match: github.com:443/other/base", "spec.sources[2].match"},
		{"match: github.com/other/base", "match: github.com/other/b%61se", "spec.sources[2].match"},
		{"    pinned: [", "    refs: []\n    pinned: [", "refs: names no ref"},
		{"threshold: 2", "threshold: 0", "threshold: want a number"},
		{"sources: 3", "sources: 010", "spec.limits.sources: want int"},
		{"sources: 3", "sources: -3", "spec.limits.sources: want a positive number"},
		{"fetchTimeout: 90s", "fetchTimeout: 90", "want a duration such as 90s"},
		{"allow: {fileURLs: true}", "allow: {flags: [--enable-helm]}", "spec.allow.flags[0]: \"--enable-helm\" is none of the flags"},
		{"allow: {fileURLs: true}", "allow: {flags: [load-restrictor]}", "spec.allow.flags[0]"},
		{"sources: 3", "redirects: -1", "spec.limits.redirects: want a number"},
		{"  sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}\n", "", "spec.sign: not said"},
		{"sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}", "sign: {}", "spec.sign: want a key, or none"},
		{"sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}", "sign: never", "want none, or a mapping"},
		{"sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}", "sign: none", "a statement is logged with a signature"},
		{"key: {file: out.key}", "key: {file: out.key}, unverifiedKey: {}", "spec.sign.unverifiedKey: want exactly one of file, pem"},
		{team, "{publicKey: {file: team.pub}, pgp: {file: x}}", "spec.signers.team: want exactly one of"},
		{team, "{publicKey: {file: team.pub}, allowExpired: {before: 2023-01-01}}", "allowExpired: stands beside pgp or ssh"},
		{team, "{publicKey: {file: team.pub}, notAfter: 2023-02-30}", "want a day such as 2027-01-31"},
		{team, "{publicKey: {file: team.pub}, trustedRoot: {file: bad.pub}}", "spec.signers.team.trustedRoot.file: bad.pub"},
		{team, "{pgp: {file: bad.pub}, trustedRoot: {file: bad.pub}}", "spec.signers.team.trustedRoot: stands beside publicKey"},
		{team, "{pgp: {file: bad.pub}}", "spec.signers.team.pgp.file: bad.pub"},
		{team, "{pgp: {file: bad.pub}, allowExpired: {}}", "allowExpired.before: not said"},
		{team, "{ssh: {file: bad.pub}}", "spec.signers.team.ssh.file: bad.pub"},
		{team, "{keyless: {subject: y, trustedRoot: {file: bad.pub}}}", "want exactly one of issuer, issuerRegExp"},
		{team, "{keyless: {issuer: x, subject: y, subjectRegExp: z, trustedRoot: {file: bad.pub}}}", "want exactly one of subject, subjectRegExp"},
		{team, "{keyless: {issuer: x, subject: \"https://github.com/acme/*\", trustedRoot: {file: bad.pub}}}", "patterns go into subjectRegExp"},
		{team, "{keyless: {issuer: x, subject: y, trustedRoot: {file: bad.pub}}}", "spec.signers.team.keyless.trustedRoot.file: bad.pub"},
		{team, "{keyless: {issuer: x, subject: y, sct: off, trustedRoot: {file: bad.pub}}}", "sct: want \"required\" or \"none\""},
		{"  sources:", "  revoked: [abc]\n  sources:", "spec.revoked[0]: want a key's fingerprint"},
		{"  sources:", "  enforcement: warn\n  sources:", "spec.enforcement: want \"enforce\" or \"audit\""},
		{"  sources:", "  report: {}\n  sources:", "spec.report.file: not said"},
		{"signedBy: [team]\n    threshold: 1", "signedBy: []\n    pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6}]\n    threshold: 1", "signedBy: names no signer"},
		{pinned, "unverified: {}", "unverified.reason: not said"},
		{pinned, "unverified: {reason: x}", "unverified.until: not said"},
		{pinned, "unverified: {reason: x, until: 2027-01-31T00:00:00Z}", "want a day such as 2027-01-31"},
		{pinned, "refs: [refs/heads/main]\n    commitSignedBy: [nobody]", "no signer is named \"nobody\""},
		{"{mode: required, rekor:", "{mode: spool} #", "spec.log.rekor: want exactly one log, not 0"},
		{"sign: {key: {file: out.key}, match: [{kind: Deployment, group: apps}]}\n  log: {mode: required", "sign: none\n  log: {mode: spool", "spec.log.mode: a statement is logged with a signature"},
		{"mode: required", "mode: none", "spec.log.rekor: a log is named"},
		{"mode: required, ", "", "spec.log.mode: not said"},
		{"version: 2", "version: 3", "spec.log.rekor[0].version: want 1 or 2"},
		{"https://rekor.example.com", "rekor.example.com", "spec.log.rekor[0].url"},
		{", publicKey: {file: lead.pub}}]", "}]", "spec.log.rekor[0].publicKey: not said"},
		{"  allow:", "  applications: []\n  allow:", "spec.applications: names none"},
		{"  allow:", "  applications: [{enforcement: audit}]\n  allow:", "spec.applications[0]: has no match"},
		{"  allow:", "  applications: [{match: {project: a}}, {match: {}}, {match: {name: b}}]\n  allow:", "spec.applications[2].match: can never apply: entry 2"},
		{"  allow:", "  applications: [{match: {repository: \"https://github.com/x/y\"}}]\n  allow:", "spec.applications[0].match.repository"},
		{"  allow:", "  applications: [{match: {}, emits: []}]\n  allow:", "emits: names nothing"},
		{"  allow:", "  applications: [{match: {}, sources: []}]\n  allow:", "sources: names no rule"},
		{"  allow:", "  applications: [{match: {}, sources: [{match: github.com/a/b}]}]\n  allow:", "spec.applications[0].sources[0]: nothing vouches"},
		{"  allow:", "  applications: [{match: {}, sign: {}}]\n  allow:", "spec.applications[0].sign: want a key"},
		{"  allow:", "  applications: [{match: {}, overrides: {images: yes}}]\n  allow:", "want true, or a list of patterns"},
		{"  allow:", "  applications: [{match: {}, overrides: {images: [\"\"]}}]\n  allow:", "images[0]: is empty"},
		{"  allow:", "  applications: [{match: {}, overrides: {replicas: [web]}}]\n  allow:", "replicas[0]: want NAME=VALUE"},
		{"  allow:", "  applications: [{match: {}, overrides: {patches: [web]}}]\n  allow:", "patches[0]: want KIND/NAME"},
		{"  allow:", "  applications: [{match: {}, overrides: {buildOptions: [reorder]}}]\n  allow:", "buildOptions[0]: want a flag"},
		{"  allow:", "  applications: [{match: {}, overrides: {helm: true}}]\n  allow:", "unknown field"},
		{"  allow:", "  credentials: [{prefix: x.example/}]\n  allow:", "spec.credentials[0]: want exactly one of basic, bearer"},
		{"  allow:", "  credentials: [{prefix: x.example/, helper: /x, bearer: {env: X}}]\n  allow:", "spec.credentials[0]: want exactly one of basic, bearer"},
		{"  allow:", "  credentials: [{prefix: x.example/, s3: {environment: true, accessKeyID: {env: A}}}]\n  allow:", "want a key, or environment: true, not both"},
		{"  allow:", "  credentials: [{prefix: x.example/, s3: {accessKeyID: {env: A}}}]\n  allow:", "s3.secretAccessKey: want exactly one of file, env"},
		{"  allow:", "  credentials: [{prefix: x.example/, gcs: {}}]\n  allow:", "gcs: want environment: true"},
		{"  allow:", "  credentials: [{prefix: X.example/, helper: /x}]\n  allow:", "spec.credentials[0].prefix: want a host"},
		{"  allow:", "  credentials: [{prefix: x.example, helper: /x}, {prefix: x.example/a, helper: /x}]\n  allow:", "spec.credentials[1].prefix: can never apply"},
		{"  allow:", "  credentials: [{prefix: x.example/, helper: \"x; rm\"}]\n  allow:", "spec.credentials[0].helper: want the absolute path"},
		{"  allow:", "  credentials: [{prefix: x.example/, basic: {username: u, password: {env: A, file: b}}}]\n  allow:", "basic.password: want exactly one of file, env"},
		{"  allow:", "  credentials: [{prefix: x.example/, basic: {username: \"u:v\", password: {env: A}}}]\n  allow:", "basic.username: want a name without a colon"},
		{"  allow:", "  credentials: [{prefix: x.example/, bearer: {env: \"A=B\"}}]\n  allow:", "bearer.env: want a variable's name"},
		{"  allow:", "  credentials: [{prefix: x.example/, ssh: {}}]\n  allow:", "ssh: want a key, knownHosts, or both"},
		{"  allow:", "  credentials: [{prefix: x.example/, registryConfig: {file: c}}]\n  allow:", "registryConfig is for prefixes that begin with oci:"},
		{"  allow:", "  credentials: [{prefix: \"oci:x.example/\", bearer: {env: A}}]\n  allow:", "registryConfig is for prefixes that begin with oci:"},
		{"mirrors: [", "mirrors: [{prefix: \"oci:x.example/\", to: \"https://y/\"}, ", "want oci: on both sides"},
		{"  allow:", "  manifestSign: {}\n  allow:", "spec.manifestSign.key: not said"},
		{"  allow:", "  manifestSign: {key: {}}\n  allow:", "spec.manifestSign.key: want exactly one of file, pem, kms, keyless"},
		{"  allow:", "  manifestSign: {key: {file: x, kms: \"a://b\"}}\n  allow:", "spec.manifestSign.key: want exactly one of"},
		{"  allow:", "  manifestSign: {key: {kms: \"awskms\"}}\n  allow:", "spec.manifestSign.key.kms: want NAME://ID"},
		{"  allow:", "  manifestSign: {key: {kms: \"a://b\", password: {env: A}}}\n  allow:", "spec.manifestSign.key.password: stands beside"},
		{"  allow:", "  manifestSign: {key: {file: x, password: {env: A, file: b}}}\n  allow:", "password: want exactly one of file, env"},
		{"  allow:", "  manifestSign: {key: {file: x}, embedSecrets: true}\n  allow:", "spec.manifestSign.embedSecrets: wants kind: Secret"},
		{"  allow:", "  manifestSign: {key: {keyless: {issuer: a, subject: b}}}\n  allow:", "keyless.trustedRoot: not said"},
		{"  allow:", "  manifestVerify: {keys: [{file: team.pub}]}\n  allow:", "spec.manifestVerify: has the key of signer \""},
		{"  allow:", "  applications: [{match: {project: web}, sign: {key: {file: a.key}, unverifiedKey: {file: out.key}}}]\n  allow:", "spec.applications[0].sign.unverifiedKey: is spec.sign.key;"},
		{"  allow:", "  manifestVerify: {}\n  allow:", "spec.manifestVerify.keys: names no key"},
		{"  allow:", "  manifestVerify: {keys: [{file: nosuch.pub}]}\n  allow:", "spec.manifestVerify.keys[0].file"},
	} {
		doc := strings.Replace(good, tc.old, tc.new, 1)
		if doc == good {
			t.Fatalf("%q is not in the policy", tc.old)
		}
		_, err := parseWith(t, doc)
		var problems *Error
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q for %q: %v, want %q", tc.new, tc.old, err, tc.want)
		}
	}
}

// TestAllProblems reports what cannot be decoded together with what makes no
// sense, each once and where it stands.
func TestAllProblems(t *testing.T) {
	_, err := parseWith(t, `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  signers:
    team: {publicKey: {file: nosuch.pub}}
  sources:
  - {match: github.com/acme/**, signedby: [team]}
  - {match: github.com/other, signedBy: [team, lead]}
  sing: none
`)
	want := []string{
		"5:30: spec.signers.team.publicKey.file",
		"7:33: spec.sources[0].signedby: unknown field",
		"8:48: spec.sources[1].signedBy[1]: no signer is named",
		"9:3: spec.sing: unknown field",
		"spec.sign: not said",
		"spec.log.mode: not said",
	}
	var problems *Error
	if !errors.As(err, &problems) || len(problems.Problems) != len(want) {
		t.Fatalf("%v", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v\nlacks %q", err, text)
		}
	}
}

func TestRefPattern(t *testing.T) {
	for pattern, refs := range map[string]map[string]bool{
		"refs/heads/main":       {"refs/heads/main": true, "refs/heads/main2": false, "refs/heads/Main": false, "refs/heads/x/main": false},
		"refs/tags/v*":          {"refs/tags/v1.2": true, "refs/tags/v": true, "refs/tags/v1/x": false, "refs/heads/v1": false},
		"refs/heads/release/**": {"refs/heads/release/a/b": true, "refs/heads/release": false},
		"refs/tags/1.0":         {"refs/tags/1.0": true, "refs/tags/1x0": false},
	} {
		p, err := ParseRefPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for ref, want := range refs {
			if p.Matches(ref) != want {
				t.Errorf("%s matches %s: %v", pattern, ref, !want)
			}
		}
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	p := &Policy{File: filepath.Join(dir, "policy.yaml")}
	variables := map[string]string{"TOKEN": "s3cret", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	for name, data := range map[string]string{"one": "s3cret\n", "two": "s3cret\nmore\n", "none": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for secret, want := range map[Secret]string{
		{Env: "TOKEN"}: "s3cret", {Env: "EMPTY"}: "", {Env: "NOSUCH"}: "",
		{File: "one"}: "s3cret", {File: "two"}: "", {File: "none"}: "", {File: "nosuch"}: "",
	} {
		got, err := p.ReadSecret(&secret, lookup)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%+v: %q, %v", secret, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	doc := strings.NewReplacer("threshold: 2", "threshold: 9", "version: 2", "version: 9", "team.pub", "none.pub").Replace(good)
	_, err := parseWith(t, doc)
	var problems *Error
	if !errors.As(err, &problems) || len(problems.Problems) != 3 {
		t.Fatalf("%v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	if !strings.HasPrefix(lines[0], "policy /policy/policy.yaml:6:") || !strings.HasPrefix(lines[2], "policy /policy/policy.yaml:20:") {
		t.Errorf("not in order of the lines: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if _, err := Load(file); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory was read")
	}
	doc := "apiVersion: trustomize.dev/v1alpha1\nkind: Policy\nspec: {signers: {t: {publicKey: {file: keys/t.pub}}}, sources: [{match: a/b, signedBy: [t]}], sign: none, log: {mode: none}}\n"
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "keys"), 0o700), os.WriteFile(filepath.Join(dir, "keys/t.pub"), []byte(publicKey(t)), 0o600), os.WriteFile(file, []byte(doc), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Error(err)
	}
}

// TestDocs reads the policies that the documentation shows.
func TestDocs(t *testing.T) {
	for file, frame := range map[string]string{
		"policy.md":     "%s",
		"signatures.md": "apiVersion: trustomize.dev/v1alpha1\nkind: Policy\n%s  sources: [{match: a.example/b, signedBy: [demo]}]\n  sign: none\n  log: {mode: none}\n",
	} {
		data, err := os.ReadFile(filepath.Join("..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(data), "```yaml\n")
		doc, _, ok2 := strings.Cut(rest, "```")
		if !ok || !ok2 {
			t.Fatalf("%s has no example", file)
		}
		if _, err := parse("policy.yaml", fmt.Appendf(nil, frame, doc), exampleFile); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// exampleFile returns a file that an example names: the one in testdata, or a
// public key for any other name.
func exampleFile(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if errors.Is(err, os.ErrNotExist) {
		return os.ReadFile("testdata/team.pub")
	}
	return data, err
}

func FuzzPolicy(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, doc string) {
		p, err := parse("policy.yaml", []byte(doc), func(string) ([]byte, error) { return nil, os.ErrNotExist })
		if err == nil && (p.Spec.Sign == nil || p.Spec.Log == nil || len(p.rules) != len(p.Spec.Sources)) {
			t.Fatalf("%+v", p)
		}
	})
}

func ExampleLoad() {
	p, err := Load("testdata/policy.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	rule, _ := p.Rule("github.com/acme/app", "kustomization.yaml")
	fmt.Println(rule.Match, rule.SignedBy)
	_, ok := p.Rule("github.com/acme-evil/app", "kustomization.yaml")
	fmt.Println(ok)
	// Output:
	// github.com/acme/** [team]
	// false
}
