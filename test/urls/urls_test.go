package urls

import (
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/internal/giturl"
)

// fragments are what URLs, and what almost are URLs, are made of.
var fragments = []string{
	"https://", "http://", "ssh://", "file://", "HTTPS://", "git::", "GIT::", "git@", "me@", "u:p@", "@", ":", "/", "//", "///", ".", "..", "../", "./",
	"github.com", "GitHub.com", "github.com/", "github.com:", "example.com", "example.com:22", "dev.azure.com", "[::1]", "localhost:80",
	"acme", "app", ".git", "app.git", "_git/", "_git", "base", "a b", "x..y", "%2e%2e", "%2F", "\\", "#", "-", "-x", "",
	"?", "?ref=main", "?version=v1", "&ref=v2", "?ref=", "?ref=-x", "&timeout=5", "&submodules=false", "?ref=a;b", "?ref=%zz", "=", "\n", "é",
}

func check(t *testing.T, text string) {
	t.Helper()
	theirs, theirErr := parse(text)
	ours, ourErr := giturl.Parse(text)
	if (theirErr != nil) != errors.Is(ourErr, giturl.ErrLocal) {
		// Something that only kustomize takes for local is refused by us: it
		// has a scheme. The other way round, it could go to a network.
		if theirErr != nil && ourErr != nil {
			return
		}
		t.Fatalf("%q: kustomize: %+v, %v; ours: %+v, %v", text, theirs, theirErr, ours, ourErr)
	}
	if ourErr != nil {
		return
	}
	if ours.Ref != theirs.Ref {
		t.Fatalf("%q: ref %q, and kustomize's is %q", text, ours.Ref, theirs.Ref)
	}
	if want := path.Clean("/" + theirs.KustRootPath); path.Clean("/"+ours.Path) != want {
		t.Fatalf("%q: path %q, and kustomize's is %q", text, ours.Path, theirs.KustRootPath)
	}
}

func TestSameAsKustomize(t *testing.T) {
	log.SetOutput(io.Discard) // it warns of git::
	for _, text := range []string{
		"https://github.com/acme/app//base?ref=v1", "git@github.com:acme/app", "git@:x.git", "me@:a/b", "github.com/acme/app", "github.com:acme/app",
		"https://dev.azure.com/o/p/_git/r/x", "file:///srv/x//y", "base", "../base", "ssh://git@example.com:22/x/y.git/z",
	} {
		check(t, text)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300_000 {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(fragments[random.IntN(len(fragments))])
		}
		check(t, b.String())
	}
}

func FuzzSameAsKustomize(f *testing.F) {
	log.SetOutput(io.Discard)
	f.Add("https://github.com/acme/app//base?ref=v1")
	f.Add("git@:x.git")
	f.Fuzz(func(t *testing.T, text string) { check(t, text) })
}
