//! The address of an API server, completed as client-go completes it.

use http::Uri;
use kube::config::Cluster;

/// Gives the server's address a scheme. Without one it is `http`, even where the kubeconfig configures TLS: client-go
/// decides this before it reads the certificates.
///
/// # Errors
///
/// There is no address, or it is not one of an HTTP server.
pub fn complete(cluster: &mut Cluster) -> Result<(), String> {
    let Some(server) = &cluster.server else {
        return Err("its cluster has no `server`".into());
    };
    let (scheme, rest) = match server.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".into(), server.as_str()),
    };
    let address = format!("{scheme}://{rest}");
    let is_usable = matches!(scheme.as_str(), "http" | "https")
        && address.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    if !is_usable {
        return Err(format!("`{server}` is not the address of a server"));
    }
    cluster.server = Some(address);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(server: &str) -> Result<String, String> {
        let mut cluster = Cluster { server: Some(server.into()), ..Default::default() };
        complete(&mut cluster).map(|()| cluster.server.unwrap())
    }

    #[test]
    fn server_without_a_scheme_has_the_one_of_client_go() {
        for (server, address) in [
            ("127.0.0.1:8001", "http://127.0.0.1:8001"),
            ("localhost", "http://localhost"),
            ("[::1]:8001", "http://[::1]:8001"),
            ("host:6443/k8s/clusters/c-1", "http://host:6443/k8s/clusters/c-1"),
            ("HTTPS://host", "https://host"),
            ("https://host/prefix/", "https://host/prefix/"),
        ] {
            assert_eq!(completed(server).as_deref(), Ok(address));
        }
    }

    #[test]
    fn address_that_no_http_server_has_is_named() {
        for server in
            ["unix:///run/api", "ftp://host", "https://", "http:// host", "host:port:1", "/path"]
        {
            assert_eq!(
                completed(server).unwrap_err(),
                format!("`{server}` is not the address of a server")
            );
        }
    }
}
