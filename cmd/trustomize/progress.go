package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
)

// progressAfter is how long work may take before it is told of.
const progressAfter = time.Second

// progress shows on a terminal what is being fetched, in one line that is
// cleared in the end. Elsewhere it shows nothing.
type progress struct {
	w     io.Writer
	mu    sync.Mutex
	under []string
	done  int
	shown bool
	stop  chan struct{}
	ended sync.WaitGroup
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, stop: make(chan struct{})}
	if isTerminal(w) {
		p.ended.Go(p.draw)
	}
	return p
}

func (p *progress) observe(what string) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under = append(p.under, what)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.under, what); i >= 0 {
			p.under = slices.Delete(p.under, i, i+1)
		}
		p.done++
	}
}

func (p *progress) draw() {
	select {
	case <-p.stop:
		return
	case <-time.After(progressAfter):
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		p.line()
		select {
		case <-p.stop:
			if p.shown {
				fmt.Fprint(p.w, "\r\033[K")
			}
			return
		case <-tick.C:
		}
	}
}

func (p *progress) line() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.under) == 0 {
		return
	}
	p.shown = true
	fmt.Fprintf(p.w, "\r\033[Kfetching %s (%d under way, %d done)", refusal.Printable(p.under[0]), len(p.under), p.done)
}

func (p *progress) close() {
	close(p.stop)
	p.ended.Wait()
}
