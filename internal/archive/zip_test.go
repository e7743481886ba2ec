package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"testing"
)

// stored is a zip of one stored file "a" whose content is "content", without a
// descriptor, so that every number has one known place.
func stored(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "a", Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte("content")), CompressedSize64: 7, UncompressedSize64: 7})
	must(t, err)
	_, err = f.Write([]byte("content"))
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// Where things lie in what stored returns.
const (
	storedBody    = localSize + 1
	storedCentral = storedBody + 7
	storedEnd     = storedCentral + centralSize + 1
)

// attributes changes what stored returns.
func attributes(madeOn byte, mode uint16, dos byte) func([]byte) []byte {
	return func(z []byte) []byte {
		z[storedCentral+5], z[storedCentral+38] = madeOn, dos
		binary.LittleEndian.PutUint16(z[storedCentral+40:], mode)
		return z
	}
}

func TestReadZipRefuses(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name, want string
		change     func(z []byte) []byte
	}{
		{"nothing", "no directory", func(z []byte) []byte { return nil }},
		{"cut short", "no directory", func(z []byte) []byte { return z[:len(z)-1] }},
		{"trailing bytes", "bytes after its end", func(z []byte) []byte { return append(z, 'x') }},
		{"leading bytes", "bytes before its beginning", func(z []byte) []byte { return append([]byte("x"), z...) }},
		{"a second end in the comment", "bytes after its end", func(z []byte) []byte {
			le.PutUint16(z[len(z)-2:], 30)
			return append(z, append([]byte("12345678"), z[len(z)-endSize:]...)...)
		}},
		{"of several parts", "in several", func(z []byte) []byte { z[storedEnd+4] = 1; return z }},
		{"zip64", "zip64", func(z []byte) []byte {
			end := bytes.Clone(z[storedEnd:])
			locator := make([]byte, end64Size)
			copy(locator, end64Signature)
			return append(append(z[:storedEnd], locator...), end...)
		}},
		{"record count", "longer than its records", func(z []byte) []byte { z[storedEnd+8], z[storedEnd+10] = 0, 0; return z }},
		{"record count over", "unexpected EOF", func(z []byte) []byte { z[storedEnd+8], z[storedEnd+10] = 2, 2; return z }},
		{"another name in front", `called "b"`, func(z []byte) []byte { z[localSize] = 'b'; return z }},
		{"another method in front", "differs", func(z []byte) []byte { z[8] = 8; return z }},
		{"another size in front", "differs", func(z []byte) []byte { z[22]++; return z }},
		{"another checksum in front", "differs", func(z []byte) []byte { z[14]++; return z }},
		{"other flags in front", "differs", func(z []byte) []byte { z[6] ^= 2; return z }},
		{"no header", "differs", func(z []byte) []byte { z[0]++; return z }},
		{"encrypted", "encrypted", func(z []byte) []byte { z[6] |= 1; z[storedCentral+8] |= 1; return z }},
		{"unknown method", "method 12", func(z []byte) []byte { z[8], z[storedCentral+10] = 12, 12; return z }},
		{"bytes in between", "between its entries and its directory", func(z []byte) []byte {
			z = bytes.Replace(z, []byte("content"), []byte("contentx"), 1)
			z[storedEnd+1+16]++
			return z
		}},
		{"entry over the directory", "unexpected EOF", func(z []byte) []byte { z[26] = 200; return z }},
		{"wrong content", "checksum", func(z []byte) []byte { z[storedBody]++; return z }},
		{"stored with two sizes", "where the directory says 9", func(z []byte) []byte { z[22], z[storedCentral+24] = 9, 9; return z }},
		{"zero checksum", "checksum", func(z []byte) []byte {
			copy(z[14:18], make([]byte, 4))
			copy(z[storedCentral+16:storedCentral+20], make([]byte, 4))
			return z
		}},
		{"NUL in the name", "NUL", func(z []byte) []byte { z[localSize], z[storedCentral+centralSize] = 0, 0; return z }},
		{"backslash", "backslash", func(z []byte) []byte { z[localSize], z[storedCentral+centralSize] = '\\', '\\'; return z }},
		{"not ASCII", "not marked as UTF-8", func(z []byte) []byte { z[localSize], z[storedCentral+centralSize] = 0xe9, 0xe9; return z }},
		{"not UTF-8", "and is not", func(z []byte) []byte {
			z[localSize], z[storedCentral+centralSize] = 0xe9, 0xe9
			z[7] |= 8
			z[storedCentral+9] |= 8
			return z
		}},
		{"version", "version 5.1", func(z []byte) []byte { z[storedCentral+6] = 51; return z }},
		{"internal attributes", "internal attributes 0x5", func(z []byte) []byte { z[storedCentral+36] = 5; return z }},
		{"on another disk", "on disk 1", func(z []byte) []byte { z[storedCentral+34] = 1; return z }},
		{"version in front", "version 5.1", func(z []byte) []byte { z[4] = 51; return z }},
		{"device", "mode 020644", attributes(madeOnUnix, 0o020644, 0)},
		{"a directory's mode", "mode 040755", attributes(madeOnUnix, 0o040755, 0)},
		{"a link made on DOS", "mode 120777", attributes(madeOnDOS, 0o120777, 0)},
		{"an executable made on DOS", "mode 100755", attributes(madeOnDOS, 0o100755, 0)},
		{"made on a Mac", "system 19", attributes(19, 0o100755, 0)},
		{"a volume's label", "DOS attributes 0x8", attributes(madeOnUnix, 0o100644, 8)},
		{"a directory to DOS", "DOS attributes 0x10", attributes(madeOnDOS, 0, 16)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read("a.zip", c.change(stored(t)), roomy)
			wantError(t, err, c.want)
		})
	}
	if _, err := read("a.zip", stored(t), roomy); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// Entries whose directory lists another number, order or place.
