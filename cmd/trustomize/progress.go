package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/resolver"
)

// How long work may take before it is told of, and how often then.
const (
	progressAfter = time.Second
	redrawEvery   = 200 * time.Millisecond
	lineEvery     = 5 * time.Second
)

// progress tells a person at a terminal what is being fetched: in one line that
// is drawn again and cleared in the end, or, where the terminal cannot do that,
// in a plain line now and then. Elsewhere it says nothing.
type progress struct {
	w     io.Writer
	plain bool
	once  sync.Once
	stop  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	under []*task // under way, in the order in which they began
	done  int
	bytes int64 // of what is done
	drawn bool
}

type task struct {
	p      *progress
	source string
	bytes  int64
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, plain: os.Getenv("TERM") == "dumb", stop: make(chan struct{})}
	if isTerminal(w) {
		p.ended.Go(p.draw)
	}
	return p
}

func (p *progress) observe(source string) resolver.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &task{p: p, source: source}
	p.under = append(p.under, t)
	return t
}

// Bytes implements resolver.Task.
func (t *task) Bytes(n int64) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.bytes = n
}

// Done implements resolver.Task.
func (t *task) Done() {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for i, other := range t.p.under {
		if other == t {
			t.p.under = append(t.p.under[:i], t.p.under[i+1:]...)
			t.p.done++
			t.p.bytes += t.bytes
			return
		}
	}
}

func (p *progress) draw() {
	select {
	case <-p.stop:
		return
	case <-time.After(progressAfter):
	}
	every := redrawEvery
	if p.plain {
		every = lineEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		p.show()
		select {
		case <-p.stop:
			if p.drawn {
				fmt.Fprint(p.w, "\r\033[K")
			}
			return
		case <-tick.C:
		}
	}
}

func (p *progress) show() {
	line := p.line()
	switch {
	case line == "":
	case p.plain:
		fmt.Fprintln(p.w, "trustomize: "+line)
	default:
		p.drawn = true
		fmt.Fprint(p.w, "\r\033[K"+line)
	}
}

// line says what is under way, or nothing.
func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.under) == 0 {
		return ""
	}
	bytes := p.bytes
	for _, t := range p.under {
		bytes += t.bytes
	}
	return fmt.Sprintf("fetching %s: %d of %d done, %s", refusal.Printable(p.under[0].source), p.done, p.done+len(p.under), size(bytes))
}

// size writes a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/unit, "KMGT"
	i := 0
	for value >= unit && i < len(units)-1 {
		value /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[i])
}

// close ends the telling. It may be called more than once.
func (p *progress) close() {
	p.once.Do(func() { close(p.stop) })
	p.ended.Wait()
}
