package sshsig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// blanks separate the fields of a line.
const blanks = " \t"

// line is one line of an allowed_signers file.
type line struct {
	principals patterns
	authority  bool      // the key signs certificates, not messages
	namespaces patterns  // nil: all
	notBefore  time.Time // zero: always
	expires    time.Time // zero: never
	key        ssh.PublicKey

	names []string // which of the principals that alone count it matches; nil: no such limit
}

// holder says for whom the key stands: the names that were asked for, else the
// patterns as they are written.
func (l *line) holder() string {
	if l.names != nil {
		return strings.Join(l.names, ",")
	}
	return l.principals.String()
}

func parseLine(text string) (*line, error) {
	l := &line{}
	list, rest, err := cutPrincipals(text)
	if err != nil {
		return nil, err
	}
	if l.principals, err = parsePatterns(list); err != nil {
		return nil, fmt.Errorf("principals: %w", err)
	}
	if first, _ := cutField(rest); !isKeyType(first) {
		if rest, err = l.options(rest); err != nil {
			return nil, err
		}
	}
	if l.key, err = parseKey(rest); err != nil {
		return nil, err
	}
	if !l.expires.IsZero() && !l.notBefore.Before(l.expires) {
		return nil, errors.New("valid-before is not later than valid-after")
	}
	return l, nil
}

// cutPrincipals cuts off the first field. A quoted one has no escapes.
func cutPrincipals(text string) (list, rest string, err error) {
	if text[0] != '"' {
		list, rest = cutField(text)
		if strings.Contains(list, `"`) {
			return "", "", errors.New("principals: a quote within the field")
		}
		return list, rest, nil
	}
	list, rest, found := strings.Cut(text[1:], `"`)
	if !found {
		return "", "", errors.New("principals: no end quote")
	}
	if rest != "" && !strings.ContainsAny(rest[:1], blanks) {
		return "", "", errors.New("principals: text behind the end quote")
	}
	return list, strings.TrimLeft(rest, blanks), nil
}

func cutField(text string) (field, rest string) {
	end := strings.IndexAny(text, blanks)
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimLeft(text[end:], blanks)
}

// options reads the options at the beginning of text and returns what follows
// them.
func (l *line) options(text string) (rest string, err error) {
	seen := map[string]bool{}
	for {
		var name, value string
		if name, value, text, err = cutOption(text); err != nil {
			return "", err
		}
		if seen[name] {
			return "", fmt.Errorf("option %q stands twice", name)
		}
		seen[name] = true
		if err := l.set(name, value); err != nil {
			return "", fmt.Errorf("option %q: %w", name, err)
		}
		switch {
		case text == "":
			return "", errors.New("no key follows the options")
		case strings.ContainsAny(text[:1], blanks):
			return strings.TrimLeft(text, blanks), nil
		case text[0] != ',':
			return "", fmt.Errorf("option %q: want a comma or a space behind it, got %q", name, text[:1])
		}
		text = text[1:]
	}
}

// cutOption cuts off a name, in lower case, and its value: what follows it up
// to and with the end quote, "" for none.
func cutOption(text string) (name, value, rest string, err error) {
	end := strings.IndexAny(text, `=,"`+blanks)
	if end < 0 {
		end = len(text)
	}
	name, rest = strings.ToLower(text[:end]), text[end:]
	if name == "" || !printable(name) || len(name) > maxShown {
		return "", "", "", fmt.Errorf("want an option or a key, got %q", shorten(text))
	}
	if !strings.HasPrefix(rest, "=") {
		return name, "", rest, nil
	}
	if !strings.HasPrefix(rest, `="`) {
		return "", "", "", fmt.Errorf("option %q: want the value in double quotes", name)
	}
	for i := 2; i < len(rest); i++ {
		switch {
		case strings.HasPrefix(rest[i:], `\"`):
			i++
		case rest[i] == '"':
			return name, rest[1 : i+1], rest[i+1:], nil
		}
	}
	return "", "", "", fmt.Errorf("option %q: no end quote", name)
}

// set applies an option. The value has its quotes.
func (l *line) set(name, value string) (err error) {
	if name == "cert-authority" {
		if value != "" {
			return errors.New("takes no value")
		}
		l.authority = true
		return nil
	}
	unquoted := ""
	if value != "" {
		unquoted = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
	}
	switch name {
	case "namespaces":
		l.namespaces, err = parsePatterns(unquoted)
	case "valid-after":
		l.notBefore, err = parseTime(unquoted)
	case "valid-before":
		l.expires, err = parseTime(unquoted)
	default:
		return errors.New("is not known")
	}
	return err
}

// layouts are the forms of a time by its length.
var layouts = map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}

func parseTime(text string) (time.Time, error) {
	digits := strings.TrimSuffix(text, "Z")
	layout := layouts[len(digits)]
	if layout == "" || strings.Trim(digits, "0123456789") != "" {
		return time.Time{}, fmt.Errorf("%q is no time; want YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without Z", shorten(text))
	}
	t, err := time.Parse(layout, digits)
	if err != nil || t.Unix() <= 0 {
		return time.Time{}, fmt.Errorf("%q is no time after 1970", text)
	}
	return t, nil
}

// parseKey reads a key's type and its base64; a comment may follow.
func parseKey(text string) (ssh.PublicKey, error) {
	kind, rest := cutField(text)
	encoded, _ := cutField(rest)
	if !isKeyType(kind) || encoded == "" {
		return nil, fmt.Errorf("want a key type and a key, got %q", shorten(text))
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the key is not base64")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %s", detail(err))
	}
	if key.Type() != kind || string(key.Marshal()) != string(blob) {
		return nil, fmt.Errorf("the key is not the %s key that it is said to be", kind)
	}
	return key, CheckKey(key)
}
