package trustomize

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// fixture is two signed repositories, app loading base, served as mirrors, and
// a policy for them.
type fixture struct {
	dir string
	git string
	req Request
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git")
	}
	f := &fixture{dir: t.TempDir(), git: git}
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	key := f.key(t, "team")
	f.key(t, "out")
	f.write(t, "policy.yaml", strings.ReplaceAll(fixturePolicy, "DIR", f.dir))
	f.write(t, "mirror/acme/base/kustomization.yaml", "resources: [cm.yaml]\n")
	f.write(t, "mirror/acme/base/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\ndata: {is: verified}\n")
	f.write(t, "mirror/acme/app/kustomization.yaml", "namePrefix: app-\nresources:\n- https://github.com/acme/base\n- svc.yaml\nconfigMapGenerator: [{name: gen, files: [data.txt]}]\n")
	f.write(t, "mirror/acme/app/svc.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: svc}\nspec: {ports: [{port: 80}]}\n")
	f.write(t, "mirror/acme/app/data.txt", "verified\n")
	for _, name := range []string{"base", "app"} {
		f.sign(t, name, key)
	}
	f.req = Request{Now: time.Now(),
		Target: "https://github.com/acme/app", PolicyFile: filepath.Join(f.dir, "policy.yaml"), CacheDir: filepath.Join(f.dir, "cache"),
		Git: git, Password: func() ([]byte, error) { return nil, errors.New("no password") },
	}
	return f
}

const fixturePolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
metadata: {name: fixture}
spec:
  signers: {team: {publicKey: {file: team.pub}}}
  sources: [{match: github.com/acme/*, signedBy: [team], bound: true}]
  mirrors: [{prefix: github.com/, to: DIR/mirror}]
  sign: {key: {file: out.key}}
  log: {mode: none}
`

func (f *fixture) write(t testing.TB, name, data string) {
	t.Helper()
	file := filepath.Join(f.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) key(t testing.TB, name string) *signer.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	key, err := signer.OpenKey(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, name+".key", string(data))
	f.write(t, name+".pub", string(public))
	return key
}

func (f *fixture) sign(t testing.TB, name string, key *signer.Key) {
	t.Helper()
	dir := filepath.Join(f.dir, "mirror/acme", name)
	f.run(t, dir, "init", "-q", "-b", "main")
	req := MaterialsRequest{Dir: dir, Source: "https://github.com/acme/" + name, Git: f.git}
	if _, err := SignMaterials(context.Background(), req, func(context.Context) (signer.Detached, error) { return key, nil }); err != nil {
		t.Fatal(err)
	}
	f.run(t, dir, "add", "-A")
	f.run(t, dir, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x")
}

func (f *fixture) run(t testing.TB, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command(f.git, append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %s", args, out)
	}
}

// TestVerifiedBytesAreBuiltBytes replaces, between verification and build,
// everything that lies on disk: the local source, the objects and files of the
// mirrors, and the cache.
func TestVerifiedBytesAreBuiltBytes(t *testing.T) {
	for name, local := range map[string]bool{"from a URL": false, "from a directory": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if local {
				f.req.Target, f.req.Source = filepath.Join(f.dir, "mirror/acme/app"), "https://github.com/acme/app"
			}
			want, err := Build(context.Background(), f.req)
			if err != nil {
				t.Fatal(err)
			}
			report, _, err := verify(context.Background(), f.req)
			if err != nil || report.Err() != nil {
				t.Fatal(err, report.Err())
			}
			changed := f.corrupt(t)
			if changed < 20 {
				t.Fatalf("only %d files were replaced", changed)
			}
			resources, err := run(report.Graph, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := resources.AsYaml()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(got, []byte("EVIL")) || !bytes.Contains(got, []byte("is: verified")) {
				t.Errorf("other bytes than the verified ones came out:\n%s", got)
			}
			if plain := withoutAnnotations(string(want.YAML)); plain != string(got) {
				t.Errorf("got\n%s\nwant\n%s", got, plain)
			}
			// And what is there now is refused, or cannot be read.
			if result, err := Build(context.Background(), f.req); err == nil {
				t.Errorf("built from replaced bytes:\n%s", result.YAML)
			}
		})
	}
}

// corrupt replaces the content of every file of the mirrors and the cache.
func (f *fixture) corrupt(t *testing.T) int {
	t.Helper()
	n := 0
	for _, top := range []string{"mirror", "cache"} {
		err := filepath.WalkDir(filepath.Join(f.dir, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			n++
			_ = os.Chmod(p, 0o644)
			return os.WriteFile(p, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: EVIL}\n"), 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func withoutAnnotations(manifest string) string {
	var kept []string
	for line := range strings.Lines(manifest) {
		if !strings.Contains(line, signer.AnnotationMessage) && !strings.Contains(line, signer.AnnotationSignature) && !strings.Contains(line, signer.AnnotationOrigin) {
			kept = append(kept, line)
		}
	}
	return strings.ReplaceAll(strings.Join(kept, ""), "  annotations:\n  name", "  name")
}

// countingTransport tells of every HTTP request that is attempted.
type countingTransport struct{ n atomic.Int64 }

func (c *countingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	c.n.Add(1)
	return nil, errors.New("no network")
}

// TestBuildStageIsAlone proves that, once everything is resolved, no connection
// and no process is even attempted: PATH holds programs that leave a mark.
func TestBuildStageIsAlone(t *testing.T) {
	f := newFixture(t)
	mark := filepath.Join(f.dir, "mark")
	for _, name := range []string{"git", "helm", "ssh", "sh", "docker"} {
		f.write(t, "path/"+name, "#!/bin/sh\necho $0 >> "+mark+"\nexit 1\n")
		if err := os.Chmod(filepath.Join(f.dir, "path", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(f.dir, "path"))
	transport := &countingTransport{}
	saved := http.DefaultTransport
	http.DefaultTransport = transport
	defer func() { http.DefaultTransport = saved }()

	if _, err := Build(context.Background(), f.req); err != nil {
		t.Fatal(err)
	}
	if n := transport.n.Load(); n > 0 {
		t.Errorf("%d connections were attempted", n)
	}
	if data, err := os.ReadFile(mark); err == nil {
		t.Errorf("programs were started: %s", data)
	}
	// The trap works: kustomize's own loader falls into it.
	_ = exec.Command("git").Run()
	if _, err := os.ReadFile(mark); err != nil {
		t.Error("a program that is started leaves no mark")
	}
}

func TestStatement(t *testing.T) {
	f := newFixture(t)
	var payloads [][]byte
	for range 3 {
		f.req.CacheDir = filepath.Join(t.TempDir(), "cache")
		result, err := Build(context.Background(), f.req)
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, append(result.YAML, result.Record.Bundle...))
		var bundle struct {
			DsseEnvelope struct{ Payload []byte }
		}
		if err := json.Unmarshal(result.Record.Bundle, &bundle); err != nil {
			t.Fatal(err)
		}
		if subject := sha256Of(result.YAML)["sha256"]; !bytes.Contains(bundle.DsseEnvelope.Payload, []byte(`"subject":[{"name":"manifest.yaml","digest":{"sha256":"`+subject+`"}}]`)) {
			t.Errorf("the subject is not what was printed: %s", bundle.DsseEnvelope.Payload)
		}
		if result.Signed != 3 || result.Record.Index != -1 {
			t.Errorf("%d signed, entry %d", result.Signed, result.Record.Index)
		}
	}
	if !bytes.Equal(payloads[0], payloads[1]) || !bytes.Equal(payloads[1], payloads[2]) {
		t.Error("equal builds differ")
	}
}

// TestSecretsStayOutOfStatements holds that a Secret's values change neither
// the subject's digest nor any byproduct's.
func TestSecretsStayOutOfStatements(t *testing.T) {
	digests, subjects := map[string]bool{}, map[string]bool{}
	key := newFixture(t).key(t, "k")
	for _, value := range []string{"one", "two"} {
		f := newFixture(t)
		f.write(t, "mirror/acme/app/kustomization.yaml", "resources: [secret.yaml, svc.yaml]\n")
		f.write(t, "mirror/acme/app/secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: "+value+"}\n")
		f.req.Dev, f.req.Target = true, filepath.Join(f.dir, "mirror/acme/app")
		report, err := Verify(context.Background(), f.req)
		if err != nil || report.Err() != nil {
			t.Fatal(err, report.Err())
		}
		resources, err := run(report.Graph, Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := sign(t.Context(), &signer.Signer{Maker: key}, resources, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(m.yaml), value) || m.signed != 1 {
			t.Errorf("%d signed, and the Service alone should be:\n%s", m.signed, m.yaml)
		}
		subjects[m.digest] = true
		for _, r := range m.resources {
			if strings.HasPrefix(r.Name, "v1/Secret/") {
				digests[fmt.Sprint(r.Digest)] = true
			}
		}
	}
	if len(digests) != 1 || len(subjects) != 1 {
		t.Errorf("a Secret's value shows in %d digests of it and %d of the manifest", len(digests), len(subjects))
	}
}

func TestErrors(t *testing.T) {
	f := newFixture(t)
	req := f.req
	req.PolicyFile = ""
	_, err := Build(context.Background(), req)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Refusals[0].Code != refusal.NoPolicy {
		t.Errorf("%v", err)
	}
	var one *refusal.Refusal
	if !errors.As(err, &one) {
		t.Error("the refusal is not found in the error")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("told to stop"))
	if _, err := Build(ctx, f.req); err == nil || !strings.Contains(err.Error(), "told to stop") {
		t.Errorf("%v", err)
	}
	f.write(t, "mirror/acme/app/kustomization.yaml", "namePrefix: x\nresources: []\n")
	dev := f.req
	dev.Dev, dev.Target = true, filepath.Join(f.dir, "mirror/acme/app")
	if _, err := Build(context.Background(), dev); err == nil || !strings.Contains(err.Error(), "the result is empty") {
		t.Errorf("an empty result: %v", err)
	}
	// kustomize panics on this; nothing comes of it but an error.
	f.write(t, "mirror/acme/app/kustomization.yaml", "configMapGenerator: [{name: a}]\nreplacements: [{source: {kind: ConfigMap}, targets: [null]}]\n")
	if _, err := Build(context.Background(), dev); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("%v", err)
	}
}

func BenchmarkBuild(b *testing.B) {
	f := newFixture(b)
	for b.Loop() {
		if _, err := Build(context.Background(), f.req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify has a hundred directories in one signed repository, read from
// a warm cache.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b)
	var resources []string
	for i := range 100 {
		dir := fmt.Sprintf("d%d", i)
		resources = append(resources, dir)
		f.write(b, "mirror/acme/big/"+dir+"/kustomization.yaml", "resources: [x.yaml]\n")
		f.write(b, "mirror/acme/big/"+dir+"/x.yaml", strings.Repeat("# filler\n", 1000))
	}
	f.write(b, "mirror/acme/big/kustomization.yaml", "resources: ["+strings.Join(resources, ", ")+"]\n")
	private, err := os.ReadFile(filepath.Join(f.dir, "team.key"))
	if err != nil {
		b.Fatal(err)
	}
	key, err := signer.OpenKey(private, nil)
	if err != nil {
		b.Fatal(err)
	}
	f.sign(b, "big", key)
	f.req.Target = "https://github.com/acme/big?ref=main"
	for b.Loop() {
		report, err := Verify(context.Background(), f.req)
		if err != nil || report.Err() != nil {
			b.Fatal(err, report.Err())
		}
	}
}
