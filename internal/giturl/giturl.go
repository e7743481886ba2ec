// Package giturl reads the git URLs that kustomize accepts in a
// kustomization, and on its command line.
//
// The grammar is that of kustomize's api module, v0.21 (RepoSpec): an optional
// "git::", a scheme (https, http, ssh, file), an optional user, a host, then
// repository and path, split at the first of "_git/", "//" and ".git", else
// after two segments; the query holds ref or version, timeout and submodules.
// What kustomize takes for a local path is [ErrLocal] here. What it takes for
// a URL but two programs could read differently is refused: what git is given
// is put together from the same parts as the identity that the policy judges.
package giturl

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trustomize/trustomize/internal/identity"
)

// ErrLocal says that the text is no git URL but a local path.
var ErrLocal = errors.New("not a git URL")

// ErrNoRepository says that a URL has too few segments to name a repository.
var ErrNoRepository = errors.New("no repository: want host/owner/name, or // behind the repository")

// ErrSecret says that a URL carries a password. The text is not repeated.
var ErrSecret = errors.New("the URL holds more than a user's name before @; credentials belong to the operator, not into a kustomization")

// URL is a reference to a directory of a git repository.
type URL struct {
	Identity   identity.Identity
	Clone      string        // what git is given: canonical, without query and password
	Scheme     string        // https, http, ssh or file
	Repository string        // the repository's path as written, decoded; for mirrors
	Path       string        // directory below the repository's root; "" is the root
	Ref        string        // branch, tag or commit id; "" is the default branch
	Timeout    time.Duration // as the URL asks; 0 when it does not
	Submodules bool
}

// Parse reads a URL as kustomize does. No error repeats a password or token
// that the URL holds.
func Parse(raw string) (*URL, error) {
	u, err := parse(raw)
	if err == nil || errors.Is(err, ErrLocal) || errors.Is(err, ErrSecret) {
		return u, err
	}
	return nil, fmt.Errorf("%q: %w", Redact(raw), err)
}

func parse(raw string) (*URL, error) {
	if strings.HasPrefix(raw, "/") || raw == "" {
		return nil, ErrLocal
	}
	text, query, _ := strings.Cut(raw, "?")
	p, err := splitHost(text)
	if err != nil {
		return nil, err
	}
	if strings.Contains(p.host, "@") {
		return nil, ErrSecret
	}
	repository, dir, err := splitPath(p.rest, p.scheme == "file")
	if err != nil {
		if p.written {
			return nil, err
		}
		return nil, ErrLocal
	}
	u := &URL{Scheme: p.scheme}
	if err := u.setQuery(query); err != nil {
		return nil, err
	}
	if err := u.setPath(dir); err != nil {
		return nil, err
	}
	return u, u.setRepository(p, repository)
}

// Redact returns a reference as it may be shown and recorded, whatever it is:
// without anything before "@" but the plain user of an ssh or scp-like URL,
// without queries that mean nothing to kustomize, and without a fragment.
// Where it is not clear what is a password, it takes out too much.
func Redact(raw string) string {
	text, query, hasQuery := strings.Cut(raw, "?")
	text, _, _ = strings.Cut(text, "#")
	query, _, _ = strings.Cut(query, "#")
	scheme, rest := "", text
	if i := strings.Index(text, "://"); i >= 0 {
		scheme, rest = text[:i+3], text[i+3:]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		ssh := scheme == "" || strings.EqualFold(scheme, "ssh://")
		if user := rest[:i]; !ssh || !plainUser.MatchString(user) {
			if strings.ContainsAny(user, ":@") || !strings.Contains(user, "/") {
				rest = rest[i+1:]
			}
		}
	}
	text = scheme + rest
	if !hasQuery {
		return text
	}
	var kept []string
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "ref", "version", "timeout", "submodules":
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		return text
	}
	return text + "?" + strings.Join(kept, "&")
}

