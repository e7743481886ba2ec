// Package apidefaults says which changes an API server makes by itself to objects
// of Kubernetes' own kinds: values that it adds where they were left out, empty
// ones that it drops, and other ways of writing the same value.
//
// It is a table, value by value: nothing is explained because of where it is
// alone. Where a default follows from other fields, it is worked out from them;
// where the server or a controller chooses, as with a cluster IP, the form of the
// choice is checked, and only fields that were left out may be chosen. Of custom
// resources nothing is known, and nothing is explained.
package apidefaults

import (
	"reflect"
	"slices"
)

// Change is one difference between a signed object and a stored one.
type Change struct {
	Path []any // string keys and int indices from the object's root

	// JSON values decoded with UseNumber: map[string]any, []any, string, bool,
	// json.Number, nil.
	Signed, Live     any
	InSigned, InLive bool // whether the path is there at all
}

// Explain says why an API server by itself makes the change to the signed object
// that the live one shows; ok is false where it does not.
func Explain(signed, live map[string]any, c Change) (why string, ok bool) {
	return explain(signed, live, c, func(*row) bool { return true })
}

// Allocated says what chose the value of a field that the signed object leaves
// out: those of [Explain]'s reasons that another run of the server would not give
// again in the same way.
func Allocated(signed, live map[string]any, c Change) (why string, ok bool) {
	return explain(signed, live, c, func(r *row) bool { return r.Verb == allocates || r.each })
}

func explain(signed, live map[string]any, c Change, use func(*row) bool) (string, bool) {
	rows := known()[kindOf(signed)]
	if rows == nil || kindOf(live) != kindOf(signed) {
		return "", false
	}
	e := explainer{rows, signed, live, use}
	switch {
	case c.InSigned && c.Signed == nil && !c.InLive:
		_, member := last(c.Path).(string)
		return "a null is no value", member && !freeKeys(c.Path)
	case c.InLive && (!c.InSigned || c.Signed == nil):
		return e.added(c.Path, c.Live)
	case c.InSigned && !c.InLive:
		return e.dropped(c.Path, c.Signed)
	case c.InSigned && c.InLive:
		return e.rewritten(c.Path, c.Signed, c.Live)
	}
	return "", false
}

// freeKeys reports whether a path is a member of a mapping of names of the user's own.
// There a null is a value: a server stores it as an empty text, or as zero.
func freeKeys(path []any) bool {
	if len(path) < 2 {
		return false
	}
	if key := path[len(path)-1]; path[len(path)-2] == "selector" {
		return key != "matchLabels" && key != "matchExpressions" // a Service's, and no LabelSelector
	}
	name, _ := path[len(path)-2].(string)
	return slices.Contains(mappings, name)
}

// mappings are the fields of the tables' kinds that are maps of texts or quantities
// (k8s.io/api v0.34.2, by their Go types), but for selectors.
var mappings = []string{
	"annotations", "binaryData", "capacity", "data", "default", "defaultRequest", "deprecatedTopology", "hard", "labels", "limits",
	"matchLabels", "max", "maxLimitRequestRatio", "min", "nodeSelector", "options", "overhead", "parameters", "requests", "stringData",
	"volumeAttributes",
}

func last(path []any) any {
	if len(path) == 0 {
		return nil
	}
	return path[len(path)-1]
}

func kindOf(o map[string]any) string {
	version, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	return version + "/" + kind
}

type explainer struct {
	rows         []row
	signed, live map[string]any
	use          func(*row) bool
}

// find returns the first row of these verbs for a path that holds there.
func (e explainer) find(path []any, holds func(*row, place) bool, verbs ...verb) *row {
	at := place{signed: e.signed, live: e.live, path: path}
	for i := range e.rows {
		r := &e.rows[i]
		if e.use(r) && slices.Contains(verbs, r.Verb) && r.matches(path) && (r.when == nil || r.when(at)) && holds(r, at) {
			return r
		}
	}
	return nil
}

func (e explainer) added(path []any, value any) (string, bool) {
	r := e.find(path, func(r *row, at place) bool {
		at.value = value
		switch {
		case r.each:
			return e.parts(path, value)
		case r.fn != nil:
			return r.fn(at)
		}
		return reflect.DeepEqual(r.value, value)
	}, adds, allocates)
	switch {
	case r == nil:
		return "", false
	case r.fn != nil:
		return functions[r.Value].why, true
	}
	return "default of " + kindOf(e.signed), true
}

// parts reports whether every part of an added mapping or list is explained.
func (e explainer) parts(path []any, value any) bool {
	each := func(part, value any) bool {
		_, ok := e.added(append(slices.Clone(path), part), value)
		return ok
	}
	switch v := value.(type) {
	case map[string]any:
		for key, value := range v {
			if !each(key, value) {
				return false
			}
		}
		return len(v) > 0
	case []any:
		for i, value := range v {
			if !each(i, value) {
				return false
			}
		}
		return len(v) > 0
	}
	return false
}

func (e explainer) dropped(path []any, value any) (string, bool) {
	r := e.find(path, func(r *row, at place) bool {
		if r.fn != nil {
			return r.fn(at)
		}
		return reflect.DeepEqual(r.value, value)
	}, drops)
	return "an empty value, which is not stored", r != nil
}

func (e explainer) rewritten(path []any, signed, live any) (string, bool) {
	r := e.find(path, func(r *row, at place) bool {
		at.was, at.value = signed, live
		return r.fn(at)
	}, rewrites)
	return "the same value, written another way", r != nil
}
