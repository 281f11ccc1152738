package volumes

import (
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// ProvisionerName is what a StorageClass names to get its volumes from here.
const ProvisionerName = "sandbox.lastack/local"

// NewCommand runs the provisioner until it is stopped.
func NewCommand() *cobra.Command {
	var kubeconfig string
	var provisioner Provisioner
	cmd := &cobra.Command{
		Use:   "volume-provisioner",
		Short: "Makes a directory of the node a volume for each claim",
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
			controller.NewProvisionController(cmd.Context(), client, ProvisionerName, provisioner,
				controller.LeaderElection(false)).Run(cmd.Context())
			return nil
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	cmd.Flags().StringVar(&provisioner.Directory, "directory", "", "where the volumes' directories are made")
	cmd.Flags().StringVar(&provisioner.Node, "node", "", "name of the node whose directories these are")
	for _, name := range []string{"kubeconfig", "directory", "node"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}
