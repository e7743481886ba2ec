package plugin

import (
	"regexp"
	"strings"
	"time"
)

// Timeout is how long a render may take unless the operator says otherwise:
// ArgoCD's own deadline, 60 s unless set, spans its fetch of the repository as
// well, and ends a plugin without a word.
const Timeout = 45 * time.Second

// Limits of a message: it is stored in the Application's status, and in Redis.
const (
	maxLines = 24
	maxLine  = 2000 // bytes
)

// fleeting are parts of a message that differ from run to run, though the
// failure is the same.
var fleeting = regexp.MustCompile(`(/[^\s:'"]*)?/_cmp_server/[^/\s:'"]+/?|/(git|put|probe|fetch)-[0-9]+`)

// Message makes an error's text fit to be shown in an Application: bounded, and
// the same for the same failure, so that ArgoCD sees no change where there is
// none.
func Message(text string) string {
	text = fleeting.ReplaceAllStringFunc(text, func(found string) string {
		if strings.Contains(found, "/_cmp_server/") {
			return ""
		}
		return found[:strings.LastIndex(found, "-")]
	})
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], "trustomize: more lines follow that are left out here; trustomize verify shows all")
	}
	for i, line := range lines {
		if len(line) > maxLine {
			lines[i] = strings.ToValidUTF8(line[:maxLine], "") + "..."
		}
	}
	return strings.Join(lines, "\n") + "\n  hint: ArgoCD keeps this result for the commit; after a change elsewhere (policy, keys, a base), do a hard refresh\n"
}
