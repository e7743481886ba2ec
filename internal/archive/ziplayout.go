package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Signatures and sizes in bytes of a zip's records, numbers in little endian.
const (
	localSignature   = "PK\x03\x04"
	centralSignature = "PK\x01\x02"
	endSignature     = "PK\x05\x06"
	end64Signature   = "PK\x06\x07" // of the locator that stands before an end
	dataSignature    = "PK\x07\x08"

	localSize   = 30
	centralSize = 46
	endSize     = 22
	end64Size   = 20
)

// Flags of an entry. Others mean encryption, patches, or nothing yet.
const (
	flagsDeflate   = 0x2 | 0x4 // how hard it tried
	flagDescriptor = 0x8       // checksum and sizes follow the content
	flagUTF8       = 0x800
)

// attributeText marks text. With others, unzip reads modes in another way.
const attributeText = 0x1

// maxVersion is 4.5 of the format. All that is read needs no more than 2.0,
// but some programs write 4.5 in case sizes do not fit.
const maxVersion = 45

// directory is where a zip's central directory lies.
type directory struct {
	offset, size int64
	records      int
}

// findDirectory reads the record at a zip's end. It must be the only one that
// any program could take for it, and stand at the very end.
func findDirectory(r io.ReaderAt, size int64) (directory, error) {
	tail := make([]byte, min(size, end64Size+endSize+0xffff))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return directory{}, err
	}
	at := bytes.LastIndex(tail, []byte(endSignature))
	if at < 0 || len(tail)-at < endSize {
		return directory{}, errors.New("no directory at its end")
	}
	end, le := tail[at:], binary.LittleEndian
	if len(end) != endSize+int(le.Uint16(end[20:])) {
		return directory{}, errors.New("bytes after its end")
	}
	if at >= end64Size && string(tail[at-end64Size:][:4]) == end64Signature {
		return directory{}, errors.New("zip64, which only archives over 4 GiB or 65535 entries need")
	}
	d := directory{int64(le.Uint32(end[16:])), int64(le.Uint32(end[12:])), int(le.Uint16(end[10:]))}
	if le.Uint32(end[4:]) != 0 || le.Uint16(end[8:]) != le.Uint16(end[10:]) {
		return directory{}, errors.New("a part of an archive in several")
	}
	if d.offset+d.size != size-int64(len(end)) {
		return directory{}, errors.New("bytes before its beginning, or around its directory")
	}
	return d, nil
}

// record is an entry as the central directory has it.
type record struct {
	version           uint16 // that is needed to unpack it
	flags, method     uint16
	sum, packed, size uint32
	name              string
	offset            int64 // of its local header
}

// checkLayout holds every entry's local header to the directory's, and to
// where it lies: from the first byte on, one directly after the other, the
// directory after the last.
func checkLayout(r io.ReaderAt, dir directory) error {
	records, err := readDirectory(r, dir)
	if err != nil {
		return err
	}
	slices.SortStableFunc(records, func(a, b record) int { return cmp.Compare(a.offset, b.offset) })
	at := int64(0)
	for i, rec := range records {
		next := dir.offset
		if i+1 < len(records) {
			next = records[i+1].offset
		}
		if rec.offset != at {
			return fmt.Errorf("entry %q lies at byte %d, not at %d where the one before it ends", rec.name, rec.offset, at)
		}
		if at, err = checkLocal(r, rec, next); err != nil {
			return fmt.Errorf("entry %q: %w", rec.name, err)
		}
	}
	if at != dir.offset {
		return errors.New("bytes between its entries and its directory")
	}
	return nil
}

// readDirectory reads the directory, which must hold as many records as the
// end says, and nothing else.
func readDirectory(r io.ReaderAt, dir directory) ([]record, error) {
	in := bufio.NewReader(io.NewSectionReader(r, dir.offset, dir.size))
	var records []record
	for range dir.records {
		rec, err := readRecord(in)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, errors.New("a directory longer than its records")
	}
	return records, nil
}

func readRecord(in io.Reader) (record, error) {
	var fixed [centralSize]byte
	if _, err := io.ReadFull(in, fixed[:]); err != nil {
		return record{}, noEOF(err)
	}
	le := binary.LittleEndian
	if string(fixed[:4]) != centralSignature {
		return record{}, errors.New("a directory with a record that is none")
	}
	if disk, attributes := le.Uint16(fixed[34:]), le.Uint16(fixed[36:]); disk != 0 || attributes&^attributeText != 0 {
		return record{}, fmt.Errorf("an entry on disk %d with internal attributes %#x", disk, attributes)
	}
	nameSize, extraSize, commentSize := int(le.Uint16(fixed[28:])), int(le.Uint16(fixed[30:])), int(le.Uint16(fixed[32:]))
	rest := make([]byte, nameSize+extraSize+commentSize)
	if _, err := io.ReadFull(in, rest); err != nil {
		return record{}, noEOF(err)
	}
	rec := record{
		version: le.Uint16(fixed[6:]), flags: le.Uint16(fixed[8:]), method: le.Uint16(fixed[10:]),
		sum: le.Uint32(fixed[16:]), packed: le.Uint32(fixed[20:]), size: le.Uint32(fixed[24:]),
		name: string(rest[:nameSize]), offset: int64(le.Uint32(fixed[42:])),
	}
	if err := checkRecord(rec); err != nil {
		return rec, fmt.Errorf("entry %q: %w", rec.name, err)
	}
	if err := checkExtra(rest[nameSize:][:extraSize]); err != nil {
		return rec, fmt.Errorf("entry %q: %w", rec.name, err)
	}
	return rec, nil
}

