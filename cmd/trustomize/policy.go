package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/internal/refusal"
	"github.com/trustomize/trustomize/policy"
)

//go:embed policy.yaml
var firstPolicy []byte

func (a *app) policyCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Write and check policies", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(a.policyInit(), a.policyCheck(), a.policyExplain(), a.policyImport(), a.policyKyverno())
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
	var online bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report everything that is wrong with a policy, with line and column",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			if online {
				if err := a.askKMS(cmd.Context(), p); err != nil {
					return err
				}
			}
			for _, w := range p.Warnings(time.Now()) {
				fmt.Fprintf(a.stderr, "trustomize: warning: policy %s:%s\n", file, refusal.Printable(w.Error()))
			}
			fmt.Fprintf(a.stderr, "trustomize: policy %s is in order: %d signers, %d rules (%s)\n", file, len(p.Spec.Signers), len(p.Spec.Sources), p.Digest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&online, "online", false, "ask every KMS that the policy names whether its key is the one that is written down")
	return cmd
}

// askKMS compares the keys that the policy has with those that KMSs have.
func (a *app) askKMS(ctx context.Context, p *policy.Policy) error {
	var wrong []error
	for _, s := range p.Signers() {
		if s.KMS() == "" {
			continue
		}
		key, err := a.openKMS(ctx, s.KMS())
		switch want := s.Keys()[0].Fingerprint; {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("policy %s: signer %s: %w", p.File, s.Name, err))
		case key.Public.Fingerprint != want:
			wrong = append(wrong, fmt.Errorf("policy %s: signer %s: the policy has key %s, and %s has %s", p.File, s.Name, want, s.KMS(), key.Public.Fingerprint))
		}
	}
	return errors.Join(wrong...)
}
