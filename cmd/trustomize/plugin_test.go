package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// render runs plugin generate as ArgoCD's cmp-server does: in a directory of its
// own, with a copy of a repository below mirror/acme and its variables.
//
//	render STATUS REPOSITORY[//PATH] [--FLAG...] [NAME=VALUE...]
func render(ts *testscript.TestScript, _ bool, args []string) {
	dir, env, flags := unpacked(ts, args[1:])
	defer os.RemoveAll(dir)
	_, path, _ := strings.Cut(args[1], "//")
	ts.Check(ts.Chdir(dir + "/" + path))
	call := append(append(env, "trustomize", "plugin", "generate"), flags...)
	status, err := "0", ts.Exec("env", call...)
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

// renderEnv sets the variables of a render, and goes to its directory, so that a
// script can call the verb itself.
//
//	render-env REPOSITORY[//PATH] [NAME=VALUE...]
func renderEnv(ts *testscript.TestScript, _ bool, args []string) {
	dir, env, _ := unpacked(ts, args)
	for _, one := range env {
		name, value, _ := strings.Cut(one, "=")
		ts.Setenv(name, value)
	}
	_, path, _ := strings.Cut(args[0], "//")
	ts.Check(ts.Chdir(dir + "/" + path))
}

// unpacked makes the directory of one call, and returns the variables and flags
// for it.
func unpacked(ts *testscript.TestScript, args []string) (dir string, env, flags []string) {
	repo, path, _ := strings.Cut(args[0], "//")
	ts.Check(os.MkdirAll(ts.MkAbs("argo/_cmp_server"), 0o755))
	dir, err := os.MkdirTemp(ts.MkAbs("argo/_cmp_server"), "")
	ts.Check(err)
	ts.Check(ts.Exec("cp", "-a", "mirror/acme/"+repo+"/.", dir))
	head, _ := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	env = []string{
		"ARGOCD_CMP_WORKDIR=" + ts.MkAbs("argo"), "ARGOCD_APP_NAME=web", "ARGOCD_APP_NAMESPACE=prod", "ARGOCD_APP_PROJECT_NAME=shop",
		"ARGOCD_APP_REVISION=" + strings.TrimSpace(string(head)), "ARGOCD_APP_SOURCE_REPO_URL=https://github.com/acme/" + repo + ".git",
		"ARGOCD_APP_SOURCE_PATH=" + path, "ARGOCD_APP_SOURCE_TARGET_REVISION=main",
	}
	for _, arg := range args[1:] {
		if strings.HasPrefix(arg, "--") {
			flags = append(flags, arg)
		} else {
			env = append(env, arg)
		}
	}
	return dir, env, flags
}

// hang starts a server that takes connections and answers nothing, and sets HANG
// to its URL.
func hang(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		var held []net.Conn // unreferenced, they would be closed one day
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range held {
					c.Close()
				}
				return
			}
			held = append(held, c)
		}
	}()
	ts.Setenv("HANG", "http://"+l.Addr().String())
}

// ended runs a render that hangs, ends it by a signal as ArgoCD does, and holds
// that nothing of it is left: no process, and nothing in the cache.
//
//	ended leader|group REPOSITORY[//PATH]
//
// group is how the cmp-server itself is stopped: TERM to all. With leader, the
// first process is killed, and then TERM sent to all, as at a deadline.
func ended(ts *testscript.TestScript, _ bool, args []string) {
	dir, env, _ := unpacked(ts, args[1:])
	defer os.RemoveAll(dir)
	_, path, _ := strings.Cut(args[1], "//")
	cmd := exec.Command("trustomize", "plugin", "generate")
	cmd.Dir = filepath.Join(dir, path)
	cmd.Env = append(append(os.Environ(), "TRUSTOMIZE_POLICY="+ts.Getenv("TRUSTOMIZE_POLICY"), "TRUSTOMIZE_CACHE="+ts.Getenv("TRUSTOMIZE_CACHE")), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	group := cmd.Process.Pid
	waitFor(ts, "git to be started", func() bool { return len(processes(group)) > 1 })
	if args[0] == "leader" {
		ts.Check(cmd.Process.Kill())
	}
	ts.Check(syscall.Kill(-group, syscall.SIGTERM))
	err := cmd.Wait()
	if err == nil || stdout.Len() > 0 {
		ts.Fatalf("%v, printed %q", err, stdout.String())
	}
	ts.Logf("%v: %s", err, stderr.String())
	waitFor(ts, "all processes to end", func() bool { return len(processes(group)) == 0 })
	if args[0] == "group" && !strings.Contains(stderr.String(), "terminated") {
		ts.Fatalf("the signal is not told: %s", stderr.String())
	}
}

// processes returns the ids of a group's processes that have not ended (proc's
// manual, /proc/PID/stat).
func processes(group int) []string {
	var found []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if fields[0] != "Z" && fields[2] == strconv.Itoa(group) {
			found = append(found, file)
		}
	}
	return found
}

func waitFor(ts *testscript.TestScript, what string, done func() bool) {
	for range 400 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("waited too long for %s", what)
}
