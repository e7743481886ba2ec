package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// readZip reads a zip. Its layout is checked first, so that its central
// directory, which archive/zip and unzip go by, and its entries one after the
// other, which programs that read a stream go by, say the same.
func readZip(b *builder, r io.ReaderAt, size int64) error {
	dir, err := findDirectory(r, size)
	if err != nil {
		return zipError(err)
	}
	if dir.records > b.limits.Files {
		return &gitobject.LimitError{What: "files", Limit: int64(b.limits.Files)}
	}
	if err := checkLayout(r, dir); err != nil {
		return zipError(err)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return zipError(err)
	}
	if len(z.File) != dir.records {
		return fmt.Errorf("broken zip: %d entries, where its end says %d", len(z.File), dir.records)
	}
	for _, f := range z.File {
		if err := zipEntry(b, f); err != nil {
			return entryError(f.Name, err)
		}
	}
	return nil
}

func zipError(err error) error { return fmt.Errorf("broken zip: %w", noEOF(err)) }

func zipEntry(b *builder, f *zip.File) error {
	if err := b.next(); err != nil {
		return err
	}
	if err := checkName(f); err != nil {
		return err
	}
	kind, err := zipKind(f)
	if err != nil {
		return err
	}
	data, err := unpack(b, f)
	if err != nil {
		return err
	}
	switch kind {
	case fs.ModeDir:
		if len(data) > 0 {
			return errors.New("a directory with content")
		}
		return b.dir(f.Name)
	case fs.ModeSymlink:
		return b.link(f.Name, string(data))
	}
	return b.file(f.Name, f.Mode()&0o100 != 0, data)
}

// checkName refuses names that mean another path on another system.
func checkName(f *zip.File) error {
	isASCII := !strings.ContainsFunc(f.Name, func(r rune) bool { return r >= utf8.RuneSelf })
	switch {
	case strings.Contains(f.Name, `\`):
		return errors.New("a backslash in the name")
	case isASCII:
		return nil
	case f.Flags&flagUTF8 == 0:
		return errors.New("a name that is not ASCII and not marked as UTF-8")
	case !utf8.ValidString(f.Name):
		return errors.New("a name that is marked as UTF-8, and is not")
	}
	return nil
}

// The systems on which entries are made, and so what their attributes mean.
const (
	madeOnDOS  = 0
	madeOnUnix = 3
	madeOnNTFS = 10
	madeOnVFAT = 14
)

// zipKind returns 0 for a file, fs.ModeDir or fs.ModeSymlink. A name that
// ends in a slash is a directory to all, attributes make it one only to some,
// so that both must agree.
func zipKind(f *zip.File) (fs.FileMode, error) {
	const dosLabel, dosDir = 0x8, 0x10
	const sIFMT, sIFDIR, sIFREG, sIFLNK = 0o170000, 0o040000, 0o100000, 0o120000
	mode, madeOn := f.ExternalAttrs>>16, f.CreatorVersion>>8
	switch madeOn {
	case madeOnUnix:
	case madeOnDOS, madeOnNTFS, madeOnVFAT:
		if mode != 0 { // some programs obey it even so
			return 0, fmt.Errorf("mode %06o, and not made on Unix", mode)
		}
	default:
		return 0, fmt.Errorf("made on system %d, whose attributes are not known", madeOn)
	}
	isDir := strings.HasSuffix(f.Name, "/")
	switch {
	case f.ExternalAttrs&dosLabel != 0, f.ExternalAttrs&dosDir != 0 && !isDir:
		return 0, fmt.Errorf("DOS attributes %#x, which do not fit its name or are a volume's", f.ExternalAttrs&0xff)
	case isDir && (mode&sIFMT == sIFDIR || mode&sIFMT == 0):
		return fs.ModeDir, nil
	case !isDir && (mode&sIFMT == sIFREG || mode&sIFMT == 0):
		return 0, nil
	case !isDir && mode&sIFMT == sIFLNK:
		return fs.ModeSymlink, nil
	}
	return 0, fmt.Errorf("mode %06o, which does not fit its name or is neither a file's, a directory's nor a symbolic link's", mode)
}

// unpack returns an entry's content and holds it to what the directory says.
func unpack(b *builder, f *zip.File) ([]byte, error) {
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, err
	}
	packed := bufio.NewReader(raw)
	var content io.Reader = packed
	if f.Method == zip.Deflate {
		content = flate.NewReader(packed)
	}
	var data bytes.Buffer // grows with what arrives: sizes are the archive's own word
	n, err := io.Copy(&data, io.LimitReader(content, b.left+1))
	if err := b.spend(n); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, noEOF(err)
	}
	if _, err := packed.ReadByte(); err != io.EOF {
		return nil, errors.New("bytes after the end of its content")
	}
	if uint64(n) != f.UncompressedSize64 {
		return nil, fmt.Errorf("%d bytes, where the directory says %d", n, f.UncompressedSize64)
	}
	if sum := crc32.ChecksumIEEE(data.Bytes()); sum != f.CRC32 {
		return nil, fmt.Errorf("checksum %08x, where the directory says %08x", sum, f.CRC32)
	}
	return data.Bytes(), nil
}
