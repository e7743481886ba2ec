package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/sourceurl"
	"github.com/trustomize/trustomize/resolver"
)

// style colours text where the output shows it.
type style struct{ on bool }

func newStyle(w io.Writer) style { return style{colored(w)} }

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\033[" + code + "m" + text + "\033[0m"
}

func (s style) good(text string) string { return s.paint("32", text) }
func (s style) bad(text string) string  { return s.paint("31", text) }
func (s style) dim(text string) string  { return s.paint("2", text) }

// treePrinter prints which kustomization refers to which, and who vouches for
// each source.
type treePrinter struct {
	w     io.Writer
	style style
}

func (t treePrinter) print(r *trustomize.Report) {
	refused := map[*resolver.Source]bool{}
	for _, one := range r.Graph.Refusals {
		for _, s := range r.Graph.Sources {
			if one.Source == string(s.Identity) && (one.Commit == s.Commit || one.Commit == "") {
				refused[s] = true
			}
		}
	}
	if r.Graph.Root == nil {
		return
	}
	p := &treeState{treePrinter: t, refused: refused, verdict: "refused", shown: map[*resolver.Node]bool{}}
	if r.Err() == nil {
		p.verdict = "would be refused"
	}
	p.line("", p.source(r.Graph.Root.Source, r.Graph.Root.Dir))
	p.children("", r.Graph.Root)
}

type treeState struct {
	treePrinter
	refused map[*resolver.Source]bool
	verdict string // on what is refused
	shown   map[*resolver.Node]bool
}

func (t *treeState) line(indent, text string) { fmt.Fprintln(t.w, t.style.dim(indent)+text) }

func (t *treeState) children(indent string, n *resolver.Node) {
	t.shown[n] = true
	for i, e := range n.Edges {
		branch, next := "├── ", "│   "
		if i == len(n.Edges)-1 {
			branch, next = "└── ", "    "
		}
		switch {
		case e.Source != nil:
			t.line(indent+branch, t.source(e.Source, e.File))
		case e.To == nil:
			t.line(indent+branch, refusal.Printable(e.Text)+"  "+t.style.bad("not resolved"))
		case !e.Remote:
			t.line(indent+branch, refusal.Printable(e.To.Dir))
		default:
			t.line(indent+branch, t.source(e.To.Source, e.To.Dir))
		}
		if e.To == nil {
			continue
		}
		if t.shown[e.To] {
			if len(e.To.Edges) > 0 {
				t.line(indent+next, t.style.dim("(shown above)"))
			}
			continue
		}
		t.children(indent+next, e.To)
	}
}

// source describes a directory or a file together with its source.
func (t *treeState) source(s *resolver.Source, at string) string {
	if s.Kind == sourceurl.File {
		at = "." // its identity names it already
	}
	name := refusal.Printable(s.Identity.At(at))
	if s.Commit != "" {
		name += t.style.dim("@" + refusal.Short(s.Commit))
	}
	if s.Ref != "" && s.Ref != s.Commit {
		name += t.style.dim(" (" + refusal.Printable(s.Ref) + ")")
	}
	if t.refused[s] {
		return name + "  " + t.style.bad(t.verdict)
	}
	vouchers := s.Vouchers()
	if slices.ContainsFunc(vouchers, func(v resolver.Voucher) bool { return v.Until != "" }) {
		return name + "  " + t.style.bad(vouchedBy(vouchers))
	}
	return name + "  " + t.style.good(vouchedBy(vouchers))
}

// vouchedBy says in a few words who vouches for a source.
func vouchedBy(vouchers []resolver.Voucher) string {
	var words []string
	for _, v := range vouchers {
		switch v.Kind {
		case "signature":
			bound := "unbound"
			if v.Bound {
				bound = "bound"
			}
			words = append(words, fmt.Sprintf("signed by %s (%s, %s)", v.Signer, who(v), bound))
		case "commit":
			words = append(words, fmt.Sprintf("%s signed by %s (%s)", refusal.Printable(v.Signature), v.Signer, who(v)))
		case "pin":
			words = append(words, "pinned")
		case "lock":
			words = append(words, "locked")
		default:
			words = append(words, exception(v))
		}
	}
	return strings.Join(words, "; ")
}

// who is the identity that signed, or the key in short.
func who(v resolver.Voucher) string {
	if v.Identity != "" {
		return refusal.Printable(v.Identity)
	}
	_, digits, _ := strings.Cut(v.Key, ":")
	return refusal.Short(digits)
}

func exception(v resolver.Voucher) string {
	if v.Until == "" {
		return "taken as it is"
	}
	return "UNVERIFIED until " + v.Until + ": " + refusal.Printable(v.Reason)
}
