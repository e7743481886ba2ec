package pgp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/signature"
)

// gnupg runs the real gpg with a home of its own.
type gnupg struct {
	t    *testing.T
	home string
}

func newGnuPG(t *testing.T) gnupg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("no gpg on this machine")
	}
	home, err := os.MkdirTemp("", "gpg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	g := gnupg{t, home}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	return g
}

func (g gnupg) run(args ...string) []byte {
	g.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", g.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// TestGnuPG verifies what the real gpg signs.
func TestGnuPG(t *testing.T) {
	g := newGnuPG(t)
	file := filepath.Join(g.home, "list")
	if err := os.WriteFile(file, message, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct{ user, algo, expire string }{
		{"ed@example.com", "ed25519", "0"}, {"rsa@example.com", "rsa3072", "0"}, {"p256@example.com", "nistp256", "1d"},
	} {
		g.run("--quick-generate-key", one.user, one.algo, "sign", one.expire)
	}
	fingerprint := func(user string) string {
		for line := range strings.Lines(string(g.run("--with-colons", "--list-keys", user))) {
			if rest, ok := strings.CutPrefix(line, "fpr:"); ok {
				return strings.Trim(strings.TrimSpace(rest), ":")
			}
		}
		t.Fatalf("%s has no key", user)
		return ""
	}
	g.run("--quick-add-key", fingerprint("ed@example.com"), "ed25519", "sign", "0")
	parse := func(args ...string) *Ring {
		t.Helper()
		r, err := Parse(g.run(append([]string{"--export"}, args...)...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	all, armoured := parse(), parse("--armor")
	if len(all.Keys()) != 4 || len(armoured.Keys()) != 4 {
		t.Fatalf("%v %v", all.Keys(), armoured.Keys())
	}
	check := func(what string, r *Ring, sig []byte, want signature.Reason) {
		t.Helper()
		_, err := r.Verify(signature.Signature{Kind: signature.PGP, Data: sig}, message, signature.When{Now: time.Now()})
		if reason(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, user := range []string{"ed@example.com", "rsa@example.com", "p256@example.com"} {
		binary := g.run("--local-user", user, "--output", "-", "--detach-sign", file)
		check(user, all, binary, accepts)
		check(user+", armoured", armoured, g.run("--local-user", user, "--armor", "--output", "-", "--detach-sign", file), accepts)
		check(user+", cut short", all, binary[:len(binary)-2], signature.Malformed)
		check(user+", as text", all, g.run("--local-user", user, "--textmode", "--output", "-", "--detach-sign", file), signature.Malformed)
		others := "rsa@example.com"
		if user == others {
			others = "ed@example.com"
		}
		check(user+", another ring", parse(others), binary, signature.Stranger)
	}
	both := g.run("--local-user", "ed@example.com", "--local-user", "rsa@example.com", "--armor", "--output", "-", "--detach-sign", file)
	check("two signers", parse("rsa@example.com"), both, accepts)
	check("two signers", parse("ed@example.com"), both, accepts)
	// Revoked, and its subkey with it.
	old := g.run("--local-user", "ed@example.com", "--output", "-", "--detach-sign", file)
	revocation := filepath.Join(g.home, "openpgp-revocs.d", fingerprint("ed@example.com")+".rev")
	text, err := os.ReadFile(revocation)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(revocation, []byte(strings.Replace(string(text), ":-----BEGIN", "-----BEGIN", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run("--import", revocation)
	check("revoked", parse("ed@example.com"), old, signature.Revoked)
}

// TestKubeCon holds the talk's history against its key ring: of 29 commits whose
// list carries a PGP signature, 27 verify. The key has expired since.
func TestKubeCon(t *testing.T) {
	dir, _ := filepath.Abs(filepath.Join("..", "..", "..", "..", "shared", "kubecon"))
	data, err := os.ReadFile(filepath.Join(dir, "pubring.gpg"))
	if err != nil {
		t.Skip("the demo's repositories are not beside the project")
	}
	ring, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "app.git")
	git := func(args ...string) []byte {
		out, _ := exec.Command("git", append([]string{"-C", clone}, args...)...).Output()
		return out
	}
	if out, err := exec.Command("git", "clone", "-q", "--mirror", filepath.Join(dir, "sample-kustomize-app.bundle"), clone).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	count := map[signature.Reason]int{}
	for commit := range strings.FieldsSeq(string(git("rev-list", "--all"))) {
		sigs, err := signature.Split(git("show", commit+":source-materials.sig"))
		if err != nil || sigs[0].Kind != signature.PGP {
			continue
		}
		e, err := ring.Verify(sigs[0], git("show", commit+":source-materials"), signature.When{Now: time.Now()})
		count[reason(err)]++
		if err != nil {
			t.Logf("%s: %v", commit[:7], err)
		} else if day(e.Expires) != "2023-02-15" || e.Claimed.After(e.Expires) {
			t.Errorf("%s: %+v", commit[:7], e)
		}
	}
	if count[accepts] != 27 || count[signature.Mismatch] != 2 || len(count) != 2 {
		t.Errorf("%v", count)
	}
}
