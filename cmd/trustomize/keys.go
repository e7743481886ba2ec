package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/trustomize/trustomize/signer"
)

func (a *app) keys() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make signing keys", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(a.keysGenerate())
	return cmd
}

func (a *app) keysGenerate() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair as cosign does: PREFIX.key, encrypted, and PREFIX.pub",
		Long: `Generate makes an ECDSA key on P-256 in cosign's format. The private key is
encrypted with the password in COSIGN_PASSWORD, else with one that is typed.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, file := range []string{prefix + ".key", prefix + ".pub"} {
				if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s is there already; keys are never overwritten", file)
				}
			}
			password, err := a.password()
			if err != nil {
				return err
			}
			private, public, err := signer.GenerateKey(password)
			if err != nil {
				return err
			}
			if err := createFile(prefix+".key", private, 0o600); err != nil {
				return err
			}
			if err := createFile(prefix+".pub", public, 0o644); err != nil {
				os.Remove(prefix + ".key")
				return err
			}
			fmt.Fprintf(a.stderr, "trustomize: wrote %s.key and %s.pub\n", prefix, prefix)
			return nil
		},
	}
	cmd.Flags().StringVar(&prefix, "output-key-prefix", "cosign", "path of both files, without their endings")
	return cmd
}

// createFile writes a file that must not be there, whole or not at all.
func createFile(file string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(file)
	}
	return err
}
