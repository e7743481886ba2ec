package fn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/fn/framework"
	"sigs.k8s.io/kustomize/kyaml/kio"

	"github.com/trustomize/trustomize"
)

const testPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
spec:
  sources: [{match: github.com/acme/base, pinned: [{commit: bb8adffb03c7d8be5b1ca0af5eb5ee1c27182db6}]}]
  sign: none
  manifestSign: {key: {file: in.key}}
  manifestVerify: {keys: [{file: in.pub}]}
  log: {mode: none}
`

var remove []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range remove {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// request has a policy with a key.
func request(t testing.TB) trustomize.Request {
	t.Helper()
	dir, err := os.MkdirTemp("", "fn-")
	if err != nil {
		t.Fatal(err)
	}
	remove = append(remove, dir)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"policy.yaml": []byte(testPolicy),
		"in.key":      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"in.pub":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return trustomize.Request{PolicyFile: filepath.Join(dir, "policy.yaml"), CacheDir: filepath.Join(dir, "cache"), Now: time.Unix(1760000000, 0)}
}

var shared trustomize.Request

// sharedRequest is one for all, so that what one test signs another can verify.
func sharedRequest(t testing.TB) trustomize.Request {
	t.Helper()
	if shared.PolicyFile == "" {
		shared = request(t)
	}
	return shared
}

// listOf is a ResourceList with a functionConfig.
func listOf(items, config string) string {
	return "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n" + items +
		"functionConfig:\n  apiVersion: trustomize.dev/v1alpha1\n  metadata: {name: test}\n  " + strings.ReplaceAll(config, "\n", "\n  ") + "\n"
}

func run(t testing.TB, req trustomize.Request, in string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Run(context.Background(), req, strings.NewReader(in), &out)
	return out.String(), err
}

const mixed = `- apiVersion: v1
  kind: Secret # stays out
  # of what is signed
  type: Opaque
  metadata: {annotations: {b: "2", a: "1"}, name: s}
- kind: Service
  apiVersion: v1
  metadata:
    name: web # a name
    annotations:
      internal.config.kubernetes.io/path: web.yaml
      internal.config.kubernetes.io/index: "3"
  spec: {ports: [{port: 80}]} # ports
- apiVersion: v1
  kind: Service
  metadata: {name: alias, labels: &labels {a: b}}
  spec: {selector: *labels}
- apiVersion: v1
  kind: Secret
  metadata: {name: t, labels: &labels {a: b}, annotations: *labels}
  stringData: {a: yes} # nobody looks
