package ingress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewCommand runs the controller until it is stopped.
func NewCommand() *cobra.Command {
	var kubeconfig, address string
	cmd := &cobra.Command{
		Use:   "ingress-controller",
		Short: "Serves Ingresses of its class over HTTP and HTTPS",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			controller, err := Start(cmd.Context(), client, address)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), controller, address)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	cmd.Flags().StringVar(&address, "address", "", "where to listen, which Ingresses tell as theirs")
	for _, name := range []string{"kubeconfig", "address"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
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
