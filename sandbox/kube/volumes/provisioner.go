// Package volumes provides a directory of the node as a "local" volume for each claim. The kubelet applies the fsGroup
// of a Pod to local volumes, unlike to host-path volumes, so that Pods without root can write.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// sized is the parameter of a StorageClass whose volumes have the size of their claim. A directory has no limit, so these
// volumes are in memory, and the end of the node deletes their contents.
const sized = "sized"

// Provisioner creates and deletes the directories below Directory on Node.
type Provisioner struct {
	Directory string
	Node      string
}

// Provision creates the directory and returns a volume that only Node can use.
func (p Provisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	path := p.path(options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the volume's directory: %w", err)
	}
	// The umask removed bits, and a Pod without fsGroup must be able to write, too.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("open the volume's directory to all users: %w", err)
	}
	claimed := options.PVC.Spec.Resources.Requests[v1.ResourceStorage]
	if options.StorageClass.Parameters[sized] == "true" {
		if err := bound(path, claimed.Value()); err != nil {
			return nil, controller.ProvisioningFinished, fmt.Errorf("bound the volume's directory: %w", err)
		}
	}
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: claimed},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  onlyOn(p.Node),
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

// Delete deletes the directory of a released volume.
func (p Provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	path := p.path(volume.Name)
	// Most volumes are plain directories, for which this returns EINVAL.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount the volume's directory: %w", err)
	}
	return os.RemoveAll(path)
}

// bound limits a directory to this number of bytes. It is safe to repeat.
func bound(path string, bytes int64) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil || stat.Type == unix.TMPFS_MAGIC {
		return err
	}
	return unix.Mount("sized", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0777", bytes))
}

// path depends only on the name of the volume, because the path in the object could have been edited.
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
