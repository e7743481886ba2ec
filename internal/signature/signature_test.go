package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		if err := verify(key, read(sig), message); err != nil {
			t.Errorf("%s: %v", sig, err)
		}
		if reasonOf(verify(key, read(sig), append(message, '\n'))) != Mismatch {
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
		got, err := Split(read(sig))
		if err != nil || len(got) != 1 || got[0].Kind != kind {
			t.Errorf("%s: got %v, %v, want %q", sig, got, err, kind)
		}
	}
}

// verify verifies the first signature of a file.
func verify(key Key, file, message []byte) error {
	all, err := Split(file)
	if err != nil {
		return err
	}
	_, err = key.Verify(all[0], message, When{})
	return err
}

func reasonOf(err error) Reason {
	var why *Error
	if !errors.As(err, &why) {
		return -1
	}
	return why.Reason
}

// TestRaw tries every scheme that a raw signature may have: good, by another
// key, over other bytes, and cut short.
func TestRaw(t *testing.T) {
	message, other := []byte("a list\n"), []byte("another list\n")
	strangers := rawSigners(t)
	for name, maker := range rawSigners(t) {
		sig, err := maker.sign(message)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		key, err := NewKey(maker.key.Public())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		file := []byte(base64.StdEncoding.EncodeToString(sig) + "\n")
		if err := verify(key, file, message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := reasonOf(verify(key, file, other)); got != Mismatch {
			t.Errorf("%s over other bytes: %v", name, got)
		}
		short := []byte(base64.StdEncoding.EncodeToString(sig[:len(sig)-1]))
		if got := reasonOf(verify(key, short, message)); got != Mismatch {
			t.Errorf("%s cut short: %v", name, got)
		}
		for otherName, stranger := range strangers {
			strangersKey, err := NewKey(stranger.key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(verify(strangersKey, file, message)); got != Mismatch {
				t.Errorf("%s by the key of %s: %v", name, otherName, got)
			}
		}
	}
}

type rawSigner struct {
	key  crypto.Signer
	sign func(message []byte) ([]byte, error)
}

// rawSigners makes a new key for every scheme.
func rawSigners(t *testing.T) map[string]rawSigner {
	t.Helper()
	signers := map[string]rawSigner{}
	add := func(name string, key crypto.Signer, opts crypto.SignerOpts) {
		signers[name] = rawSigner{key, func(message []byte) ([]byte, error) {
			if h := opts.HashFunc(); h != 0 {
				message = hashed(h, message)
			}
			return key.Sign(rand.Reader, message, opts)
		}}
	}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			add(name+" "+h.String(), key, h)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	add("RSA PKCS #1 v1.5", rsaKey, crypto.SHA256)
	add("RSA PSS", rsaKey, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	add("RSA PSS, long salt", rsaKey, &rsa.PSSOptions{Hash: crypto.SHA512})
	for name, opts := range map[string]*ed25519.Options{"Ed25519": {}, "Ed25519ph": {Hash: crypto.SHA512}} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		add(name, key, opts)
	}
	return signers
}

func TestWeakKeys(t *testing.T) {
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(weak.Public()); err == nil {
		t.Error("P-224 is accepted")
	}
}

func TestSplit(t *testing.T) {
	pgp := pgpBegin + "\n\nabcd\n" + pgpEnd
	ssh := sshBegin + "\nabcd\n" + sshEnd
	for name, tc := range map[string]struct {
		file  string
		kinds string
	}{
		"one base64 line":       {"YWJj", "raw"},
		"with a newline":        {"YWJj\n", "raw"},
		"with CRLF":             {"YWJj\r\n", "raw"},
		"two lines":             {"YWJj\nZGVm\n", "raw raw"},
		"several kinds":         {pgp + "\n" + ssh + "\n\nYWJj\n", "pgp ssh raw"},
		"binary PGP":            {"\x89\x01\x33abc", "pgp"},
		"new format PGP":        {"\xc2\x33abc", "pgp"},
		"a bundle":              {`{"mediaType": "x"}`, "bundle"},
		"a legacy bundle":       {`{"base64Signature": "x"}`, "legacy-bundle"},
		"empty":                 {"", ""},
		"white space":           {" \n", ""},
		"PGP without an end":    {pgpBegin + "\n\nabcd\n", ""},
		"an end within a line":  {pgpBegin + "\n\nabcd " + pgpEnd, ""},
		"other JSON":            {`{"a": 1}`, ""},
		"text behind JSON":      {`{"mediaType": "x"} YWJj`, ""},
		"words":                 {"hello world", ""},
		"words behind base64":   {"YWJj\nhello world\n", ""},
		"base64 without filler": {"YWI", ""},
		"too many":              {strings.Repeat("YWJj\n", MaxSignatures+1), ""},
		"too large":             {strings.Repeat("A", MaxSize+4), ""},
	} {
		all, err := Split([]byte(tc.file))
		kinds := []string{}
		for _, one := range all {
			kinds = append(kinds, string(one.Kind))
		}
		if got := strings.Join(kinds, " "); got != tc.kinds || (err == nil) != (tc.kinds != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tc.kinds)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("TUVZQ0lRQ2w=\n"))
	f.Add([]byte(`{"mediaType":"x"}`))
	f.Add([]byte(pgpBegin + "\n\nabcd\n" + pgpEnd + "\n" + sshBegin + "\n" + sshEnd))
	f.Fuzz(func(t *testing.T, file []byte) {
		all, err := Split(file)
		if (len(all) == 0) == (err == nil) {
			t.Fatalf("%q: %v, %v", file, all, err)
		}
		for _, one := range all {
			if !bytes.Contains(file, one.Data) || one.Kind == "" {
				t.Fatalf("%q: %v", file, one)
			}
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
