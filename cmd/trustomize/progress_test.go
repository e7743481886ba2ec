package main

import (
	"bytes"
	"testing"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out) // no terminal: it says nothing by itself
	defer p.close()
	if got := p.line(); got != "" {
		t.Errorf("before anything: %q", got)
	}
	one, two := p.observe("github.com/acme/one"), p.observe("github.com/acme/two\x1b[2J")
	one.Bytes(1000)
	two.Bytes(100)
	two.Bytes(3 << 20)
	if got, want := p.line(), "fetching github.com/acme/one: 0 of 2 done, 3.0 MiB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	one.Done()
	one.Done()
	if got, want := p.line(), `fetching github.com/acme/two\x1b[2J: 1 of 2 done, 3.0 MiB`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	two.Done()
	if got := p.line(); got != "" || out.Len() > 0 {
		t.Errorf("in the end: %q, and %q was printed", got, out.String())
	}
	p.show()
	p.plain = true
	p.observe("x")
	p.show()
	if got, want := out.String(), "trustomize: fetching x: 2 of 3 done, 3.0 MiB\n"; got != want {
		t.Errorf("plain: %q, want %q", got, want)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 40: "5.0 TiB", 5000 << 40: "5000.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
