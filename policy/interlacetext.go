package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
)

// policyText is what an imported policy says. Its bytes depend on nothing else.
type policyText struct {
	name         string
	applications []string // patterns of names
	signer       struct {
		pem, fingerprint string // of a public key, or
		file             string // where one is to be
		pgp              bool   // that is PGP's
	}
	matches   []string
	signKey   string
	signMatch []ResourceMatch
	rekor     string
	remarks   []Remark

	b strings.Builder
}

func (t *policyText) line(format string, args ...any) { fmt.Fprintf(&t.b, format+"\n", args...) }

// commentWidth is how far comments go.
const commentWidth = 80

// comment writes text as comment lines that begin with indent, the first one's
// text with first. Nothing in it can end a comment.
func (t *policyText) comment(indent, first, text string) {
	line, next := indent+"# "+first, indent+"# "+strings.Repeat(" ", len(first))
	empty := true
	for word := range strings.FieldsSeq(refusal.Printable(text)) {
		switch {
		case empty:
			line += word
		case len(line)+1+len(word) > commentWidth:
			t.line("%s", line)
			line = next + word
		default:
			line += " " + word
		}
		empty = false
	}
	t.line("%s", line)
}

func (t *policyText) bytes() []byte {
	t.head()
	t.line("apiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec:", APIVersion, Kind, scalar(t.name))
	t.signers()
	t.sources()
	t.sign()
	t.log()
	t.names()
	return []byte(t.b.String())
}

func (t *policyText) head() {
	t.comment("", "", fmt.Sprintf("A policy says whose word counts for which source. It belongs to the operator and never lies in a repository that is built. Paths are relative to this file. This one was made from the InterlaceProfile %s; read it before you rely on it.", t.name))
	t.line("#\n# What is not as it was:")
	for _, r := range t.remarks {
		t.comment("", "- ", r.Path+": "+r.Why+".")
		if r.Do != "" {
			t.comment("", "  ", "To do: "+r.Do+".")
		}
		if r.Command != "" {
			t.line("#     %s", refusal.Printable(r.Command))
		}
	}
}

func (t *policyText) signers() {
	t.comment("  ", "", "Who may vouch for sources: the key that the profile verified with.")
	t.line("  signers:\n    %s:", scalar(t.name))
	switch {
	case t.signer.pgp:
		t.line("      pgp: {file: %s}", scalar(t.signer.file))
	case t.signer.file != "":
		t.line("      publicKey: {file: %s}", scalar(t.signer.file))
	default:
		t.line("      publicKey: # %s\n        pem: |", t.signer.fingerprint)
		for line := range strings.Lines(t.signer.pem) {
			t.line("          %s", strings.TrimSpace(line))
		}
	}
	t.line("")
}

func (t *policyText) sources() {
	t.comment("  ", "", `What must hold for each source. The first match decides; a source that nothing matches is refused. "*" is one segment, "**" any number of them.`)
	t.line("  #")
	t.comment("  ", "", `Lists that were signed for Interlace verify as they are. They name no repository, so that one repository's list would pass in another: sign them again with trustomize materials sign, then add "bound: true". A file that a list does not name refuses its source; Interlace did not look for such files.`)
	t.line("  sources:")
	for _, m := range t.matches {
		t.line("  - match: %s\n    signedBy: [%s]", scalar(m), scalar(t.name))
	}
	t.line(`  # A base that nobody signed can be pinned to the state that you reviewed:
  # - match: github.com/somebody/base
  #   pinned: [{commit: 0123456789abcdef0123456789abcdef01234567}]
`)
}

func (t *policyText) sign() {
	t.comment("  ", "", "What the output is signed with: a key that is not one of the signers. Or none. The password of an encrypted key is taken from COSIGN_PASSWORD.")
	t.line("  sign:\n    key: {file: %s}", scalar(t.signKey))
	if len(t.signMatch) > 0 {
		t.line("    match: # the others are printed unsigned")
	}
	for _, m := range t.signMatch {
		var fields []string
		for _, f := range resourceFields(m) {
			fields = append(fields, f.name+": "+scalar(f.value))
		}
		t.line("    - {%s}", strings.Join(fields, ", "))
	}
	t.line("")
}

func (t *policyText) log() {
	t.comment("  ", "", "Where the provenance of each build is logged. Everything in a public log is public for ever.")
	if t.rekor == "" {
		t.line("  log: {mode: none}\n  # log:\n  #   mode: required\n  #   rekor: [{url: https://rekor.example.com, version: 2, publicKey: {file: %s}}]", rekorKeyFile)
		return
	}
	t.line("  log:\n    mode: required\n    rekor:\n    - url: %s\n      version: 1 # the only one that Interlace knows\n      publicKey: {file: %s}", scalar(t.rekor), rekorKeyFile)
}

// names writes down the Applications' names, as a comment.
func (t *policyText) names() {
	if len(t.applications) == 0 {
		return
	}
	t.line("")
	t.comment("  ", "", "The Applications that the profile was for, by their names:")
	t.line("  # applications:")
	for _, name := range t.applications {
		t.line("  # - match: {name: %s}", scalar(name))
	}
}

// plainScalar is text that YAML reads as itself wherever it stands.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/*-]*$`)

// scalar writes text so that YAML reads it as just that: plain where that is
// safe, else in double quotes. All of Go's escapes are YAML's too.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
	default:
		if plainScalar.MatchString(s) {
			return s
		}
	}
	return strconv.QuoteToASCII(s)
}
