package bundle

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/trustomize/trustomize/internal/signature"
)

// MaxRootSize is the size in bytes over which a trusted root is refused. That of
// the public good instance has 7 KiB.
const MaxRootSize = 1 << 20

// maxParts is how many authorities and logs a trusted root may hold.
const maxParts = 256

// Root is whom an operator trusts to attest identities and times: a Sigstore
// trusted root. It is immutable.
type Root struct {
	material *root.TrustedRoot
	parts    []Part
}

// Role is what a part of a trusted root is trusted for.
type Role string

// The roles.
const (
	CertificateAuthority Role = "certificate authority" // says who holds a key (Fulcio)
	CertificateLog       Role = "certificate log"       // has seen a certificate, by an SCT (RFC 6962)
	SignatureLog         Role = "log"                   // has seen a signature (Rekor)
	TimestampAuthority   Role = "timestamp authority"   // says when it saw a signature (RFC 3161)
)

// Part is one authority or log of a trusted root.
type Part struct {
	Role        Role
	Name        string    // its URL
	Fingerprint string    // of the log's or the topmost authority's key, see [signature.Evidence]
	NotBefore   time.Time // zero: no beginning is set
	Expires     time.Time // when it ends to be good, or one of its certificates does; zero: never
}

func (p Part) String() string { return fmt.Sprintf("%s %s", p.Role, p.Name) }

// ParseRoot reads a trusted_root.json (protobuf-specs, sigstore_trustroot.proto,
// media type application/vnd.dev.sigstore.trustedroot+json;version=0.1). It
// refuses unknown fields, doubles, keys of kinds that are not accepted, and a
// root without any part.
func ParseRoot(data []byte) (*Root, error) {
	if len(data) > MaxRootSize {
		return nil, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), MaxRootSize)
	}
	pb, err := root.NewTrustedRootProtobuf(data)
	if err != nil {
		return nil, fmt.Errorf("is not a trusted root: %s", printable(err.Error()))
	}
	r := &Root{}
	if err := r.read(pb); err != nil {
		return nil, fmt.Errorf("is not a trusted root: %w", err)
	}
	return r, nil
}

func (r *Root) read(pb *prototrustroot.TrustedRoot) error {
	n := len(pb.GetTlogs()) + len(pb.GetCtlogs()) + len(pb.GetCertificateAuthorities()) + len(pb.GetTimestampAuthorities())
	if n == 0 || n > maxParts {
		return fmt.Errorf("it holds %d authorities and logs, want 1 to %d", n, maxParts)
	}
	var authorities []root.CertificateAuthority
	for _, one := range pb.GetCertificateAuthorities() {
		ca, err := r.authority(one)
		if err != nil {
			return err
		}
		authorities = append(authorities, ca)
	}
	var stampers []root.TimestampingAuthority
	for _, one := range pb.GetTimestampAuthorities() {
		tsa, err := r.stamper(one)
		if err != nil {
			return err
		}
		stampers = append(stampers, tsa)
	}
	logs, err := r.logs(SignatureLog, pb.GetTlogs())
	if err != nil {
		return err
	}
	ctlogs, err := r.logs(CertificateLog, pb.GetCtlogs())
	if err != nil {
		return err
	}
	r.material, err = root.NewTrustedRoot(pb.GetMediaType(), authorities, ctlogs, stampers, logs)
	return err
}

func (r *Root) authority(pb *prototrustroot.CertificateAuthority) (*root.FulcioCertificateAuthority, error) {
	ca, err := root.ParseCertificateAuthority(pb)
	if err != nil {
		return nil, err
	}
	return ca, r.add(Part{
		Role: CertificateAuthority, Name: printable(ca.URI),
		NotBefore: ca.ValidityPeriodStart, Expires: ca.ValidityPeriodEnd,
	}, ca.Root, ca.Intermediates, nil)
}

