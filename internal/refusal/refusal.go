// Package refusal is the vocabulary in which trustomize says no.
//
// A [Refusal] names one thing that the policy does not accept: which source,
// which file, what was expected and found, the chain of references that led
// there, and what to do. Everything that refuses uses it, so that a person
// reads the same sentence in a terminal, in an Application's condition and in
// JSON.
//
// Its text is one line:
//
//	refused [CODE] SOURCE@COMMIT FILE: REASON: expected WANT, found GOT (via A > B)
//
// Parts that do not apply are left out. Characters that could rewrite a
// terminal or break the line are escaped: names come from repositories that
// nobody has vouched for yet.
package refusal

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"
)

// Code is a refusal's kind, from the closed list in [Codes].
type Code string

// The codes. [Codes] says what each one means.
const (
	NoPolicy     Code = "no-policy"
	NoRule       Code = "no-rule"
	Unsigned     Code = "unsigned"
	BadSignature Code = "bad-signature"
	WrongSigner  Code = "wrong-signer"
	Expired      Code = "expired"
	Revoked      Code = "revoked"
	Unbound      Code = "unbound"
	WrongBinding Code = "wrong-binding"
	Changed      Code = "changed"
	Missing      Code = "missing"
	Unlisted     Code = "unlisted"
	Malformed    Code = "malformed"
	WrongPin     Code = "wrong-pin"
	NoLock       Code = "no-lock"
	StaleLock    Code = "stale-lock"
	WrongRef     Code = "wrong-ref"
	Config       Code = "config"
	Link         Code = "link"
	Object       Code = "object"
	Flag         Code = "flag"
	Remote       Code = "remote"
	Unsupported  Code = "unsupported"
	Annotation   Code = "annotation"
	Cycle        Code = "cycle"
	Limit        Code = "limit"
	Log          Code = "log"
	Application  Code = "application"
	Override     Code = "override"
	Emits        Code = "emits"
	WrongOrigin  Code = "wrong-origin"
	NotInBuild   Code = "not-in-build"
)

// Meaning pairs a code with its one-sentence description.
type Meaning struct {
	Code Code
	Text string
}

// Codes returns every code with what it means, in the order in which the
// documentation lists them.
func Codes() []Meaning {
	return []Meaning{
		{NoPolicy, "no policy was given; nothing is trusted without one"},
		{NoRule, "no rule of the policy matches the source or the file"},
		{Unsigned, "no signed source-materials covers the file, or the commit or the resource is not signed"},
		{BadSignature, "a signature cannot be read, or does not verify over the list beside it, or the commit or resource that carries it"},
		{WrongSigner, "it is signed, but not by whom the rule accepts"},
		{Expired, "a key, a signer or an exception was valid once and is not any more"},
		{Revoked, "the key that signed is revoked, by its holder or by the policy"},
		{Unbound, "the rule demands a list that names its own repository, and this one names none"},
		{WrongBinding, "the list was made for another repository or directory"},
		{Changed, "a file's bytes, or a resource's fields, are not those that were signed"},
		{Missing, "a file that the list names, or a resource that the build had, is not there"},
		{Unlisted, "a file is there that the list does not name"},
		{Malformed, "source-materials, trustomize.source, trustomize.lock or a signed message is not well-formed"},
		{WrongPin, "the source is not at a commit or digest that the rule pins"},
		{NoLock, "the rule wants the source locked, and no lock that it accepts has an entry for it"},
		{StaleLock, "the lock contradicts itself, the source, or what the kustomization refers to"},
		{WrongRef, "no ref that the rule allows reaches the commit"},
		{Config, "a source other than the root changes how others are merged, and its rule does not allow it"},
		{Link, "a symbolic link leaves its scope, dangles, loops or is not vouched for"},
		{Object, "a git object is not what its name says, or the tree is not one that can be checked"},
		{Flag, "an option would weaken the build and the policy does not allow it"},
		{Remote, "a reference leaves its source, or uses a transport that is not allowed"},
		{Unsupported, "a field or feature that this version does not verify, refused by name"},
		{Annotation, "a resource carries an annotation that is not its own to carry: only trustomize may set it, or pipelines go by it"},
		{Cycle, "kustomizations refer to each other in a circle"},
		{Limit, "a limit of the policy was exceeded"},
		{Application, "no entry of the policy's applications matches the Application, or ArgoCD's word about it does not hold"},
		{Override, "the Application changes something that the policy does not let it change"},
		{Emits, "the output holds a resource that the Application may not produce"},
		{WrongOrigin, "a resource was signed for another source, application or namespace"},
		{NotInBuild, "a resource is not one, or not as it was, of the build that the statement is about"},
		{Log, "the transparency log did not give a proof that verifies"},
	}
}

