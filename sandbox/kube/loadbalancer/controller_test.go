package loadbalancer

import (
	"context"
	"net/netip"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	toolswatch "k8s.io/client-go/tools/watch"
)

func TestLoadBalancerServiceGetsAnAddressAndLosesItWithItsType(t *testing.T) {
	client := start(t, service("web", v1.ServiceTypeLoadBalancer))
	web := waitFor(t, client, "web", hasAddress("10.0.0.1"))

	web.Spec.Type = v1.ServiceTypeClusterIP
	if _, err := client.CoreV1().Services("default").Update(t.Context(), web, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, client, "web", hasAddress(""))
}

func TestAddressOfAnEarlierRunIsNotAssignedAgain(t *testing.T) {
	old := service("old", v1.ServiceTypeLoadBalancer)
	old.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{{IP: "10.0.0.1"}}
	client := start(t, service("a-new-one", v1.ServiceTypeLoadBalancer), old)
	waitFor(t, client, "a-new-one", hasAddress("10.0.0.2"))
	waitFor(t, client, "old", hasAddress("10.0.0.1"))
}

func service(name string, kind v1.ServiceType) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       v1.ServiceSpec{Type: kind},
	}
}

func start(t *testing.T, services ...*v1.Service) kubernetes.Interface {
	t.Helper()
	client := fake.NewClientset()
	for _, s := range services {
		if _, err := client.CoreV1().Services(s.Namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = Run(t.Context(), client, netip.MustParsePrefix("10.0.0.0/29")) }()
	return client
}

func hasAddress(want string) func(*v1.Service) bool {
	return func(s *v1.Service) bool {
		ingress := s.Status.LoadBalancer.Ingress
		if want == "" {
			return len(ingress) == 0
		}
		return len(ingress) == 1 && ingress[0].IP == want
	}
}

func waitFor(t *testing.T, client kubernetes.Interface, name string, done func(*v1.Service) bool) *v1.Service {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watcher, err := client.CoreV1().Services("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if done(now) {
		return now
	}
	event, err := toolswatch.UntilWithoutRetry(ctx, watcher, func(e watch.Event) (bool, error) {
		s, ok := e.Object.(*v1.Service)
		return ok && s.Name == name && done(s), nil
	})
	if err != nil {
		t.Fatalf("service %s did not reach the expected state: %v", name, err)
	}
	return event.Object.(*v1.Service)
}
