package resolver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/trustomize/trustomize/internal/git"
	"github.com/trustomize/trustomize/internal/gitobject"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/materials"
)

// transport gets sources of one kind.
type transport interface {
	// lookUp finds what the URL's ref stands for at present. Its commit is the
	// source's id: a git commit, or the SHA-256 of bytes that are hashed.
	lookUp(ctx context.Context, at wanted) (git.Ref, error)
	// tree reads the source with that id, from the cache, else from where it
	// is. Either way everything is hashed again.
	tree(ctx context.Context, at wanted, s *Source) (*materials.Tree, error)
}

// wanted is where a source is asked for.
type wanted struct {
	*sourceurl.URL
	location string // mirrors applied
}

func (r *run) transport(kind sourceurl.Kind) transport {
	switch kind {
	case sourceurl.File:
		return &fileTransport{r}
	case sourceurl.Archive:
		return &archiveTransport{r}
	case sourceurl.Artifact:
		return &artifactTransport{r}
	}
	return &gitTransport{r}
}

// errOffline says that something is not in the cache.
var errOffline = errors.New("it is not in the cache, and no other place may be asked offline")

// gitTransport gets commits.
type gitTransport struct{ *run }

func (t *gitTransport) lookUp(ctx context.Context, at wanted) (git.Ref, error) {
	if gitobject.IsID(at.Ref) {
		return git.Ref{Commit: at.Ref}, nil
	}
	if t.cfg.Offline {
		return git.Ref{}, fmt.Errorf("ref %q cannot be looked up offline; only a full commit id or a locked reference can", at.Ref)
	}
	return t.git.Resolve(ctx, at.location, at.Ref)
}

// snapshots are the cache's files with a commit's objects.
const snapshots = "snapshots"

func (t *gitTransport) tree(ctx context.Context, at wanted, s *Source) (*materials.Tree, error) {
	name := cacheName(s)
	tree, err := t.cached(name, s)
	switch {
	case err == nil:
		return tree, nil
	case t.cfg.Offline && errors.Is(err, os.ErrNotExist):
		return nil, errOffline
	case t.cfg.Offline:
		return nil, err
	case !errors.Is(err, os.ErrNotExist):
		t.cfg.Cache.Remove(snapshots, name) // damaged: get it again
	}
	task := t.observe(s)
	defer task.Done()
	err = t.cfg.Cache.Put(snapshots, name, func(w io.Writer) error {
		return t.git.Fetch(ctx, at.location, s.Commit, task.Bytes, func(store gitobject.Store) error {
			var err error
			tree, s.commitData, err = gitobject.ReadCommit(&gitobject.Recorder{Store: store, W: w}, s.Commit, t.limits())
			return err
		})
	})
	return tree, err
}

func (t *gitTransport) cached(name string, s *Source) (tree *materials.Tree, err error) {
	f, err := t.cfg.Cache.Get(snapshots, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tree, s.commitData, err = gitobject.ReadCommit(gitobject.NewStream(f), s.Commit, t.limits())
	return tree, err
}

// cacheName names what is kept of a source. The identity is part of it, so that
// bytes count for a source only if that source served them.
func cacheName(s *Source) string { return nameFor(string(s.Identity), s.Commit) }

func nameFor(identity, id string) string {
	sum := sha256.Sum256([]byte(identity))
	return hex.EncodeToString(sum[:16]) + "-" + id
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// blobs are the cache's files that are what they are named by, their SHA-256.
const blobs = "blobs"

// download gets bytes of which the hash is not known yet, and keeps them.
func (r *run) download(s *Source, get func(io.Writer) error) ([]byte, error) {
	if r.cfg.Offline {
		return nil, errors.New("what it is now cannot be looked up offline; only a locked reference can")
	}
	task := r.observe(s)
	defer task.Done()
	data := bounded{left: r.cfg.Policy.Spec.Limits.BytesPerSource}
	if err := get(io.MultiWriter(&data, &counting{task: task})); err != nil {
		return nil, err
	}
	return data.Bytes(), r.keep(nameFor(string(s.Identity), sumOf(data.Bytes())), data.Bytes())
}

// current downloads what has no id of its own, and returns its hash.
func (r *run) current(s *Source, get func(io.Writer) error) (git.Ref, error) {
	data, err := r.download(s, get)
	if err != nil {
		return git.Ref{}, err
	}
	return git.Ref{Commit: sumOf(data)}, nil
}

func (r *run) keep(name string, data []byte) error {
	return r.cfg.Cache.Put(blobs, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// blob returns the bytes with a hash, from the cache, else from get. Other
// bytes than those are refused.
func (r *run) blob(s *Source, id string, get func(io.Writer) error) ([]byte, error) {
	name := nameFor(string(s.Identity), id)
	if data, err := r.cachedBlob(name); err == nil && sumOf(data) == id {
		return data, nil
	} else if r.cfg.Offline {
		return nil, errOffline
	}
	// What is returned is what was hashed, not what the cache has meanwhile.
	data, err := r.download(s, get)
	if err != nil {
		return nil, err
	}
	if got := sumOf(data); got != id {
		one := &refusal.Refusal{Code: refusal.StaleLock, Source: string(s.Identity), Commit: id, Reason: "the server has other bytes now than those that are meant"}
		one.Want, one.Got = "SHA-256 "+id, got
		one.Hints = []string{"if the change is meant, review it and lock it again: trustomize lock --update"}
		return nil, one
	}
	return data, nil
}

func (r *run) cachedBlob(name string) ([]byte, error) {
	f, err := r.cfg.Cache.Get(blobs, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := bounded{left: r.cfg.Policy.Spec.Limits.BytesPerSource}
	_, err = io.Copy(&data, f)
	return data.Bytes(), err
}

// bounded keeps bytes up to a limit.
type bounded struct {
	bytes.Buffer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, &gitobject.LimitError{What: "bytes", Limit: b.left + int64(len(p)) + int64(b.Len())}
	}
	return b.Buffer.Write(p)
}

// ReadFrom keeps io.Copy from going around the limit.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// counting tells a task how many bytes have passed.
type counting struct {
	task Task
	n    int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.task.Bytes(c.n)
	return len(p), nil
}
