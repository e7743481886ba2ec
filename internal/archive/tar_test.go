package archive

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
)

// rawBlock is a tar header with a right checksum, as archive/tar would not
// write it.
func rawBlock(name string, flag byte, size string) []byte {
	b := make([]byte, blockSize)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], size)
	copy(b[136:], "00000000000\x00")
	b[156] = flag
	copy(b[257:], "ustar\x0000")
	return summed(b)
}

func summed(b []byte) []byte {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	for i := 5; i >= 0; i, sum = i-1, sum/8 {
		b[148+i] = '0' + byte(sum%8)
	}
	b[154], b[155] = 0, ' '
	return b
}

func padded(s string) []byte {
	b := make([]byte, (len(s)+blockSize-1)/blockSize*blockSize)
	copy(b, s)
	return b
}

// octal is a size field.
func octal(n int) string {
	digits := ""
	for range 11 {
		digits, n = string(rune('0'+n%8))+digits, n/8
	}
	return digits + "\x00"
}

var tarEnd = make([]byte, 2*blockSize)

func raw(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestReadTarRefuses(t *testing.T) {
	file := &tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "x"}
	with := func(h *tar.Header) []byte { f := *file; return tarOf(t, &f, h) }
	a := raw(rawBlock("a", '0', octal(1)), padded("x"))
	pax := func(record string) []byte { return raw(rawBlock("pax", 'x', octal(len(record))), padded(record)) }
	long := func(flag byte, name string) []byte {
		return raw(rawBlock("././@LongLink", flag, octal(len(name)+1)), padded(name+"\x00"))
	}
	gnu := func() []byte {
		b := rawBlock("a", '0', octal(0))
		copy(b[257:], "ustar  \x00")
		return summed(b)
	}()
	v7 := rawBlock("a", '0', octal(0))
	copy(v7[257:], "\x00\x00\x00\x00\x00\x00\x00\x00")
	v7 = summed(v7)
	for _, c := range []struct {
		name, want string
		tar        []byte
	}{
		{"hard link", "a hard link", with(&tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a"})},
		{"character device", "a device", with(&tar.Header{Name: "h", Typeflag: tar.TypeChar})},
		{"block device", "a device", with(&tar.Header{Name: "h", Typeflag: tar.TypeBlock})},
		{"pipe", "a pipe", with(&tar.Header{Name: "h", Typeflag: tar.TypeFifo})},
		{"contiguous", "an entry of type '7'", raw(a, rawBlock("h", '7', octal(0)), tarEnd)},
		{"old sparse", "", raw(a, rawBlock("h", 'S', octal(0)), tarEnd)},
		{"sparse records", `record "GNU.sparse.`, raw(a, pax("22 GNU.sparse.major=1\n"), rawBlock("h", '0', octal(0)), tarEnd)},
		{"unknown record", `record "hdrcharset"`, raw(a, pax("21 hdrcharset=BINARY\n"), rawBlock("h", '0', octal(0)), tarEnd)},
		{"size record", `record "size"`, raw(a, pax("9 size=0\n"), rawBlock("h", '0', octal(0)), tarEnd)},
		{"empty path record", `an empty record "path"`, raw(a, pax("8 path=\n"), rawBlock("h", '0', octal(0)), tarEnd)},
		{"NUL in a path record", "invalid tar header", raw(a, pax("11 path=a\x00b\n"), rawBlock("h", '0', octal(0)), tarEnd)},
		{"global path", `a global header with a record "path"`, with(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "b"}})},
		{"two extended headers", "several extended headers", raw(pax("10 path=b\n"), pax("10 path=c\n"), a, tarEnd)},
		{"two long names", "several extended headers", raw(long('L', "b"), long('L', "c"), gnu, tarEnd)},
		{"long name and record", "several extended headers", raw(long('L', "b"), pax("10 path=c\n"), a, tarEnd)},
		{"record and long name", "several extended headers", raw(pax("10 path=c\n"), long('L', "b"), a, tarEnd)},
		{"long name before ustar", "unknown format, or of several", raw(long('L', "b"), a, tarEnd)},
		{"record before GNU", "unknown format, or of several", raw(pax("10 path=b\n"), gnu, tarEnd)},
		{"v7", "unknown format, or of several", raw(v7, tarEnd)},
		{"global header in between", "between an entry and its extended header", raw(pax("10 path=b\n"), rawBlock("g", 'g', octal(0)), a, tarEnd)},
		{"extended header at the end", "for no entry", raw(a, pax("10 path=b\n"), tarEnd)},
		{"directory with content", "is no file", raw(a, rawBlock("d/", '5', octal(512)), rawBlock("b", '0', octal(0)), tarEnd)},
		{"link with content", "is no file", raw(a, rawBlock("l", '2', octal(512)), rawBlock("b", '0', octal(0)), tarEnd)},
		{"old directory with content", "is no file", raw(a, rawBlock("d/", 0, octal(512)), rawBlock("b", '0', octal(0)), tarEnd)},
		{"file with a slash", "segment", raw(a, rawBlock("b/", '0', octal(0)), tarEnd)},
		{"size in base 256", "size", raw(a, rawBlock("b", '0', "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), tarEnd)},
		{"negative size", "size", raw(a, rawBlock("b", '0', "-0000000001\x00"), tarEnd)},
		{"wrong checksum", "invalid tar header", raw(a, append([]byte("b"), rawBlock("a", '0', octal(0))[1:]...), tarEnd)},
		{"no end", "cut short", a},
		{"half an end", "cut short", raw(a, tarEnd[:blockSize])},
		{"within a block", "within a block", raw(a, tarEnd, tarEnd[:100])},
		{"within content", "unexpected EOF", raw(rawBlock("a", '0', octal(600)), padded("x"))},
		{"lone empty block", "bytes after the end", raw(a, tarEnd[:blockSize], rawBlock("b", '0', octal(0)), tarEnd)},
		{"a tar after the end", "bytes after the end", raw(a, tarEnd, rawBlock("b", '0', octal(0)), tarEnd)},
		{"bytes after the end", "within a block", raw(a, tarEnd, []byte("x"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read("a.tgz", gz(t, c.tar), roomy)
			wantError(t, err, c.want)
		})
	}
}

func TestReadTarAccepts(t *testing.T) {
	a := raw(rawBlock("a", '0', octal(1)), padded("x"))
	want, err := read("a.tgz", gz(t, raw(a, tarEnd)), roomy)
	must(t, err)
	for name, data := range map[string][]byte{
		"padding":         gz(t, raw(a, tarEnd, make([]byte, 9*blockSize))),
		"two members":     raw(gz(t, a), gz(t, tarEnd)),
		"an empty member": raw(gz(t, a), gz(t, nil), gz(t, tarEnd)),
		"git's comment": gz(t, tarOf(t,
			&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": strings.Repeat("c", 40)}},
			&tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "x"})),
		"attributes": gz(t, tarOf(t, &tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "x",
			PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}})),
		"old type of a file": gz(t, raw(rawBlock("a", 0, octal(1)), padded("x"), tarEnd)),
	} {
		got, err := read("a.tgz", data, roomy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got.Digest() != want.Digest() {
			t.Errorf("%s: another digest", name)
		}
	}
}

func TestReadGzipRefuses(t *testing.T) {
	good := tgz(t, item{name: "a", data: "x"})
	broken := bytes.Clone(good)
	broken[len(broken)-5] ^= 1 // the checksum
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":           {nil, "unexpected EOF"},
		"something else":    {[]byte("hello, world"), "not in gzip's format"},
		"a tar":             {tarOf(t, headers(sample)...), "not in gzip's format"},
		"cut short":         {good[:len(good)-10], "unexpected EOF"},
		"checksum cut":      {good[:len(good)-2], "unexpected EOF"},
		"wrong checksum":    {broken, "checksum"},
		"trailing bytes":    {raw(good, []byte("x")), "unexpected EOF"},
		"trailing header":   {raw(good, []byte("hello, world")), "invalid header"},
		"trailing zeros":    {raw(good, make([]byte, 100)), "invalid header"},
		"a second archive":  {raw(good, good), "bytes after the end"},
		"half a second one": {raw(good, good[:20]), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read("a.tgz", c.data, roomy)
			wantError(t, err, c.want)
		})
	}
	for i := range good {
		if _, err := read("a.tgz", good[:i], roomy); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", i, len(good))
		}
	}
}
