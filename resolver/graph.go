package resolver

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

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

	rewrite   func(map[string]string) ([]byte, error)
	depth     int      // remote references on the way here
	via       []string // display names of the kustomizations that lead here
	reached   bool
	buildMeta []string
}

// Edge is a reference from one kustomization to another.
type Edge struct {
	Field  string // as in resources[0]
	Text   string // as written
	Remote bool   // to another source, through a URL
	To     *Node  // nil when it could not be followed

	origin Origin
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

// graph assembles the result in an order that depends on the sources' content
// alone.
func (r *run) graph(root *Node) *Graph {
	g := &Graph{Root: root}
	if root != nil {
		remote := g.number(root)
		g.findCycles(root)
		g.checkBuildMetadata(remote)
		g.checkDepth(root, r.cfg.Policy.Spec.Limits.Depth)
	}
	for _, f := range r.findings {
		g.file(f)
	}
	g.Refusals = refusal.Sort(firstOfEach(g.Refusals))
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
// its place in the list. It reports whether any reference is remote.
func (g *Graph) number(root *Node) (remote bool) {
	queue := []*Node{root}
	root.reached = true
	g.Sources = append(g.Sources, root.Source)
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range n.Edges {
			remote = remote || e.Remote
			if e.To != nil && e.Remote && !slices.Contains(g.Sources, e.To.Source) {
				e.To.Source.Origin = e.origin
				g.Sources = append(g.Sources, e.To.Source)
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
	return remote
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

// checkBuildMetadata refuses annotations that would tell of the directories in
// which sources are mounted, or of this program's version. Only the root's
// count: kustomize hands them down.
func (g *Graph) checkBuildMetadata(remote bool) {
	for _, option := range g.Root.buildMeta {
		if remote || option == types.ManagedByLabelOption {
			g.Refusals = append(g.Refusals, g.Root.Source.refusal(refusal.Unsupported, g.Root.File,
				fmt.Sprintf("field buildMetadata asks for %s, which is not supported yet for this kustomization", option)))
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

// Reference is a place that refers to a source.
type Reference struct {
	From  string `json:"from"`  // identity//path of the kustomization
	Field string `json:"field"` // as in resources[0]
	Text  string `json:"text"`  // as written
	Path  string `json:"path"`  // the directory that it leads to, "." for the source's root
}

// ReferencesTo returns the remote references that lead to a source, in the
// order of the graph.
func (g *Graph) ReferencesTo(s *Source) []Reference {
	l := layout{names: map[*Edge]string{}}
	l.assign(g.Root, map[*Node]bool{})
	var refs []Reference
	for _, n := range l.nodes {
		for _, e := range n.Edges {
			if e.Remote && e.To.Source == s {
				refs = append(refs, Reference{n.Source.Identity.At(n.File), e.Field, e.Text, e.To.Dir})
			}
		}
	}
	return refs
}
