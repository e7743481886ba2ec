package pgp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustomize/trustomize/internal/signature"
)

// shared reads a file that lies beside the project, or skips the test.
func shared(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "..", "shared"}, elem...)...))
	if err != nil {
		t.Skip("not beside the project: ", err)
	}
	return data
}

// TestVectors verifies signatures that GnuPG made.
func TestVectors(t *testing.T) {
	for name, fingerprint := range map[string]string{
		"pgp-ed25519": "pgp:ca143a4775a4df5026f14d670e74281742442e19",
		"pgp-rsa":     "pgp:cdc006ab795e0faada93ea08b10d547e344db69f",
	} {
		r := mustParse(t, shared(t, "vectors", name+".asc"))
		sig, list := shared(t, "vectors", name+".sig"), shared(t, "vectors", "source-materials")
		at := r.Keys()[0].NotBefore.Add(time.Hour)
		e, err := verifyAt(r, sig, list, at)
		if err != nil || e.Fingerprint != fingerprint {
			t.Errorf("%s: %+v, %v, want %s", name, e, err, fingerprint)
		}
		if _, err := verifyAt(r, sig, append(list, '\n'), at); reasonOf(err) != signature.Mismatch {
			t.Errorf("%s over other bytes: %v", name, err)
		}
	}
}

// TestHistory verifies what is signed with PGP in all commits of the KubeCon
// demo's repository. The key expired since.
func TestHistory(t *testing.T) {
	r := mustParse(t, shared(t, "kubecon", "pubring.gpg"))
	if got := len(r.Keys()); got != 2 {
		t.Errorf("%d keys sign, want 2: %v", got, r)
	}
	shared(t, "kubecon", "sample-kustomize-app.bundle")
	bundle, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "shared", "kubecon", "sample-kustomize-app.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "app.git")
	gitOutput(t, "clone", "--quiet", "--mirror", bundle, dir)
	bad := map[string]bool{ // signatures over an earlier list
		"40bd439afed7c911307e62181fb849763123084e": true,
		"0629976fd264376cf49e269d773371f5c7639e75": true,
	}
	good := 0
	for _, commit := range pgpCommits(t, dir) {
		sig := gitOutput(t, "-C", dir, "cat-file", "blob", commit+":source-materials.sig")
		list := gitOutput(t, "-C", dir, "cat-file", "blob", commit+":source-materials")
		e, err := verifyAt(r, sig, list, now.AddDate(10, 0, 0))
		if bad[commit] {
			if reasonOf(err) != signature.Mismatch {
				t.Errorf("%s: %v, want that it does not verify", commit, err)
			}
			delete(bad, commit)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", commit, err)
			continue
		}
		good++
		if e.Fingerprint != "pgp:5494d6fb1917555a869094d77ab51193cce8e7b1" || e.Identity != "Hirokuni Kitahara <hirokuni.kitahara1@ibm.com>" ||
			e.Expires != time.Date(2023, 2, 15, 2, 51, 33, 0, time.UTC) || !e.Claimed.Before(e.Expires) {
			t.Errorf("%s: %+v", commit, e)
		}
	}
	if good != 27 || len(bad) != 0 {
		t.Errorf("%d commits are signed, want 27; not seen: %v", good, bad)
	}
}

// pgpCommits are the commits whose list is signed with PGP, on any branch.
func pgpCommits(t *testing.T, dir string) (commits []string) {
	t.Helper()
	for _, commit := range strings.Fields(string(gitOutput(t, "-C", dir, "rev-list", "--all"))) {
		sig, err := exec.Command("git", "-C", dir, "cat-file", "blob", commit+":source-materials.sig").Output()
		if err == nil && bytes.HasPrefix(sig, []byte("-----BEGIN PGP")) {
			commits = append(commits, commit)
		}
	}
	return commits
}

func gitOutput(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return out
}
