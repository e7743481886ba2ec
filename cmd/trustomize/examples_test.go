package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// examplesDir is where the examples are.
const examplesDir = "../../examples"

// TestExampleScripts runs what the examples bring along against the program.
// Each script has the examples in $WORK/examples, and keys.
func TestExampleScripts(t *testing.T) {
	private, public := makeKey(t)
	_, other := makeKey(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/examples",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, "gitconfig"))
			errs := []error{os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS(examplesDir))}
			for name, data := range map[string][]byte{"team.key": private, "team.pub": public, "other.pub": other, "gitconfig": []byte(gitConfig)} {
				errs = append(errs, os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600))
			}
			return errors.Join(errs...)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"append": appendTo},
	})
}

// TestExampleYAML reads every YAML file of the examples.
func TestExampleYAML(t *testing.T) {
	n := 0
	err := filepath.WalkDir(examplesDir, func(file string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(file); err != nil || ext != ".yaml" && ext != ".yml" {
			return err
		}
		n++
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		for dec := yaml.NewDecoder(f); ; {
			var doc any
			if err := dec.Decode(&doc); err == io.EOF {
				return nil
			} else if err != nil {
				t.Errorf("%s: %v", file, err)
				return nil
			}
		}
	})
	if err != nil || n < 6 {
		t.Errorf("%d files, %v", n, err)
	}
}

// readYAML decodes an example into a type that has all of its fields.
func readYAML[T any](t *testing.T, file string) T {
	t.Helper()
	f, err := os.Open(filepath.Join(examplesDir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var v T
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// actionStep is a step of an action or a workflow.
type actionStep struct {
	Name, Shell, Run, Uses string
	With, Env              map[string]string
}

// inputExpression is how an expression names an input.
var inputExpression = regexp.MustCompile(`^\$\{\{ inputs\.([a-z-]+) \}\}$`)

// TestAction holds the action to what it promises: every input reaches the
// script, and none as a part of a command.
func TestAction(t *testing.T) {
	action := readYAML[struct {
		Name, Description string
		Inputs            map[string]struct{ Description, Default string }
		Runs              struct {
			Using string
			Steps []actionStep
		}
	}](t, "github-action/action.yml")
	if action.Runs.Using != "composite" || len(action.Runs.Steps) != 1 || action.Name == "" {
		t.Fatalf("%+v", action)
	}
	s := action.Runs.Steps[0]
	if s.Uses != "" || s.Shell != "bash" || strings.Contains(s.Run, "${{") {
		t.Errorf("%+v", s)
	}
	script, err := os.ReadFile(filepath.Join(examplesDir, "github-action/run.sh"))
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for name, value := range s.Env {
		m := inputExpression.FindStringSubmatch(value)
		if m == nil || !strings.Contains(string(script), "$"+name) {
			t.Errorf("variable %s is %q, or the script does not read it", name, value)
			continue
		}
		passed = append(passed, m[1])
	}
	for name, in := range action.Inputs {
		if !slices.Contains(passed, name) || in.Description == "" {
			t.Errorf("input %s reaches no variable, or is not described", name)
		}
	}
	if len(passed) != len(action.Inputs) {
		t.Errorf("%d variables for %d inputs", len(passed), len(action.Inputs))
	}
	for _, file := range []string{"github-action/sign.yaml", "github-action/verify.yaml"} {
		checkWorkflow(t, file, func(name string) bool { _, ok := action.Inputs[name]; return ok })
	}
}

// checkWorkflow allows a workflow what it needs: no action of others but the
// one that checks out, no expression in a command, and an identity only where
// it signs.
func checkWorkflow(t *testing.T, file string, known func(input string) bool) {
	t.Helper()
	workflow := readYAML[struct {
		Name        string
		On          map[string]any
		Permissions map[string]string
		Concurrency map[string]string
		Jobs        map[string]struct {
			RunsOn      string `yaml:"runs-on"`
			Permissions map[string]string
			Env         map[string]string
			Steps       []actionStep
		}
	}](t, file)
	ours := 0
	for _, job := range workflow.Jobs {
		keyless := false
		for _, s := range job.Steps {
			switch action, _, _ := strings.Cut(s.Uses, "@"); action {
			case "", "actions/checkout":
			case "trustomize/trustomize/examples/github-action":
				ours++
				keyless = keyless || s.With["keyless"] == "true"
				for name := range s.With {
					if !known(name) {
						t.Errorf("%s: the action has no input %s", file, name)
					}
				}
			default:
				t.Errorf("%s uses %s", file, s.Uses)
			}
			if strings.Contains(s.Run, "${{") {
				t.Errorf("%s: an expression within a command: %s", file, s.Run)
			}
		}
		if got := job.Permissions["id-token"] == "write"; got != keyless || workflow.Permissions["id-token"] != "" {
			t.Errorf("%s: keyless is %v, and id-token: write %v", file, keyless, got)
		}
	}
	if ours == 0 {
		t.Errorf("%s does not use the action", file)
	}
}

// preCommitHook is a hook of pre-commit.
type preCommitHook struct {
	ID, Name, Description, Entry, Language string
	Args                                   []string
	PassFilenames                          *bool `yaml:"pass_filenames"`
	AlwaysRun                              bool  `yaml:"always_run"`
}

// TestPreCommitHooks expects hooks that run for every commit, on no file in
// particular.
func TestPreCommitHooks(t *testing.T) {
	hooks := readYAML[[]preCommitHook](t, "pre-commit/.pre-commit-hooks.yaml")
	config := readYAML[struct {
		Repos []struct {
			Repo  string
			Hooks []preCommitHook
		}
	}](t, "pre-commit/.pre-commit-config.yaml")
	for _, r := range config.Repos {
		hooks = append(hooks, r.Hooks...)
	}
	if len(hooks) != 3 {
		t.Fatalf("%d hooks, want 3", len(hooks))
	}
	for _, h := range hooks {
		if h.ID == "" || h.Name == "" || !strings.HasPrefix(h.Entry, "trustomize materials ") || h.Language != "system" || h.PassFilenames == nil || *h.PassFilenames || !h.AlwaysRun {
			t.Errorf("%+v", h)
		}
	}
}
