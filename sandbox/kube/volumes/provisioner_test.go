package volumes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func TestClaimGetsADirectoryThatEveryUserCanWrite(t *testing.T) {
	p := Provisioner{Directory: t.TempDir(), Node: "here"}
	volume := provision(t, p, "pvc-1", nil)

	info, err := os.Stat(volume.Spec.Local.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o777 {
		t.Errorf("mode of the directory: got %o, want 777", got)
	}
	capacity := volume.Spec.Capacity[v1.ResourceStorage]
	if capacity.String() != "1Gi" {
		t.Errorf("capacity: got %s, want the claimed 1Gi", capacity.String())
	}
	if got := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]; got != "here" {
		t.Errorf("volume is bound to node %q, want %q", got, "here")
	}
}

func TestDeleteRemovesTheDirectoryOfAVolume(t *testing.T) {
	p := Provisioner{Directory: t.TempDir(), Node: "here"}
	volume := provision(t, p, "pvc-1", nil)
	if err := os.WriteFile(filepath.Join(volume.Spec.Local.Path, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(volume.Spec.Local.Path); !os.IsNotExist(err) {
		t.Errorf("the directory still exists: %v", err)
	}
}

func TestDeleteIgnoresAPathThatWasEditedIntoTheObject(t *testing.T) {
	p := Provisioner{Directory: t.TempDir(), Node: "here"}
	volume := provision(t, p, "pvc-1", nil)
	precious := t.TempDir()
	volume.Spec.Local.Path = precious
	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a directory outside the volumes was deleted: %v", err)
	}
}

func TestSizedVolumeIsLimitedAndDeleted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	p := Provisioner{Directory: t.TempDir(), Node: "here"}
	volume := provision(t, p, "pvc-1", map[string]string{sized: "true"})
	again := provision(t, p, "pvc-1", map[string]string{sized: "true"})
	if again.Spec.Local.Path != volume.Spec.Local.Path {
		t.Errorf("a second call created %s besides %s", again.Spec.Local.Path, volume.Spec.Local.Path)
	}

	file := filepath.Join(volume.Spec.Local.Path, "data")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(open(t, file), 0, 0, 1<<30+1); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write beyond the claimed 1Gi: got %v, want %v", err, unix.ENOSPC)
	}

	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(volume.Spec.Local.Path); !os.IsNotExist(err) {
		t.Errorf("the directory still exists: %v", err)
	}
}

func open(t *testing.T, path string) int {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return int(file.Fd())
}

func provision(t *testing.T, p Provisioner, name string, parameters map[string]string) *v1.PersistentVolume {
	t.Helper()
	reclaim := v1.PersistentVolumeReclaimDelete
	claim := &v1.PersistentVolumeClaim{Spec: v1.PersistentVolumeClaimSpec{
		AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
		Resources: v1.VolumeResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")},
		},
	}}
	volume, _, err := p.Provision(context.Background(), controller.ProvisionOptions{
		PVName: name, PVC: claim, StorageClass: &storagev1.StorageClass{ReclaimPolicy: &reclaim, Parameters: parameters},
	})
	if err != nil {
		t.Fatal(err)
	}
	return volume
}
