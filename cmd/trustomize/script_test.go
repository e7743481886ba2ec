package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/signer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trustomize": main, "trustomize-fn": functionMain})
}

// functionMain is the program of somebody who keeps the functions' policy in another
// place, as at a build.
func functionMain() {
	dir := os.Getenv("WORK")
	functionPolicy, functionCache = filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "cache")
	os.Args = append([]string{os.Args[0], "fn"}, os.Args[1:]...)
	main()
}

// cases holds sources and the verdict on them, a file each.
const cases = "../../testdata"

// TestScripts runs scripts about the verbs through the real main.
func TestScripts(t *testing.T) { runScripts(t, "testdata") }

// TestCases does the same with cases.
func TestCases(t *testing.T) { runScripts(t, cases) }

// runScripts runs a directory's scripts. Each has keys and a policy that trusts
// what team signed, for sources of github.com/acme, whose bytes come from
// $WORK/mirror.
func runScripts(t *testing.T, dir string) {
	keys := map[string][]byte{}
	for _, name := range []string{"team", "other", "out"} {
		keys[name+".key"], keys[name+".pub"] = makeKey(t)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "", // writes what cmp should have found
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"TRUSTOMIZE_POLICY": filepath.Join(env.WorkDir, "policy.yaml"),
				"TRUSTOMIZE_CACHE":  filepath.Join(env.WorkDir, "cache"),
				"GIT_CONFIG_GLOBAL": filepath.Join(env.WorkDir, "gitconfig"),
				"APP":               "https://github.com/acme/app",
			} {
				env.Setenv(name, value)
			}
			for name, data := range keys {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join(env.WorkDir, "gitconfig"), []byte(gitConfig), 0o600); err != nil {
				return err
			}
			file := filepath.Join(env.WorkDir, "policy.yaml")
			if _, err := os.Stat(file); err == nil {
				return nil // the script has its own
			}
			return os.WriteFile(file, []byte(strings.ReplaceAll(scriptPolicy, "$WORK", env.WorkDir)), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"commit":  commit,
			"sign":    signSource,
			"rawsign": rawSign,
			"render":  render,
			"hang":    hang,

			"render-env": renderEnv,

			"ended":   ended,
			"refused": refused,
			"fails":   fails,
			"differs": differs,
			"append":  appendTo,
			"expand":  expand,
		},
	})
}

const scriptPolicy = `apiVersion: trustomize.dev/v1alpha1
kind: Policy
metadata: {name: script}
spec:
  signers:
    team: {publicKey: {file: team.pub}}
    other: {publicKey: {file: other.pub}}
  sources:
  - {match: github.com/acme/*, signedBy: [team]}
  mirrors: [{prefix: github.com/, to: $WORK/mirror}]
  sign: {key: {file: out.key}}
  log: {mode: none}
`

const gitConfig = `[user]
	name = Script
	email = script@example.com
[init]
	defaultBranch = main
[uploadpack]
	allowAnySHA1InWant = true
`

func makeKey(t *testing.T) (private, public []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
}

// commit commits all that lies in a directory below mirror/acme.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		dir := "mirror/acme/" + name
		if _, err := os.Stat(ts.MkAbs(dir + "/.git")); err != nil {
			ts.Check(ts.Exec("git", "init", "-q", dir))
			ts.Check(os.Symlink(name+"/.git", ts.MkAbs(dir+".git")))
		}
		ts.Check(ts.Exec("git", "-C", dir, "add", "-A", "-f"))
		ts.Check(ts.Exec("git", "-C", dir, "commit", "-q", "--allow-empty", "-m", "script"))
	}
}

// signSource signs directories below mirror/acme with team's key, or with the
// one that -key=NAME names, bound to their repositories unless -unbound is
// given, and commits them.
func signSource(ts *testscript.TestScript, _ bool, args []string) {
	key, bound := "team", true
	for _, arg := range args {
		if name, ok := strings.CutPrefix(arg, "-key="); ok {
			key = name
			continue
		}
		if arg == "-unbound" {
			bound = false
			continue
		}
		commit(ts, false, []string{strings.SplitN(arg, "/", 2)[0]})
		repo, _, _ := strings.Cut(arg, "/")
		call := []string{"materials", "sign", "--key", key + ".key", "mirror/acme/" + arg}
		if bound {
			call = append(call, "--source", "https://github.com/acme/"+repo)
		} else {
			call = append(call, "--unbound")
		}
		ts.Check(ts.Exec("trustomize", call...))
		commit(ts, false, []string{repo})
	}
}

// rawSign signs a file as it is with team's key, as a list that our own program
// would not write.
func rawSign(ts *testscript.TestScript, _ bool, args []string) {
	key, err := signer.OpenKey([]byte(ts.ReadFile("team.key")), nil)
	ts.Check(err)
	sig, err := key.Sign([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	encoded := base64.StdEncoding.EncodeToString(sig)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".sig"), []byte(encoded), 0o644))
}

// refused runs trustomize, which must refuse with the code: exit status 3,
// nothing on standard output, and a line with code, source and reason.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	ends(ts, exitRefused, args[1:])
	if line := "trustomize: refused [" + args[0] + "]"; !strings.Contains(ts.ReadFile("stderr"), line) {
		ts.Fatalf("stderr has no %q", line)
	}
}

// fails runs trustomize, which must fail without refusing.
func fails(ts *testscript.TestScript, _ bool, args []string) { ends(ts, exitFailed, args) }

// differs runs trustomize, which must find differences and print them.
func differs(ts *testscript.TestScript, _ bool, args []string) { ends(ts, exitRefused, args) }

func ends(ts *testscript.TestScript, want int, args []string) {
	err := ts.Exec("trustomize", args...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
	if out := ts.ReadFile("stdout"); out != "" && args[0] == "build" {
		ts.Fatalf("standard output is not empty:\n%s", out)
	}
}

// appendTo appends a line to a file.
func appendTo(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	ts.Check(err)
	_, err = fmt.Fprintln(f, strings.Join(args[1:], " "))
	ts.Check(err)
	ts.Check(f.Close())
}

// expand replaces $NAMEs of the script's environment in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// TestEveryRefusalHasACase holds the cases against the list of codes.
func TestEveryRefusalHasACase(t *testing.T) {
	for _, m := range refusal.Codes() {
		file := filepath.Join(cases, "refused-"+string(m.Code)+".txtar")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("code %s: %v", m.Code, err)
			continue
		}
		if !strings.Contains(string(data), "\nrefused "+string(m.Code)+" ") {
			t.Errorf("%s never expects its code", file)
		}
	}
}
