package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/internal/strictyaml"
	"github.com/trustomize/trustomize/policy"
)

func (a *app) policyImport() *cobra.Command {
	var output string
	var matches []string
	cmd := &cobra.Command{
		Use:   "import PROFILE",
		Short: "Make a policy from an InterlaceProfile of ArgoCD Interlace",
		Long: `Import reads an InterlaceProfile, as kubectl get interlaceprofile NAME -o yaml
prints it, and writes a policy with comments. PROFILE - is standard input. What
cannot be carried over is reported, and stands in the policy's comments too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notThere(output); err != nil {
				return err
			}
			data, err := readProfile(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			imported, err := policy.ImportInterlace(data, matches)
			if err != nil {
				return unusable(args[0], err)
			}
			if err := a.writePolicy(output, imported.Policy); err != nil {
				return err
			}
			a.remark(args[0], imported.Remarks)
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write; standard output unless given")
	cmd.Flags().StringArrayVar(&matches, "match", nil, "sources that the profile's key vouches for, such as 'github.com/acme/**'; may be given several times")
	return cmd
}

// notThere refuses a file that exists.
func notThere(file string) error {
	if file == "" {
		return nil
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already; a policy is never overwritten", file)
	}
	return nil
}

// readProfile reads no more than what can be a profile, and one byte.
func readProfile(stdin io.Reader, file string) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	return io.ReadAll(io.LimitReader(stdin, policy.MaxSize+1))
}

// unusable names the profile, and the place in it, in front of each problem.
func unusable(file string, err error) error {
	var problems strictyaml.Problems
	if !errors.As(err, &problems) {
		return fmt.Errorf("--match: %w", err)
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, profilePlace(file, p.Position)+refusal.Printable(strictyaml.Problem{Path: p.Path, Message: p.Message}.Error()))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// profilePlace begins a line about a place in a file.
func profilePlace(file string, p strictyaml.Position) string {
	if p.Line == 0 {
		return file + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", file, p.Line, p.Column)
}

func (a *app) writePolicy(file string, data []byte) error {
	if file == "" {
		_, err := a.stdout.Write(data)
		return err
	}
	if err := createFile(file, data, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "trustomize: wrote %s; read it, then: trustomize policy check %s\n", file, file)
	return nil
}

// remark prints what was not carried over, with what to do about it.
func (a *app) remark(file string, remarks []policy.Remark) {
	for _, r := range remarks {
		fmt.Fprintf(a.stderr, "trustomize: warning: %s%s\n", profilePlace(file, r.Position), refusal.Printable(r.Path+": "+r.Why))
		for _, hint := range []string{r.Do, r.Command} {
			if hint != "" {
				fmt.Fprintln(a.stderr, "  hint: "+refusal.Printable(hint))
			}
		}
	}
}
