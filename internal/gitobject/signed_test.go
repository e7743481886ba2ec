package gitobject

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const signedCommit = `tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
parent 1111111111111111111111111111111111111111
author A <a@example.com> 1600000000 +0200
committer C <c@example.com> 1700000000 -0100
gpgsig -----BEGIN PGP SIGNATURE-----
 
 line
 -----END PGP SIGNATURE-----
gpgsig-sha256 other
 lines
encoding UTF-8

message

gpgsig not a header
`

func TestSignedCommit(t *testing.T) {
	s, err := SignedCommit([]byte(signedCommit), 40)
	if err != nil {
		t.Fatal(err)
	}
	wantPayload := signedCommit[:strings.Index(signedCommit, "gpgsig -")] + signedCommit[strings.Index(signedCommit, "encoding"):]
	wantSignature := "-----BEGIN PGP SIGNATURE-----\n\nline\n-----END PGP SIGNATURE-----\n"
	if string(s.Payload) != wantPayload || string(s.Signature) != wantSignature || !s.When.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%q\n%q\n%v", s.Payload, s.Signature, s.When)
	}
	if s, err := SignedCommit([]byte(signedCommit), 64); err != nil || string(s.Signature) != "other\nlines\n" || string(s.Payload) != wantPayload {
		t.Errorf("SHA-256: %q, %v", s.Signature, err)
	}
	twice := strings.Replace(signedCommit, "encoding", "gpgsig again\nencoding", 1)
	if _, err := SignedCommit([]byte(twice), 40); err == nil {
		t.Error("two signatures are accepted")
	}
	plain := strings.Replace(signedCommit, "gpgsig -", "x-gpgsig -", 1)
	if _, err := SignedCommit([]byte(plain), 40); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
}

const signedTag = `object 1111111111111111111111111111111111111111
type commit
tag v1.0
tagger T <t@example.com> 1700000000 +0000

message
-----BEGIN SSH SIGNATURE-----
one
-----END SSH SIGNATURE-----
more
-----BEGIN SSH SIGNATURE-----
two
-----END SSH SIGNATURE-----
`

func TestSignedTag(t *testing.T) {
	tag, err := SignedTag([]byte(signedTag), 40)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.LastIndex(signedTag, "-----BEGIN")
	if tag.Name != "v1.0" || tag.Commit != strings.Repeat("1", 40) || string(tag.Payload) != signedTag[:last] || string(tag.Signature) != signedTag[last:] || tag.When.Unix() != 1700000000 {
		t.Errorf("%+v", tag)
	}
	for name, change := range map[string][2]string{
		"of a tree":          {"type commit", "type tree"},
		"short id":           {"object 1", "object "},
		"without a name":     {"tag v1.0\n", ""},
		"with a header more": {"\n\nmessage", "\ngpgsig x\n\nmessage"},
		"without a tagger":   {"tagger", "person"},
	} {
		if _, err := SignedTag([]byte(strings.Replace(signedTag, change[0], change[1], 1)), 40); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := SignedTag([]byte(signedTag[:strings.Index(signedTag, "-----")]), 40); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
}

// TestSignedAsGit compares what is taken to be covered with what git hands to
// the program that verifies.
func TestSignedAsGit(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "program")
	// Stands in for gpg: signs with a fixed text, and keeps what it is given.
	program := `#!/bin/sh
case "$*" in
*--verify*) cp "$(echo "$*" | sed 's/.*--verify \([^ ]*\) -.*/\1/')" ` + dir + `/signature; cat > ` + dir + `/payload ;;
*) cat > /dev/null; printf '%s\n' '-----BEGIN PGP SIGNATURE-----' '' 'abcd' '-----END PGP SIGNATURE-----'; echo '[GNUPG:] SIG_CREATED ' >&2 ;;
esac
`
	if err := os.WriteFile(script, []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "gpg.program=" + script, "-c", "user.name=N", "-c", "user.email=e@example.com", "-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil && args[0] != "verify-commit" && args[0] != "verify-tag" {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-S", "-m", "first\n\nbody\n-----BEGIN PGP SIGNATURE-----\nnot one\n")
	git("tag", "-s", "v1", "-m", "a tag")
	same := func(what string, payload, sig []byte) {
		t.Helper()
		for name, want := range map[string][]byte{"payload": payload, "signature": sig} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != string(want) {
				t.Errorf("%s: git's %s is %q, %v, ours %q", what, name, got, err, want)
			}
		}
	}
	git("verify-commit", "HEAD")
	commit, err := SignedCommit([]byte(git("cat-file", "commit", "HEAD")), 40)
	if err != nil {
		t.Fatal(err)
	}
	same("commit", commit.Payload, commit.Signature)
	git("verify-tag", "v1")
	tag, err := SignedTag([]byte(git("cat-file", "tag", "v1")), 40)
	if err != nil || tag.Name != "v1" {
		t.Fatalf("%+v, %v", tag, err)
	}
	same("tag", tag.Payload, tag.Signature)
}

func FuzzSigned(f *testing.F) {
	f.Add([]byte(signedCommit))
	f.Add([]byte(signedTag))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := SignedCommit(data, 40); err == nil && len(s.Signature) == 0 {
			t.Error("a commit without a signature")
		}
		if tag, err := SignedTag(data, 40); err == nil && (tag.Commit == "" || len(tag.Signature) == 0) {
			t.Errorf("%+v", tag)
		}
	})
}