var plainUser = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*$`)

// ParseRepository reads what names a repository as a whole: a remote's URL, or
// an identity as policies have it, with a directory behind "//". Unlike in a
// kustomization, a path without a marker belongs to the repository, however
// many segments it has.
func ParseRepository(s string) (*URL, error) {
	text, dir, hasDir := strings.Cut(s, "://")
	if !hasDir {
		text, dir = "", s
	} else {
		text += "://"
	}
	marked := strings.Contains(dir, "//") || strings.Contains(dir, "_git/") || strings.HasSuffix(dir, ".git")
	if !marked {
		dir = strings.TrimSuffix(dir, "/") + ".git"
	}
	u, err := Parse(text + dir)
	if errors.Is(err, ErrLocal) && text == "" {
		u, err = Parse("https://" + dir)
	}
	if err != nil || marked {
		return u, err
	}
	// The marker was ours.
	u.Clone, u.Repository = strings.TrimSuffix(u.Clone, ".git"), strings.TrimSuffix(u.Repository, ".git")
	if u.Scheme == "file" {
		u.Identity, err = identity.File(u.Clone)
	}
	return u, err
}

// parts is a URL up to its path.
type parts struct {
	scheme, user, host string
	scp                bool   // user@host:path, relative to the user's home
	written            bool   // the text itself has a scheme
	rest               string // repository and path
}

var userAt = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9-]*)@`)

func splitHost(text string) (parts, error) {
	if rest, ok := cutPrefixFold(text, "git::"); ok {
		text = rest
	}
	var p parts
	for _, scheme := range []string{"ssh", "https", "http", "file"} {
		if rest, ok := cutPrefixFold(text, scheme+"://"); ok {
			p.scheme, p.written, text = scheme, true, rest
			break
		}
	}
	if p.scheme == "file" {
		p.rest = text
		return p, nil
	}
	if m := userAt.FindStringSubmatch(text); m != nil {
		p.user, text = m[1], text[len(m[0]):]
	}
	lower := strings.ToLower(text)
	github := strings.HasPrefix(lower, "github.com/") || strings.HasPrefix(lower, "github.com:")
	scp := p.scheme == "" && (p.user != "" || github)
	if p.scheme == "" && !scp {
		return parts{}, ErrLocal
	}
	end := strings.IndexByte(text, '/')
	if colon := strings.IndexByte(text, ':'); scp && (end < 0 || colon > 0 && colon < end) {
		end = colon
	}
	if end < 0 {
		if !p.written {
			return parts{}, ErrLocal
		}
		return parts{}, errors.New("no repository")
	}
	p.host, p.rest = text[:end], text[end+1:]
	switch {
	case github && (p.scheme == "ssh" || p.user != ""):
		p.scheme, p.host, p.scp = "ssh", "github.com", true
	case github:
		p.scheme, p.host = "https", "github.com"
	case p.scheme == "":
		p.scheme, p.scp = "ssh", true
	}
	return p, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// splitPath splits repository and directory, at the first marker that
// applies.
func splitPath(s string, file bool) (repository, dir string, err error) {
	switch {
	case strings.Contains(s, "_git/"):
		i := strings.Index(s, "_git/") + len("_git/")
		name, rest, _ := strings.Cut(s[i:], "/")
		repository, dir = s[:i]+name, rest
	case strings.Contains(s, "//"):
		repository, dir, _ = strings.Cut(s, "//")
	case strings.Contains(s, ".git"):
		i := strings.Index(s, ".git") + len(".git")
		repository, dir = s[:i], s[i:]
	case file:
		repository = s
	default:
		segs := strings.SplitN(s, "/", 3)
		if len(segs) < 2 {
			return "", "", ErrNoRepository
		}
		repository = segs[0] + "/" + segs[1]
		if len(segs) == 3 {
			dir = segs[2]
		}
	}
	if repository == "" {
		return "", "", errors.New("no repository")
	}
	return repository, dir, nil
}

func (u *URL) setPath(dir string) error {
	dir = path.Clean(strings.TrimLeft(dir, "/"))
	if dir == ".." || strings.HasPrefix(dir, "../") {
		return errors.New("the path leaves the repository")
	}
	if strings.ContainsRune(dir, 0) {
		return errors.New("the path holds a NUL byte")
	}
	if dir != "." {
		u.Path = dir
	}
	return nil
}

func (u *URL) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		// kustomize would go on with the default branch.
		return errors.New("the query cannot be read")
	}
	u.Ref = values.Get("version")
	if ref := values.Get("ref"); ref != "" {
		u.Ref = ref
	}
	if err := CheckRef(u.Ref); err != nil {
		return err
	}
	if t := values.Get("timeout"); t != "" {
		if n, err := strconv.Atoi(t); err == nil && n > 0 {
			u.Timeout = time.Duration(n) * time.Second
		} else if d, err := time.ParseDuration(t); err == nil && d > 0 {
			u.Timeout = d
		}
	}
	u.Submodules = true
	if s := values.Get("submodules"); s != "" {
		if b, err := strconv.ParseBool(s); err == nil {
			u.Submodules = b
		}
	}
	return nil
}

