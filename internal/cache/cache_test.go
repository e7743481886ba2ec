package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hexName is a name that a cache's file may have.
func hexName(name string) string { return fmt.Sprintf("%032x-%s", name, "id") }

func TestPut(t *testing.T) {
	name := hexName("one")
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get("blobs", name); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	failed := errors.New("failed")
	err = c.Put("blobs", name, func(w io.Writer) error { io.WriteString(w, "half"); return failed })
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := c.Get("blobs", name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a file is there: %v", err)
	}
	// Writers race; a reader sees one of them, whole.
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			err := c.Put("blobs", name, func(w io.Writer) error { _, err := fmt.Fprintf(w, "%050d", i); return err })
			if err != nil {
				t.Error(err)
			}
			f, err := c.Get("blobs", name)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if data, _ := io.ReadAll(f); len(data) != 50 {
				t.Errorf("read %q", data)
			}
		})
	}
	wait.Wait()
	left, _ := os.ReadDir(c.Temp())
	if len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(c.Temp(), "old"), filepath.Join(c.Temp(), "fresh")
	long := time.Now().Add(-2 * staleAfter)
	if err := errors.Join(os.Mkdir(old, 0o700), os.Mkdir(fresh, 0o700), os.Chtimes(old, long, long)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what a killed process left is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what may be in use is gone")
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file serves as a cache")
	}
}

func TestTrim(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, age time.Duration) {
		t.Helper()
		if err := c.Put("blobs", hexName(name), func(w io.Writer) error { _, err := w.Write(make([]byte, 100)); return err }); err != nil {
			t.Fatal(err)
		}
		used := time.Now().Add(-age)
		if err := os.Chtimes(c.path("blobs", hexName(name)), used, used); err != nil {
			t.Fatal(err)
		}
	}
	left := func() string {
		var names []string
		for _, name := range []string{"old", "older", "new"} {
			if _, err := os.Stat(c.path("blobs", hexName(name))); err == nil {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	// Somebody keeps other things in the same directory.
	theirs := filepath.Join(c.dir, "blobs", "thesis.txt")
	defer func() {
		if _, err := os.Stat(theirs); err != nil {
			t.Error("a file that is not the cache's is gone")
		}
	}()
	put("old", time.Hour)
	if err := os.WriteFile(theirs, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(theirs, time.Time{}.AddDate(2000, 0, 0), time.Time{}.AddDate(2000, 0, 0)); err != nil {
		t.Fatal(err)
	}
	put("older", 2*time.Hour)
	put("new", 0)
	c.Trim(300)
	if got := left(); got != "old older new" {
		t.Errorf("within the limit: left %s", got)
	}
	c.Trim(100) // nothing was put since
	if got := left(); got != "old older new" {
		t.Errorf("nothing was put: left %s", got)
	}
	// What is used lives on.
	f, err := c.Get("blobs", hexName("older"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	put("new", time.Minute)
	c.Trim(200)
	if got := left(); got != "older new" {
		t.Errorf("left %s", got)
	}
}

// TestGetRefuses holds that only a file is opened, and only such names are
// written.
func TestGetRefuses(t *testing.T) {
	c, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(c.path("blobs", hexName("pipe")), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := c.Get("blobs", hexName("pipe")); err == nil {
		t.Error("a pipe was opened")
	}
	for _, name := range []string{"x", "../" + hexName("x"), hexName("x") + "/y"} {
		if err := c.Put("blobs", name, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}
