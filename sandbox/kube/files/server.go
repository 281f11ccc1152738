// Package files serves a directory over HTTPS: a chart repository with an index.yaml and archives, or a package index
// with pages of links.
package files

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sandbox/kube/flags"
)

// NewCommand returns the command that serves until it is stopped.
func NewCommand() *cobra.Command {
	var directory, listen, certificate, key string
	cmd := &cobra.Command{
		Use:   "file-server",
		Short: "Serves a directory over HTTPS",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server := &http.Server{
				Addr:              listen,
				Handler:           http.FileServer(http.Dir(directory)),
				ReadHeaderTimeout: 10 * time.Second,
			}
			stop := context.AfterFunc(cmd.Context(), func() { _ = server.Close() })
			defer stop()
			if err := server.ListenAndServeTLS(certificate, key); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&directory, "directory", "", "what to serve")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:443", "address and port")
	cmd.Flags().StringVar(&certificate, "cert", "", "certificate file")
	cmd.Flags().StringVar(&key, "key", "", "key file of the certificate")
	flags.Require(cmd, "directory", "cert", "key")
	return cmd
}