// CheckRef refuses what git would not take for the name of a ref, an option
// above all. The empty ref stands for the default branch.
func CheckRef(ref string) error {
	if ref == "" {
		return nil
	}
	if strings.HasPrefix(ref, "-") || strings.HasPrefix(ref, "+") || strings.HasPrefix(ref, "/") || strings.HasSuffix(ref, "/") ||
		strings.HasSuffix(ref, ".") || strings.HasSuffix(ref, ".lock") || ref == "@" {
		return fmt.Errorf("ref %q is not a ref's name", ref)
	}
	for _, bad := range []string{"..", "//", "@{", "/."} {
		if strings.Contains(ref, bad) {
			return fmt.Errorf("ref %q is not a ref's name: it holds %q", ref, bad)
		}
	}
	for _, c := range []byte(ref) {
		if c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return fmt.Errorf("ref %q is not a ref's name: it holds %q", ref, c)
		}
	}
	return nil
}

func (u *URL) setRepository(p parts, repository string) error {
	var err error
	if p.scheme == "file" {
		decoded, err := url.PathUnescape(repository)
		if err != nil {
			return err
		}
		decoded = strings.TrimSuffix(decoded, "/")
		u.Identity, err = identity.File(decoded)
		// Given a path, git decodes nothing once more.
		u.Clone, u.Repository = decoded, decoded
		return err
	}
	u.Identity, err = identity.New(p.scheme, p.host, repository)
	if err != nil {
		return err
	}
	decoded, err := url.PathUnescape(strings.TrimSuffix(repository, "/"))
	if err != nil {
		return err
	}
	u.Repository = strings.TrimPrefix(decoded, "/")
	u.Clone = clone(p, decoded)
	return nil
}

// clone puts the URL for git together from checked parts. An scp-like path
// keeps its leading slash: without one it is relative to the user's home.
func clone(p parts, repository string) string {
	user := p.user
	if user != "" {
		user += "@"
	}
	if p.scp {
		return user + p.host + ":" + repository
	}
	out := url.URL{Scheme: p.scheme, Host: p.host, Path: "/" + strings.TrimPrefix(repository, "/")}
	if p.scheme == "ssh" && p.user != "" {
		out.User = url.User(p.user)
	}
	return out.String()
}

// LooksLikeFile reports whether an http or https URL most likely names one
// YAML or JSON file rather than a repository. kustomize finds out by asking the
// server; here nothing is asked before the policy has been.
func LooksLikeFile(raw string) bool {
	text, _, _ := strings.Cut(raw, "?")
	rest, ok := cutPrefixFold(text, "https://")
	if !ok {
		rest, ok = cutPrefixFold(text, "http://")
	}
	if !ok || strings.Contains(rest, "_git/") || strings.Contains(rest, "//") || strings.Contains(rest, ".git") {
		return false
	}
	switch path.Ext(rest) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// IsHTTP reports whether kustomize would fetch the text over http.
func IsHTTP(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}
