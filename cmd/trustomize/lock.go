package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

func (a *app) lock() *cobra.Command {
	var check, outdated, update bool
	cmd := &cobra.Command{
		Use:   "lock [DIR]",
		Short: "Write trustomize.lock: the state of every remote reference",
		Long: "Lock verifies what DIR refers to and writes an entry for each remote reference.\n" +
			"Entries that are there stay as they are. The lock is covered by the list of\nmaterials: sign it afterwards.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if check && (outdated || update) || outdated && update {
				return errors.New("want at most one of --check, --outdated, --update")
			}
			req, err := a.request(args)
			if err != nil {
				return err
			}
			progress := newProgress(a.stderr)
			defer progress.close()
			req.Observe = progress.observe
			if outdated {
				moved, err := trustomize.Outdated(cmd.Context(), req)
				progress.close()
				if err != nil {
					return err
				}
				return a.printMoved(moved)
			}
			mode := trustomize.LockKeep
			if update {
				mode = trustomize.LockUpdate
			}
			result, err := trustomize.Lock(cmd.Context(), req, mode)
			progress.close()
			if err != nil {
				return err
			}
			return a.finishLock(result, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; refuse when the lock is not what it should be")
	cmd.Flags().BoolVar(&outdated, "outdated", false, "write nothing; print which refs have moved upstream")
	cmd.Flags().BoolVar(&update, "update", false, "look up again what is locked")
	return cmd
}

func (a *app) finishLock(result *trustomize.LockResult, check bool) error {
	if check {
		return result.Refused()
	}
	if err := result.Write(); err != nil {
		return err
	}
	switch {
	case result.New == nil:
		fmt.Fprintln(a.stderr, "trustomize: nothing refers to another source; there is nothing to lock")
	case result.Stale():
		fmt.Fprintf(a.stderr, "trustomize: wrote %s, %d entries; sign it with: trustomize materials sign\n", refusal.Printable(result.File), len(result.Entries))
	}
	return nil
}

func (a *app) printMoved(moved []trustomize.Moved) error {
	if a.format == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(append([]trustomize.Moved{}, moved...))
	}
	for _, m := range moved {
		fmt.Fprintf(a.stdout, "%s  upstream moved: %s -> %s\n", refusal.Printable(m.URL), m.Old, m.New)
	}
	return nil
}