func (r *Root) stamper(pb *prototrustroot.CertificateAuthority) (*root.SigstoreTimestampingAuthority, error) {
	parsed, err := root.ParseTimestampingAuthority(pb)
	if err != nil {
		return nil, err
	}
	tsa, ok := parsed.(*root.SigstoreTimestampingAuthority)
	if !ok {
		return nil, fmt.Errorf("%s %s: is a %T", TimestampAuthority, printable(pb.GetUri()), parsed)
	}
	return tsa, r.add(Part{
		Role: TimestampAuthority, Name: printable(tsa.URI),
		NotBefore: tsa.ValidityPeriodStart, Expires: tsa.ValidityPeriodEnd,
	}, tsa.Root, tsa.Intermediates, tsa.Leaf)
}

// add checks a chain and completes the part by what it says. Only the leaf,
// which may be nil, is not an authority's.
func (r *Root) add(p Part, top *x509.Certificate, middle []*x509.Certificate, leaf *x509.Certificate) error {
	if top == nil {
		return fmt.Errorf("%s: its chain has no authority at the end", p)
	}
	for _, cert := range append([]*x509.Certificate{top, leaf}, middle...) {
		if cert == nil {
			continue
		}
		key, err := signature.NewKey(cert.PublicKey)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", p, err)
		case cert != leaf && !cert.IsCA:
			return fmt.Errorf("%s: the certificate of %q is not an authority's", p, printable(cert.Subject.String()))
		case cert == top:
			p.Fingerprint = key.Fingerprint
		}
		if p.Expires.IsZero() || cert.NotAfter.Before(p.Expires) {
			p.Expires = cert.NotAfter
		}
	}
	r.parts = append(r.parts, p)
	return nil
}

// logs reads logs by the ids under which proofs name them. Reading them one by
// one keeps their order, and shows ids that occur twice.
func (r *Root) logs(role Role, all []*prototrustroot.TransparencyLogInstance) (map[string]*root.TransparencyLog, error) {
	logs := map[string]*root.TransparencyLog{}
	for _, one := range all {
		parsed, err := root.ParseTransparencyLogs([]*prototrustroot.TransparencyLogInstance{one})
		if err != nil {
			return nil, err
		}
		for id, log := range parsed {
			p := Part{Role: role, Name: printable(log.BaseURL), NotBefore: log.ValidityPeriodStart, Expires: log.ValidityPeriodEnd}
			key, err := signature.NewKey(log.PublicKey)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			if logs[id] != nil {
				return nil, fmt.Errorf("%s: its id %s occurs twice", p, id)
			}
			p.Fingerprint = key.Fingerprint
			logs[id], r.parts = log, append(r.parts, p)
		}
	}
	return logs, nil
}

// Parts returns the authorities and logs, those of one role as they stand in
// the file.
func (r *Root) Parts() []Part { return append([]Part(nil), r.parts...) }

// Ends returns which of the parts that are good now ends first. It reports false
// if none of them has an end. Parts that ended before stay in a trusted root for
// old signatures.
func (r *Root) Ends(now time.Time) (Part, bool) {
	var first Part
	for _, p := range r.parts {
		if p.Expires.After(now) && !p.NotBefore.After(now) && (first.Expires.IsZero() || p.Expires.Before(first.Expires)) {
			first = p
		}
	}
	return first, !first.Expires.IsZero()
}

// lacks returns an error unless there is a part for the role.
func (r *Root) lacks(role Role) error {
	for _, p := range r.parts {
		if p.Role == role {
			return nil
		}
	}
	return fmt.Errorf("the trusted root holds no %s", role)
}

// knows reports whether the root holds the log of that id.
func (r *Root) knows(logID string) bool {
	return r.material.RekorLogs()[hex.EncodeToString([]byte(logID))] != nil
}

// chains returns all chains of authorities above the certificate at a time, each
// beginning with the certificate itself.
func (r *Root) chains(leaf *x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	var all [][]*x509.Certificate
	for _, ca := range r.material.FulcioCertificateAuthorities() {
		if chains, err := ca.Verify(leaf, at); err == nil {
			all = append(all, chains...)
		}
	}
	if all == nil {
		return nil, errors.New("no authority of the trusted root issued it")
	}
	return all, nil
}
