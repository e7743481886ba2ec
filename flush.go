package trustomize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trustomize/trustomize/internal/cache"
	"github.com/trustomize/trustomize/policy"
	"github.com/trustomize/trustomize/provenance"
)

// Delivery says what became of a statement that waited in the spool.
type Delivery = provenance.Delivery

const (
	// flushBudget is how long a build may go on, after its output was written,
	// to deliver what waits.
	flushBudget = 2 * time.Second

	// flushPause is how long builds leave a log alone that has failed.
	flushPause = time.Minute

	lockEvery = 100 * time.Millisecond

	spool = "spool" // the cache's folder
)

// Flush delivers every statement that waits in the cache's spool to the log that
// it was meant for, if the policy still names that log, and tells of each. While
// another process does so, it waits. Of the request, it uses the policy, the
// cache and the client. The signing key is not opened.
func Flush(ctx context.Context, req Request, tell func(Delivery)) error {
	if req.Offline {
		return errors.New("a log cannot be reached offline")
	}
	p, err := ReadPolicy(req)
	if err != nil {
		return err
	}
	store, err := cache.Open(req.CacheDir)
	if err != nil {
		return err
	}
	for {
		release, ok, err := store.TryLock(spool)
		if err != nil {
			return err
		}
		if ok {
			defer release()
			return flush(ctx, req, p, store, tell)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockEvery):
		}
	}
}

// FlushAfter delivers what waits in the spool after a build whose output was
// written, within two seconds. It does nothing where the policy does not spool,
// while another process delivers, and for a minute after an attempt that has
// failed. What it returns is a warning.
func FlushAfter(ctx context.Context, req Request, result *Result) error {
	p := result.Report.Policy
	if p.Spec.Log.Mode != policy.LogSpool || req.Offline || req.Dev {
		return nil
	}
	store, err := cache.Open(req.CacheDir)
	if err != nil {
		return err
	}
	release, ok, err := store.TryLock(spool)
	if err != nil || !ok {
		return err
	}
	defer release()
	if since := req.Now.Sub(store.Failed(spool)); since >= 0 && since < flushPause {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, flushBudget)
	defer cancel()
	var left, delivered int
	var first error
	err = flush(ctx, req, p, store, func(d Delivery) {
		if d.Err == nil {
			delivered++
			return
		}
		left++
		first = cmp.Or(first, d.Err)
	})
	if err != nil || left == 0 || delivered > 0 && ctx.Err() != nil {
		return err // the log works, and the next build goes on
	}
	return fmt.Errorf("statements that wait to be logged: %d; trustomize log flush delivers them: %w", left, first)
}

// flush delivers, with the lock held, and notes whether all that was sent to a
// log has failed.
func flush(ctx context.Context, req Request, p *policy.Policy, store *cache.Cache, tell func(Delivery)) error {
	f := &provenance.Flusher{Store: store, Client: req.HTTPClient}
	for i, log := range p.Spec.Log.Rekor {
		f.Logs = append(f.Logs, &provenance.Log{URL: log.URL, Version: log.Version, Key: p.LogKeys()[i].Public})
	}
	var failed, delivered bool
	err := f.Flush(ctx, func(d Delivery) {
		var atLog *provenance.Error
		failed = failed || errors.As(d.Err, &atLog)
		delivered = delivered || d.Err == nil
		tell(d)
	})
	when := time.Time{}
	if failed && !delivered {
		when = req.Now
	}
	return errors.Join(err, store.SetFailed(spool, when))
}
