package suite

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// sigstore is a whole private Sigstore on loopback: an identity provider, and
// the real Fulcio, certificate transparency log, timestamp authority and Rekor
// v2. All keys are made when it starts and forgotten when the tests end.
type sigstore struct {
	dir                        string
	issuer                     *issuer
	fulcio, ctlog, tsa, rekor  string // URLs
	root                       *root.TrustedRoot
	trustedRoot, signingConfig string // files
}

// sigstoreServers starts them, for the first that asks.
var sigstoreServers = sync.OnceValues(startSigstore)

// running are the processes that end with the tests.
var running []func()

func stopRunning() {
	for _, end := range running {
		end()
	}
}

func startSigstore() (*sigstore, error) {
	s := &sigstore{dir: filepath.Join(bin, "sigstore")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.issuer, err = startIssuer(); err != nil {
		return nil, err
	}
	running = append(running, s.issuer.server.Close)
	ctKey, err := s.writeKey("ctlog")
	if err != nil {
		return nil, err
	}
	ports, err := ports(5)
	if err != nil {
		return nil, err
	}
	s.ctlog = "http://127.0.0.1:" + ports[0] + "/test"
	if err := s.startFulcio(ports[2:]); err != nil {
		return nil, err
	}
	authority, err := s.fulcioAuthority()
	if err != nil {
		return nil, err
	}
	// The log takes certificates of this authority only.
	if err := s.start("ctlog", s.ctlog+"/ct/v1/get-sth", "-port="+ports[0], "-roots="+s.file("fulcio.pem"), "-key="+s.file("ctlog.key")); err != nil {
		return nil, err
	}
	s.tsa = "http://127.0.0.1:" + ports[1] + "/api/v1/timestamp"
	if err := s.start("timestamp-server", s.tsa+"/certchain", "-port="+ports[1]); err != nil {
		return nil, err
	}
	timestamps, err := s.timestampAuthority()
	if err != nil {
		return nil, err
	}
	rekor, err := serveRekor(s.file("rekor"), s.file("rekor.pem"))
	if err != nil {
		return nil, err
	}
	running = append(running, func() { stop(rekor.cmd) })
	s.rekor = rekor.url
	return s, s.describe(authority, timestamps, ctKey, rekor.key)
}

func (s *sigstore) file(name string) string { return filepath.Join(s.dir, name) }

// start runs a program until the tests end, and waits until a URL answers. What
// it prints goes to a file.
func (s *sigstore) start(program, url string, args ...string) error {
	output, err := os.Create(s.file(program + ".log"))
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Dir, cmd.Env = s.dir, []string{"HOME=" + s.dir} // FULCIO_... would be settings
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return err
	}
	running = append(running, func() { stop(cmd) })
	if !answers(url) {
		text, _ := os.ReadFile(output.Name())
		return fmt.Errorf("%s did not start: %s", program, text[max(0, len(text)-5000):])
	}
	return nil
}

// writeKey makes a key and writes both halves, NAME.key and NAME.pub.
func (s *sigstore) writeKey(name string) (crypto.PublicKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := cryptoutils.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.file(name+".key"), private, 0o600); err != nil {
		return nil, err
	}
	return key.Public(), os.WriteFile(s.file(name+".pub"), public, 0o644)
}

// githubMetadata is how Fulcio's public instance makes a certificate of GitHub's
// claims (its config/identity/config.yaml), as far as tests look.
var githubMetadata = map[string]any{
	"DefaultTemplateValues": map[string]string{"url": "https://github.com"},
	"ExtensionTemplates": map[string]string{
		"BuildSignerURI":                      "{{ .url }}/{{ .job_workflow_ref }}",
		"BuildSignerDigest":                   "job_workflow_sha",
		"RunnerEnvironment":                   "runner_environment",
		"SourceRepositoryURI":                 "{{ .url }}/{{ .repository }}",
		"SourceRepositoryDigest":              "sha",
		"SourceRepositoryRef":                 "ref",
		"SourceRepositoryIdentifier":          "repository_id",
		"SourceRepositoryOwnerURI":            "{{ .url }}/{{ .repository_owner }}",
		"SourceRepositoryOwnerIdentifier":     "repository_owner_id",
		"BuildConfigURI":                      "{{ .url }}/{{ .workflow_ref }}",
		"BuildConfigDigest":                   "workflow_sha",
		"BuildTrigger":                        "event_name",
		"RunInvocationURI":                    "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
		"SourceRepositoryVisibilityAtSigning": "repository_visibility",
	},
	"SubjectAlternativeNameTemplate": "{{ .url }}/{{ .job_workflow_ref }}",
}

