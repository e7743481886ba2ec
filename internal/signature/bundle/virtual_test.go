package bundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/trustomize/trustomize/internal/signature"
)

const (
	issuer  = githubIssuer
	subject = "https://github.com/acme/app/.github/workflows/sign.yaml@refs/heads/main"
)

var message = []byte("6f5902ac237024bdd0c176cb93063dc4  kustomization.yaml\n")

// virtual is a Sigstore instance. Rekor v1 and the timestamp authority are
// VirtualSigstore's; its certificates have neither SCTs nor a URI, so that
// authority and certificate log are made here.
type virtual struct {
	*ca.VirtualSigstore
	t       *testing.T
	top     *x509.Certificate
	middle  *x509.Certificate
	key     *ecdsa.PrivateKey // the middle's
	ctlog   *ecdsa.PrivateKey
	rekor2  *ecdsa.PrivateKey
	started time.Time
}

func newVirtual(t *testing.T) *virtual {
	t.Helper()
	s, err := ca.NewVirtualSigstore()
	must(t, err)
	v := &virtual{VirtualSigstore: s, t: t, ctlog: newKey(t), rekor2: newKey(t), started: time.Now()}
	topKey := newKey(t)
	v.top = v.authority("top", topKey.Public(), nil, topKey)
	v.key = newKey(t)
	v.middle = v.authority("middle", v.key.Public(), v.top, topKey)
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func (v *virtual) authority(name string, pub crypto.PublicKey, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	v.t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(v.t), Subject: pkix.Name{CommonName: name},
		NotBefore: v.started.Add(-48 * time.Hour), NotAfter: v.started.Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	if parent == nil {
		parent = template
	}
	return v.issue(template, parent, pub, key)
}

func (v *virtual) issue(template, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	v.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	must(v.t, err)
	cert, err := x509.ParseCertificate(der)
	must(v.t, err)
	return cert
}

func serial(t *testing.T) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	return n
}

// root returns the instance's trusted root, after it went through its file
// format.
func (v *virtual) root() *Root {
	v.t.Helper()
	r, err := ParseRoot(v.rootJSON(nil))
	must(v.t, err)
	return r
}

// rootParts is what a trusted root is made of.
type rootParts struct {
	authorities  []root.CertificateAuthority
	ctlogs, logs map[string]*root.TransparencyLog
	stampers     []root.TimestampingAuthority
}

// rootJSON returns the instance's trusted_root.json, after a change unless that
// is nil.
func (v *virtual) rootJSON(change func(*rootParts)) []byte {
	v.t.Helper()
	p := &rootParts{
		authorities: []root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: v.top, Intermediates: []*x509.Certificate{v.middle}, URI: "https://fulcio.example",
			ValidityPeriodStart: v.started.Add(-48 * time.Hour),
		}},
		ctlogs:   map[string]*root.TransparencyLog{},
		logs:     map[string]*root.TransparencyLog{},
		stampers: v.TimestampingAuthorities(),
	}
	v.addLog(p.ctlogs, "https://ctlog.example", v.ctlog.Public())
	v.addLog(p.logs, "https://"+origin, v.rekor2.Public())
	for _, log := range v.RekorLogs() {
		v.addLog(p.logs, "https://rekor.example", log.PublicKey)
	}
	if change != nil {
		change(p)
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, p.authorities, p.ctlogs, p.stampers, p.logs)
	must(v.t, err)
	data, err := r.MarshalJSON()
	must(v.t, err)
	return data
}

func (v *virtual) addLog(to map[string]*root.TransparencyLog, name string, key crypto.PublicKey) {
	id := keyID(v.t, key)
	to[hex.EncodeToString(id)] = &root.TransparencyLog{
		BaseURL: name, ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		ValidityPeriodStart: v.started.Add(-48 * time.Hour),
	}
}

func keyID(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	sum := sha256.Sum256(der)
	return sum[:]
}

func fingerprint(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	k, err := signature.NewKey(key)
	must(t, err)
	return k.Fingerprint
}

