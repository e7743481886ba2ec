package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// blockSize is tar's unit in bytes.
const blockSize = 512

// tape passes a tar stream on and watches its headers for what archive/tar
// keeps to itself: whether the stream ended as a tar ends, and whether an
// entry had more extended headers than programs agree about.
type tape struct {
	r     io.Reader
	spend func(n int64) error // counts the bytes

	skip   int64 // bytes of content that come before the next header
	block  [blockSize]byte
	filled int    // how much of block was read
	wait   string // types of the extended headers that wait for their entry
	zeros  int    // blocks of zeros, which only the end has
	err    error
}

func (t *tape) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	if t.err = t.spend(int64(n)); t.err == nil {
		t.err = t.scan(p[:n])
	}
	if t.err != nil {
		return 0, t.err
	}
	return n, err
}

func (t *tape) scan(p []byte) error {
	for len(p) > 0 {
		if t.skip > 0 {
			n := min(t.skip, int64(len(p)))
			t.skip -= n
			p = p[n:]
			continue
		}
		n := copy(t.block[t.filled:], p)
		t.filled += n
		p = p[n:]
		if t.filled < blockSize {
			return nil
		}
		t.filled = 0
		if err := t.header(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tape) header() error {
	if t.block == [blockSize]byte{} {
		t.zeros++
		if t.wait != "" {
			return errors.New("an extended header at the end, for no entry")
		}
		return nil
	}
	if t.zeros > 0 {
		return errors.New("bytes after the end")
	}
	size, err := headerSize(t.block[124:136])
	if err != nil {
		return err
	}
	t.skip = (size + blockSize - 1) / blockSize * blockSize
	return t.order(t.block[156])
}

// order lets an entry have one PAX header, or GNU's pair of a long name and a
// long link. Which of more would win depends on the program, and so does
// whether any survives a global header.
func (t *tape) order(flag byte) error {
	switch flag {
	case 'x', 'L', 'K':
		if strings.ContainsAny(t.wait, "x"+string(flag)) || flag == 'x' && t.wait != "" {
			return errors.New("an entry with several extended headers")
		}
		t.wait += string(flag)
		return nil
	case 'g':
		if t.wait != "" {
			return errors.New("a global header between an entry and its extended header")
		}
	}
	t.wait = ""
	return nil
}

// headerSize reads a size in octal digits. What does not fit in them is over
// 8 GiB.
func headerSize(field []byte) (int64, error) {
	digits, _, _ := bytes.Cut(bytes.Trim(field, " \x00"), []byte{0})
	if len(digits) == 0 {
		return 0, nil
	}
	size, err := strconv.ParseUint(string(digits), 8, 36)
	if err != nil {
		return 0, fmt.Errorf("a header with size %q", field)
	}
	return int64(size), nil
}

// end reads what archive/tar left: zeros that fill up the last record, and
// gzip's checksum. Bytes after the end are unseen by tar, but perhaps not by
// others.
func (t *tape) end() error {
	if _, err := io.Copy(io.Discard, t); err != nil {
		return tarError(err)
	}
	switch {
	case t.filled > 0:
		return fmt.Errorf("broken tar: ends within a block of %d bytes", blockSize)
	case t.zeros < 2:
		return errors.New("broken tar: cut short, without the two empty blocks at its end")
	}
	return nil
}