func (s *sigstore) startFulcio(ports []string) error {
	s.fulcio = "http://127.0.0.1:" + ports[0]
	config, err := json.Marshal(map[string]any{
		"OIDCIssuers": map[string]any{
			s.issuer.url(people): map[string]string{"IssuerURL": s.issuer.url(people), "ClientID": "sigstore", "Type": "email"},
			s.issuer.url(ci):     map[string]string{"IssuerURL": s.issuer.url(ci), "ClientID": "sigstore", "Type": "ci-provider", "CIProvider": "github-workflow"},
		},
		"CIIssuerMetadata": map[string]any{"github-workflow": githubMetadata},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("fulcio.json"), config, 0o644); err != nil {
		return err
	}
	return s.start("fulcio", s.fulcio+"/healthz", "serve", "--ca=ephemeralca", "--config-path="+s.file("fulcio.json"),
		"--host=127.0.0.1", "--port="+ports[0], "--grpc-host=127.0.0.1", "--grpc-port="+ports[1], "--metrics-port="+ports[2],
		"--legacy-unix-domain-socket="+s.file("fulcio.sock"),
		"--ct-log-url="+s.ctlog, "--ct-log-public-key-path="+s.file("ctlog.pub"))
}

// fulcioAuthority asks Fulcio for its certificates and writes them to
// fulcio.pem.
func (s *sigstore) fulcioAuthority() (*root.FulcioCertificateAuthority, error) {
	data, err := fetch(s.fulcio + "/api/v2/trustBundle")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Chains []struct {
			Certificates []string `json:"certificates"`
		} `json:"chains"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if len(answer.Chains) != 1 || len(answer.Chains[0].Certificates) != 1 {
		return nil, fmt.Errorf("Fulcio's trust bundle is not one certificate: %s", data)
	}
	text := []byte(answer.Chains[0].Certificates[0])
	certificates, err := cryptoutils.UnmarshalCertificatesFromPEM(text)
	if err != nil {
		return nil, err
	}
	authority := &root.FulcioCertificateAuthority{Root: certificates[0], ValidityPeriodStart: certificates[0].NotBefore, URI: s.fulcio}
	return authority, os.WriteFile(s.file("fulcio.pem"), text, 0o644)
}

func (s *sigstore) timestampAuthority() (*root.SigstoreTimestampingAuthority, error) {
	data, err := fetch(s.tsa + "/certchain")
	if err != nil {
		return nil, err
	}
	chain, err := cryptoutils.UnmarshalCertificatesFromPEM(data)
	if err != nil {
		return nil, err
	}
	if len(chain) < 2 {
		return nil, fmt.Errorf("the timestamp authority's chain has %d certificates", len(chain))
	}
	last := len(chain) - 1
	return &root.SigstoreTimestampingAuthority{
		Leaf: chain[0], Intermediates: chain[1:last], Root: chain[last], ValidityPeriodStart: chain[0].NotBefore, URI: s.tsa,
	}, nil
}

func fetch(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, resp.Status, data)
	}
	return data, err
}

// describe writes trusted_root.json and signing_config.json, Sigstore's files
// for verifiers and for signers.
func (s *sigstore) describe(authority root.CertificateAuthority, timestamps root.TimestampingAuthority, ctKey, rekorKey crypto.PublicKey) error {
	start := time.Now().Add(-time.Hour)
	ctDER, err := x509.MarshalPKIXPublicKey(ctKey)
	if err != nil {
		return err
	}
	ctID := sha256.Sum256(ctDER) // RFC 6962, 3.2
	_, rekorID, err := note.KeyHash("localhost", rekorKey)
	if err != nil {
		return err
	}
	log := func(url string, id []byte, key crypto.PublicKey) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{fmt.Sprintf("%x", id): {BaseURL: url, ID: id, PublicKey: key, HashFunc: crypto.SHA256, ValidityPeriodStart: start}}
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority},
		log(s.ctlog, ctID[:], ctKey), []root.TimestampingAuthority{timestamps}, log(s.rekor, rekorID, rekorKey))
	if err != nil {
		return err
	}
	if s.trustedRoot, err = s.writeIndented("trusted_root.json", made); err != nil {
		return err
	}
	if s.root, err = root.NewTrustedRootFromPath(s.trustedRoot); err != nil { // as everybody else will read it
		return err
	}
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: start, Operator: "suite"}}
	}
	anyOne := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, service(s.fulcio, 1), service(s.issuer.url(people), 1),
		service(s.rekor, 2), anyOne, service(s.tsa, 1), anyOne)
	if err != nil {
		return err
	}
	s.signingConfig, err = s.writeIndented("signing_config.json", config)
	return err
}

func (s *sigstore) writeIndented(name string, v json.Marshaler) (string, error) {
	data, err := v.MarshalJSON()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return "", err
	}
	return s.file(name), os.WriteFile(s.file(name), b.Bytes(), 0o644)
}

// useSigstore is the command sigstore: it tells the script where the servers
// are, which it shares with all others. Their files are to be read only.
func useSigstore(ts *testscript.TestScript, _ bool, _ []string) {
	s, err := sigstoreServers()
	ts.Check(err)
	for name, value := range map[string]string{
		"FULCIO_URL": s.fulcio, "REKOR_URL": s.rekor, "TSA_URL": s.tsa, "CTLOG_URL": s.ctlog,
		"ISSUER": s.issuer.url(people), "CI_ISSUER": s.issuer.url(ci),
		"TRUSTED_ROOT": s.trustedRoot, "SIGNING_CONFIG": s.signingConfig,
	} {
		ts.Setenv(name, value)
	}
}
