// Package volumes gives each claim a directory of the node as a "local" volume. Unlike host-path volumes,
// which stay root's, the kubelet applies a pod's fsGroup to local ones, so that non-root pods can write.
package volumes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Provisioner makes and deletes the directories below Directory on Node.
type Provisioner struct {
	Directory string
	Node      string
}

// Provision makes the directory and describes it as a volume that can be used on Node only.
func (p Provisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	path := p.path(options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the volume's directory: %w", err)
	}
	// The umask took bits away, and a pod without fsGroup must be able to write as well.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the volume's directory to all users: %w", err)
	}
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: options.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  onlyOn(p.Node),
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

// Delete removes the directory of a released volume.
func (p Provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	return os.RemoveAll(p.path(volume.Name))
}

// path depends on the volume's name alone: the object's own path could have been edited to point anywhere.
func (p Provisioner) path(volume string) string {
	return filepath.Join(p.Directory, filepath.Base(volume))
}

func onlyOn(node string) *v1.VolumeNodeAffinity {
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{
			Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}}
}
