package ingress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sandbox/kube/flags"
)

// NewCommand returns the command that runs the controller until it is stopped.
func NewCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "ingress-controller",
		Short: "Serves Ingresses of its class over HTTP and HTTPS",
		Args:  cobra.NoArgs,
	}
	connect := flags.Connection(cmd)
	cmd.Flags().StringVar(&address, "address", "", "where to listen, which Ingresses tell as theirs")
	flags.Require(cmd, "address")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connect()
		if err != nil {
			return err
		}
		controller, err := Start(cmd.Context(), client, address)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), controller, address)
	}
	return cmd
}

func serve(ctx context.Context, controller *Controller, address string) error {
	server := func(port string) *http.Server {
		return &http.Server{Addr: net.JoinHostPort(address, port), Handler: controller, ReadHeaderTimeout: 10 * time.Second}
	}
	plain, secure := server("80"), server("443")
	secure.TLSConfig = &tls.Config{GetCertificate: controller.Certificate}
	ended := make(chan error, 2)
	go func() { ended <- plain.ListenAndServe() }()
	go func() { ended <- secure.ListenAndServeTLS("", "") }()
	defer plain.Close()
	defer secure.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}
