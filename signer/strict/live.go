package strict

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"time"

	"github.com/trustomize/trustomize/internal/apidefaults"
	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

// compare holds the live resource against the signed one, or against what the API
// server makes of that.
func (c *check) compare(ctx context.Context) {
	want := c.signed
	explain := c.offline
	stripped := c.strip()
	if c.DryRun != nil {
		made, err := c.dryRun(ctx)
		if err != nil {
			c.verdict.Failure = fmt.Errorf("%s: dry run: %w", c.verdict.Resource, err)
			return
		}
		want, explain = made, c.allocated
		// The dry run was made in the live one's place, which was looked at above.
		for _, field := range []string{"name", "namespace"} {
			if v, ok := c.live["metadata"].(map[string]any)[field]; ok {
				stripped["metadata"].(map[string]any)[field] = v
			}
		}
	}
	for _, change := range compare(want, stripped) {
		if why, ok := c.serverField(change); ok {
			c.explained(change, why)
			continue
		}
		if why, ok := explain(change); ok {
			c.explained(change, why)
			continue
		}
		c.changed(change)
	}
}

// offline explains what an API server fills in. What it chooses, and no manifest
// says, only an object has that a server made.
func (c *check) offline(change apidefaults.Change) (string, bool) {
	null := change.InSigned && change.Signed == nil && !change.InLive // nothing is chosen there
	if _, chosen := apidefaults.Allocated(c.signed, c.live, change); chosen && !null && !c.stored() {
		return "", false
	}
	return apidefaults.Explain(c.signed, c.live, change)
}

var (
	uuid    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	version = regexp.MustCompile(`^[1-9][0-9]{0,19}$`)
)

// stored reports whether the object has what an API server gives each that it stores
// (apimachinery, ObjectMeta). Whoever writes a file can write that as well, so that who
// asks before a file is applied says so.
func (c *check) stored() bool {
	_, err := time.Parse(time.RFC3339, text(c.live, "metadata", "creationTimestamp"))
	return err == nil && !c.BeforeApply && uuid.MatchString(text(c.live, "metadata", "uid")) && version.MatchString(text(c.live, "metadata", "resourceVersion"))
}

// dryRun asks what the API server makes of the signed resource. The signatures go
// along: a cluster may admit nothing without them.
func (c *check) dryRun(ctx context.Context) (map[string]any, error) {
	signed := deepCopy(c.signed).(map[string]any)
	metadata := signed["metadata"].(map[string]any)
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	for name, value := range texts(c.live, "metadata", "annotations") {
		if signer.IsSignature(name) {
			annotations[name] = value
		}
	}
	made, err := c.DryRun(ctx, signed, c.live)
	if err != nil {
		return nil, err
	}
	made = withoutServerFields(made)
	metadata = made["metadata"].(map[string]any)
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		annotations = maps.Clone(annotations)
		maps.DeleteFunc(annotations, func(name string, value any) bool {
			return signer.IsSignature(name) || c.counted(name, value)
		})
		keep(metadata, "annotations", annotations, c.signed)
	}
	return made, nil
}

// allocated explains what the API server chose when it made the live resource,
// where a dry run chooses again.
func (c *check) allocated(change apidefaults.Change) (string, bool) {
	if !change.InLive || !c.stored() || has(c.signed, change.Path) {
		return "", false
	}
	change.Signed, change.InSigned = nil, false
	return apidefaults.Allocated(c.signed, c.live, change)
}

// has reports whether a path leads to something.
func has(o any, path []any) bool {
	for _, part := range path {
		switch p := part.(type) {
		case string:
			m, _ := o.(map[string]any)
			next, ok := m[p]
			if !ok {
				return false
			}
			o = next
		case int:
			l, _ := o.([]any)
			if p >= len(l) {
				return false
			}
			o = l[p]
		}
	}
	return true
}

func (c *check) explained(change apidefaults.Change, why string) {
	c.verdict.Explained = append(c.verdict.Explained, Explained{pathText(change.Path), why})
}

// changed refuses a difference.
func (c *check) changed(change apidefaults.Change) {
	reason := "was changed since it was signed"
	switch {
	case !change.InSigned:
		reason = "was added since it was signed"
	case !change.InLive:
		reason = "was removed since it was signed"
	}
	r := c.refuse(refusal.Changed, pathText(change.Path), reason)
	r.Want, r.Got = show(change.Signed, change.InSigned), show(change.Live, change.InLive)
	if hidden(c.live, change.Path) {
		r.Want, r.Got = "", ""
	}
}

// hidden reports whether a value is nobody's to see: it is a Secret's.
func hidden(o map[string]any, path []any) bool {
	return text(o, "kind") == "Secret" && (len(path) == 0 || path[0] != "metadata" || len(path) > 1 && path[1] == "annotations")
}
