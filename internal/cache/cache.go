// Package cache keeps files under names that say what they hold.
//
// A cache is never believed: whoever reads a file checks it. Its own promise is
// smaller. A file appears whole or not at all, under any number of processes and
// whenever one of them is killed.
package cache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Cache is a directory that processes share.
type Cache struct {
	dir string
}

// staleAfter is the age at which a temporary file is taken for the remains of
// a process that was killed. No fetch is allowed to take so long.
const staleAfter = 24 * time.Hour

// Open makes the directory where it is missing, readable by its owner alone,
// and clears away what killed processes left.
func Open(dir string) (*Cache, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	c := &Cache{dir}
	if err := os.MkdirAll(c.Temp(), 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	probe, err := os.CreateTemp(c.Temp(), "probe-")
	if err != nil {
		return nil, fmt.Errorf("cache is not writable: %w", err)
	}
	probe.Close()
	os.Remove(probe.Name())
	c.clear()
	return c, nil
}

func (c *Cache) clear() {
	entries, err := os.ReadDir(c.Temp())
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
			os.RemoveAll(filepath.Join(c.Temp(), e.Name()))
		}
	}
}

// Temp is a directory of the cache for what does not outlive a process.
func (c *Cache) Temp() string { return filepath.Join(c.dir, "tmp") }

func (c *Cache) path(kind, name string) string { return filepath.Join(c.dir, kind, name) }

// Get opens a file. Its absence is an error that matches os.ErrNotExist.
func (c *Cache) Get(kind, name string) (io.ReadCloser, error) {
	f, err := os.Open(c.path(kind, name))
	if err != nil {
		return nil, err
	}
	// Eviction goes by the time of last use.
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now)
	return f, nil
}

// Put writes a file and moves it to its place when write succeeded. A file of
// that name is replaced.
func (c *Cache) Put(kind, name string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Join(c.dir, kind), 0o700); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	f, err := os.CreateTemp(c.Temp(), "put-")
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if err := os.Rename(f.Name(), c.path(kind, name)); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// Remove drops a file that turned out not to hold what its name says.
func (c *Cache) Remove(kind, name string) { os.Remove(c.path(kind, name)) }
