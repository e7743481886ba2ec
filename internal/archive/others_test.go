package archive

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trustomize/trustomize/internal/localdir"
)

// What tar and unzip lay out is what Read reads, and what they write as well.
func TestReadLikeOthers(t *testing.T) {
	dir := t.TempDir()
	for _, it := range sample {
		p := filepath.Join(dir, it.name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case it.mode.IsDir():
			must(t, os.MkdirAll(p, 0o755))
		case it.mode&fs.ModeSymlink != 0:
			must(t, os.Symlink(it.data, p))
		default:
			must(t, os.WriteFile(p, []byte(it.data), 0o600))
			must(t, os.Chmod(p, max(it.mode, 0o600)))
		}
	}
	want, err := localdir.Read(dir, roomy)
	must(t, err)
	for name, commands := range map[string][2]string{
		"gnu.tgz":    {"tar -czf $A --format=gnu .", "tar -xzf $A"},
		"pax.tar.gz": {"tar -czf $A --format=pax .", "tar -xzf $A"},
		"ustar.tgz":  {"tar -czf $A --format=ustar .", "tar -xzf $A"},
		"info.zip":   {"zip -qry $A .", "unzip -q $A"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, program := range []string{"tar", "zip", "unzip"} {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip(err)
				}
			}
			file := filepath.Join(t.TempDir(), name)
			run(t, dir, commands[0], file)
			data, err := os.ReadFile(file)
			must(t, err)
			got, err := read(name, data, roomy)
			must(t, err)
			if got.Digest() != want.Digest() {
				t.Errorf("digest %s of the archive, %s of the directory", got.Digest(), want.Digest())
			}
			own := map[bool][]byte{true: zipOf(t, sample[1:]...), false: tgz(t, sample...)}[isZip(name)]
			must(t, os.WriteFile(file, own, 0o600))
			out := t.TempDir()
			run(t, out, commands[1], file)
			laidOut, err := localdir.Read(out, roomy)
			must(t, err)
			got, err = read(name, own, roomy)
			must(t, err)
			if got.Digest() != laidOut.Digest() {
				t.Errorf("digest %s of our archive, %s as it was laid out", got.Digest(), laidOut.Digest())
			}
		})
	}
}

func run(t *testing.T, dir, command, file string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "A="+file, "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
