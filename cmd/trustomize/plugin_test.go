package main

import (
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// render runs plugin generate as ArgoCD's cmp-server does: in a directory of its
// own, with a copy of a repository below mirror/acme and its variables.
//
//	render STATUS REPOSITORY[//PATH] [NAME=VALUE...]
func render(ts *testscript.TestScript, _ bool, args []string) {
	repo, path, _ := strings.Cut(args[1], "//")
	ts.Check(os.MkdirAll(ts.MkAbs("argo/_cmp_server"), 0o755))
	dir, err := os.MkdirTemp(ts.MkAbs("argo/_cmp_server"), "")
	ts.Check(err)
	ts.Check(ts.Exec("cp", "-a", "mirror/acme/"+repo+"/.", dir))
	defer os.RemoveAll(dir)
	head, _ := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	env := append([]string{
		"ARGOCD_CMP_WORKDIR=" + ts.MkAbs("argo"), "ARGOCD_APP_NAME=web", "ARGOCD_APP_NAMESPACE=prod", "ARGOCD_APP_PROJECT_NAME=shop",
		"ARGOCD_APP_REVISION=" + strings.TrimSpace(string(head)), "ARGOCD_APP_SOURCE_REPO_URL=https://github.com/acme/" + repo + ".git",
		"ARGOCD_APP_SOURCE_PATH=" + path, "ARGOCD_APP_SOURCE_TARGET_REVISION=main",
	}, args[2:]...)
	ts.Check(ts.Chdir(dir + "/" + path))
	status, err := "0", ts.Exec("env", append(env, "trustomize", "plugin", "generate")...)
	ts.Check(ts.Chdir(ts.Getenv("WORK")))
	if exit, ok := err.(*exec.ExitError); ok {
		status = strings.TrimPrefix(exit.Error(), "exit status ")
	}
	if status != args[0] {
		ts.Fatalf("exit status %s, want %s", status, args[0])
	}
	if status != "0" && ts.ReadFile("stdout") != "" {
		ts.Fatalf("something was printed")
	}
}
