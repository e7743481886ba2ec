package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/term"

	"github.com/trustomize/trustomize/internal/refusal"
)

// password returns the password of an encrypted key: COSIGN_PASSWORD, else
// what is typed at a terminal.
func (a *app) password() ([]byte, error) {
	if v, ok := os.LookupEnv("COSIGN_PASSWORD"); ok {
		return []byte(v), nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, errors.New("the key is encrypted; give its password in COSIGN_PASSWORD")
	}
	fmt.Fprint(a.stderr, "Password of the key: ")
	defer fmt.Fprintln(a.stderr)
	return term.ReadPassword(fd)
}

// userIgnores returns where git looks for what its user ignores everywhere
// (gitignore's manual): the file that the user's own configuration names, else
// git/ignore in the user's configuration folder. It is asked outside of any
// checkout, whose configuration could name programs.
func (a *app) userIgnores(ctx context.Context) []string {
	cmd := exec.CommandContext(ctx, a.git, "config", "--global", "--includes", "--type=path", "--get", "core.excludesFile")
	cmd.Dir = "/"
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if out, err := cmd.Output(); err == nil {
		return []string{strings.TrimSpace(string(out))}
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if home, err := os.UserHomeDir(); config == "" && err == nil {
		config = filepath.Join(home, ".config")
	}
	return []string{filepath.Join(config, "git", "ignore")}
}

// Bounds on talking to a log.
const (
	logTimeout = 30 * time.Second // for one answer
	logRetries = 3
)

// logClient talks to transparency logs. It tries again where a server is busy
// or a connection breaks, and follows no redirect: the policy names the log.
func logClient() *http.Client {
	c := retrying()
	c.HTTPClient.Timeout = logTimeout
	return c.StandardClient()
}

// fetchTransport carries what sources are fetched with. It tries again likewise
// and follows no redirect: whoever uses it decides about that. How long a fetch
// may take is the policy's to say.
func fetchTransport() http.RoundTripper {
	return &retryablehttp.RoundTripper{Client: retrying()}
}

func retrying() *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = logRetries
	c.RetryWaitMin, c.RetryWaitMax = 250*time.Millisecond, 4*time.Second
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return c
}

// splitLines makes sure that each line of an error is printed as one, with
// nothing in it that could rewrite a terminal.
func splitLines(s string) []string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, refusal.Printable(line))
		}
	}
	return lines
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored reports whether w shows colours and wants them (no-color.org).
func colored(w any) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
