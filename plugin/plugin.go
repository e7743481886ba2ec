// Package plugin is trustomize as a config management plugin of ArgoCD: an
// Application's environment and parameters in, a request out.
//
// What arrives here comes from three hands. The operator sets the sidecar's own
// environment. ArgoCD says which Application it is (ARGOCD_APP_*). The
// Application's owner, or whoever commits a .argocd-source.yaml, sets
// parameters (ARGOCD_APP_PARAMETERS) and plugin.env (ARGOCD_ENV_*): these become
// overrides, which the policy allows one by one, and nothing else. The variables
// are ArgoCD's (reposerver/repository, v3.2); PARAM_* repeat the parameters and
// are not read.
package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/giturl"
	"github.com/trustomize/trustomize/resolver"
)

// Names of variables.
const (
	varName           = "ARGOCD_APP_NAME"
	varNamespace      = "ARGOCD_APP_NAMESPACE" // the destination's
	varProject        = "ARGOCD_APP_PROJECT_NAME"
	varRevision       = "ARGOCD_APP_REVISION"
	varRepository     = "ARGOCD_APP_SOURCE_REPO_URL"
	varPath           = "ARGOCD_APP_SOURCE_PATH"
	varTargetRevision = "ARGOCD_APP_SOURCE_TARGET_REVISION"
	varParameters     = "ARGOCD_APP_PARAMETERS"
	varWorkDir        = "ARGOCD_CMP_WORKDIR"

	ownersPrefix = "ARGOCD_ENV_"
	imagePrefix  = ownersPrefix + "IMAGE_"
)

// substituted are the variables that values may name, as in ArgoCD's own
// kustomize support.
var substituted = []string{
	varName, varNamespace, varProject, varRevision, "ARGOCD_APP_REVISION_SHORT", "ARGOCD_APP_REVISION_SHORT_8",
	varRepository, varPath, varTargetRevision,
}

// Environment is what the process was started with.
type Environment map[string]string

// ParseEnvironment reads a list such as os.Environ's. Of a name that stands there
// twice, the last counts.
func ParseEnvironment(environ []string) Environment {
	e := make(Environment, len(environ))
	for _, one := range environ {
		if name, value, ok := strings.Cut(one, "="); ok {
			e[name] = value
		}
	}
	return e
}

// expand replaces $NAME and ${NAME}; $$ is a dollar sign.
func (e Environment) expand(text string) string {
	return os.Expand(text, func(name string) string {
		switch {
		case name == "$":
			return "$"
		case slices.Contains(substituted, name):
			return e[name]
		}
		return ""
	})
}

// Complete fills in what ArgoCD says: the directory to build, what it is, and
// the Application. dir is the current directory, which is the Application's.
// askpass is the program that git may ask for the repository's credentials, an
// absolute path, or "".
func Complete(req trustomize.Request, e Environment, dir, askpass string) (trustomize.Request, error) {
	for _, name := range []string{varName, varRepository} {
		if e[name] == "" {
			return req, fmt.Errorf("%s is not set: plugin generate is run by ArgoCD; elsewhere, use trustomize build", name)
		}
	}
	// In a kustomization, kustomize makes https of it; ArgoCD fetched it as it is.
	if u, err := giturl.ParseRepository(e[varRepository]); err == nil && u.Scheme == "https" && strings.HasPrefix(strings.ToLower(e[varRepository]), "http:") {
		return req, fmt.Errorf("the Application's repository is %s, over plain http; want https", giturl.Redact(e[varRepository]))
	}
	settings, err := readSettings(e)
	if err != nil {
		return req, err
	}
	top, err := repositoryRoot(e, dir)
	if err != nil {
		return req, err
	}
	req.Target, req.Source, req.SourcePath = filepath.Join(top, e[varPath]), e[varRepository], e[varPath]
	req.Options = settings.options
	req.Application = &trustomize.Application{
		Project: e[varProject], Name: e[varName], DestinationNamespace: e[varNamespace],
		Revision: e[varRevision], TargetRevision: e[varTargetRevision],
		Overrides: settings.edits,
	}
	if nonce := e["ARGOCD_GIT_ASKPASS_NONCE"]; nonce != "" && askpass != "" {
		req.Application.Askpass = &resolver.Askpass{Location: e[varRepository], Program: askpass, Env: []string{
			"ARGOCD_GIT_ASKPASS_NONCE=" + nonce, "ARGOCD_ASK_PASS_SOCK=" + e["ARGOCD_ASK_PASS_SOCK"], "ARGOCD_BINARY_NAME=argocd-git-ask-pass",
		}}
	}
	return req, nil
}

// workDirName is the directory in which the cmp-server makes one for each call
// (ArgoCD's common.DefaultCMPWorkDirName).
const workDirName = "_cmp_server"

// repositoryRoot returns the directory into which the cmp-server unpacked the
// repository. It is not searched for by names: where the Application's path is a
// link, a directory further down could pass for it, with other rules.
func repositoryRoot(e Environment, dir string) (string, error) {
	parent := e[varWorkDir]
	if parent == "" {
		parent = os.TempDir()
	}
	work, err := filepath.EvalSymlinks(filepath.Join(parent, workDirName))
	if err != nil {
		return "", fmt.Errorf("the cmp-server's work directory: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	below, err := filepath.Rel(work, dir)
	if err != nil || below == "." || !filepath.IsLocal(below) {
		return "", fmt.Errorf("the current directory is not below the cmp-server's work directory %s: plugin generate is run by ArgoCD; elsewhere, use trustomize build", work)
	}
	call, _, _ := strings.Cut(below, string(filepath.Separator))
	top := filepath.Join(work, call)
	if p := e[varPath]; p != "" && !filepath.IsLocal(p) {
		return "", fmt.Errorf("%s: %q is not a path below a repository's root", varPath, p)
	}
	if app, err := filepath.EvalSymlinks(filepath.Join(top, e[varPath])); err != nil || app != dir {
		return "", errors.New("ArgoCD sent a part of the repository, from which its lists cannot be checked: narrowing to manifest-generate-paths must be off (ARGOCD_REPO_SERVER_PLUGIN_USE_MANIFEST_GENERATE_PATHS on the repo-server)")
	}
	return top, nil
}