func TestReadZipLayout(t *testing.T) {
	good := zipOf(t, item{name: "a", data: "first"}, item{name: "b", data: "second"})
	if _, err := read("a.zip", good, roomy); err != nil {
		t.Fatal(err)
	}
	dir, err := findDirectory(bytes.NewReader(good), int64(len(good)))
	must(t, err)
	second := int(dir.offset) + centralSize + 1
	le := binary.LittleEndian
	hidden := bytes.Clone(good[:second]) // the directory without its second record
	hidden = append(hidden, good[dir.offset+dir.size:]...)
	end := hidden[len(hidden)-endSize:]
	le.PutUint16(end[8:], 1)
	le.PutUint16(end[10:], 1)
	le.PutUint32(end[12:], uint32(second-int(dir.offset)))
	overlap := bytes.Clone(good)
	le.PutUint32(overlap[second+42:], 0)
	overlap[second+centralSize] = 'a'
	swapped := bytes.Clone(good[:dir.offset])
	swapped = append(swapped, good[second:dir.offset+dir.size]...)
	swapped = append(swapped, good[dir.offset:second]...)
	swapped = append(swapped, good[dir.offset+dir.size:]...)
	descriptor := bytes.Clone(good)
	descriptor[dir.offset-1]++
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"hidden entry":     {hidden, "does not end where the directory says"},
		"overlap":          {overlap, "unexpected EOF"},
		"wrong descriptor": {descriptor, "after its content that differ"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read("a.zip", c.data, roomy)
			wantError(t, err, c.want)
		})
	}
	if _, err := read("a.zip", swapped, roomy); err != nil {
		t.Errorf("directory in another order: %v", err)
	}
	for i := range good {
		if _, err := read("a.zip", good[:i], roomy); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", i, len(good))
		}
	}
}

func TestReadZipEntries(t *testing.T) {
	withExtra := func(id byte, extra ...byte) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		_, err := w.CreateHeader(&zip.FileHeader{Name: "a", Extra: append([]byte{id, 0x70, byte(len(extra)), 0}, extra...)})
		must(t, err)
		must(t, w.Close())
		return out.Bytes()
	}
	var deflated bytes.Buffer
	w := zip.NewWriter(&deflated)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "a", Method: zip.Deflate, CompressedSize64: 6})
	must(t, err)
	_, err = f.Write([]byte("\x01\x00\x00\xff\xffx")) // an empty last block, and a byte
	must(t, err)
	must(t, w.Close())
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"another name":            {withExtra(0x75, 1, 2, 3), "extra field 0x7075"},
		"broken extra field":      {withExtra(0x01)[:0], "no directory"},
		"bytes after the deflate": {deflated.Bytes(), "bytes after the end of its content"},
		"directory with content":  {zipOf(t, item{name: "d", mode: fs.ModeDir | 0o755}), "DOS attributes 0x10"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read("a.zip", c.data, roomy)
			wantError(t, err, c.want)
		})
	}
	if _, err := read("a.zip", withExtra(0x02, 1, 2), roomy); err != nil {
		t.Errorf("an unknown extra field: %v", err)
	}
}
