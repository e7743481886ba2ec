// Package sourceurl reads what a reference names that is not a local path: a git
// repository, a single file, an archive, or an artifact of a registry.
//
//	git       as kustomize writes it; see package giturl
//	file      http(s)://HOST/PATH where a file is wanted, or PATH ends in .yaml, .yml or .json
//	archive   [s3::|gcs::]http(s)://HOST/PATH[//DIR] where PATH ends in .tar.gz, .tgz or .zip
//	artifact  oci://HOST/REPOSITORY[:TAG|@DIGEST][//DIR]; see package oci
//
// kustomize knows the first two. Which of them an http URL without such an
// ending is, it asks the server; here nothing is asked before the policy has
// been, and the URL is a repository unless it cannot be one.
package sourceurl

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/trustomize/trustomize/internal/archive"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/internal/identity"
	"github.com/trustomize/trustomize/internal/oci"
)

// Kind is how a source's bytes come.
type Kind string

// The kinds.
const (
	Git      Kind = "git"
	File     Kind = "file"
	Archive  Kind = "archive"
	Artifact Kind = "oci"
)

// URL names a source, and a directory in it.
type URL struct {
	Kind       Kind
	Text       string // as written
	Identity   identity.Identity
	Location   string // what is asked: a URL, without version and directory
	Scheme     string // of the location: https, http, ssh, file, oci, s3, gcs
	Repository string // the source's path as written, decoded; for mirrors
	Path       string // directory below the source's root; "" is the root
	Ref        string // branch, tag or commit id; an artifact's tag or sha256:DIGEST
	Submodules bool   // git: follow them
}

// Parse reads a reference. A text that names nothing remote is
// [giturl.ErrLocal]. wantFile says that only a single file will do.
func Parse(text string, wantFile bool) (*URL, error) {
	switch {
	case strings.HasPrefix(text, oci.Scheme):
		return parseArtifact(text)
	case wantFile && giturl.IsHTTP(text):
		return parseFile(text)
	case isArchive(text):
		return parseArchive(text)
	case giturl.LooksLikeFile(text):
		return parseFile(text)
	case wantFile:
		return nil, giturl.ErrLocal
	}
	u, err := giturl.Parse(text)
	if errors.Is(err, giturl.ErrNoRepository) && giturl.IsHTTP(text) {
		return parseFile(text)
	}
	if err != nil {
		return nil, err
	}
	return FromGit(u, text), nil
}

// ID returns the commit or digest that the URL itself names in full.
func (u *URL) ID() (string, bool) {
	if u.Kind == Artifact {
		return strings.CutPrefix(u.Ref, "sha256:")
	}
	return u.Ref, u.Kind == Git && gitobject.IsID(u.Ref)
}

// FromGit returns a git URL as a source's. A full commit id may be written in
// upper case: git, and so kustomize, fetches it.
func FromGit(u *giturl.URL, text string) *URL {
	ref := u.Ref
	if id := strings.ToLower(ref); gitobject.IsID(id) {
		ref = id
	}
	return &URL{
		Kind: Git, Text: text, Identity: u.Identity, Location: u.Clone, Scheme: u.Scheme,
		Repository: u.Repository, Path: u.Path, Ref: ref, Submodules: u.Submodules,
	}
}

// ParseLocked reads the URL of a lock's entry. What kind of source it names may
// have been decided by what referred to it; the entry shows it: the commit of a
// single file is the file's digest. Otherwise a URL that looks like a file's is a
// submodule's repository.
func ParseLocked(text, commit, digest string) (*URL, error) {
	if digest == "sha256:"+commit {
		return Parse(text, true)
	}
	u, err := Parse(text, false)
	if err != nil || u.Kind != File {
		return u, err
	}
	name, ref, _ := strings.Cut(text, "?ref=")
	repository, err := giturl.ParseRepository(name)
	if err != nil {
		return nil, err
	}
	repository.Ref = ref
	return FromGit(repository, text), nil
}

func parseArtifact(text string) (*URL, error) {
	ref, err := oci.Parse(text)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(ref.Repository, ".git") {
		return nil, fmt.Errorf("%s: an artifact's repository ends in .git, which its identity could not show", giturl.Redact(text))
	}
	id, err := identity.New("oci", ref.Registry, ref.Repository)
	if err != nil {
		return nil, err
	}
	version := ref.Tag
	if ref.Digest != "" {
		version = "sha256:" + ref.Digest
	}
	return &URL{
		Kind: Artifact, Text: text, Identity: id, Location: oci.Scheme + ref.Registry + "/" + ref.Repository, Scheme: "oci",
		Repository: ref.Repository, Path: ref.Path, Ref: version,
	}, nil
}

