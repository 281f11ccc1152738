package volumes

import (
	"github.com/spf13/cobra"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"sandbox/kube/flags"
)

// ProvisionerName is the provisioner of a StorageClass whose volumes come from here.
const ProvisionerName = "sandbox.lastack/local"

// NewCommand returns the command that runs the provisioner until it is stopped.
func NewCommand() *cobra.Command {
	var provisioner Provisioner
	cmd := &cobra.Command{
		Use:   "volume-provisioner",
		Short: "Makes a directory of the node a volume for each claim",
		Args:  cobra.NoArgs,
	}
	connect := flags.Connection(cmd)
	cmd.Flags().StringVar(&provisioner.Directory, "directory", "", "where the volumes' directories are made")
	cmd.Flags().StringVar(&provisioner.Node, "node", "", "name of the node whose directories these are")
	flags.Require(cmd, "directory", "node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connect()
		if err != nil {
			return err
		}
		controller.NewProvisionController(cmd.Context(), client, ProvisionerName, provisioner,
			controller.LeaderElection(false)).Run(cmd.Context())
		return nil
	}
	return cmd
}
