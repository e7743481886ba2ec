package sshsig

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPattern is the length in bytes from which OpenSSH's match_pattern_list
// matches nothing.
const maxPattern = 1023

// patterns is a pattern list of ssh_config(5), PATTERNS, without the
// exclamation marks taken off.
type patterns []string

func parsePatterns(text string) (patterns, error) {
	list := strings.Split(text, ",")
	for _, p := range list {
		switch {
		case p == "" || p == "!":
			return nil, errors.New("an empty pattern")
		case len(p) >= maxPattern:
			return nil, fmt.Errorf("a pattern of %d bytes, more than the %d allowed", len(p), maxPattern-1)
		case !printable(p):
			return nil, fmt.Errorf("pattern %q holds what cannot be printed", shorten(p))
		}
	}
	return list, nil
}

func (p patterns) String() string { return strings.Join(p, ",") }

// match reports whether a pattern matches and none of the negated ones does.
func (p patterns) match(text string) bool {
	matched := false
	for _, pattern := range p {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !glob(pattern, text) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// glob matches bytes: * is any number of them, ? is one. It goes back to the
// last * only, so that its time is bounded by the product of the lengths.
func glob(pattern, text string) bool {
	p, t := 0, 0
	star, from := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// printable reports whether text can be shown as it is: UTF-8 without control
// and format characters, and no space but the ASCII one.
func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
