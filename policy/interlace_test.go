package policy

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/strictyaml"
)

// talkProfile is the talk's InterlaceProfile with @KEY@ for its key.
const talkProfile = `apiVersion: interlace.argocd.dev/v1beta1
kind: InterlaceProfile
metadata:
  name: kubecon-demo-profile
  namespace: argocd-interlace
spec:
  applicationSelector:
    - matchLabels:
        kubecon: 'demo'
  verifyConfig:
    key:
      PEM: |
        @KEY@
  signConfig:
    key:
      secret: kubecon-demo-sign-key
    match:
      - kind: Deployment
      - kind: Service
`

// withKey puts a key into a profile.
func withKey(profile, pem string) string {
	return strings.ReplaceAll(profile, "@KEY@", strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n        "))
}

// load reads an imported policy as an operator would, with the files that it
// wants.
func load(t *testing.T, imported *Import, files map[string]string) (*Policy, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, imported.Policy, 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

func TestImportInterlace(t *testing.T) {
	imported, err := ImportInterlace([]byte(withKey(talkProfile, publicKey(t))), []string{"github.com/acme/app", "github.com/acme/**"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t, imported, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "kubecon-demo-profile" || len(p.rules) != 2 || p.rules[1].Match != "github.com/acme/**" || p.rules[1].Bound {
		t.Errorf("%+v", p)
	}
	if s := p.Signers(); len(s) != 1 || s[0].Name != "kubecon-demo-profile" || p.rules[0].SignedBy[0] != s[0].Name {
		t.Errorf("%+v", s)
	}
	if s := p.Spec.Sign; s.Key.File != "keys/kubecon-demo-sign-key.key" || !slices.Equal(s.Match, []ResourceMatch{{Kind: "Deployment"}, {Kind: "Service"}}) {
		t.Errorf("%+v", s)
	}
	if p.Spec.Log.Mode != LogNone {
		t.Errorf("%+v", p.Spec.Log)
	}
	if command := "kubectl -n argocd-interlace get secret kubecon-demo-sign-key -o jsonpath='{.data.key}' | base64 -d >keys/kubecon-demo-sign-key.key"; !strings.Contains(string(imported.Policy), command) {
		t.Errorf("the policy does not say where its key comes from:\n%s", imported.Policy)
	}
	for _, r := range imported.Remarks {
		if !strings.Contains(string(imported.Policy), "\n# - "+r.Path+":") {
			t.Errorf("%s is remarked upon, but not in the policy", r.Path)
		}
	}
}

// TestImportDemo imports the profile of the talk's own demonstration. On the
// slide its key's lines are cut off, and the label stands beside matchLabels.
func TestImportDemo(t *testing.T) {
	slide := strings.Replace(talkProfile, "        kubecon:", "      kubecon:", 1)
	cut := `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5znfqEW3LfyMW
jl7n/wWiZxWxtDskyTwFUgWYtILbpJ+j9lJqrPfBlmyp4Lxt0
-----END PUBLIC KEY-----`
	_, err := ImportInterlace([]byte(withKey(slide, cut)), nil)
	if err == nil || !strings.Contains(err.Error(), "12:12: spec.verifyConfig.key.PEM: not a PEM public key") {
		t.Errorf("a key that is cut off: %v", err)
	}
	key, err := os.ReadFile("../../shared/kubecon/cosign.pub")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the demonstration's key is not here")
	} else if err != nil {
		t.Fatal(err)
	}
	imported, err := ImportInterlace([]byte(withKey(slide, string(key))), []string{"github.com/hirokuni-kitahara/sample-kustomize-app"})
	if err != nil {
		t.Fatal(err)
	}
	if !hasRemark(imported, "spec.applicationSelector[0].kubecon", "is no field that a profile is known to have") {
		t.Errorf("the misplaced label vanished: %+v", imported.Remarks)
	}
	p, err := load(t, imported, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Signers()[0].Keys()[0].Fingerprint, "sha256:66e7b47c956826ca17e683d7b72565b03a14e53c0505a1fdd3db7e321dcab4bc"; got != want {
		t.Errorf("the key is %s, want %s", got, want)
	}
}

func hasRemark(imported *Import, path, why string) bool {
	return slices.ContainsFunc(imported.Remarks, func(r Remark) bool {
		return r.Path == path && strings.Contains(r.Why+" "+r.Do+" "+r.Command, why)
	})
}

const armoured = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----"

// TestImportRemarks changes a profile and expects what is said about it, and
// what the policy has instead.
func TestImportRemarks(t *testing.T) {
	for _, tc := range []struct{ old, new, path, why, policy string }{
		{"  applicationSelector:", "  applicationSelector:\n    - name: web-*", "spec.applicationSelector[0].name", "naming the plugin", "# - match: {name: web-*}"},
		{"matchLabels:\n        kubecon: 'demo'", "label: {matchExpressions: [{key: a, operator: In, values: [b]}]}", "spec.applicationSelector[0]", "never sees an Application's labels", ""},
		{"matchLabels:\n        kubecon: 'demo'", "label: {matchLabels: {b: c}}", "spec.applicationSelector[0]", "(b=c)", ""},
		{"    - matchLabels:\n        kubecon: 'demo'", "    - {}", "spec.applicationSelector[0]", "every Application", ""},
		{"applicationSelector:\n    - matchLabels:\n        kubecon: 'demo'", "applicationSelector: []", "spec.applicationSelector", "every Application", ""},
		{"      PEM: |\n        @KEY@", "      secret: verify", "spec.verifyConfig.key.secret", "get secret verify -o jsonpath='{.data.key}' | base64 -d >keys/verify.pub", "publicKey: {file: keys/verify.pub}"},
		{"        @KEY@", "        @KEY@\n      secret: other", "spec.verifyConfig.key.secret", "the Secret is not", "        pem: |"},
		{"      PEM: |\n        @KEY@", "      PEM: |\n        " + strings.ReplaceAll(armoured, "\n", "\n        "), "spec.verifyConfig.key.PEM", "keys/kubecon-demo-profile.asc", "pgp: {file: keys/kubecon-demo-profile.asc}"},
		{"  verifyConfig:\n    key:\n      PEM: |\n        @KEY@\n", "", "spec.verifyConfig.key", "Interlace verified nothing", "publicKey: {file: keys/sources.pub}"},
		{"    key:\n      secret: kubecon-demo-sign-key\n", "", "spec.signConfig.key", "names no key", "key: {file: keys/manifests.key}"},
		{"secret: kubecon-demo-sign-key", "PEM: 's3cret PRIVATE KEY'", "spec.signConfig.key.PEM", "in the clear", "key: {file: keys/kubecon-demo-profile-sign.key}"},
		{"secret: kubecon-demo-sign-key", "PEM: s3cret\n      secret: x", "spec.signConfig.key.secret", "the Secret is not", ""},
		{"    match:\n", "    registry: {secret: r, insecureRegistry: true}\n    match:\n", "spec.signConfig.registry", "nothing that turns TLS off", ""},
		{"    match:\n      - kind: Deployment\n      - kind: Service\n", "", "spec.signConfig.match", "Secrets as well", "key: {file: keys/kubecon-demo-sign-key.key}\n\n"},
		{"kind: Service", "kind: S*", "spec.signConfig.match", "Secrets as well", "- {kind: S*}"},
		{"kind: Service", "kind: Secret", "spec.signConfig.match[1]", "a build that has one fails", "- {kind: Secret}"},
		{"kind: Service", "name: a*b", "spec.signConfig.match[1].name", "a star", "- {name: a*b}"},
		{"kind: Service", "{namespace: '*', group: \"a\\nb\", version: v1}", "spec.signConfig.match[1].namespace", "kustomize prints", `- {group: "a\nb", version: v1, namespace: "*"}`},
		{"spec:\n", "spec:\n  provenanceConfig: {rekorURL: 'https://rekor.example.com/', key: {secret: p}}\n", "spec.provenanceConfig.rekorURL", "refuses the policy until keys/rekor.pub", "    mode: required\n    rekor:\n    - url: \"https://rekor.example.com/\"\n      version: 1"},
		{"spec:\n", "spec:\n  provenanceConfig: {key: {secret: p}}\n", "spec.provenanceConfig.key", "sign.key", ""},
		{"  signConfig:\n", "  signConfig:\n    storageType: oci\n", "spec.signConfig.storageType", "no field that a profile is known", ""},
		{"spec:\n", "spec:\n  protection: {policyType: kyverno}\n", "spec.protection", "no field that a profile is known", ""},
		{"spec:\n", "extra: \"\\e[31m\"\nspec:\n", "extra", "no field", ""},
		{"  namespace: argocd-interlace\n", "  labels: {a: b}\n  managedFields: [{manager: kubectl}]\n", "spec.signConfig.key.secret", "kubectl -n argocd-interlace", ""},
	} {
		changed := strings.Replace(talkProfile, tc.old, tc.new, 1)
		if changed == talkProfile {
			t.Fatalf("%q is not in the profile", tc.old)
		}
		imported, err := ImportInterlace([]byte(withKey(changed, publicKey(t))), []string{"github.com/acme/**"})
		if err != nil {
			t.Errorf("%q: %v", tc.new, err)
			continue
		}
		if !hasRemark(imported, tc.path, tc.why) {
			t.Errorf("%q: no remark on %s with %q: %+v", tc.new, tc.path, tc.why, imported.Remarks)
		}
		if text := string(imported.Policy); !strings.Contains(text, tc.policy) || strings.Contains(text, "s3cret") || strings.Contains(text, "\x1b") {
			t.Errorf("%q: want %q, and nothing secret, in\n%s", tc.new, tc.policy, text)
		}
		if hasRemark(imported, "metadata.managedFields", "") || hasRemark(imported, "metadata.labels", "") {
			t.Errorf("%q: what Kubernetes writes is remarked upon", tc.new)
		}
	}
}

// TestImportRefuses has profiles of which no policy is made, and policies that
// cannot be used before somebody has completed them.
func TestImportRefuses(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"kind: InterlaceProfile", "kind: Deployment", `2:7: kind: want an InterlaceProfile of interlace.argocd.dev/v1beta1, not "Deployment"`},
		{"v1beta1", "v2", "kind: want an InterlaceProfile of interlace.argocd.dev/v1beta1"},
		{"kind: InterlaceProfile", "kind: List", "this is a list of profiles"},
		{"name: kubecon-demo-profile", "name: ../up", `4:9: metadata.name: want a name as Kubernetes accepts it, not "../up"`},
		{"  name: kubecon-demo-profile\n", "", "metadata.name: want a name"},
		{"namespace: argocd-interlace", "namespace: \"x; rm -rf .\"", "metadata.namespace: want a name"},
		{"secret: kubecon-demo-sign-key", "secret: \"$(rm -rf .)\"", "spec.signConfig.key.secret: want a name"},
		{"      PEM: |\n        @KEY@", "      secret: ../../x", "spec.verifyConfig.key.secret: want a name"},
		{"        @KEY@", "        -----BEGIN PRIVATE KEY-----\n        s3cret", "spec.verifyConfig.key.PEM: this is a private key"},
		{"        @KEY@", "        s3cret", "not a PEM public key"},
		{"        @KEY@", "        @KEY@\n        @KEY@", "holds 2 PEM blocks"},
		{"    key:\n      secret: kubecon-demo-sign-key\n", "    key: s3cret PRIVATE KEY\n", "spec.signConfig.key: want a mapping"},
		{"spec:\n", "spec:\n  provenanceConfig: {rekorURL: 'https://u:s3cret@rekor.example.com'}\n", "spec.provenanceConfig.rekorURL: want an https or http URL"},
		{"spec:\n", "spec:\n  provenanceConfig: {rekorURL: rekor.example.com}\n", "rekorURL: want an https"},
		{"spec:\n", "spec:\n  applications: [{selector: {name: x}}]\n", "spec.applications: profiles had this shape before"},
		{"matchLabels:\n        kubecon: 'demo'", "matchLabels: demo", "spec.applicationSelector[0].matchLabels: want a mapping of labels"},
		{"kind: Service", "kind: [Service]", "spec.signConfig.match[1].kind: want string, not a list"},
		{"kind: Service", "kind: Service\n        kind: Secret", "stands here a second time"},
		{talkProfile, "", "the document is empty"},
		{talkProfile, talkProfile + "---\n" + talkProfile, "a second document"},
	} {
		changed := strings.Replace(talkProfile, tc.old, tc.new, 1)
		if changed == talkProfile {
			t.Fatalf("%q is not in the profile", tc.old)
		}
		_, err := ImportInterlace([]byte(withKey(changed, publicKey(t))), nil)
		var problems strictyaml.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want %q, and nothing secret", tc.new, err, tc.want)
		}
	}
	if _, err := ImportInterlace(make([]byte, MaxSize+1), nil); err == nil || !strings.Contains(err.Error(), "more than the") {
		t.Errorf("too large: %v", err)
	}
	good := []byte(withKey(talkProfile, publicKey(t)))
	for _, matches := range [][]string{{""}, {"github.com"}, {matchPlaceholder}, {"https://github.com/a/b"}, {"github.com/a/**", "github.com/a/b"}, {"a/b", "a/b"}} {
		if _, err := ImportInterlace(good, matches); err == nil {
			t.Errorf("accepted %q", matches)
		}
	}
}

// TestImportIncomplete loads policies that still want something of somebody.
func TestImportIncomplete(t *testing.T) {
	good := withKey(talkProfile, publicKey(t))
	imported, err := ImportInterlace([]byte(good), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, imported, nil); err == nil || !strings.Contains(err.Error(), matchPlaceholder) || !hasRemark(imported, "sources", "--match") {
		t.Errorf("without a pattern: %v", err)
	}
	for changed, file := range map[string]string{
		strings.Replace(good, "spec:\n", "spec:\n  provenanceConfig: {rekorURL: 'https://rekor.example.com'}\n", 1): rekorKeyFile,
		strings.Replace(talkProfile, "PEM: |\n        @KEY@", "secret: s", 1):                                       "keys/s.pub",
	} {
		if imported, err = ImportInterlace([]byte(changed), []string{"github.com/acme/**"}); err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, imported, nil); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("without %s: %v", file, err)
		}
		if _, err := load(t, imported, map[string]string{file: publicKey(t)}); err != nil {
			t.Errorf("with %s: %v", file, err)
		}
	}
}

