package ingress

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

func TestRequestReachesTheServiceOfItsHostWithForwardedHeaders(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen", r.Host+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.URL.Path)
	}))
	t.Cleanup(backend.Close)
	controller, _ := start(t, backend, "ours", nil)

	if got := ask(controller, "http://web.example.org/course").Header().Get("Seen"); got != "web.example.org http /course" {
		t.Errorf("the service received %q", got)
	}
	if got := ask(controller, "http://other.example.org/").Code; got != http.StatusNotFound {
		t.Errorf("host without an Ingress: got status %d", got)
	}
}

func TestIngressOfAnotherClassStaysUnchanged(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	controller, client := start(t, backend, "another", nil)

	if got := ask(controller, "http://web.example.org/").Code; got != http.StatusNotFound {
		t.Errorf("got status %d", got)
	}
	ingress, err := client.NetworkingV1().Ingresses("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(ingress.Status.LoadBalancer.Ingress) != 0 {
		t.Errorf("status %v, error %v", ingress.Status, err)
	}
}

func TestHostWithACertificateIsRedirectedToHTTPS(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	secret := []networking.IngressTLS{{Hosts: []string{"web.example.org"}, SecretName: "certificate"}}
	controller, _ := start(t, backend, "ours", secret)

	response := ask(controller, "http://web.example.org/login?a=b")
	if response.Code != http.StatusPermanentRedirect || response.Header().Get("Location") != "https://web.example.org/login?a=b" {
		t.Errorf("got status %d and location %q", response.Code, response.Header().Get("Location"))
	}
}

func TestIngressStatusGetsTheAddress(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	_, client := start(t, backend, "ours", nil)

	watcher, err := client.NetworkingV1().Ingresses("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	for {
		ingress, err := client.NetworkingV1().Ingresses("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if have := ingress.Status.LoadBalancer.Ingress; len(have) == 1 && have[0].IP == "10.0.0.1" {
			return
		}
		select {
		case event := <-watcher.ResultChan():
			if event.Type == watch.Error {
				t.Fatal(event.Object)
			}
		case <-deadline:
			t.Fatalf("status %v", ingress.Status)
		}
	}
}

func start(t *testing.T, backend *httptest.Server, class string, certificates []networking.IngressTLS) (*Controller, kubernetes.Interface) {
	t.Helper()
	address, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	prefix := networking.PathTypePrefix
	meta := metav1.ObjectMeta{Name: "web", Namespace: "default"}
	client := fake.NewClientset(
		&networking.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: networking.IngressClassSpec{Controller: ControllerName}},
		&networking.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "another"}, Spec: networking.IngressClassSpec{Controller: "example.org/other"}},
		&v1.Service{ObjectMeta: meta, Spec: v1.ServiceSpec{ClusterIP: address.Hostname(), Ports: []v1.ServicePort{{Name: "http", Port: int32(port)}}}},
		&v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "certificate", Namespace: "default"}},
		&networking.Ingress{ObjectMeta: meta, Spec: networking.IngressSpec{
			IngressClassName: &class,
			TLS:              certificates,
			Rules: []networking.IngressRule{{Host: "web.example.org", IngressRuleValue: networking.IngressRuleValue{
				HTTP: &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networking.IngressBackend{Service: &networking.IngressServiceBackend{
						Name: "web", Port: networking.ServiceBackendPort{Name: "http"},
					}},
				}}},
			}}},
		}},
	)
	controller, err := Start(t.Context(), client, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return controller, client
}

func ask(controller *Controller, address string) *httptest.ResponseRecorder {
	response := httptest.NewRecorder()
	controller.ServeHTTP(response, httptest.NewRequest(http.MethodGet, address, nil))
	return response
}
