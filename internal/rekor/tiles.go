package rekor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	checkpoints "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Shapes and limits of a log's tiles (https://c2sp.org/tlog-tiles), in bytes
// where nothing else is said.
const (
	tileHeight    = 8 // levels of the tree in a tile: it has up to 256 hashes, a bundle as many entries
	maxCheckpoint = 64 << 10
	maxEntries    = (2 + 1<<16) << tileHeight
	maxSize       = 1 << 48 // entries of a log; more is nonsense, and would overflow
)

// duplicate is how Rekor v2 answers an equal entry (rekor-tiles,
// internal/tessera). The index is in the header X-Log-Index as well, which not
// every proxy lets pass.
var duplicate = regexp.MustCompile(`already exists in the transparency log with index ([0-9]{1,15})\b`)

// readBack returns the entry that stands in the way of an equal one, with a
// proof of inclusion that is built from the log's tiles. Where the log says that
// the entry is, is a hint. What it gives was compared with what was asked for,
// and its checkpoint is not verified.
func (c *v2) readBack(ctx context.Context, request *rekortilespb.HashedRekordRequestV002, header http.Header, answer []byte) (*protorekor.TransparencyLogEntry, error) {
	if c.id == nil {
		return nil, ErrDuplicate
	}
	text := header.Get("X-Log-Index")
	if m := duplicate.FindSubmatch(answer); m != nil {
		text = string(m[1])
	}
	index, err := strconv.ParseInt(text, 10, 64)
	if err != nil || index < 0 {
		return nil, fmt.Errorf("%w: it does not say where", ErrDuplicate)
	}
	found, err := c.entryAt(ctx, request, index)
	if err != nil {
		return nil, fmt.Errorf("%w: reading entry %d: %w", ErrDuplicate, index, err)
	}
	c.known = true
	return found, nil
}

func (c *v2) entryAt(ctx context.Context, request *rekortilespb.HashedRekordRequestV002, index int64) (*protorekor.TransparencyLogEntry, error) {
	checkpoint, err := c.get(ctx, "checkpoint", maxCheckpoint)
	if err != nil {
		return nil, err
	}
	tree, err := parseTree(checkpoint)
	if err != nil {
		return nil, err
	}
	if index >= tree.N {
		return nil, fmt.Errorf("the log has %d entries by its checkpoint", tree.N)
	}
	body, err := c.body(ctx, tree, index)
	if err != nil {
		return nil, err
	}
	if err := same(body, request); err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(tree.N, index, tlog.TileHashReader(tree, &tiles{ctx, c}))
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(body)); err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(proof))
	for i := range proof {
		hashes[i] = proof[i][:]
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          index,
		LogId:             &protocommon.LogId{KeyId: c.id},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: index, TreeSize: tree.N, RootHash: tree.Hash[:], Hashes: hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: string(checkpoint)},
		},
	}, nil
}

// parseTree reads a checkpoint (https://c2sp.org/tlog-checkpoint).
func parseTree(checkpoint []byte) (tree tlog.Tree, err error) {
	var parsed checkpoints.Checkpoint
	if _, err := parsed.Unmarshal(checkpoint); err != nil {
		return tree, fmt.Errorf("its checkpoint: %.200s", err)
	}
	if parsed.Size > maxSize || copy(tree.Hash[:], parsed.Hash) != len(parsed.Hash) || len(parsed.Hash) != tlog.HashSize {
		return tree, errors.New("its checkpoint is malformed")
	}
	tree.N = int64(parsed.Size)
	return tree, nil
}

// body returns an entry's bytes out of the bundle that holds it: two bytes of
// length before each entry.
func (c *v2) body(ctx context.Context, tree tlog.Tree, index int64) ([]byte, error) {
	bundle := tlog.Tile{H: tileHeight, L: -1, N: index >> tileHeight}
	bundle.W = int(min(tree.N-bundle.N<<tileHeight, 1<<tileHeight))
	data, err := c.tile(ctx, bundle, maxEntries)
	if err != nil {
		return nil, err
	}
	for skip := index - bundle.N<<tileHeight; ; skip-- {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("its bundle of entries is cut short")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if skip == 0 {
			return bytes.Clone(data[2:end]), nil
		}
		data = data[end:]
	}
}

// same holds an entry of the log against the one that was to be written.
func same(body []byte, request *rekortilespb.HashedRekordRequestV002) error {
	var entry rekortilespb.Entry
	if err := protojson.Unmarshal(body, &entry); err != nil {
		return fmt.Errorf("it is malformed: %.200s", err)
	}
	logged := entry.GetSpec().GetHashedRekordV002()
	if entry.GetKind() != "hashedrekord" || entry.GetApiVersion() != "0.0.2" ||
		!bytes.Equal(logged.GetData().GetDigest(), request.GetDigest()) || !proto.Equal(logged.GetSignature(), request.GetSignature()) {
		return errors.New("it is another entry")
	}
	return nil
}

// tiles implements tlog.TileReader, which checks all hashes against the tree's.
type tiles struct {
	ctx context.Context
	log *v2
}

// Height implements tlog.TileReader.
func (t *tiles) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(wanted))
	for i, tile := range wanted {
		data, err := t.log.tile(t.ctx, tile, tlog.HashSize<<tileHeight)
		if err != nil {
			return nil, err
		}
		size := tile.W * tlog.HashSize
		if len(data) < size {
			return nil, fmt.Errorf("%s has %d bytes, want %d", tilePath(tile), len(data), size)
		}
		all[i] = data[:size]
	}
	return all, nil
}

// tile reads a tile. A log may have dropped a partial one for the full one that
// it grew to, which begins with it.
func (c *v2) tile(ctx context.Context, t tlog.Tile, limit int64) ([]byte, error) {
	data, err := c.get(ctx, tilePath(t), limit)
	if errors.Is(err, errNotFound) && t.W < 1<<tileHeight {
		t.W = 1 << tileHeight
		return c.get(ctx, tilePath(t), limit)
	}
	return data, err
}

// tilePath is a tile's path below the log's. tlog's own paths say the height as
// well, and call entries data.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + path
}

var errNotFound = errors.New("not found")

// get reads one resource, and refuses to read more than limit bytes of it.
func (c *v2) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, errNotFound)
	default:
		return nil, fmt.Errorf("%s: status %s", path, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}
