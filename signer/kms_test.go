package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"

	"github.com/trustomize/trustomize/internal/signature"
)

// TestMain makes this program a KMS plugin when it is called by such a name:
// one on Sigstore's own side of the protocol, for a key in a file.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), cliplugin.PluginBinaryPrefix) {
		if err := servePlugin(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// fileKMS is a KMS that has one key and makes none.
type fileKMS struct{ sigstore.SignerVerifier }

func (fileKMS) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, os.ErrInvalid
}
func (fileKMS) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, os.ErrInvalid
}
func (fileKMS) SupportedAlgorithms() []string { return nil }
func (fileKMS) DefaultAlgorithm() string      { return "" }

func servePlugin() error {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, strings.Join(os.Environ(), " "))
	data, err := os.ReadFile(args.InitOptions.KeyResourceID)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(data, nil)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	sv, err := sigstore.LoadSignerVerifier(private, args.InitOptions.HashFunc)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	_, err = handler.Dispatch(os.Stdout, os.Stdin, args, fileKMS{sv})
	return err
}

// installPlugin makes a directory with the plugin in it, to be searched.
func installPlugin(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, "sigstore-kms-unittest")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeKey(t *testing.T, private any) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pkcs8(t, private), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestKMS(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := installPlugin(t)
	message := bytes.Repeat([]byte("message\n"), 100_000)
	t.Setenv("PATH", "") // as the program has it when keys are opened
	t.Setenv("SECRET", "hunter2")
	for _, private := range []crypto.Signer{p256, p384, ed, rsaKey} {
		var stderr bytes.Buffer
		plugins := Plugins{Path: "." + string(os.PathListSeparator) + dir, Env: []string{"KMS_TOKEN=x"}, Stderr: &stderr}
		k, err := OpenKMS(t.Context(), "unittest://"+writeKey(t, private), plugins)
		if err != nil {
			t.Fatalf("%T: %v", private, err)
		}
		want, _ := signature.NewKey(private.Public())
		if k.Public.Fingerprint != want.Fingerprint {
			t.Errorf("%T: key %s, want %s", private, k.Public, want)
		}
		file, err := k.SignFile(t.Context(), message)
		if err != nil || file.Bundle || file.Signer != want.Fingerprint {
			t.Fatalf("%T: %v, %+v", private, err, file)
		}
		if _, err := want.Verify(signature.Signature{Kind: signature.Raw, Data: file.Data}, message, signature.When{}); err != nil {
			t.Errorf("%T: %v", private, err)
		}
		env := strings.Fields(stderr.String())
		if strings.Contains(stderr.String(), "hunter2") || !slices.Contains(env, "KMS_TOKEN=x") || !slices.Contains(env, "PATH="+plugins.Path) {
			t.Errorf("%T: the plugin's environment is %s", private, stderr.String())
		}
	}
}

func TestKMSNotThere(t *testing.T) {
	dir := installPlugin(t)
	t.Chdir(dir)
	for uri, want := range map[string]string{
		"unittest:///no/such/key": "no such file",
		"other://key":             "sigstore-kms-other is not installed",
		"key.pem":                 "is no KMS key",
		"unittest://":             "is no KMS key",
		"a/../../b://key":         "is no KMS key",
		"Unittest://key":          "is no KMS key",
	} {
		if _, err := OpenKMS(t.Context(), uri, Plugins{Path: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
	for _, path := range []string{"", ".", "..", string(os.PathListSeparator)} {
		if _, err := OpenKMS(t.Context(), "unittest:///no/such/key", Plugins{Path: path}); err == nil || !strings.Contains(err.Error(), "not installed") {
			t.Errorf("with PATH %q: %v", path, err)
		}
	}
}

// TestBrokenPlugin has plugins that answer what no working one does.
func TestBrokenPlugin(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	public := func(k crypto.Signer) string {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"publicKey":{"publicKeyPEM":"%s"}}`, b64(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	stranger, err := open(t, other).Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	print := func(answer string) string { return "printf %s '" + answer + "'" }
	for name, tc := range map[string]struct{ key, sign, want string }{
		"nothing":            {"true", "", "malformed"},
		"not JSON":           {"echo hello", "", "malformed"},
		"fails":              {"echo oh >&2; exit 7", "", "ended without an answer: exit status 7"},
		"killed":             {"kill -9 $$", "", "killed"},
		"empty answer":       {print("{}"), "", "no public key"},
		"null":               {print("null"), "", "no public key"},
		"an error":           {print(`{"errorMessage":"no\nsuch \u001b[2J key"}`), "", `no such \x1b[2J key`},
		"no key":             {print(`{"publicKey":{"publicKeyPEM":"eA=="}}`), "", "not a PEM public key"},
		"a weak key":         {print(public(weak)), "", "1024 bits"},
		"endless":            {"exec yes", "", "more than 1048576 bytes"},
		"hangs":              {"exec sleep 60", "", "did not answer"},
		"leaves a child":     {"sleep 3 & " + print(public(p256)), "", "WaitDelay"},
		"no signature":       {print(public(p256)), print("{}"), "there is none"},
		"an empty one":       {print(public(p256)), print(`{"signMessage":{"signature":""}}`), "another key"},
		"a stranger's":       {print(public(p256)), print(fmt.Sprintf(`{"signMessage":{"signature":"%s"}}`, b64(stranger))), "another key"},
		"error and a status": {print(public(p256)), print(`{"errorMessage":"denied"}`) + "; exit 1", "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script := "#!/bin/sh\ncase $2 in *signMessage*) " + orTrue(tc.sign) + ";; *) " + tc.key + ";; esac\n"
			if err := os.WriteFile(filepath.Join(dir, "sigstore-kms-broken"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			plugins := Plugins{Path: dir + ":/usr/bin:/bin", Limit: 20 * time.Second}
			if name == "hangs" {
				plugins.Limit = time.Second
			}
			k, err := OpenKMS(t.Context(), "broken://key", plugins)
			if err == nil && tc.sign != "" {
				_, err = k.SignFile(t.Context(), []byte("message"))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func orTrue(s string) string {
	if s == "" {
		return "true"
	}
	return s
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
