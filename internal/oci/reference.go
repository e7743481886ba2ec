package oci

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Reference is an oci:// URL that has been read.
type Reference struct {
	Registry   string // host[:port], as [Host] writes it
	Repository string // such as acme/bases; on Docker Hub "library/" stands before a single word
	Tag        string // "" when there is a digest
	Digest     string // 64 hexadecimal digits; "" when there is a tag
	Path       string // directory below the artifact's root, clean; "" is the root
}

// ErrSecret says that a URL seems to carry a password. The text is not
// repeated.
var ErrSecret = errors.New("the oci:// URL has an @ that begins no sha256 digest; credentials belong to the operator, not into a kustomization")

// Scheme is what every URL of this package begins with, in lower case.
const Scheme = "oci://"

// Grammars of the OCI distribution specification v1.1, "Pulling manifests", and
// of the image specification, descriptor.md, "SHA-256".
var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagName        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestHex      = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// maxName is how long host, slash and repository may be together, in bytes:
// where, as the distribution specification notes, many clients stop.
const maxName = 255

func isDigest(s string) bool { return digestHex.MatchString(s) }

// Parse reads
//
//	oci://HOST[:PORT]/REPOSITORY[:TAG|@sha256:HEX][//DIR][?ref=TAG|?ref=sha256:HEX]
//
// with one version or none; none is the tag "latest". Nothing is
// percent-decoded. What Flux, ArgoCD and oras could read in different ways is
// refused: a host without dot and port (some take it for a part of Docker
// Hub), a version behind the directory.
func Parse(raw string) (Reference, error) {
	text, ok := strings.CutPrefix(raw, Scheme)
	if !ok {
		return Reference{}, errors.New("not an oci:// URL")
	}
	text, query, hasQuery := strings.Cut(text, "?")
	if hidesSecret(text) {
		return Reference{}, ErrSecret
	}
	var r Reference
	if err := r.parse(text, query, hasQuery); err != nil {
		return Reference{}, fmt.Errorf("%q: %w", Scheme+text, err)
	}
	return r, nil
}

// hidesSecret reports whether an @ stands where a user's name would be, or
// begins something else than a digest.
func hidesSecret(text string) bool {
	for i, part := range strings.Split(text, "@") {
		if i > 0 && !strings.HasPrefix(part, "sha256:") || i == 0 && part != text && !strings.Contains(part, "/") {
			return true
		}
	}
	return false
}

func (r *Reference) parse(text, query string, hasQuery bool) error {
	if refusal.Printable(text) != text || strings.ContainsAny(text, "%#\\") {
		return errors.New("holds an unprintable character, %, # or a backslash")
	}
	location, dir, _ := strings.Cut(text, "//")
	host, repository, ok := strings.Cut(location, "/")
	if !ok {
		return errors.New("no repository: want oci://HOST/REPOSITORY")
	}
	var err error
	if r.Registry, err = Host(host); err != nil {
		return err
	}
	if r.Path, err = cleanPath(dir); err != nil {
		return err
	}
	if repository, err = r.cutVersion(repository, query, hasQuery); err != nil {
		return err
	}
	return r.setRepository(repository)
}

func cleanPath(dir string) (string, error) {
	if strings.ContainsAny(dir, ":@") {
		return "", errors.New("the directory holds : or @; a version stands before // or in ?ref=")
	}
	if slices.Contains(strings.Split(dir, "/"), "..") {
		return "", errors.New("the directory has .. in it")
	}
	dir = path.Clean(strings.TrimLeft(dir, "/"))
	if dir == "." {
		return "", nil
	}
	return dir, nil
}

// cutVersion takes the version off a repository's name, or out of the query.
func (r *Reference) cutVersion(name, query string, hasQuery bool) (string, error) {
	name, digest, hasDigest := strings.Cut(name, "@")
	name, tag, hasTag := strings.Cut(name, ":")
	ref, hasRef := strings.CutPrefix(query, "ref=")
	switch {
	case hasQuery && !hasRef:
		return "", errors.New("the query holds something else than ref=")
	case hasDigest && hasTag, hasDigest && hasRef, hasTag && hasRef:
		return "", errors.New("says its version more than once; want one of :TAG, @sha256:HEX and ?ref=")
	case hasDigest:
		return name, r.setDigest(digest)
	case hasTag:
		return name, r.setTag(tag)
	case strings.HasPrefix(ref, "sha256:"):
		return name, r.setDigest(ref)
	case hasRef:
		return name, r.setTag(ref)
	}
	return name, r.setTag("latest")
}

func (r *Reference) setDigest(s string) error {
	digest, ok := strings.CutPrefix(s, "sha256:")
	if !ok || !isDigest(digest) {
		return fmt.Errorf("%q is not a digest: want sha256: and 64 hexadecimal digits in lower case", s)
	}
	r.Digest = digest
	return nil
}

func (r *Reference) setTag(s string) error {
	if !tagName.MatchString(s) {
		return fmt.Errorf("%q is not a tag: want up to 128 letters, digits, _, . and -", s)
	}
	r.Tag = s
	return nil
}

func (r *Reference) setRepository(repository string) error {
	if !repositoryName.MatchString(repository) {
		return fmt.Errorf("%q is not a repository's name: want lower-case letters and digits, with ., _, - and / between them", repository)
	}
	registry, err := r.registry()
	if err != nil {
		return err
	}
	// Only name knows where "library/" belongs.
	r.Repository = registry.Repo(repository).RepositoryStr()
	if len(r.Registry)+1+len(r.Repository) > maxName {
		return fmt.Errorf("host and repository have more than %d bytes", maxName)
	}
	return nil
}

// registry returns the registry as go-containerregistry has it. "Insecure"
// makes it try http where https fails; it decides that by rules of its own
// for other hosts, which guard overrules.
func (r Reference) registry() (name.Registry, error) {
	options := []name.Option{name.StrictValidation}
	if isLoopback(r.Registry) {
		options = append(options, name.Insecure)
	}
	return name.NewRegistry(r.Registry, options...)
}

// at is the reference to a manifest of the same repository.
func (r Reference) at(digest string) Reference {
	r.Tag, r.Digest, r.Path = "", digest, ""
	return r
}

// artifact is the reference without its directory, for messages.
func (r Reference) artifact() string {
	if r.Digest != "" {
		return Scheme + r.Registry + "/" + r.Repository + "@sha256:" + r.Digest
	}
	return Scheme + r.Registry + "/" + r.Repository + ":" + r.Tag
}

// String returns the URL that Parse reads as this same reference.
func (r Reference) String() string {
	if r.Path == "" {
		return r.artifact()
	}
	return r.artifact() + "//" + r.Path
}
