package signature

import (
	"os"
	"path/filepath"
	"testing"
)

// TestVectors verifies signatures that other people's programs made.
func TestVectors(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "vectors")
	message, err := os.ReadFile(filepath.Join(dir, "source-materials"))
	if err != nil {
		t.Skip("no vectors beside the project")
	}
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for sig, pub := range map[string]string{
		"cosign-key.sig":      "cosign.pub",
		"cosign-p384.sig":     "p384.pub",
		"cosign-p521.sig":     "p521.pub",
		"cosign-rsa.sig":      "rsa.pub",
		"openssl-ed25519.sig": "ed25519.pub",
	} {
		key, err := ParseKey(read(pub))
		if err != nil {
			t.Fatalf("%s: %v", pub, err)
		}
		if _, err := Verify(read(sig), message, key); err != nil {
			t.Errorf("%s: %v", sig, err)
		}
		if _, err := Verify(read(sig), append(message, '\n'), key); err == nil {
			t.Errorf("%s: verifies over other bytes", sig)
		}
	}
	for sig, kind := range map[string]Kind{
		"cosign-legacy-notlog.bundle":     LegacyBundle,
		"cosign-legacy-rekor1.bundle":     LegacyBundle,
		"cosign-new-notlog.sigstore.json": Bundle,
		"cosign-new-rekor1.sigstore.json": Bundle,
		"pgp-ed25519.sig":                 PGP,
		"pgp-rsa.sig":                     PGP,
		"ssh.sig":                         SSH,
	} {
		got, err := Recognize(read(sig))
		if err != nil || got != kind {
			t.Errorf("%s: got %q, %v, want %q", sig, got, err, kind)
		}
	}
}

func FuzzRecognize(f *testing.F) {
	f.Add([]byte("TUVZQ0lRQ2w=\n"))
	f.Add([]byte(`{"mediaType":"x"}`))
	f.Add([]byte("-----BEGIN PGP SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		kind, err := Recognize(sig)
		if (kind == "") == (err == nil) {
			t.Fatalf("%q: %q, %v", sig, kind, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data)
		if err == nil && (key.Public == nil || len(key.Fingerprint) != len("sha256:")+64) {
			t.Fatalf("%q: %+v", data, key)
		}
	})
}
