package archive

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// source is a URL that was checked.
type source struct {
	getter string // go-getter's name: http, https, s3 or gcs
	url    *url.URL
}

// String returns the URL without its query and fragment, which may hold a
// credential.
func (s source) String() string {
	u := *s.url
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	if s.isStore() {
		return s.getter + "::" + u.String()
	}
	return u.String()
}

func (s source) isStore() bool { return s.getter == "s3" || s.getter == "gcs" }

// parseSource reads a URL as it must be for go-getter to take it as it is
// written. No error repeats a URL that holds, or could hold, a credential.
func parseSource(raw string) (source, error) {
	kind, rest := "", raw
	for _, store := range []string{"s3", "gcs"} {
		if after, ok := strings.CutPrefix(raw, store+"::"); ok {
			kind, rest = store, after
		}
	}
	u, err := url.Parse(rest)
	if err != nil {
		return source{}, errors.New("an archive's URL that cannot be parsed")
	}
	if u.User != nil {
		return source{}, fmt.Errorf("the URL of an archive at %q holds a user or password; credentials belong in the policy", u.Host)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "" {
		return source{}, errors.New("an archive's URL that is neither https://, http://, s3::https:// nor gcs::https://")
	}
	if kind == "" {
		kind = u.Scheme
	}
	s := source{kind, u}
	if err := s.check(); err != nil {
		return source{}, fmt.Errorf("%s: %w", s, err)
	}
	return s, nil
}

func (s source) check() error {
	if p := s.url.Path; path.Clean(p) != p {
		return errors.New(`the path has a segment "", "." or ".."`)
	}
	if err := s.checkQuery(); err != nil {
		return err
	}
	if s.url.Fragment != "" && s.getter != "gcs" {
		return errors.New("the URL has a fragment")
	}
	switch s.getter {
	case "s3":
		return checkS3(s.url)
	case "gcs":
		return checkGCS(s.url)
	}
	return nil
}

// magic are the query parameters that go-getter obeys, in some getter or in
// all: a committer could choose the file's place, its type or an account.
var magic = []string{
	"archive", "checksum", "filename", "sshkey",
	"aws_access_key_id", "aws_access_key_secret", "aws_access_token", "aws_profile",
}

// checkQuery leaves to S3 the version of an object and the region of a server,
// to GCS nothing, and to a web server what is not go-getter's.
func (s source) checkQuery() error {
	query, err := url.ParseQuery(s.url.RawQuery)
	if err != nil {
		return errors.New("the URL's query is malformed") // go-getter would drop what it cannot read
	}
	for name := range query {
		allowed := !slices.Contains(magic, name)
		if s.isStore() {
			allowed = s.getter == "s3" && (name == "version" || name == "region")
		}
		if !allowed {
			return fmt.Errorf("the query parameter %q is not for an archive's URL", name)
		}
	}
	return nil
}

// awsHost has the forms of an AWS host out of which go-getter reads bucket and
// region rightly. It takes other hosts that end alike for AWS's as well.
var awsHost = regexp.MustCompile(`^(s3|s3-[a-z0-9-]+|[a-z0-9-]+\.s3[.-][a-z0-9-]+)\.amazonaws\.(com|com\.cn|eu)$`)

var likeAWS = regexp.MustCompile(`amazonaws\.(com|com\.cn|eu)$`)

func checkS3(u *url.URL) error {
	if likeAWS.MatchString(u.Host) && !awsHost.MatchString(u.Host) {
		return errors.New("want the host as BUCKET.s3.REGION.amazonaws.com, or s3-REGION.amazonaws.com before a path of /BUCKET/KEY")
	}
	return nil
}

var generation = regexp.MustCompile(`^[0-9]*$`)

// checkGCS accepts the one form of a URL. go-getter looks neither at scheme
// nor host, and an object would have as many identities.
func checkGCS(u *url.URL) error {
	if u.Scheme != "https" || u.Host != "www.googleapis.com" || !strings.HasPrefix(u.Path, "/storage/v1/") {
		return errors.New("want https://www.googleapis.com/storage/v1/BUCKET/OBJECT")
	}
	if !generation.MatchString(u.Fragment) {
		return errors.New("the fragment is no generation of an object")
	}
	return nil
}
