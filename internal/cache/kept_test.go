package cache

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func put(t *testing.T, c *Cache, kind, name string) {
	t.Helper()
	if err := c.Put(kind, name, func(w io.Writer) error { _, err := w.Write(make([]byte, 100)); return err }); err != nil {
		t.Fatal(err)
	}
}

// TestKept holds that a trim takes nothing that cannot be had again.
func TestKept(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "spool", hexName("kept"))
	put(t, c, "bundles", hexName("trimmed"))
	c.Trim(0)
	for kind, want := range map[string]int{"spool": 1, "bundles": 0} {
		if names, err := c.List(kind); err != nil || len(names) != want {
			t.Errorf("%s: %v, %v", kind, names, err)
		}
	}
}

func TestList(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if names, err := c.List("spool"); err != nil || len(names) != 0 {
		t.Errorf("of no folder: %v, %v", names, err)
	}
	for i, name := range []string{"new", "older", "old"} {
		put(t, c, "spool", hexName(name))
		used := time.Now().Add(-time.Hour * time.Duration([]int{0, 2, 1}[i]))
		if err := os.Chtimes(c.path("spool", hexName(name)), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.dir, "spool", "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := c.Get("spool", hexName("older"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	want := []string{hexName("old"), hexName("new"), hexName("older")}
	if names, err := c.List("spool"); err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, %v, want %v", names, err, want)
	}
}

func TestAside(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]bool{}
	for range 2 { // of one name
		put(t, c, "spool", hexName("x"))
		place, err := c.Aside("spool", hexName("x"))
		if err != nil {
			t.Fatal(err)
		}
		places[place] = true
	}
	for place := range places {
		if data, err := os.ReadFile(place); err != nil || len(data) != 100 {
			t.Errorf("%s: %v", place, err)
		}
	}
	if names, _ := c.List("spool"); len(places) != 2 || len(names) != 0 {
		t.Errorf("%v, left %v", places, names)
	}
	if _, err := c.Aside("spool", hexName("x")); err == nil {
		t.Error("what is not there was moved")
	}
	if left, _ := os.ReadDir(filepath.Join(c.dir, "damaged")); len(left) != 2 {
		t.Errorf("%d folders", len(left))
	}
}

// TestTryLock holds the lock in another process, which is killed.
func TestTryLock(t *testing.T) {
	dir := os.Getenv("TRUSTOMIZE_TEST_LOCK")
	if dir == "" {
		dir = t.TempDir()
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("TRUSTOMIZE_TEST_LOCK") != "" {
		if _, ok, err := c.TryLock("spool"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		os.Stdout.WriteString("locked\n")
		io.Copy(io.Discard, os.Stdin) // until it is killed, or whoever started it ends
		return
	}
	release, ok, err := c.TryLock("spool")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, ok, err := c.TryLock("spool"); ok || err != nil {
		t.Error("locked twice", err)
	}
	release()
	other := exec.Command(os.Args[0], "-test.run=^TestTryLock$")
	other.Env = append(os.Environ(), "TRUSTOMIZE_TEST_LOCK="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Process.Kill()
	if _, err := io.ReadFull(out, make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.TryLock("spool"); ok || err != nil {
		t.Error("locked while another process has it", err)
	}
	other.Process.Kill()
	other.Wait()
	if _, ok, err := c.TryLock("spool"); !ok || err != nil {
		t.Error("a killed process still has it", err)
	}
}

func TestFailed(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if when := c.Failed("spool"); !when.IsZero() {
		t.Error(when)
	}
	then := time.Unix(1700000000, 0)
	for _, want := range []time.Time{then, then.Add(time.Hour), {}, {}} {
		if err := c.SetFailed("spool", want); err != nil {
			t.Fatal(err)
		}
		if got := c.Failed("spool"); !got.Equal(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
