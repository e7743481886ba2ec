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
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// Cache is a directory that processes share.
type Cache struct {
	dir   string
	grown atomic.Bool // something was put since the last trim
}

// trimmed are the folders that a cache has of what can be had again, kept those
// of what cannot, and ours the names of files in them. Whatever else lies in its
// directory is somebody else's.
var (
	trimmed = []string{"snapshots", "blobs", "signatures", "histories", "bundles", "made"}
	kept    = []string{"spool"}
	ours    = regexp.MustCompile(`^[0-9a-f]{32,}([-.][0-9a-z.-]+)?$`)
)

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
	c := &Cache{dir: dir}
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
	// A pipe in a file's place would be waited for without end.
	f, err := os.OpenFile(c.path(kind, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("cache: %s is not a file", f.Name()))
	}
	// Eviction goes by the time of last use.
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now)
	return f, nil
}

// Put writes a file and moves it to its place when write succeeded. A file of
// that name is replaced.
func (c *Cache) Put(kind, name string, write func(io.Writer) error) error {
	return c.put(kind, name, write, os.Rename)
}

// PutNew is [Cache.Put], and an error that matches os.ErrExist where there is a
// file of that name: of several processes, one succeeds.
func (c *Cache) PutNew(kind, name string, write func(io.Writer) error) error {
	return c.put(kind, name, write, os.Link)
}

func (c *Cache) put(kind, name string, write func(io.Writer) error, place func(from, to string) error) error {
	if !slices.Contains(trimmed, kind) && !slices.Contains(kept, kind) || !ours.MatchString(name) {
		return fmt.Errorf("cache: no file is called %s/%s", kind, name)
	}
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
	err = w.Flush()
	keep := slices.Contains(kept, kind)
	if keep {
		err = errors.Join(err, f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if err := place(f.Name(), c.path(kind, name)); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if keep {
		return c.sync(kind)
	}
	c.grown.Store(true)
	return nil
}

// Trim drops the files that were used longest ago until the rest have no more
// bytes than the limit. Where nothing was put, there is nothing to do. A file
// that another process is reading stays readable to it.
func (c *Cache) Trim(limit int64) {
	if !c.grown.Swap(false) {
		return
	}
	type file struct {
		path string
		size int64
		used time.Time
	}
	var files []file
	var total int64
	for _, kind := range trimmed {
		entries, err := os.ReadDir(filepath.Join(c.dir, kind))
		if err != nil {
			continue // there is none
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() || !ours.MatchString(e.Name()) {
				continue // gone meanwhile, or somebody else's
			}
			files = append(files, file{c.path(kind, e.Name()), info.Size(), info.ModTime()})
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	for _, f := range files {
		if total <= limit {
			return
		}
		if os.Remove(f.path) == nil {
			total -= f.size
		}
	}
}

// Remove drops a file that turned out not to hold what its name says.
func (c *Cache) Remove(kind, name string) { os.Remove(c.path(kind, name)) }