// signing says how a signature is made. What it leaves out is as it should be.
type signing struct {
	issuer, subject string
	extensions      []pkix.Extension
	noSCT           bool
	issued          time.Time // the certificate's beginning
	logged          time.Time
	key             crypto.Signer // signs without a certificate
	leaf            crypto.Signer // the certificate's key
	hash            crypto.Hash
	message         []byte
}

func (s signing) defaults(v *virtual) signing {
	if s.issuer == "" {
		s.issuer = issuer
	}
	if s.subject == "" {
		s.subject = subject
	}
	if s.issued.IsZero() {
		s.issued = v.started.Add(-time.Minute)
	}
	if s.logged.IsZero() {
		s.logged = v.started
	}
	if s.hash == 0 {
		s.hash = crypto.SHA256
	}
	if s.message == nil {
		s.message = message
	}
	if s.leaf == nil {
		s.leaf = newKey(v.t)
	}
	return s
}

// signed is a signature with the parts of which bundles are made.
type signed struct {
	v    *virtual
	raw  []byte
	key  crypto.Signer
	cert *x509.Certificate // nil: signed with a key
	hash crypto.Hash
	sum  []byte
	at   time.Time // logged
}

func (v *virtual) sign(s signing) *signed {
	v.t.Helper()
	s = s.defaults(v)
	out := &signed{v: v, key: s.key, hash: s.hash, at: s.logged}
	if s.key == nil {
		out.key, out.cert = s.leaf, v.certificate(s, s.leaf.Public())
	}
	out.sum = hashOf(s.hash, s.message)
	var err error
	out.raw, err = out.key.Sign(rand.Reader, out.sum, s.hash)
	must(v.t, err)
	return out
}

// certificate issues a certificate as Fulcio does, with an SCT over it.
func (v *virtual) certificate(s signing, pub crypto.PublicKey) *x509.Certificate {
	v.t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(v.t), NotBefore: s.issued, NotAfter: s.issued.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: append([]pkix.Extension{extension(v.t, 8, s.issuer)}, s.extensions...),
	}
	if u, err := url.Parse(s.subject); err == nil && strings.Contains(s.subject, "://") {
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{s.subject}
	}
	bare := v.issue(template, v.middle, pub, v.key)
	if s.noSCT {
		return bare
	}
	template.ExtraExtensions = append(template.ExtraExtensions, v.sct(bare))
	return v.issue(template, v.middle, pub, v.key)
}

// extension makes one of Fulcio's extensions, whose values are DER strings.
func extension(t *testing.T, n int, value string) pkix.Extension {
	t.Helper()
	der, err := asn1.MarshalWithParams(value, "utf8")
	must(t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}, Value: der}
}

// sct returns the extension with the certificate log's SCT for a certificate
// that lacks it.
func (v *virtual) sct(bare *x509.Certificate) pkix.Extension {
	v.t.Helper()
	sct := &ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1, LogID: ct.LogID{KeyID: [32]byte(keyID(v.t, v.ctlog.Public()))},
		Timestamp: uint64(v.started.UnixMilli()),
	}
	leaf := ct.MerkleTreeLeaf{Version: ct.V1, LeafType: ct.TimestampedEntryLeafType, TimestampedEntry: &ct.TimestampedEntry{
		Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType,
		PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(v.middle.RawSubjectPublicKeyInfo), TBSCertificate: bare.RawTBSCertificate},
	}}
	input, err := ct.SerializeSCTSignatureInput(*sct, ct.LogEntry{Leaf: leaf})
	must(v.t, err)
	sig, err := tls.CreateSignature(*v.ctlog, tls.SHA256, input)
	must(v.t, err)
	sct.Signature = ct.DigitallySigned(sig)
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{sct})
	must(v.t, err)
	data, err := tls.Marshal(*list)
	must(v.t, err)
	der, err := asn1.Marshal(data)
	must(v.t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier(ctx509.OIDExtensionCTSCT), Value: der}
}

func hashOf(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

func file(t *testing.T, pb *protobundle.Bundle) signature.Signature {
	t.Helper()
	data, err := protojson.Marshal(pb)
	must(t, err)
	return signature.Signature{Kind: signature.Bundle, Data: data}
}