// Auditable reports whether an audit goes on after a refusal of this kind: it
// says that nobody vouches for something, or that an Application does what it
// may not. What would make a build ambiguous,
// endless, or reach outside of what was read, ends it in an audit as well.
func (c Code) Auditable() bool {
	switch c {
	case NoRule, Unsigned, BadSignature, WrongSigner, Expired, Revoked, Unbound, WrongBinding, Changed, Missing, Unlisted, Malformed, WrongPin, NoLock, StaleLock, WrongRef, Config, Override, Emits:
		return true
	}
	return false
}

// A Refusal is one thing that is not accepted. It is an error.
type Refusal struct {
	Code   Code     `json:"code"`
	Source string   `json:"source,omitempty"` // identity, as in the policy
	Commit string   `json:"commit,omitempty"` // full commit id
	File   string   `json:"file,omitempty"`   // path below the source's root
	Reason string   `json:"reason"`
	Want   string   `json:"expected,omitempty"`
	Got    string   `json:"found,omitempty"`
	Via    []string `json:"via,omitempty"` // files that led there, the root's first
	Hints  []string `json:"hints,omitempty"`

	// Rest are further refusals that come with this one wherever it comes up, and
	// share its chain. They are not part of its text.
	Rest []*Refusal `json:"-"`
}

// Error returns the refusal as one line, without its hints.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("refused [" + string(r.Code) + "]")
	if r.Source != "" {
		b.WriteString(" " + Printable(r.Source))
		if r.Commit != "" {
			b.WriteString("@" + Printable(Short(r.Commit)))
		}
	}
	if r.File != "" {
		b.WriteString(" " + Printable(r.File))
	}
	b.WriteString(": " + Printable(r.Reason))
	if r.Want != "" || r.Got != "" {
		b.WriteString(": expected " + Printable(orNothing(r.Want)) + ", found " + Printable(orNothing(r.Got)))
	}
	if len(r.Via) > 0 {
		via := make([]string, len(r.Via))
		for i, v := range r.Via {
			via[i] = Printable(v)
		}
		b.WriteString(" (via " + strings.Join(via, " > ") + ")")
	}
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Short returns the first twelve digits of a commit id, as text for people;
// machines get the whole id.
func Short(commit string) string {
	if len(commit) > 12 {
		return commit[:12]
	}
	return commit
}

// Printable escapes what is not a printable character, so that a name from a
// repository cannot write to the terminal or forge a second line.
func Printable(s string) string {
	if strings.IndexFunc(s, hostile) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if hostile(r) {
			quoted := strconv.QuoteToASCII(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

func hostile(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r)
}

// Sort orders refusals by source, commit, file and code, and drops repeats, so
// that the same failure always gives the same text.
func Sort(rs []*Refusal) []*Refusal {
	rs = slices.Clone(rs)
	slices.SortStableFunc(rs, func(a, b *Refusal) int {
		return cmp.Or(
			cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Commit, b.Commit),
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Error(), b.Error()),
		)
	})
	return slices.CompactFunc(rs, func(a, b *Refusal) bool { return a.Error() == b.Error() })
}

// Join returns all refusals as one error, or nil when there are none. Each is
// found in it by errors.As.
func Join(rs []*Refusal) error {
	var all *multierror.Error
	for _, r := range Sort(rs) {
		all = multierror.Append(all, r)
	}
	if all != nil {
		all.ErrorFormat = lines
	}
	return all.ErrorOrNil()
}

func lines(errs []error) string {
	text := make([]string, len(errs))
	for i, err := range errs {
		text[i] = err.Error()
	}
	return strings.Join(text, "\n")
}
