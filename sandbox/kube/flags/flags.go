// Package flags is what the command lines of all controllers share.
package flags

import (
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Connection adds the flag that says how to reach the API server. What it returns reaches it, once flags are read.
func Connection(cmd *cobra.Command) func() (kubernetes.Interface, error) {
	var kubeconfig string
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	Require(cmd, "kubeconfig")
	return func() (kubernetes.Interface, error) {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, err
		}
		return kubernetes.NewForConfig(config)
	}
}

// Require refuses to run without these flags.
func Require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
}
