package provenance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Spool is a Store whose files can be listed.
type Spool interface {
	Store

	// List returns the names of a kind's files. Those that were read longest
	// ago come first.
	List(kind string) ([]string, error)

	// Aside puts a file where nobody looks for it, and returns that place.
	Aside(kind, name string) (string, error)
}

// Flusher delivers what builds have spooled. The key that signed is not needed.
//
// The spool is not believed. What is sent to a log is the statement of a build,
// in an envelope whose signature verifies with the key beside it, meant for a
// log of Logs. Whether that key is the operator's cannot be told without opening
// it: somebody who can write the spool can have statements of their own logged,
// in the name of a key of their own.
type Flusher struct {
	Logs   []*Log // those that the policy names
	Store  Spool
	Client *http.Client
}

// Delivery says what became of a spool entry.
type Delivery struct {
	Name  string // of the entry's file
	Log   string // URL; "" when it could not be read
	Index int64  // in the log; -1 when it was not delivered
	Known bool   // the log had it before
	Err   error  // why it was not delivered: *[DamagedError], [ErrOtherLog], *[Error], [ErrNotTried]
}

// ErrNotTried is why an entry was not delivered when others have failed, or the
// time was over.
var ErrNotTried = errors.New("it was not tried")

const (
	// patience is how many entries may fail, with none delivered in between,
	// before a log is taken to be down.
	patience = 3

	// atOnce is how many entries are on their way at the same time. A Rekor v2
	// answers when its next checkpoint is out, a second or more later.
	atOnce = 8
)

// Flush delivers what the spool holds and tells of each entry. Of two processes
// that do so at once, both find the same entries: the caller lets in one.
func (f *Flusher) Flush(ctx context.Context, tell func(Delivery)) error {
	names, err := f.Store.List(spooled)
	if err != nil {
		return err
	}
	var mu sync.Mutex // of failed and tell
	failed := 0
	works := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return failed < patience && ctx.Err() == nil
	}
	one := func(name string) {
		d := Delivery{Name: name, Index: -1, Err: ErrNotTried}
		if works() {
			d = f.deliver(ctx, name)
		}
		mu.Lock()
		defer mu.Unlock()
		var atLog *Error
		switch {
		case errors.Is(d.Err, os.ErrNotExist):
			return // somebody delivered it
		case errors.As(d.Err, &atLog):
			failed++
		case d.Err == nil:
			failed = 0
		}
		tell(d)
	}
	slots := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for _, name := range names {
		slots <- struct{}{}
		wait.Go(func() {
			one(name)
			<-slots
		})
	}
	wait.Wait()
	return nil
}

// deliver delivers one entry, and moves it aside if it is damaged.
func (f *Flusher) deliver(ctx context.Context, name string) Delivery {
	d, err := f.send(ctx, name)
	if err != nil {
		d.Index, d.Err = -1, f.setAside(name, err)
	}
	return d
}

// setAside moves a damaged entry away, so that it is reported once.
func (f *Flusher) setAside(name string, err error) error {
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		return err
	}
	place, moving := f.Store.Aside(spooled, name)
	if moving != nil {
		return &DamagedError{fmt.Errorf("%w, and cannot be moved aside: %w", damaged.Err, moving)}
	}
	return &DamagedError{fmt.Errorf("%w; it lies in %s now", damaged.Err, place)}
}

// send logs one entry, unless the store has it with its proof: then a
// process was killed between storing that and removing the entry.
func (f *Flusher) send(ctx context.Context, name string) (Delivery, error) {
	d := Delivery{Name: name, Index: -1}
	w, err := readSpool(f.Store, name, f.Logs)
	if err != nil {
		return d, err
	}
	r := w.recorder
	r.Store, r.Client = f.Store, f.Client
	d.Log = r.Log.URL
	material, err := r.material(w.pair)
	if err != nil {
		return d, err
	}
	record, err := r.stored(name, w.statement, material)
	if err != nil {
		record, err = r.submit(ctx, w, name, material)
	}
	if err != nil {
		return d, err
	}
	f.Store.Remove(spooled, name)
	d.Index, d.Known = record.Index, record.Known
	return d, nil
}

// submit logs a statement that is signed already. A log that has it answers
// with its entry.
func (r *Recorder) submit(ctx context.Context, w *waiting, name string, material *material) (*Record, error) {
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(r.Public)
	if err != nil {
		return nil, err
	}
	if err := client.GetTransparencyLogEntry(ctx, public, w.bundle); err != nil {
		return nil, &Error{r.Log.URL, err}
	}
	return r.keep(w.bundle, client.Known(), name, w.statement, material)
}
