package git

import (
	"fmt"
	"net/url"
	"strings"
)

// Access is what lets git in at one location, and nowhere else. The zero value
// is nothing.
type Access struct {
	Header     string // an Authorization header's value, for https and http
	Helper     string // a git credential helper, absolute path
	SSHKey     string // a private key's file
	KnownHosts string // a known_hosts file

	Askpass    string   // a program that git asks for user and password, absolute path; for https
	AskpassEnv []string // what that program needs
}

func (g *Git) access(location string) (Access, error) {
	if g.Access == nil || isFile(location) {
		return Access{}, nil
	}
	return g.Access(location)
}

// isHTTP splits scheme and host off an http or https location.
func isHTTP(location string) (base string, ok bool) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

// settings returns what the command line may show.
func (a Access) settings(location string) []string {
	base, ok := isHTTP(location)
	if !ok {
		return nil
	}
	var args []string
	if a.Header != "" || a.Askpass != "" {
		// git would send the header on to wherever it is redirected, and ask for
		// that host.
		args = append(args, "-c", "http.followRedirects=false")
	}
	if a.Helper != "" {
		// Asked for this host alone, wherever a redirect leads.
		args = append(args, "-c", "credential."+base+".helper="+a.Helper)
	}
	return args
}

// environment returns what only the child itself may see. It stands behind what
// the operator passes on, and so takes its place.
func (a Access) environment(location string) []string {
	if base, ok := isHTTP(location); ok {
		switch {
		case a.Askpass != "":
			return append([]string{"GIT_ASKPASS=" + a.Askpass}, a.AskpassEnv...)
		case a.Header == "":
			return nil
		}
		return []string{
			"GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=http." + base + "/.extraHeader",
			"GIT_CONFIG_VALUE_0=Authorization: " + a.Header,
		}
	}
	if a.SSHKey == "" && a.KnownHosts == "" {
		return nil
	}
	options := []string{"BatchMode=yes", "StrictHostKeyChecking=yes", "PermitLocalCommand=no", "ProxyCommand=none"}
	if a.SSHKey != "" {
		options = append(options, "IdentitiesOnly=yes", "IdentityAgent=none", fmt.Sprintf("IdentityFile=%q", a.SSHKey))
	}
	if a.KnownHosts != "" {
		options = append(options, "GlobalKnownHostsFile=/dev/null", fmt.Sprintf("UserKnownHostsFile=%q", a.KnownHosts))
	}
	command := "ssh -F none"
	for _, option := range options {
		command += " -o " + shellQuote(option)
	}
	return []string{"GIT_SSH_COMMAND=" + command, "SSH_AUTH_SOCK="}
}

// shellQuote makes one word of a text, for the shell that git gives its ssh
// command to.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
