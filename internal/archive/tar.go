package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/trustomize/trustomize/internal/gitobject"
)

// readTarGz reads a compressed tar. Several gzip members are one stream, as
// gzip and tar take them; anything else after the first is an error.
func readTarGz(b *builder, r io.Reader) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("not in gzip's format: %w", noEOF(err))
	}
	t := &tape{r: unzipped, spend: b.spend}
	entries := tar.NewReader(t)
	for {
		h, err := entries.Next()
		if err == io.EOF {
			return t.end()
		}
		if err != nil {
			return tarError(err)
		}
		if err := tarEntry(b, h, entries); err != nil {
			return entryError(h.Name, err)
		}
	}
}

func tarEntry(b *builder, h *tar.Header, content io.Reader) error {
	if err := b.next(); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return checkGlobal(h.PAXRecords)
	}
	if err := checkHeader(h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return b.dir(h.Name)
	case tar.TypeSymlink:
		return b.link(h.Name, h.Linkname)
	}
	data, err := io.ReadAll(content) // the tape bounds it
	if err != nil {
		return tarError(err)
	}
	return b.file(h.Name, h.Mode&0o100 != 0, data)
}

// checkHeader refuses what is no file, directory or link, and what other
// programs are known to read differently.
func checkHeader(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
	default:
		return errors.New(kind(h.Typeflag) + ", neither a file, a directory nor a symbolic link")
	}
	if h.Format == tar.FormatUnknown {
		return errors.New("headers of an unknown format, or of several")
	}
	if h.Typeflag != tar.TypeReg && h.Size != 0 {
		// Some programs skip as many bytes, others none.
		return fmt.Errorf("%d bytes of content, but is no file", h.Size)
	}
	return checkRecords(h.PAXRecords)
}

func kind(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a pipe"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return fmt.Sprintf("an entry of type %q", flag)
}

// checkGlobal accepts the comment in which git archive writes the commit. Any
// other record would change what follows for tar, and not for archive/tar.
func checkGlobal(records map[string]string) error {
	for key := range records {
		if key != "comment" {
			return fmt.Errorf("a global header with a record %q", key)
		}
	}
	return nil
}

// checkRecords accepts the extended header records that name the entry, and
// those that tell of its owner, times and attributes, which a tree has none
// of. Others, such as those for sparse files, can change its content.
func checkRecords(records map[string]string) error {
	for key, value := range records {
		switch key {
		case "path", "linkpath":
			if value == "" {
				return fmt.Errorf("an empty record %q", key)
			}
			continue
		case "uid", "gid", "uname", "gname", "atime", "mtime", "ctime", "comment",
			"SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.fflags",
			"LIBARCHIVE.creationtime", "RHT.security.selinux":
			continue
		}
		if strings.HasPrefix(key, "SCHILY.xattr.") || strings.HasPrefix(key, "SCHILY.acl.") ||
			strings.HasPrefix(key, "LIBARCHIVE.xattr.") {
			continue
		}
		return fmt.Errorf("an extended header with a record %q", key)
	}
	return nil
}

// entryError names the entry that an error is about. A limit is the whole
// archive's.
func entryError(name string, err error) error {
	var limit *gitobject.LimitError
	if errors.As(err, &limit) {
		return err
	}
	return fmt.Errorf("entry %q: %w", name, err)
}

func tarError(err error) error {
	var limit *gitobject.LimitError
	if errors.As(err, &limit) {
		return err
	}
	return fmt.Errorf("broken tar: %w", noEOF(err))
}

// noEOF makes an end of an end in the wrong place.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
