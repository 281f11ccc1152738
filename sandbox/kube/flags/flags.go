// Package flags contains the flags that all controllers share.
package flags

import (
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Connection adds the flag for the connection to the API server. It returns a function that connects after the flags are parsed.
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

// Require makes these flags mandatory.
func Require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
}
