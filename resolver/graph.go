package resolver

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/trustomize/trustomize/internal/refusal"
)

// Graph is what was resolved, with all that was found out about it.
type Graph struct {
	Root     *Node // nil when the root itself could not be read
	Sources  []*Source
	Refusals []*refusal.Refusal
	Warnings []*refusal.Refusal // deviations that the closure "reached" lets pass
	Failures []error            // what could not be done: networks, malformed files
}

// Node is a directory with a kustomization.
type Node struct {
	Source *Source
	Dir    string // below the source's root, "." for the root
	File   string // the kustomization's path; "" until it was found
	Edges  []*Edge

	root       bool // where the resolution began
	edited     bool // the kustomization is not as the source has it
	rewrite    func(map[string]string) ([]byte, error)
	depth      int      // remote references on the way here
	via        []string // display names of the kustomizations that lead here
	reached    bool
	buildMeta  []string
	resources  []string // files that are loaded as such
	loaded     []string // references to files that become resources or plugins' configurations, as written
	configures []string // fields that act on more than what the kustomization loads
}

// Edge is a reference from one kustomization to another, or to a single file of
// another source. Neither is set when it could not be followed.
type Edge struct {
	Field  string // as in resources[0]
	Text   string // as written
	Remote bool   // to another source
	To     *Node
	Source *Source // of a single file
	File   string  // its path there

	written   string // Text before secrets were taken out
	lockedAs  string // the URL that a lock has for it
	resource  bool   // what is loaded becomes resources, or plugins' configurations
	configs   bool   // the latter
	submodule bool
	origin    Origin
}

// Target returns the source that the edge leads to, or nil.
func (e *Edge) Target() *Source {
	if e.To != nil {
		return e.To.Source
	}
	return e.Source
}

// Name returns the node's kustomization for people: a path below the root for
// the source that is built, identity and path for others.
func (n *Node) Name() string {
	file := n.File
	if file == "" {
		file = path.Join(n.Dir, "kustomization.yaml")
	}
	if n.Source.Root {
		return file
	}
	return n.Source.Identity.At(file)
}

// BuildMetadata returns what the kustomization asks to be annotated in the
// output. Only the root's counts: kustomize hands it down.
func (n *Node) BuildMetadata() []string { return n.buildMeta }

// Late returns what an audit found out during the build: files that only the
// build knew to be read, and that nobody vouches for.
func (g *Graph) Late() []*refusal.Refusal {
	var all []*refusal.Refusal
	for _, s := range g.Sources {
		s.mu.Lock()
		all = append(all, s.late...)
		s.mu.Unlock()
	}
	return refusal.Sort(all)
}

// Complete reports whether every reference was followed and every kustomization
// read, so that a build finds everything. What was refused on the way can be
// complete in an audit.
func (g *Graph) Complete() bool {
	if g.Root == nil || len(g.Failures) > 0 {
		return false
	}
	for _, n := range g.reached() {
		if n.rewrite == nil || slices.ContainsFunc(n.Edges, func(e *Edge) bool { return e.Target() == nil }) {
			return false
		}
	}
	return true
}

// Unverified returns the sources that pass although nobody vouches for them,
// because a rule says so.
func (g *Graph) Unverified() []*Source {
	return slices.DeleteFunc(slices.Clone(g.Sources), func(s *Source) bool {
		return !slices.ContainsFunc(s.Vouchers(), func(v Voucher) bool { return v.Until != "" })
	})
}

