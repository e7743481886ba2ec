package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/policy"
)

//go:embed policy.yaml
var firstPolicy []byte

func (a *app) policyCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Write and check policies", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(a.policyInit(), a.policyCheck())
	return cmd
}

func (a *app) policyInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a first policy, with comments; FILE is policy.yaml unless given",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := "policy.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			if err := createFile(file, firstPolicy, 0o644); err != nil {
				if errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("%s is there already; a policy is never overwritten", file)
				}
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: wrote %s; edit it, make its keys with trustomize keys generate, then: trustomize policy check %s\n", file, file)
			return nil
		},
	}
}

func (a *app) policyCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report everything that is wrong with a policy, with line and column",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := a.policy
			if len(args) == 1 {
				file = args[0]
			}
			if file == "" {
				return errors.New("which policy? Name it, or set TRUSTOMIZE_POLICY")
			}
			p, err := policy.Load(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: policy %s is in order: %d signers, %d rules (%s)\n", file, len(p.Spec.Signers), len(p.Spec.Sources), p.Digest)
			return nil
		},
	}
}
