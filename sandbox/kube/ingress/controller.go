// Package ingress is a small Ingress controller. It serves the Ingresses of its class on one address.
package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	core "k8s.io/client-go/listers/core/v1"
	listers "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// ControllerName is the controller of an IngressClass whose Ingresses are served here.
const ControllerName = "sandbox.lastack/ingress"

// Controller responds to requests according to the current Ingresses.
type Controller struct {
	address   string
	classes   listers.IngressClassLister
	ingresses listers.IngressLister
	services  core.ServiceLister
	secrets   core.SecretLister
}

// Start reads the current objects, and sets the address of the Ingresses of its class until the context ends.
func Start(ctx context.Context, client kubernetes.Interface, address string) (*Controller, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	network := factory.Networking().V1()
	controller := &Controller{
		address:   address,
		classes:   network.IngressClasses().Lister(),
		ingresses: network.Ingresses().Lister(),
		services:  factory.Core().V1().Services().Lister(),
		secrets:   factory.Core().V1().Secrets().Lister(),
	}
	changed := func(object any) { controller.publish(ctx, client, object.(*networking.Ingress)) }
	handler := cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, object any) { changed(object) }}
	network.IngressClasses().Informer()
	factory.Core().V1().Services().Informer()
	factory.Core().V1().Secrets().Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	// the class of an Ingress must be known before the Ingress
	if _, err := network.Ingresses().Informer().AddEventHandler(handler); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return controller, nil
}

func (c *Controller) publish(ctx context.Context, client kubernetes.Interface, ingress *networking.Ingress) {
	have := ingress.Status.LoadBalancer.Ingress
	if !c.isOurs(ingress) || len(have) == 1 && have[0].IP == c.address {
		return
	}
	updated := ingress.DeepCopy()
	updated.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{IP: c.address}}
	if _, err := client.NetworkingV1().Ingresses(ingress.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{}); err != nil {
		klog.ErrorS(err, "The address is not published", "ingress", klog.KObj(ingress))
		return
	}
	klog.InfoS("Published", "ingress", klog.KObj(ingress))
}

func (c *Controller) isOurs(ingress *networking.Ingress) bool {
	if ingress.Spec.IngressClassName == nil {
		return false
	}
	class, err := c.classes.Get(*ingress.Spec.IngressClassName)
	return err == nil && class.Spec.Controller == ControllerName
}

func (c *Controller) ours() []*networking.Ingress {
	all, err := c.ingresses.List(labels.Everything())
	if err != nil {
		panic(err) // a list from memory
	}
	var ours []*networking.Ingress
	for _, ingress := range all {
		if c.isOurs(ingress) {
			ours = append(ours, ingress)
		}
	}
	return ours
}

// ServeHTTP passes a request on to the Service that an Ingress names for its host and path. A host that has a
// certificate is served over HTTPS only.
func (c *Controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if r.TLS == nil && c.secretOf(host) != nil {
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
		return
	}
	ingress, backend := c.backendOf(host, r.URL.Path)
	if backend == nil {
		http.Error(w, fmt.Sprintf("no Ingress names %s%s", host, r.URL.Path), http.StatusNotFound)
		return
	}
	target, err := c.targetOf(ingress.Namespace, backend)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.SetXForwarded()
			request.Out.Host = request.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}

// backendOf finds the longest matching path of all Ingresses.
func (c *Controller) backendOf(host, path string) (*networking.Ingress, *networking.IngressServiceBackend) {
	var found *networking.Ingress
	var backend *networking.IngressServiceBackend
	longest := -1
	for _, ingress := range c.ours() {
		for _, rule := range ingress.Spec.Rules {
			if rule.Host != "" && rule.Host != host || rule.HTTP == nil {
				continue
			}
			for _, candidate := range rule.HTTP.Paths {
				if fits(candidate, path) && len(candidate.Path) > longest && candidate.Backend.Service != nil {
					found, backend, longest = ingress, candidate.Backend.Service, len(candidate.Path)
				}
			}
		}
	}
	return found, backend
}

func fits(candidate networking.HTTPIngressPath, path string) bool {
	if candidate.PathType != nil && *candidate.PathType == networking.PathTypeExact {
		return candidate.Path == path
	}
	prefix := strings.TrimSuffix(candidate.Path, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func (c *Controller) targetOf(namespace string, backend *networking.IngressServiceBackend) (*url.URL, error) {
	service, err := c.services.Services(namespace).Get(backend.Name)
	if err != nil {
		return nil, err
	}
	for _, port := range service.Spec.Ports {
		if backend.Port.Name != "" && port.Name == backend.Port.Name || backend.Port.Number == port.Port {
			address := net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
			return &url.URL{Scheme: "http", Host: address}, nil
		}
	}
	return nil, fmt.Errorf("service %s has no port %s%d", backend.Name, backend.Port.Name, backend.Port.Number)
}

func (c *Controller) secretOf(host string) *v1.Secret {
	for _, ingress := range c.ours() {
		for _, item := range ingress.Spec.TLS {
			for _, name := range item.Hosts {
				if name != host {
					continue
				}
				if secret, err := c.secrets.Secrets(ingress.Namespace).Get(item.SecretName); err == nil {
					return secret
				}
			}
		}
	}
	return nil
}

// Certificate returns the certificate that an Ingress names for the host of a client.
func (c *Controller) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	secret := c.secretOf(hello.ServerName)
	if secret == nil {
		return nil, errors.New("no Ingress names a certificate for " + hello.ServerName)
	}
	certificate, err := tls.X509KeyPair(secret.Data[v1.TLSCertKey], secret.Data[v1.TLSPrivateKeyKey])
	return &certificate, err
}
