package apidefaults

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed tables/*.txt
var tables embed.FS

// verb is what an API server does to a field.
type verb string

const (
	adds      verb = "adds"      // puts a value in that was left out
	allocates verb = "allocates" // the same, with a value of its own choice
	drops     verb = "drops"     // leaves an empty value out
	rewrites  verb = "rewrites"  // writes the same value in another way
)

// row is one line of a table.
type row struct {
	Path      string // as written, below the section's prefix
	Verb      verb
	Value     string // JSON, "each", or what a function is called
	Condition string

	segments []string // of the whole path: a key, "*" for any, "[]" for any element
	value    any
	fn       func(at place) bool
	when     func(at place) bool
	each     bool // of a mapping or list each part is to be explained by itself
}

// section is a set of rows and what they are for.
type section struct {
	Kinds []string // APIVERSION/KIND PREFIX; "*" is every kind, and those named behind it too
	Rows  []row
}

// known are the rows for each APIVERSION/KIND.
var known = sync.OnceValue(func() map[string][]row {
	all, err := sections()
	if err != nil {
		panic(err) // the tables are part of the program, and its tests read them
	}
	rows, every := map[string][]row{}, []row(nil)
	for _, s := range all {
		for _, kind := range s.Kinds {
			of, prefix, _ := strings.Cut(kind, " ")
			into := rows[of]
			for _, r := range s.Rows {
				r.segments = append(split(prefix), split(r.Path)...)
				into = append(into, r)
			}
			switch {
			case of == "*":
				every = into
			case s.Kinds[0] == "*":
				rows[of] = rows[of][:len(rows[of]):len(rows[of])] // it is only named, and gets what all get
			default:
				rows[of] = into
			}
		}
	}
	for of := range rows {
		rows[of] = append(rows[of], every...)
	}
	return rows
})

// sections reads the tables.
func sections() ([]section, error) {
	names, err := tables.ReadDir("tables")
	if err != nil {
		return nil, err
	}
	var all []section
	for _, name := range names {
		data, err := tables.ReadFile("tables/" + name.Name())
		if err != nil {
			return nil, err
		}
		if all, err = parse(all, string(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", name.Name(), err)
		}
	}
	return all, nil
}

// parse reads one table: lines that begin at the margin open a section, those that
// are indented are its rows.
func parse(all []section, text string) ([]section, error) {
	open := false // the last section still has no rows
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			if len(all) == 0 {
				return nil, fmt.Errorf("line %d: a row before any kind", i+1)
			}
			r, err := parseRow(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			last := &all[len(all)-1]
			last.Rows, open = append(last.Rows, r), false
		default:
			if !open {
				all, open = append(all, section{}), true
			}
			last := &all[len(all)-1]
			last.Kinds = append(last.Kinds, strings.TrimSpace(line))
		}
	}
	return all, nil
}

// parseRow reads "PATH | VERB VALUE [if CONDITION]".
func parseRow(line string) (row, error) {
	path, what, ok := strings.Cut(line, "|")
	if !ok {
		return row{}, fmt.Errorf("want PATH | VERB VALUE")
	}
	what, condition, conditional := strings.Cut(strings.TrimSpace(what), " if ")
	word, value, _ := strings.Cut(what, " ")
	r := row{Path: strings.TrimSpace(path), Verb: verb(word), Value: value, Condition: condition}
	if conditional {
		if r.when = conditions[condition]; r.when == nil {
			return row{}, fmt.Errorf("no condition %q", condition)
		}
	}
	if !slices.Contains([]verb{adds, allocates, drops, rewrites}, r.Verb) {
		return row{}, fmt.Errorf("no verb %q", word)
	}
	switch name, named := strings.CutPrefix(value, "@"); {
	case named:
		r.Value = name
		f, ok := functions[name]
		if !ok {
			return row{}, fmt.Errorf("no function %q", name)
		}
		r.fn = f.is
	case value == "each":
		r.each = true
	case r.Verb == rewrites:
		if r.fn = notations[value]; r.fn == nil {
			return row{}, fmt.Errorf("no notation %q", value)
		}
	default:
		decoder := json.NewDecoder(bytes.NewReader([]byte(value)))
		decoder.UseNumber()
		if err := decoder.Decode(&r.value); err != nil {
			return row{}, fmt.Errorf("%q: %w", value, err)
		}
	}
	return r, nil
}

// segment is one part of a path as tables write it.
var segment = regexp.MustCompile(`"[^"]*"|\[\]|[^.\[\]"]+`)

func split(path string) []string {
	parts := segment.FindAllString(path, -1)
	for i, part := range parts {
		parts[i] = strings.Trim(part, `"`)
	}
	return parts
}

// matches reports whether a path is one that the row is about.
func (r *row) matches(path []any) bool {
	if len(path) != len(r.segments) {
		return false
	}
	for i, part := range path {
		switch p := part.(type) {
		case int:
			if r.segments[i] != "[]" {
				return false
			}
		case string:
			if r.segments[i] != "*" && r.segments[i] != p || p == "[]" {
				return false
			}
		}
	}
	return true
}