// graph assembles the result in an order that depends on the sources' content
// alone.
func (r *run) graph(root *Node) *Graph {
	g := &Graph{Root: root}
	if root != nil {
		g.number(root)
		g.findCycles(root)
		g.checkDepth(root, r.cfg.Policy.Spec.Limits.Depth)
	}
	for _, f := range r.findings {
		g.file(f)
	}
	g.Refusals = refusal.Sort(firstOfEach(withRest(firstOfEach(g.Refusals))))
	if i := slices.IndexFunc(g.Refusals, func(one *refusal.Refusal) bool { return one.Code == refusal.Limit && one.Source == "" }); i >= 0 {
		// Which of too many sources were looked at is chance, and so is what
		// was found in them.
		g.Refusals, g.Failures = g.Refusals[i:i+1], nil
	}
	g.warn()
	slices.SortFunc(g.Failures, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	g.Failures = slices.CompactFunc(g.Failures, func(a, b error) bool { return a.Error() == b.Error() })
	return g
}

// warn collects the differences that refuse nothing.
func (g *Graph) warn() {
	type key struct {
		code                 refusal.Code
		source, commit, file string
	}
	refused := map[key]bool{}
	for _, one := range g.Refusals {
		refused[key{one.Code, one.Source, one.Commit, one.File}] = true
	}
	for _, s := range g.Sources {
		for _, one := range s.differences() {
			if !refused[key{one.Code, one.Source, one.Commit, one.File}] {
				g.Warnings = append(g.Warnings, one)
			}
		}
	}
	g.Warnings = refusal.Sort(g.Warnings)
}

func (g *Graph) file(f finding) {
	chain := f.chain()
	switch {
	case f.failure != nil && len(chain) > 0:
		g.Failures = append(g.Failures, fmt.Errorf("%w (via %s)", f.failure, strings.Join(chain, " > ")))
	case f.failure != nil:
		g.Failures = append(g.Failures, f.failure)
	default:
		one := *f.refusal
		one.Via = chain
		g.Refusals = append(g.Refusals, &one)
	}
}

// chain returns the kustomizations that lead to a place.
func (p place) chain() []string {
	switch {
	case p.node == nil:
		return nil
	case p.self:
		return p.node.via
	}
	return p.node.chain()
}

// chain returns the kustomizations that lead to the node, and its own.
func (n *Node) chain() []string {
	return append(slices.Clone(n.via), n.Name())
}

// withRest adds what comes with refusals, by the same chain.
func withRest(rs []*refusal.Refusal) []*refusal.Refusal {
	all := slices.Clone(rs)
	for _, one := range rs {
		for _, more := range one.Rest {
			also := *more
			also.Via = one.Via
			all = append(all, &also)
		}
	}
	return all
}

// firstOfEach keeps, of refusals that differ by their chain alone, the first.
func firstOfEach(rs []*refusal.Refusal) []*refusal.Refusal {
	type key struct {
		code                             refusal.Code
		source, commit, file, reason, to string
	}
	best := map[key]*refusal.Refusal{}
	var keep []*refusal.Refusal
	for _, one := range rs {
		k := key{one.Code, one.Source, one.Commit, one.File, one.Reason, one.Want + one.Got}
		old, ok := best[k]
		if !ok {
			best[k] = one
			keep = append(keep, one)
			continue
		}
		if chainLess(one.Via, old.Via) {
			*old = *one
		}
	}
	return keep
}

func chainLess(a, b []string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return slices.Compare(a, b) < 0
}

// number walks the graph breadth first in the order of the references, and
// notes for each node the shortest chain that leads to it, and for each source
// its place in the list.
func (g *Graph) number(root *Node) {
	queue := []*Node{root}
	root.reached = true
	g.Sources = append(g.Sources, root.Source)
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range n.Edges {
			if target := e.Target(); target != nil && e.Remote && !slices.Contains(g.Sources, target) {
				target.Origin = e.origin
				g.Sources = append(g.Sources, target)
			}
			if e.To != nil && !e.To.reached {
				e.To.reached = true
				e.To.via = n.chain()
				e.To.depth = n.depth
				if e.Remote {
					e.To.depth++
				}
				queue = append(queue, e.To)
			}
		}
	}
}

// checkDepth refuses what lies deeper than the policy allows, by the shortest
// chain that leads to it.
func (g *Graph) checkDepth(root *Node, limit int) {
	seen := map[*Node]bool{root: true}
	queue := []*Node{root}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range n.Edges {
			if e.To == nil || seen[e.To] {
				continue
			}
			seen[e.To] = true
			queue = append(queue, e.To)
			if e.To.depth > limit && n.depth <= limit {
				one := e.To.Source.refusal(refusal.Limit, "", fmt.Sprintf("lies more than %d references deep", limit))
				one.Via, one.Hints = n.chain(), []string{"the policy's spec.limits.depth sets this limit"}
				g.Refusals = append(g.Refusals, one)
			}
		}
	}
}

// findCycles refuses kustomizations that refer to each other in a circle, and
// prints the circle.
func (g *Graph) findCycles(root *Node) {
	const (
		open = iota + 1
		closed
	)
	state := map[*Node]int{}
	var stack []*Node
	var walk func(n *Node)
	walk = func(n *Node) {
		state[n] = open
		stack = append(stack, n)
		for _, e := range n.Edges {
			switch {
			case e.To == nil:
			case state[e.To] == open:
				g.Refusals = append(g.Refusals, cycle(stack[slices.Index(stack, e.To):]))
			case state[e.To] == 0:
				walk(e.To)
			}
		}
		state[n] = closed
		stack = stack[:len(stack)-1]
	}
	walk(root)
}

func cycle(nodes []*Node) *refusal.Refusal {
	names := make([]string, 0, len(nodes)+1)
	for _, n := range append(slices.Clone(nodes), nodes[0]) {
		names = append(names, n.Name())
	}
	return &refusal.Refusal{
		Code: refusal.Cycle, Source: string(nodes[0].Source.Identity), Commit: nodes[0].Source.Commit, File: nodes[0].File,
		Reason: "kustomizations refer to each other in a circle: " + strings.Join(names, " > "),
		Hints:  []string{"remove one of these references"},
	}
}
