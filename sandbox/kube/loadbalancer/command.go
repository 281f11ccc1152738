package loadbalancer

import (
	"net/netip"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewCommand runs the load balancer until it is stopped.
func NewCommand() *cobra.Command {
	var kubeconfig, network string
	cmd := &cobra.Command{
		Use:   "load-balancer",
		Short: "Gives Services of type LoadBalancer an address",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			prefix, err := netip.ParsePrefix(network)
			if err != nil {
				return err
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			return Run(cmd.Context(), client, prefix)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	cmd.Flags().StringVar(&network, "network", "", "addresses to give, as 10.213.1.0/24")
	for _, name := range []string{"kubeconfig", "network"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}
