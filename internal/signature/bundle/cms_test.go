package bundle

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"testing"
	"time"

	"github.com/github/smimesign/ietf-cms/oid"
	"github.com/github/smimesign/ietf-cms/protocol"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/trustomize/trustomize/internal/signature"
)

var commit = []byte("tree 045f683042529876c1fe28f97f416c1501ffa433\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nx\n")

var git = signature.When{Git: true}

// cms is a signature as gitsign makes it, taken apart.
type cms struct {
	signed *signed
	data   *protocol.SignedData
	entry  *protorekor.TransparencyLogEntry
}

// signCommit signs as gitsign does with rekorMode offline.
func (v *virtual) signCommit(s signing, text []byte) *cms {
	v.t.Helper()
	s = s.defaults(v)
	content, err := protocol.NewDataEncapsulatedContentInfo(text)
	must(v.t, err)
	data, err := protocol.NewSignedData(content)
	must(v.t, err)
	c := &cms{data: data, signed: &signed{v: v, key: s.leaf, cert: v.certificate(s, s.leaf.Public()), hash: s.hash, at: s.logged}}
	must(v.t, data.AddSignerInfo([]*x509.Certificate{c.signed.cert}, s.leaf))
	data.EncapContentInfo.EContent = asn1.RawValue{}
	c.log()
	return c
}

// log logs the signature that the CMS holds now.
func (c *cms) log() {
	t := c.signed.v.t
	t.Helper()
	attributes, err := c.signer().SignedAttrs.MarshaledForSigning()
	must(t, err)
	c.signed.raw, c.signed.sum = c.signer().Signature, hashOf(c.signed.hash, attributes)
	c.entry = c.signed.entry()
	c.entry.CanonicalizedBody = nil
}

func (c *cms) signer() *protocol.SignerInfo { return &c.data.SignerInfos[0] }

// resign makes the signature anew, after a change of what is signed.
func (c *cms) resign() {
	t := c.signed.v.t
	t.Helper()
	attributes, err := c.signer().SignedAttrs.MarshaledForSigning()
	must(t, err)
	c.signer().Signature, err = c.signed.key.Sign(rand.Reader, hashOf(c.signed.hash, attributes), c.signed.hash)
	must(t, err)
	c.log()
}

// file embeds the log entry, unless it is nil, and armours the whole.
func (c *cms) file() signature.Signature {
	t := c.signed.v.t
	t.Helper()
	if c.entry != nil {
		data, err := proto.Marshal(c.entry)
		must(t, err)
		c.unsigned(oidLogEntry, data)
	}
	der, err := c.data.ContentInfoDER()
	must(t, err)
	return armour(der)
}

func armour(der []byte) signature.Signature {
	return signature.Signature{Kind: signature.CMS, Data: pem.EncodeToMemory(&pem.Block{Type: "SIGNED MESSAGE", Bytes: der})}
}

func (c *cms) unsigned(id asn1.ObjectIdentifier, value any) {
	t := c.signed.v.t
	t.Helper()
	a, err := protocol.NewAttribute(id, value)
	must(t, err)
	c.signer().UnsignedAttrs = append(c.signer().UnsignedAttrs, a)
}

// sign replaces a signed attribute; nil removes it.
func (c *cms) sign(id asn1.ObjectIdentifier, values ...any) {
	t := c.signed.v.t
	t.Helper()
	var kept protocol.Attributes
	for _, a := range c.signer().SignedAttrs {
		if !a.Type.Equal(id) {
			kept = append(kept, a)
		}
	}
	for _, value := range values {
		a, err := protocol.NewAttribute(id, value)
		must(t, err)
		kept = append(kept, a)
	}
	c.signer().SignedAttrs = kept
	c.resign()
}

func TestCMS(t *testing.T) {
	v := newVirtual(t)
	r := v.root()
	c := v.signCommit(signing{}, commit)
	got, err := trust(t, acme, r).Verify(c.file(), commit, git)
	if err != nil {
		t.Fatal(err)
	}
	want := signature.Evidence{
		Kind: signature.CMS, Fingerprint: fingerprint(t, c.signed.cert.PublicKey), Identity: subject, Issuer: issuer, Repository: "https://github.com/",
		Digest: signature.DigestOf(commit), Proven: time.Unix(c.signed.at.Unix(), 0), Claimed: got.Claimed,
	}
	if !equal(got, want) || len(got.Above) != 2 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if d := time.Since(got.Claimed); d < 0 || d > time.Hour {
		t.Errorf("claimed: got %s", got.Claimed)
	}
	_, err = trust(t, acme, r).Verify(c.file(), commit, signature.When{})
	wantError(t, err, signature.OtherKind, "commits and tags only")
}

