// Package loadbalancer replaces the load balancer of a cloud. Services of type LoadBalancer get an address in a
// network that is routed to the node, where kube-proxy forwards the traffic.
package loadbalancer

import (
	"context"
	"fmt"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

type loadBalancer struct {
	client   kubernetes.Interface
	services listers.ServiceLister
	queue    workqueue.TypedRateLimitingInterface[string]
	pool     *pool
}

// Run maintains the addresses of the Services until the context ends.
func Run(ctx context.Context, client kubernetes.Interface, network netip.Prefix) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Services()
	lb := &loadBalancer{
		client:   client,
		services: informer.Lister(),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		pool:     newPool(network),
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    lb.enqueue,
		UpdateFunc: func(_, service any) { lb.enqueue(service) },
		DeleteFunc: lb.enqueue,
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := lb.adoptAddresses(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, lb.queue.ShutDown)
	defer stop()
	for lb.handleNext(ctx) {
	}
	return nil
}

// adoptAddresses reads the addresses of an earlier run before it assigns new ones.
func (lb *loadBalancer) adoptAddresses() error {
	all, err := lb.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range all {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if _, err := lb.pool.take(service.Namespace+"/"+service.Name, ingress.IP); err != nil {
				klog.InfoS("Not adopted", "service", klog.KObj(service), "reason", err.Error())
			}
		}
	}
	return nil
}

func (lb *loadBalancer) enqueue(service any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(service)
	if err != nil {
		klog.ErrorS(err, "Object without a name")
		return
	}
	lb.queue.Add(key)
}

func (lb *loadBalancer) handleNext(ctx context.Context) bool {
	key, shutdown := lb.queue.Get()
	if shutdown {
		return false
	}
	defer lb.queue.Done(key)
	if err := lb.sync(ctx, key); err != nil {
		klog.ErrorS(err, "Will try again", "service", key)
		lb.queue.AddRateLimited(key)
		return true
	}
	lb.queue.Forget(key)
	return true
}

func (lb *loadBalancer) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	service, err := lb.services.Services(namespace).Get(name)
	if errors.IsNotFound(err) {
		lb.pool.release(key)
		return nil
	}
	if err != nil {
		return err
	}
	if !isOurs(service) {
		lb.pool.release(key)
		return lb.publish(ctx, service, nil)
	}
	address, err := lb.pool.take(key, service.Spec.LoadBalancerIP)
	if err != nil {
		return fmt.Errorf("no address: %w", err)
	}
	mode := v1.LoadBalancerIPModeVIP
	return lb.publish(ctx, service, []v1.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}})
}

// isOurs follows the rule of the API: a Service that names a class uses another load balancer than the default one.
func isOurs(service *v1.Service) bool {
	return service.Spec.Type == v1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil &&
		service.DeletionTimestamp == nil
}

func (lb *loadBalancer) publish(ctx context.Context, service *v1.Service, want []v1.LoadBalancerIngress) error {
	have := service.Status.LoadBalancer.Ingress
	if len(have) == len(want) && (len(want) == 0 || have[0].IP == want[0].IP) {
		return nil
	}
	updated := service.DeepCopy()
	updated.Status.LoadBalancer.Ingress = want
	_, err := lb.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err == nil {
		klog.InfoS("Published", "service", klog.KObj(service), "addresses", len(want))
	}
	return err
}
