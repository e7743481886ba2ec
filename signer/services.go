package signer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
)

// Services are what a keyless signature is made with. None has a default: what
// a public instance logs is public for ever.
type Services struct {
	Fulcio    string         // base URL of the certificate authority; sees the identity token
	Rekor     []RekorService // the logs; every one gets an entry
	Timestamp []string       // URLs, with path, of RFC 3161 authorities; every one gives a timestamp
}

// RekorService is a log.
type RekorService struct {
	URL     string
	Version int // 1 or 2
}

// maxSigningConfig bounds the size in bytes of a signing configuration; the
// public instance's has about 2 KiB.
const maxSigningConfig = 1 << 20

// ParseSigningConfig reads a signing configuration, Sigstore's own file for
// clients that sign (signing_config.json, media type
// application/vnd.dev.sigstore.signingconfig.v0.2+json), and chooses the
// services in it that are valid at this time. Where the file says that any one
// of several operators will do, the choice is random.
func ParseSigningConfig(data []byte, now time.Time) (Services, error) {
	s, err := parseSigningConfig(data, now)
	if err != nil {
		return Services{}, fmt.Errorf("signing configuration: %w", err)
	}
	return s, nil
}

func parseSigningConfig(data []byte, now time.Time) (s Services, err error) {
	if len(data) > maxSigningConfig {
		return s, fmt.Errorf("has %d bytes, more than the %d allowed", len(data), maxSigningConfig)
	}
	pb, err := root.NewSigningConfigProtobuf(data)
	if err != nil {
		return s, err
	}
	config, err := root.NewSigningConfigFromProtobuf(pb)
	if err != nil {
		return s, err
	}
	ca, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return s, fmt.Errorf("caUrls: %w", err)
	}
	s.Fulcio = ca.URL
	logs, err := choose(config.RekorLogURLs(), pb.GetRekorTlogConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return s, fmt.Errorf("rekorTlogUrls: %w", err)
	}
	for _, log := range logs {
		s.Rekor = append(s.Rekor, RekorService{log.URL, int(log.MajorAPIVersion)})
	}
	authorities, err := choose(config.TimestampAuthorityURLs(), pb.GetTsaConfig(), sign.TimestampAuthorityAPIVersions, now)
	if err != nil {
		return s, fmt.Errorf("tsaUrls: %w", err)
	}
	for _, authority := range authorities {
		s.Timestamp = append(s.Timestamp, authority.URL)
	}
	return s, s.check()
}

// choose is root.SelectServices for a list that may be empty and a file that
// may not say how many of it to use.
func choose(all []root.Service, how *prototrustroot.ServiceConfiguration, versions []uint32, now time.Time) ([]root.Service, error) {
	if len(all) == 0 {
		return nil, nil
	}
	return root.SelectServices(all, root.ServiceConfiguration{Selector: how.GetSelector(), Count: how.GetCount()}, versions, now)
}

// check refuses services that make no signature which verifies later.
func (s Services) check() error {
	if err := checkURL(s.Fulcio); err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	if !secret(s.Fulcio) {
		return fmt.Errorf("certificate authority: %s would show the identity token to the network; want https", s.Fulcio)
	}
	if len(s.Rekor) == 0 {
		return errors.New("there is no log")
	}
	timeless := true
	for _, log := range s.Rekor {
		if err := checkURL(log.URL); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		if log.Version != 1 && log.Version != 2 {
			return fmt.Errorf("log %s: version %d is not known", log.URL, log.Version)
		}
		timeless = timeless && log.Version == 2
	}
	for _, authority := range s.Timestamp {
		if err := checkURL(authority); err != nil {
			return fmt.Errorf("timestamp authority: %w", err)
		}
	}
	if timeless && len(s.Timestamp) == 0 {
		return errors.New("there is no timestamp authority, and Rekor v2 tells no time: nobody could verify the signature once the certificate expired")
	}
	return nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("want an https or http URL, not %q", text)
	}
	return nil
}

// secret reports whether what is sent to a URL stays between the two: it is
// https, or it does not leave this machine.
func secret(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
