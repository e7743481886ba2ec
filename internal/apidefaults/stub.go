// Package apidefaults says which values an API server puts into objects by itself.
// It knows none yet.
package apidefaults

type Change struct {
	Path             []any
	Signed, Live     any
	InSigned, InLive bool
}

func Explain(signed, live map[string]any, c Change) (why string, ok bool) { return "", false }
