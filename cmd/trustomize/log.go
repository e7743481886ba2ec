package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize"
	"github.com/trustomize/trustomize/internal/refusal"
)

func (a *app) log() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Deliver statements to the transparency log",
		Args:  cobra.NoArgs,
		RunE:  help,
	}
	cmd.AddCommand(a.logFlush())
	return cmd
}

func (a *app) logFlush() *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Deliver what builds have spooled",
		Long: "Flush delivers the statements that builds left in the cache's spool to the log that\n" +
			"they were meant for, and fails when some are left. It does not need the signing key.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("every") && every <= 0 {
				return fmt.Errorf("--every: want a positive duration such as 30s, not %s", every)
			}
			req, err := a.logRequest()
			if err != nil {
				return err
			}
			if every > 0 {
				return a.flushEvery(cmd.Context(), req, every)
			}
			return a.flush(cmd.Context(), req, true)
		},
	}
	cmd.Flags().DurationVar(&every, "every", 0, "go on until SIGTERM, and deliver again after this time, such as 30s")
	return cmd
}

// logRequest fills in what talking to a log takes.
func (a *app) logRequest() (trustomize.Request, error) {
	if a.format != "text" && a.format != "json" {
		return trustomize.Request{}, fmt.Errorf("--format: want text or json, not %q", a.format)
	}
	dir, err := a.cacheDir()
	return trustomize.Request{PolicyFile: a.policy, CacheDir: dir, Offline: a.offline, HTTPClient: logClient(), Now: time.Now()}, err
}

// flushEvery delivers until the context ends. What fails is printed, and tried
// again.
func (a *app) flushEvery(ctx context.Context, req trustomize.Request, every time.Duration) error {
	for {
		req.Now = time.Now()
		if err := a.flush(ctx, req, false); err != nil && ctx.Err() == nil {
			a.explain(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// delivery is how an entry of the spool is printed in JSON.
type delivery struct {
	Entry string `json:"entry"` // its file's name in the spool
	Log   string `json:"log,omitempty"`
	Index *int64 `json:"index,omitempty"` // in the log
	Known bool   `json:"known,omitempty"` // the log had it before
	Error string `json:"error,omitempty"` // why it was not delivered
}

// flush delivers and prints a line for each entry, and how many there were;
// of none, only if it is told to.
func (a *app) flush(ctx context.Context, req trustomize.Request, none bool) error {
	all := []delivery{}
	left := 0
	err := trustomize.Flush(ctx, req, func(d trustomize.Delivery) {
		one := delivery{Entry: d.Name, Log: d.Log, Known: d.Known}
		if d.Err != nil {
			left++
			one.Error = d.Err.Error()
		} else {
			one.Index = &d.Index
		}
		all = append(all, one)
		if a.format == "text" {
			a.printDelivery(one)
		}
	})
	if err != nil {
		return err
	}
	if len(all) > 0 || none {
		if err := a.printDelivered(all, len(all)-left, left); err != nil {
			return err
		}
	}
	if left > 0 {
		return fmt.Errorf("log flush: not delivered: %d of %d", left, len(all))
	}
	return nil
}

func (a *app) printDelivery(d delivery) {
	switch {
	case d.Index == nil:
		fmt.Fprintf(a.stdout, "%s  not delivered: %s\n", d.Entry, refusal.Printable(d.Error))
	case d.Known:
		fmt.Fprintf(a.stdout, "%s  logged before as entry %d\n", d.Entry, *d.Index)
	default:
		fmt.Fprintf(a.stdout, "%s  logged as entry %d\n", d.Entry, *d.Index)
	}
}

func (a *app) printDelivered(all []delivery, delivered, left int) error {
	if a.format == "text" {
		_, err := fmt.Fprintf(a.stdout, "%d delivered, %d left\n", delivered, left)
		return err
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Entries   []delivery `json:"entries"`
		Delivered int        `json:"delivered"`
		Left      int        `json:"left"`
	}{all, delivered, left})
}

// flushAfter delivers what waits once a build's output is written. A log that is
// down is worth a warning then.
func (a *app) flushAfter(ctx context.Context, req trustomize.Request, result *trustomize.Result) {
	if err := trustomize.FlushAfter(ctx, req, result); err != nil && !errors.Is(err, context.Canceled) {
		for _, line := range splitLines(err.Error()) {
			fmt.Fprintln(a.stderr, "trustomize: warning: "+line)
		}
	}
}
