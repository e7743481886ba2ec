package suite

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/trustomize/trustomize/signer"
)

var keylessMessage = []byte("what is signed\n")

// keyless returns a configuration for the suite's own Sigstore, in the name of
// whom the claims say.
func keyless(t *testing.T, s *sigstore, path string, claims map[string]string) signer.KeylessConfig {
	t.Helper()
	data, err := os.ReadFile(s.signingConfig)
	if err != nil {
		t.Fatal(err)
	}
	services, err := signer.ParseSigningConfig(data, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signer.KeylessConfig{
		Services: services, Root: s.root, Transport: http.DefaultTransport,
		Token: func(context.Context) (string, error) { return s.issuer.token(path, claims) },
	}
}

func signKeyless(t *testing.T, config signer.KeylessConfig) (signer.File, error) {
	t.Helper()
	k, err := signer.OpenKeyless(config)
	if err != nil {
		t.Fatal(err)
	}
	return k.SignFile(t.Context(), keylessMessage)
}

func servers(t *testing.T) *sigstore {
	t.Helper()
	s, err := sigstoreServers()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKeyless signs with the real services and has the result verified by
// sigstore-go and by cosign, with nothing but the trusted root.
func TestKeyless(t *testing.T) {
	s := servers(t)
	const mail, repository = "joe@example.com", "https://github.com/acme/app"
	const workflow = repository + "/.github/workflows/sign.yaml@refs/heads/main"
	for name, tc := range map[string]struct {
		path                         string
		claims                       map[string]string
		identity, issuer, repository string
	}{
		"a person":   {people, map[string]string{"email": mail}, mail, s.issuer.url(people), ""},
		"a workflow": {ci, nil, workflow, s.issuer.url(ci), repository},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := signKeyless(t, keyless(t, s, tc.path, tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if want := tc.identity + " (" + tc.issuer + ")"; !file.Bundle || file.Signer != want {
				t.Errorf("signed by %q, want %q", file.Signer, want)
			}
			result, err := verifyBundle(file.Data, keylessMessage, s.root, tc.issuer, tc.identity)
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Signature.Certificate.SourceRepositoryURI; got != tc.repository {
				t.Errorf("repository %q, want %q", got, tc.repository)
			}
			if _, err := verifyBundle(file.Data, []byte("something else"), s.root, tc.issuer, tc.identity); err == nil {
				t.Error("verifies over other bytes")
			}
			if out, err := cosignVerify(t, s, file.Data, tc.issuer, tc.identity); err != nil {
				t.Errorf("cosign: %v\n%s", err, out)
			}
			if out, err := cosignVerify(t, s, file.Data, tc.issuer, "jane@example.com"); err == nil {
				t.Errorf("cosign takes it for Jane's: %s", out)
			}
		})
	}
}

// verifyBundle wants all that a bundle can prove: an SCT, a log entry, a
// timestamp and the identity.
func verifyBundle(data, message []byte, material root.TrustedMaterial, issuer, identity string) (*verify.VerificationResult, error) {
	verifier, err := verify.NewVerifier(material, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
	if err != nil {
		return nil, err
	}
	who, err := verify.NewShortCertificateIdentity(issuer, "", identity, "")
	if err != nil {
		return nil, err
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return verifier.Verify(&b, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(message)), verify.WithCertificateIdentity(who)))
}

// cosignVerify runs cosign where nothing can be reached.
func cosignVerify(t *testing.T, s *sigstore, bundle []byte, issuer, identity string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"blob": keylessMessage, "bundle": bundle} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "cosign"), "verify-blob", "--new-bundle-format", "--use-signed-timestamps", "--bundle=bundle", "--trusted-root="+s.trustedRoot,
		"--certificate-oidc-issuer="+issuer, "--certificate-identity="+identity, "blob")
	cmd.Dir = dir
	const nowhere = "http://127.0.0.1:1" // a proxy
	cmd.Env = []string{"HOME=" + dir, "HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere}
	return cmd.CombinedOutput()
}

// TestFulcioRefuses holds that a token which Fulcio does not take makes no
// signature, and is not shown.
func TestFulcioRefuses(t *testing.T) {
	s := servers(t)
	for name, tc := range map[string]struct {
		claims map[string]string
		want   string
	}{
		"expired":          {map[string]string{"email": "joe@example.com", "exp": "-1h"}, "status 400"},
		"another audience": {map[string]string{"email": "joe@example.com", "aud": "somebody"}, "status 400"},
		"another issuer":   {map[string]string{"email": "joe@example.com", "iss": "https://accounts.google.com"}, "status 400"},
		"nobody":           {nil, "status 400"},
		"not verified":     {map[string]string{"email": "joe@example.com", "email_verified": "false"}, "not verified"},
	} {
		config := keyless(t, s, people, tc.claims)
		var token string
		mint := config.Token
		config.Token = func(ctx context.Context) (_ string, err error) { token, err = mint(ctx); return token, err }
		file, err := signKeyless(t, config)
		if err == nil || file.Data != nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestKeylessStrangers signs with services that are not those of the trusted
// root. Nothing is returned.
func TestKeylessStrangers(t *testing.T) {
	s := servers(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	stranger := &root.TransparencyLog{BaseURL: s.ctlog, ID: id[:], PublicKey: key.Public(), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: time.Unix(0, 0)}
	strangers := map[string]*root.TransparencyLog{fmt.Sprintf("%x", id): stranger}
	for name, tc := range map[string]struct {
		material root.TrustedMaterial
		want     string
	}{
		"authority": {&without{TrustedMaterial: s.root, noAuthority: true}, "leaf certificate"},
		"timestamp": {&without{TrustedMaterial: s.root, noTimestamp: true}, "timestamp"},
		"CT log":    {&without{TrustedMaterial: s.root, ctLogs: strangers}, "SCT"},
		"Rekor":     {&without{TrustedMaterial: s.root, rekorLogs: strangers}, "log"},
	} {
		config := keyless(t, s, people, map[string]string{"email": "joe@example.com"})
		config.Root = tc.material
		file, err := signKeyless(t, config)
		if err == nil || file.Data != nil || !strings.Contains(err.Error(), "does not verify") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// without is a trusted root that lacks some, or has others.
type without struct {
	root.TrustedMaterial
	noAuthority, noTimestamp bool
	ctLogs, rekorLogs        map[string]*root.TransparencyLog
}

func (w *without) FulcioCertificateAuthorities() []root.CertificateAuthority {
	if w.noAuthority {
		return nil
	}
	return w.TrustedMaterial.FulcioCertificateAuthorities()
}

func (w *without) TimestampingAuthorities() []root.TimestampingAuthority {
	if w.noTimestamp {
		return nil
	}
	return w.TrustedMaterial.TimestampingAuthorities()
}

func (w *without) CTLogs() map[string]*root.TransparencyLog {
	if w.ctLogs != nil {
		return w.ctLogs
	}
	return w.TrustedMaterial.CTLogs()
}

func (w *without) RekorLogs() map[string]*root.TransparencyLog {
	if w.rekorLogs != nil {
		return w.rekorLogs
	}
	return w.TrustedMaterial.RekorLogs()
}
