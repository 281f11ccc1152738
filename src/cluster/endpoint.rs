//! The URLs of Services from outside the cluster.

use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::ListParams;

use super::Cluster;

/// The URL of a Service from outside the cluster: of the Ingress with its name, or of the Service itself. None without.
///
/// # Errors
/// When an object cannot be read.
pub async fn url(cluster: &Cluster, service: &str) -> Result<Option<String>> {
    let spec = cluster.api::<Ingress>().get_opt(service).await?.and_then(|ingress| ingress.spec);
    let host = spec
        .as_ref()
        .and_then(|spec| spec.rules.iter().flatten().find_map(|rule| rule.host.as_deref()));
    let has_tls = spec.as_ref().is_some_and(|spec| spec.tls.iter().flatten().next().is_some());
    match host {
        Some(host) => Ok(Some(host_url(host, has_tls))),
        None => service_url(cluster, service).await,
    }
}

pub fn host_url(host: &str, has_tls: bool) -> String {
    format!("{}://{host}", if has_tls { "https" } else { "http" })
}

/// A host in a URL. IPv6 addresses need brackets.
fn in_url(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.into() }
}

/// The URL of a load balancer or a node port of a Service. None without.
///
/// # Errors
/// When the Service or the nodes cannot be read.
pub async fn service_url(cluster: &Cluster, service: &str) -> Result<Option<String>> {
    let Some(service) = cluster.api::<Service>().get_opt(service).await? else { return Ok(None) };
    let spec = service.spec.unwrap_or_default();
    let port = spec.ports.into_iter().flatten().next();
    let balancer = service
        .status
        .and_then(|status| status.load_balancer)
        .and_then(|balancer| balancer.ingress)
        .unwrap_or_default();
    if let Some(host) = balancer.into_iter().find_map(|point| point.ip.or(point.hostname)) {
        let own_port = port.and_then(|port| u16::try_from(port.port).ok());
        return Ok(Some(format!(
            "http://{}{}",
            in_url(&host),
            port_suffix(own_port.unwrap_or(80))
        )));
    }
    match (spec.type_.as_deref(), port.and_then(|port| port.node_port)) {
        (Some("NodePort"), Some(port)) => {
            Ok(node_address(cluster).await?.map(|node| format!("http://{}:{port}", in_url(&node))))
        }
        _ => Ok(None),
    }
}

/// The address of any node. All nodes serve all node ports.
async fn node_address(cluster: &Cluster) -> Result<Option<String>> {
    let nodes = Api::<Node>::all(cluster.client.clone())
        .list(&ListParams::default())
        .await
        .context("the nodes' addresses")?;
    let addresses: Vec<_> =
        nodes.items.into_iter().filter_map(|node| node.status?.addresses).flatten().collect();
    let of = |kind: &str| {
        addresses
            .iter()
            .find(|address| address.type_ == kind)
            .map(|address| address.address.clone())
    };
    Ok(of("ExternalIP").or_else(|| of("InternalIP")))
}

pub fn port_suffix(port: u16) -> String {
    if port == 80 { String::new() } else { format!(":{port}") }
}
