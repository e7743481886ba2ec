package strict

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trustomize/trustomize/internal/apidefaults"
	"github.com/trustomize/trustomize/internal/refusal"
)

// compare returns all differences between what was signed and what is there, at
// the highest path that one of the two lacks. Lists are compared position by
// position. A null is not the same as nothing, nor is an empty list.
func compare(signed, live any) []apidefaults.Change { return differences(nil, nil, signed, live) }

func differences(found []apidefaults.Change, path []any, signed, live any) []apidefaults.Change {
	switch s := signed.(type) {
	case map[string]any:
		if l, ok := live.(map[string]any); ok {
			return inMaps(found, path, s, l)
		}
	case []any:
		if l, ok := live.([]any); ok {
			return inLists(found, path, s, l)
		}
	}
	if equal(signed, live) {
		return found
	}
	return append(found, apidefaults.Change{Path: slices.Clone(path), Signed: signed, Live: live, InSigned: true, InLive: true})
}

func inMaps(found []apidefaults.Change, path []any, signed, live map[string]any) []apidefaults.Change {
	keys := maps.Clone(signed)
	maps.Copy(keys, live)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		s, inSigned := signed[key]
		l, inLive := live[key]
		at := append(slices.Clone(path), key)
		if inSigned && inLive {
			found = differences(found, at, s, l)
			continue
		}
		found = append(found, apidefaults.Change{Path: at, Signed: s, Live: l, InSigned: inSigned, InLive: inLive})
	}
	return found
}

func inLists(found []apidefaults.Change, path []any, signed, live []any) []apidefaults.Change {
	for i := range max(len(signed), len(live)) {
		at := append(slices.Clone(path), i)
		switch {
		case i >= len(live):
			found = append(found, apidefaults.Change{Path: at, Signed: signed[i], InSigned: true})
		case i >= len(signed):
			found = append(found, apidefaults.Change{Path: at, Live: live[i], InLive: true})
		default:
			found = differences(found, at, signed[i], live[i])
		}
	}
	return found
}

// equal compares what is neither a mapping nor a list. Numbers are equal when
// their values are, however they are written.
func equal(a, b any) bool {
	x, okX := a.(json.Number)
	y, okY := b.(json.Number)
	if okX && okY {
		return x == y || sameNumber(string(x), string(y))
	}
	switch a.(type) {
	case nil, bool, string, json.Number:
	default:
		return false
	}
	switch b.(type) {
	case nil, bool, string, json.Number:
		return a == b
	}
	return false
}

// maxExponent bounds the numbers that are compared exactly: beyond it, they are
// equal only as text. No field of Kubernetes comes near.
const maxExponent = 400

func sameNumber(a, b string) bool {
	for _, s := range []string{a, b} {
		if len(s) > maxExponent {
			return false
		}
		if i := strings.IndexAny(s, "eE"); i >= 0 {
			if e, err := strconv.Atoi(s[i+1:]); err != nil || e > maxExponent || e < -maxExponent {
				return false
			}
		}
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

// plainKey needs no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// pathText writes a path as kubectl's -o jsonpath has it, but for the leading dot.
func pathText(path []any) string {
	var b strings.Builder
	for _, part := range path {
		switch p := part.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		case string:
			if !plainKey.MatchString(p) {
				fmt.Fprintf(&b, "[%q]", p)
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	if b.Len() == 0 {
		return "the whole object"
	}
	return b.String()
}

// maxShown bounds how much of a value is shown, in bytes.
const maxShown = 160

// show writes a value for people, in one line.
func show(v any, there bool) string {
	if !there {
		return "nothing"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "something that cannot be shown"
	}
	s := string(data)
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return refusal.Printable(s)
}