func checkRecord(rec record) error {
	switch {
	case rec.version > maxVersion:
		return fmt.Errorf("version %d.%d of the format, which is not read", rec.version/10, rec.version%10)
	case rec.flags&^(flagsDeflate|flagDescriptor|flagUTF8) != 0:
		return fmt.Errorf("flags %#x: encrypted, or of a kind that is not read", rec.flags)
	case rec.method != zip.Store && rec.method != zip.Deflate:
		return fmt.Errorf("packed by method %d; 0 and 8 are read", rec.method)
	case rec.packed == 0xffffffff || rec.size == 0xffffffff || rec.offset == 0xffffffff:
		return errors.New("zip64, which only files over 4 GiB need")
	}
	return nil
}

// checkExtra refuses the extra fields that give an entry another name, mode
// or link text than the one in its record; some programs would use those.
func checkExtra(extra []byte) error {
	le := binary.LittleEndian
	for len(extra) > 0 {
		if len(extra) < 4 || len(extra)-4 < int(le.Uint16(extra[2:])) {
			return errors.New("an extra field that is cut short")
		}
		switch id := le.Uint16(extra); id {
		case 0x7075, 0x000d, 0x756e: // Unicode path, PKWARE's Unix, ASi's Unix
			return fmt.Errorf("an extra field %#04x, which can name it otherwise", id)
		}
		extra = extra[4+int(le.Uint16(extra[2:])):]
	}
	return nil
}

// checkLocal compares an entry's local header with its record, and returns
// where the entry ends; next is where it should.
func checkLocal(r io.ReaderAt, rec record, next int64) (int64, error) {
	in := io.NewSectionReader(r, rec.offset, max(0, next-rec.offset))
	var fixed [localSize]byte
	if _, err := io.ReadFull(in, fixed[:]); err != nil {
		return 0, noEOF(err)
	}
	le := binary.LittleEndian
	nameSize, extraSize := int(le.Uint16(fixed[26:])), int(le.Uint16(fixed[28:]))
	rest := make([]byte, nameSize+extraSize)
	if _, err := io.ReadFull(in, rest); err != nil {
		return 0, noEOF(err)
	}
	if name := string(rest[:nameSize]); name != rec.name {
		return 0, fmt.Errorf("called %q in its own header", name)
	}
	if err := checkExtra(rest[nameSize:]); err != nil {
		return 0, err
	}
	local := record{
		version: le.Uint16(fixed[4:]), flags: le.Uint16(fixed[6:]), method: le.Uint16(fixed[8:]),
		sum: le.Uint32(fixed[14:]), packed: le.Uint32(fixed[18:]), size: le.Uint32(fixed[22:]),
		name: rec.name, offset: rec.offset,
	}
	if rec.flags&flagDescriptor != 0 {
		local.sum, local.packed, local.size = later(local.sum, rec.sum), later(local.packed, rec.packed), later(local.size, rec.size)
	}
	if err := checkRecord(local); err != nil {
		return 0, err
	}
	local.version = rec.version // zip writes a higher one in front of what it reads from a pipe
	if string(fixed[:4]) != localSignature || local != rec {
		return 0, errors.New("a header of its own that differs from the directory's")
	}
	end := rec.offset + localSize + int64(len(rest)) + int64(rec.packed)
	if rec.flags&flagDescriptor == 0 {
		return end, nil
	}
	return next, checkDescriptor(r, rec, end, next)
}

// later returns a local header's number, or the directory's where the header
// leaves it to what follows the content.
func later(local, central uint32) uint32 {
	if local == 0 || local == 0xffffffff {
		return central
	}
	return local
}

// checkDescriptor checks what stands between an entry's content and the next
// entry: its checksum and sizes, of 4 or 8 bytes each, with or without a
// signature.
func checkDescriptor(r io.ReaderAt, rec record, at, next int64) error {
	if next-at < 12 || next-at > 24 {
		return errors.New("its content does not end where the directory says")
	}
	got := make([]byte, next-at)
	if _, err := r.ReadAt(got, at); err != nil {
		return noEOF(err)
	}
	le := binary.LittleEndian
	sum := le.AppendUint32(nil, rec.sum)
	short := le.AppendUint32(le.AppendUint32(slices.Clone(sum), rec.packed), rec.size)
	long := le.AppendUint64(le.AppendUint64(slices.Clone(sum), uint64(rec.packed)), uint64(rec.size))
	for _, want := range []string{string(short), string(long)} {
		if string(got) == want || string(got) == dataSignature+want {
			return nil
		}
	}
	return errors.New("a checksum or sizes after its content that differ from the directory's")
}
