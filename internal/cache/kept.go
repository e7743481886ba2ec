package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sync makes a folder's entries outlive a loss of power.
func (c *Cache) sync(kind string) error {
	dir, err := os.Open(filepath.Join(c.dir, kind))
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// List returns the names of a kind's files. Those that were got longest ago come
// first.
func (c *Cache) List(kind string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && ours.MatchString(e.Name()) {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name()
	}
	return names, nil
}

// Aside moves a file to the folder "damaged" and returns its path there. Nobody
// looks for it there, and nothing clears it away.
func (c *Cache) Aside(kind, name string) (string, error) {
	dir := filepath.Join(c.dir, "damaged")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	// A name of its own: an earlier one of that name is evidence as well.
	place, err := os.MkdirTemp(dir, kind+"-")
	if err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	place = filepath.Join(place, name)
	if err := os.Rename(c.path(kind, name), place); err != nil {
		os.Remove(filepath.Dir(place))
		return "", fmt.Errorf("cache: %w", err)
	}
	return place, nil
}

// TryLock takes the lock that a kind has among all processes, and reports
// whether nobody else has it. It is let go by release, or when the process ends
// (flock(2)).
func (c *Cache) TryLock(kind string) (release func(), ok bool, err error) {
	f, err := os.OpenFile(filepath.Join(c.dir, kind+".lock"), os.O_CREATE|os.O_RDWR|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("cache: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { f.Close() }, true, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("cache: locking %s: %w", f.Name(), err)
}

// SetFailed notes for all processes when something about a kind has failed; the
// zero time, that it has succeeded since.
func (c *Cache) SetFailed(kind string, when time.Time) error {
	file := filepath.Join(c.dir, kind+".failed")
	if when.IsZero() {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cache: %w", err)
		}
		return nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), os.Chtimes(file, when, when))
	}
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// Failed returns when something about a kind has failed last; the zero time, if
// it has succeeded since.
func (c *Cache) Failed(kind string) time.Time {
	info, err := os.Lstat(filepath.Join(c.dir, kind+".failed"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