func TestBadCMS(t *testing.T) {
	v, other := newVirtual(t), newVirtual(t)
	r := v.root()
	tree := []byte("tree 0\n\n")
	for _, c := range []struct {
		name   string
		made   *cms
		change func(*cms)
		reason signature.Reason
		text   string
	}{
		{"good", v.signCommit(signing{}, commit), func(*cms) {}, 0, ""},
		{"promise without inclusion proof", v.signCommit(signing{}, commit), func(c *cms) { c.entry.InclusionProof = nil }, 0, ""},
		{"over another commit", v.signCommit(signing{}, tree), func(*cms) {}, signature.Mismatch, "other bytes"},
		{"another signer", v.signCommit(signing{subject: "eve@example.com"}, commit), func(*cms) {}, signature.Stranger, "eve@example.com"},
		{"another signer, online", v.signCommit(signing{subject: "eve@example.com"}, commit), func(c *cms) { c.entry = nil }, signature.Stranger, "eve@example.com"},
		{"another instance", other.signCommit(signing{}, commit), func(*cms) {}, signature.Unproven, "no authority"},
		{"no SCT", v.signCommit(signing{noSCT: true}, commit), func(*cms) {}, signature.Unproven, "it has no SCT"},
		{"late", v.signCommit(signing{logged: v.started.Add(time.Hour)}, commit), func(*cms) {}, signature.Expired, "its certificate was valid from"},
		{"online", v.signCommit(signing{}, commit), func(c *cms) { c.entry = nil }, signature.Unproven, "rekorMode offline"},
		{"the entry of another signature", v.signCommit(signing{}, commit), func(c *cms) { c.entry = v.signCommit(signing{}, commit).entry }, signature.Unproven, "its log entry does not verify"},
		{"another log", v.signCommit(signing{}, commit), func(c *cms) { c.signed.v = other; c.log() }, signature.Unproven, "does not hold"},
		{"a promise of another time", v.signCommit(signing{}, commit), func(c *cms) { c.entry.IntegratedTime++ }, signature.Unproven, "its log entry does not verify"},
		{"the digest of another commit, signed by another key", v.signCommit(signing{}, tree), func(c *cms) {
			before := c.signer().Signature
			c.sign(oid.AttributeMessageDigest, hashOf(c.signed.hash, commit))
			c.signer().Signature = before
		}, signature.Mismatch, "another certificate"},
		{"an entry of another kind", v.signCommit(signing{}, commit), func(c *cms) { c.entry.KindVersion.Version = "0.0.2" }, signature.Malformed, "want a hashedrekord 0.0.1"},
		{"an entry that is none", v.signCommit(signing{}, commit), func(c *cms) { c.entry = nil; c.unsigned(oidLogEntry, []byte("x")) }, signature.Malformed, "its log entry cannot be read"},
		{"an entry of another type", v.signCommit(signing{}, commit), func(c *cms) { c.entry = nil; c.unsigned(oidLogEntry, 7) }, signature.Malformed, "not an octet string"},
		{"two entries", v.signCommit(signing{}, commit), func(c *cms) { c.unsigned(oidLogEntry, []byte{}) }, signature.Malformed, "its log entry cannot be read"},
		{"no digest", v.signCommit(signing{}, commit), func(c *cms) { c.sign(oid.AttributeMessageDigest) }, signature.Malformed, "digest"},
		{"two digests", v.signCommit(signing{}, tree), func(c *cms) {
			c.sign(oid.AttributeMessageDigest, hashOf(c.signed.hash, tree), hashOf(c.signed.hash, commit))
		}, signature.Malformed, "digest"},
		{"no content type", v.signCommit(signing{}, commit), func(c *cms) { c.sign(oid.AttributeContentType) }, signature.Malformed, "content type"},
		{"another content type", v.signCommit(signing{}, commit), func(c *cms) { c.sign(oid.AttributeContentType, oid.ContentTypeTSTInfo) }, signature.Malformed, "want data"},
		{"no signed attributes", v.signCommit(signing{}, commit), func(c *cms) { c.signer().SignedAttrs = nil }, signature.Malformed, "content type"},
		{"SHA-1", v.signCommit(signing{}, commit), func(c *cms) { c.signer().DigestAlgorithm.Algorithm = oid.DigestAlgorithmSHA1 }, signature.Malformed, "is not accepted"},
		{"two signers", v.signCommit(signing{}, commit), func(c *cms) { c.data.SignerInfos = append(c.data.SignerInfos, *c.signer()) }, signature.Malformed, "2 signers"},
		{"no signer", v.signCommit(signing{}, commit), func(c *cms) { c.entry, c.data.SignerInfos = nil, nil }, signature.Malformed, "0 signers"},
		{"no certificate", v.signCommit(signing{}, commit), func(c *cms) { c.data.ClearCertificates() }, signature.Malformed, "certificate"},
		{"attached", v.signCommit(signing{}, commit), func(c *cms) {
			content, err := protocol.NewDataEncapsulatedContentInfo(commit)
			must(t, err)
			c.data.EncapContentInfo = content
		}, signature.Malformed, "want a detached signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change(c.made)
			sig := c.made.file()
			got, err := trust(t, acme, r).Verify(sig, commit, git)
			if c.text != "" {
				wantError(t, err, c.reason, c.text)
				return
			}
			if err != nil || got.Identity != subject {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}

// TestBadArmour checks the outermost layers.
func TestBadArmour(t *testing.T) {
	v := newVirtual(t)
	good := v.signCommit(signing{}, commit).file()
	block, _ := pem.Decode(good.Data)
	for name, data := range map[string][]byte{
		"empty":            nil,
		"cut short":        good.Data[:len(good.Data)/2],
		"something before": append([]byte("x\n"), good.Data...),
		"something behind": append(bytes.Clone(good.Data), good.Data...),
		"another armour":   pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: block.Bytes}),
		"headers":          pem.EncodeToMemory(&pem.Block{Type: "SIGNED MESSAGE", Headers: map[string]string{"a": "b"}, Bytes: block.Bytes}),
		"DER cut short":    armour(block.Bytes[:len(block.Bytes)-1]).Data,
		"DER and more":     armour(append(bytes.Clone(block.Bytes), 0)).Data,
		"too large":        armour(make([]byte, maxCMS+1)).Data,
		"indefinite":       armour([]byte{0x30, 0x80, 0, 0}).Data,
		"another type":     armour([]byte{0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}).Data,
	} {
		_, err := trust(t, acme, v.root()).Verify(signature.Signature{Kind: signature.CMS, Data: data}, commit, git)
		t.Run(name, func(t *testing.T) { wantError(t, err, signature.Malformed, "not a well-formed CMS signature") })
	}
}
