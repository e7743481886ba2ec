package policy

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Flags are those of kustomize build that spec.allow.flags may name, each with
// why it is refused otherwise. Allowing a flag means that it may be given: what
// it would switch on is still refused where a kustomization asks for it.
func Flags() map[string]string { return maps.Clone(flags) }

const (
	programs = "a build starts no programs: nothing here can verify them"
	charts   = "charts are pulled and rendered by another program, and a build starts none"
)

var flags = map[string]string{
	"enable-alpha-plugins": programs,
	"enable-exec":          programs,
	"enable-star":          programs,
	"as-current-user":      programs,
	"env":                  programs,
	"mount":                "a build sees nothing but verified sources",
	"network":              "a build has no network",
	"network-name":         "a build has no network",
	"enable-helm":          charts,
	"helm-command":         charts,
	"helm-api-versions":    charts,
	"helm-kube-version":    charts,
	"helm-debug":           charts,
}

func (c *checker) flags() {
	for i, name := range c.spec.Allow.Flags {
		if _, ok := flags[name]; !ok {
			c.fail(fmt.Sprintf("spec.allow.flags[%d]", i), "%q is none of the flags that need to be allowed: %s", name, strings.Join(slices.Sorted(maps.Keys(flags)), ", "))
		}
	}
}

func (c *checker) credentials() {
	for i, one := range c.spec.Credentials {
		path := fmt.Sprintf("spec.credentials[%d]", i)
		if err := checkPrefix(one.Prefix); err != nil {
			c.fail(path+".prefix", "want a host in lower case and perhaps the beginning of a path, such as github.com/acme/: %v", err)
		}
		for j, earlier := range c.spec.Credentials[:i] {
			if mirrors(earlier.Prefix, strings.TrimSuffix(one.Prefix, "/")) {
				c.fail(path+".prefix", "can never apply: credential %d, %q, stands before it", j+1, earlier.Prefix)
			}
		}
		c.credential(path, one)
	}
}

// credential checks that there is exactly one, and whole.
func (c *checker) credential(path string, one Credential) {
	n := 0
	for _, set := range []bool{one.Basic != nil, one.Bearer != nil, one.Helper != "", one.SSH != nil, one.RegistryConfig != nil, one.S3 != nil, one.GCS != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		c.fail(path, "want exactly one of basic, bearer, helper, ssh, registryConfig, s3, gcs")
	}
	isOCI := strings.HasPrefix(one.Prefix, "oci:")
	if isOCI != (one.RegistryConfig != nil) && n == 1 {
		c.fail(path, "registryConfig is for prefixes that begin with oci:, and the others for those that do not")
	}
	if b := one.Basic; b != nil {
		if b.Username == "" || strings.ContainsAny(b.Username, ":\r\n") {
			c.fail(path+".basic.username", "want a name without a colon")
		}
		c.secret(path+".basic.password", b.Password)
	}
	if one.Bearer != nil {
		c.secret(path+".bearer", one.Bearer)
	}
	if one.Helper != "" && !helperPath.MatchString(one.Helper) {
		c.fail(path+".helper", "want the absolute path of a program, without spaces or characters that a shell reads, not %q", one.Helper)
	}
	c.accessFiles(path, one)
}

// helperPath is what git gives to a shell as it is.
var helperPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]+$`)

func (c *checker) accessFiles(path string, one Credential) {
	if s := one.SSH; s != nil {
		if s.Key == nil && s.KnownHosts == nil {
			c.fail(path+".ssh", "want a key, knownHosts, or both")
		}
		for name, ref := range map[string]*FileRef{"key": s.Key, "knownHosts": s.KnownHosts} {
			if ref != nil && (ref.File == "" || strings.ContainsAny(ref.File, "\"\n\x00")) {
				c.fail(path+".ssh."+name, "want a file's path, without a quotation mark")
			}
		}
	}
	if r := one.RegistryConfig; r != nil && r.File == "" {
		c.fail(path+".registryConfig.file", "not said")
	}
	if one.GCS != nil && !one.GCS.Environment {
		c.fail(path+".gcs", "want environment: true; there is no other way yet")
	}
	if s := one.S3; s != nil && s.Environment {
		if s.AccessKeyID != nil || s.SecretAccessKey != nil || s.SessionToken != nil {
			c.fail(path+".s3", "want a key, or environment: true, not both")
		}
	} else if s != nil {
		c.secret(path+".s3.accessKeyID", s.AccessKeyID)
		c.secret(path+".s3.secretAccessKey", s.SecretAccessKey)
		if s.SessionToken != nil {
			c.secret(path+".s3.sessionToken", s.SessionToken)
		}
	}
}

// variable is a variable's name.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *checker) secret(path string, s *Secret) {
	switch {
	case s == nil, (s.File == "") == (s.Env == ""):
		c.fail(path, "want exactly one of file, env; a secret itself does not belong into a policy")
	case s.Env != "" && !variable.MatchString(s.Env):
		c.fail(path+".env", "want a variable's name, not %q", s.Env)
	}
}

// AbsolutePath returns where a file that the policy names is, as an absolute
// path.
func (p *Policy) AbsolutePath(name string) (string, error) { return filepath.Abs(p.Path(name)) }