`

// TestRoundTrip: signed items keep their comments and the order of their fields,
// and the others every byte.
func TestRoundTrip(t *testing.T) {
	req := request(t)
	out, err := run(t, req, listOf(mixed, "kind: ManifestSigner"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		mixed[:strings.Index(mixed, "- kind: Service")],
		"- kind: Service\n  apiVersion: v1\n  metadata:\n    name: web # a name\n    annotations:\n      internal.config.kubernetes.io/path: web.yaml\n      internal.config.kubernetes.io/index: \"3\"\n",
		"  spec: {ports: [{port: 80}]} # ports\n", "  spec: {selector: {a: b}}\n", mixed[strings.LastIndex(mixed, "- apiVersion"):], "message: 2 of 4 resources signed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	again, err := run(t, req, listOf(mixed, "kind: ManifestSigner"))
	if err != nil || again != out {
		t.Errorf("another time: %v\n%s", err, again)
	}
	signed := out[:strings.Index(out, "functionConfig:")]
	signed = strings.TrimPrefix(signed, "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n")
	checked, err := run(t, req, listOf(signed, "kind: SignatureCheck\nspec: {match: [{kind: Service}]}"))
	if err != nil || !strings.Contains(checked, signed) || !strings.Contains(checked, "2 of 4 resources verified, 2 not looked at") {
		t.Errorf("%v\n%s", err, checked)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"changed":       {"port: 80", "port: 81", "field:\n    path: spec.ports[0].port\n"},
		"taken away":    {"name: alias", "name: other", "[changed]"},
		"the signature": {"cosign.sigstore.dev/signature: '", "cosign.sigstore.dev/signature: 'x", "[malformed]"},
	} {
		out, err := run(t, req, listOf(strings.Replace(signed, c.old, c.new, 1), "kind: SignatureCheck\nspec: {match: [{kind: Service}]}"))
		if err == nil || !strings.Contains(out, c.want) || !strings.Contains(out, "items: []") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestVersions: older lists keep their version.
func TestVersions(t *testing.T) {
	req := request(t)
	for version := range versions {
		in := strings.Replace(listOf(mixed, "kind: ManifestSigner"), "config.kubernetes.io/v1", version, 1)
		out, err := run(t, req, in)
		if err != nil || !strings.HasPrefix(out, "apiVersion: "+version+"\nkind: ResourceList\n") {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
}

// TestBombs are inputs that stand for much more than they are.
func TestBombs(t *testing.T) {
	req := request(t)
	var bomb strings.Builder
	bomb.WriteString("- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for n := range 12 {
		fmt.Fprintf(&bomb, "  a%d: &a%[1]d [*a%[2]d, *a%[2]d, *a%[2]d, *a%[2]d, *a%[2]d, *a%[2]d, *a%[2]d, *a%[2]d]\n", n+1, n)
	}
	for name, in := range map[string]string{
		"aliases":   listOf(bomb.String(), "kind: ManifestSigner"),
		"itself":    listOf("- &a {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: *a}\n", "kind: SignatureCheck"),
		"many keys": listOf("- {apiVersion: v1, kind: Foo, metadata: {name: a, annotations: {"+manyKeys(30_000)+"}}}\n", "kind: ManifestSigner"),
		"depth":     listOf("- "+strings.Repeat("{a: ", 20000)+strings.Repeat("}", 20000)+"\n", "kind: ManifestSigner"),
	} {
		out, err := run(t, req, in)
		if err == nil || !strings.Contains(out, "severity: error") {
			t.Errorf("%s: %v\n%.300s", name, err, out)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "internal.kpt.dev/k%d: a, ", i)
	}
	return b.String()
}

// FuzzRun holds that whatever comes in, a ResourceList comes out, and with an error
// none of its items.
func FuzzRun(f *testing.F) {
	f.Add(listOf(mixed, "kind: ManifestSigner"))
	f.Add(listOf(mixed, "kind: SignatureCheck\nspec: {match: [{kind: Service}]}"))
	f.Add(listOf("", "kind: VerifiedBase\nspec: {bases: [{url: a}]}"))
	f.Add("a: [\n---\n")
	req := request(f)
	req.Offline = true
	f.Fuzz(func(t *testing.T, in string) {
		out, err := run(t, req, in)
		r := &kio.ByteReader{Reader: strings.NewReader(out), OmitReaderAnnotations: true}
		items, readErr := r.Read()
		if readErr != nil || r.WrappingKind != kio.ResourceListKind || err != nil && len(items) > 0 || err != nil && r.Results == nil {
			t.Errorf("%v, %v:\n%s", err, readErr, out)
		}
		if err != nil || !strings.Contains(out, "kind: ManifestSigner") || strings.Contains(out, "message: 0 of ") {
			return
		}
		// What was signed is what is there.
		if checked, err := run(t, req, strings.ReplaceAll(out, "kind: ManifestSigner", "kind: SignatureCheck")); strings.Contains(checked, "[changed]") {
			t.Errorf("%v:\n%s", err, out)
		}
	})
}

// many are the items of a large package.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web-%d, namespace: web, labels: {app: web-%[1]d}}
  spec:
    replicas: %d
    selector: {matchLabels: {app: web-%[1]d}}
    template:
      metadata: {labels: {app: web-%[1]d}}
      spec:
        containers:
        - name: web
          image: registry.example.com/web:%[2]d
          ports: [{containerPort: 8080}]
          env: [{name: A, value: "1"}, {name: B, value: "2"}]
          resources: {requests: {cpu: 100m, memory: 64Mi}}
`, i, i%7)
	}
	return b.String()
}

// BenchmarkSigner and BenchmarkNothing are a pair: 2,000 items through the signer,
// and through a function on the same framework that does nothing.
func BenchmarkSigner(b *testing.B) {
	req, in := request(b), listOf(many(2000), "kind: ManifestSigner")
	for b.Loop() {
		if err := Run(context.Background(), req, strings.NewReader(in), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNothing(b *testing.B) {
	in := listOf(many(2000), "kind: ManifestSigner")
	nothing := framework.ResourceListProcessorFunc(func(*framework.ResourceList) error { return nil })
	for b.Loop() {
		rw := &kio.ByteReadWriter{Reader: strings.NewReader(in), Writer: io.Discard, KeepReaderAnnotations: true}
		if err := framework.Execute(nothing, rw); err != nil {
			b.Fatal(err)
		}
	}
}
