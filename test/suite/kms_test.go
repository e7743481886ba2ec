package suite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustomize/trustomize/signer"
)

// TestKMS signs with a key that cosign made in a KMS, and verifies with cosign.
func TestKMS(t *testing.T) {
	dir := t.TempDir()
	cosign := func(args ...string) ([]byte, error) {
		cmd := exec.Command(filepath.Join(bin, "cosign"), args...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "PATH=" + bin}
		return cmd.CombinedOutput()
	}
	uri := "filetest://" + filepath.Join(dir, "key.pem")
	if out, err := cosign("generate-key-pair", "--kms="+uri); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "") // as the program has it when keys are opened
	key, err := signer.OpenKMS(t.Context(), uri, signer.Plugins{Path: bin})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.PublicPEM(); err != nil || string(got) != string(public) {
		t.Errorf("%v: public key\n%swant\n%s", err, got, public)
	}
	file, err := key.SignFile(t.Context(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"blob": []byte("message"), "other": []byte("massage"), "blob.sig": file.Data} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, by := range []string{uri, "cosign.pub"} {
		if out, err := cosign("verify-blob", "--key="+by, "--signature=blob.sig", "--insecure-ignore-tlog", "blob"); err != nil {
			t.Errorf("by %s: %v\n%s", by, err, out)
		}
		if out, err := cosign("verify-blob", "--key="+by, "--signature=blob.sig", "--insecure-ignore-tlog", "other"); err == nil {
			t.Errorf("by %s: other bytes verify\n%s", by, out)
		}
	}
	if _, err := signer.OpenKMS(t.Context(), "filetest://"+filepath.Join(dir, "none"), signer.Plugins{Path: bin}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}
