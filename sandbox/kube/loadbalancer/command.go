package loadbalancer

import (
	"net/netip"

	"github.com/spf13/cobra"

	"sandbox/kube/flags"
)

// NewCommand returns the command that runs the load balancer until it is stopped.
func NewCommand() *cobra.Command {
	var network string
	cmd := &cobra.Command{
		Use:   "load-balancer",
		Short: "Gives Services of type LoadBalancer an address",
		Args:  cobra.NoArgs,
	}
	connect := flags.Connection(cmd)
	cmd.Flags().StringVar(&network, "network", "", "addresses to give, as 10.213.1.0/24")
	flags.Require(cmd, "network")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return err
		}
		client, err := connect()
		if err != nil {
			return err
		}
		return Run(cmd.Context(), client, prefix)
	}
	return cmd
}