// FuzzImportInterlace holds that what is written reads as what was meant, and
// wants nothing of an operator but files.
func FuzzImportInterlace(f *testing.F) {
	key := publicKey(f)
	f.Add(withKey(talkProfile, key))
	f.Add(withKey(strings.Replace(talkProfile, "kind: Service", "{name: \"\\x7f'\\u2028\\ud83d\\ude00#: \", kind: \"no\", group: '007'}", 1), key))
	f.Add(strings.Replace(talkProfile, "PEM: |\n        @KEY@", "secret: s", 1))
	f.Add(strings.Replace(withKey(talkProfile, key), "spec:\n", "spec:\n  provenanceConfig: {rekorURL: 'https://rekor.example.com/#'}\n", 1))
	f.Fuzz(func(t *testing.T, data string) {
		imported, err := ImportInterlace([]byte(data), []string{"github.com/acme/**"})
		if err != nil {
			return
		}
		var doc document
		if _, err := strictyaml.Decode(imported.Policy, &doc); err != nil {
			t.Fatalf("%v in\n%s", err, imported.Policy)
		}
		var want interlaceProfile
		strictyaml.Decode([]byte(data), &want) // unknown fields are errors here, and everything else is read
		if doc.Metadata.Name != want.Metadata.Name || !slices.Equal(doc.Spec.Sign.Match, want.Spec.SignConfig.Match) || len(doc.Spec.Signers) != 1 || len(doc.Spec.Sources) != 1 {
			t.Fatalf("from\n%s\nwas made\n%s", data, imported.Policy)
		}
		if url := want.Spec.ProvenanceConfig.RekorURL; url != "" && doc.Spec.Log.Rekor[0].URL != url {
			t.Fatalf("log %q, want %q", doc.Spec.Log.Rekor[0].URL, url)
		}
		if doc.Spec.Signers[want.Metadata.Name].PGP != nil {
			return
		}
		if _, err := parse("policy.yaml", imported.Policy, func(string) ([]byte, error) { return []byte(key), nil }); err != nil {
			t.Fatalf("%v in\n%s", err, imported.Policy)
		}
	})
}
