package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/plugin"
)

func (a *app) plugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Run as ArgoCD's config management plugin",
		Args:  cobra.NoArgs,
		RunE:  help,
	}
	cmd.AddCommand(a.pluginGenerate(), a.pluginParameters(), a.pluginConvert())
	return cmd
}

func (a *app) pluginGenerate() *cobra.Command {
	timeout := plugin.Timeout
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Print an Application's signed manifests, as cmp.yaml asks for them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.inPlugin = true
			ctx, cancel := withTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.generate(ctx)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "give up after this time, before ArgoCD does")
	return cmd
}

// withTimeout ends a context with a reason that a person can act on.
func withTimeout(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	cause := fmt.Errorf("gave up after %s, before ArgoCD would: see that sources can be reached, or raise --timeout in cmp.yaml and ArgoCD's controller.repo.server.timeout.seconds (60 unless set) together", after)
	return context.WithTimeoutCause(ctx, after, cause)
}

func (a *app) generate(ctx context.Context) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("internal error: %v", cause) // a stack is nothing for an Application's status
		}
	}()
	if a.source != "" {
		return errors.New("--source: ArgoCD says which repository this is")
	}
	req, err := a.request(nil)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	// ArgoCD sets it to a file that only the repo-server sees, for any host.
	req.GitEnv = without(req.GitEnv, "GIT_SSH_COMMAND=")
	if req, err = plugin.Complete(req, plugin.ParseEnvironment(os.Environ()), dir, a.askpass); err != nil {
		return err
	}
	result, err := trustomize.Build(ctx, req)
	if err != nil {
		return err
	}
	if err := a.emit(result, "", ""); err != nil {
		return err
	}
	a.flushAfter(ctx, req, result)
	return nil
}

func without(env []string, prefix string) []string {
	var kept []string
	for _, one := range env {
		if !strings.HasPrefix(one, prefix) {
			kept = append(kept, one)
		}
	}
	return kept
}

// explainInPlugin prints an error for who reads it in an Application.
func (a *app) explainInPlugin(err error) int {
	out := a.stderr
	var text bytes.Buffer
	a.stderr, a.inPlugin = &text, false
	status := a.explain(err)
	fmt.Fprint(out, plugin.Message(text.String()))
	return status
}

func (a *app) pluginParameters() *cobra.Command {
	return &cobra.Command{
		Use:   "parameters",
		Short: "Print the parameters that an Application may set, as ArgoCD's UI asks for them",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			data, err := plugin.Announce()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", data)
			return err
		},
	}
}