// splitGetter splits off what says where an archive lies.
func splitGetter(text string) (getter, rest string) {
	for _, name := range []string{"s3", "gcs"} {
		if rest, ok := strings.CutPrefix(text, name+"::"); ok {
			return name, rest
		}
	}
	return "", text
}

func isArchive(text string) bool {
	getter, rest := splitGetter(text)
	if !giturl.IsHTTP(rest) {
		return false
	}
	u, err := url.Parse(rest)
	if err != nil {
		return false
	}
	name, _, _ := strings.Cut(u.Path, "//")
	return getter != "" || archive.IsArchive(name)
}

func parseArchive(text string) (*URL, error) {
	getter, rest := splitGetter(text)
	u, err := parseHTTP(rest)
	if err != nil {
		return nil, err
	}
	name, dir, _ := strings.Cut(u.Path, "//")
	if !archive.IsArchive(name) {
		return nil, fmt.Errorf("%s: not the name of an archive; want .tar.gz, .tgz or .zip", giturl.Redact(text))
	}
	dir = path.Clean("/" + dir)[1:]
	if strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") {
		return nil, fmt.Errorf("%s: the path leaves the archive", giturl.Redact(text))
	}
	u.Path, u.RawPath = name, ""
	out, err := httpSource(Archive, text, u)
	if err != nil {
		return nil, err
	}
	out.Path = dir
	if getter != "" {
		out.Scheme, out.Location = getter, getter+"::"+out.Location
	}
	return out, nil
}

func parseFile(text string) (*URL, error) {
	u, err := parseHTTP(text)
	if err != nil {
		return nil, err
	}
	return httpSource(File, text, u)
}

// parseHTTP reads an http or https URL. No error repeats a password.
func parseHTTP(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: not a URL", giturl.Redact(text))
	}
	if u.User != nil {
		return nil, giturl.ErrSecret
	}
	if u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("%s: a fragment names nothing to fetch", giturl.Redact(text))
	}
	return u, nil
}

// httpSource makes a source of an http or https URL. One that ends like a
// repository, or a directory, would share its identity with another.
func httpSource(kind Kind, text string, u *url.URL) (*URL, error) {
	scheme := strings.ToLower(u.Scheme)
	if strings.HasSuffix(u.Path, ".git") || strings.HasSuffix(u.Path, "/") || strings.Contains(u.Path, "//") {
		return nil, fmt.Errorf("%s: not the name of a file", giturl.Redact(text))
	}
	id, err := identity.New(scheme, u.Host, u.EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", giturl.Redact(text), err)
	}
	// What is asked is put together from the parts that the identity was.
	at := url.URL{Scheme: scheme, Host: u.Host, Path: u.Path, RawQuery: u.RawQuery}
	return &URL{
		Kind: kind, Text: text, Identity: id, Location: at.String(), Scheme: scheme,
		Repository: strings.TrimPrefix(u.Path, "/"),
	}, nil
}

// ParseName reads what names a source and perhaps a path in it: an identity as
// policies have it, or a URL, with the path behind "//". An identity's last
// segments belong to the repository, however many there are.
func ParseName(text string) (*URL, error) {
	name, dir := cutPath(text)
	if id, err := identity.Parse(name); err == nil {
		if dir != "" && path.Clean("/"+dir) != "/"+dir {
			return nil, fmt.Errorf("path %q is not clean", dir)
		}
		return &URL{Identity: id, Path: dir, Text: text}, nil
	}
	if u, err := Parse(text, false); err == nil {
		return u, nil
	}
	u, err := giturl.ParseRepository(text)
	if err != nil {
		return nil, err
	}
	return FromGit(u, text), nil
}

// cutPath cuts at the first "//" that does not belong to a scheme.
func cutPath(text string) (name, dir string) {
	from := 0
	if i := strings.Index(text, "://"); i >= 0 {
		from = i + len("://")
	}
	name, dir, _ = strings.Cut(text[from:], "//")
	return text[:from] + name, dir
}
