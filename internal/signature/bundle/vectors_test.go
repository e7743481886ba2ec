package bundle

import (
	"crypto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/trustomize/trustomize/internal/signature"
)

// TestVectors verifies bundles that cosign made.
func TestVectors(t *testing.T) {
	read := vectors(t)
	key, err := signature.ParseKey(read("cosign.pub"))
	must(t, err)
	r := rekorRoot(t, read("rekor1.pub"))
	list := read("source-materials")
	for name, c := range map[string]struct {
		kind   signature.Kind
		proven int64
	}{
		"cosign-legacy-notlog.bundle":     {signature.LegacyBundle, 0},
		"cosign-legacy-rekor1.bundle":     {signature.LegacyBundle, 1795351599},
		"cosign-new-notlog.sigstore.json": {signature.Bundle, 0},
		"cosign-new-rekor1.sigstore.json": {signature.Bundle, 1795351600},
	} {
		sig := signature.Signature{Kind: c.kind, Data: read(name)}
		got, err := NewKey(key, r).Verify(sig, list, signature.When{})
		var proven time.Time
		if c.proven > 0 {
			proven = time.Unix(c.proven, 0)
		}
		if err != nil || got.Kind != c.kind || got.Fingerprint != key.Fingerprint || !got.Proven.Equal(proven) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got, err = NewKey(key, nil).Verify(sig, list, signature.When{}); err != nil || !got.Proven.IsZero() {
			t.Errorf("%s, without a root: %+v, %v", name, got, err)
		}
		_, err = NewKey(key, r).Verify(sig, list[1:], signature.When{})
		wantError(t, err, signature.Mismatch, "other bytes")
	}
}

var vectorDir = filepath.Join("..", "..", "..", "..", "shared", "vectors")

// vectors returns a reader of files beside the project.
func vectors(t *testing.T) func(string) []byte {
	t.Helper()
	if _, err := os.Stat(vectorDir); err != nil {
		t.Skip("no vectors beside the project")
	}
	return func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(vectorDir, name))
		must(t, err)
		return text
	}
}

// rekorRoot returns a root that holds a log and nothing else.
func rekorRoot(t *testing.T, pub []byte) *Root {
	t.Helper()
	key, err := cryptoutils.UnmarshalPEMToPublicKey(pub)
	must(t, err)
	id := keyID(t, key)
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, nil, map[string]*root.TransparencyLog{"": {
		BaseURL: "https://rekor.example", ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		ValidityPeriodStart: time.Unix(1, 0),
	}})
	must(t, err)
	text, err := made.MarshalJSON()
	must(t, err)
	r, err := ParseRoot(text)
	must(t, err)
	return r
}

// others returns a reader of the files that travel with sigstore-go's tests, made
// with a real Fulcio, Rekor and timestamp authority.
func others(t *testing.T) func(string) []byte {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	must(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "pkg", "testing", "data")
	return func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return text
	}
}

func TestOthersBundles(t *testing.T) {
	read := others(t)
	root := func(name string) *Root {
		t.Helper()
		r, err := ParseRoot(read("trusted-roots/" + name))
		must(t, err)
		return r
	}
	keyless := signature.Signature{Kind: signature.Bundle, Data: read("bundles/othername.sigstore.json")}
	identity := trust(t, Identity{Issuer: "http://oidc.local:8080", Subject: "foo!oidc.local"}, root("scaffolding.json"))
	got, err := identity.Verify(keyless, []byte("blob\n"), signature.When{})
	if err != nil || got.Identity != "foo!oidc.local" || got.Proven.Year() != 2024 {
		t.Errorf("a subject that is neither URI nor address: %+v, %v", got, err)
	}
	_, err = identity.Verify(keyless, []byte("blob"), signature.When{})
	wantError(t, err, signature.Mismatch, "other bytes")
	_, err = trust(t, acme, root("public-good.json")).Verify(keyless, []byte("blob\n"), signature.When{})
	wantError(t, err, signature.Stranger, "foo!oidc.local")
	_, err = trust(t, Identity{Issuer: "http://oidc.local:8080", Subject: "foo!oidc.local"}, root("public-good.json")).Verify(keyless, []byte("blob\n"), signature.When{})
	wantError(t, err, signature.Unproven, "no authority of the trusted root issued it")

	key, err := signature.ParseKey(read("public-keys/public-key-validity.pem"))
	must(t, err)
	keyed := signature.Signature{Kind: signature.Bundle, Data: read("bundles/public-key-validity.sigstore.json")}
	got, err = NewKey(key, root("public-key-validity.json")).Verify(keyed, []byte("test content"), signature.When{})
	if want := time.Date(2026, 6, 4, 17, 43, 29, 0, time.UTC); err != nil || !got.Proven.Equal(want) {
		t.Errorf("a key's, with a timestamp: %+v, %v", got, err)
	}
}
