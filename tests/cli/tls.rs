//! TLS to the API server: certificates that kubectl accepts, and the errors about those that the program cannot use.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use crate::support::ended::Ended;
use crate::support::machine::Machine;
use crate::support::server::{Reply, Server};

/// A certificate of X.509 version 1, made by `openssl x509 -req` without extensions.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBGzCBwgITKeahQXupU3KNpVPqJlAW/Eo20DAKBggqhkjOPQQDAjAQMQ4wDAYD
VQQDDAVhbGljZTAgFw0yNjExMjgyMDI4NTBaGA8yMTI2MTEwNDIwMjg1MFowEDEO
MAwGA1UEAwwFYWxpY2UwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASHYwfwyw6l
cP44Ka5RNa1TUA8IU4FPb3vxpGWBHjug4mY6tfXBteJXwm1o0sGjkxZSzguyAgtv
h2kT1NFTEbTlMAoGCCqGSM49BAMCA0gAMEUCIAQbtwLEpuT0ig1wsOWQOZDMNNz6
LlP3I6VePBeDD9XPAiEA7tmROmfkzs8PjbxfA3Wa1RB+FtgvS4EbujELCOPQmgs=
-----END CERTIFICATE-----
";

/// A P-521 key in PKCS #8, without its PEM frame.
const P521: &str = "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIA03f/sibbdw9L5GTE
MPjcG1Ia255LU42y1B3UD0u4JwmpyaY4bVTWlMmWu2foAINysz25iaJJyGq4JFmq
s/AUD42hgYkDgYYABABJTw6khzKh169YheUlxSNrtdm4Gt7T3C4MVB1al/S6n54K
HYp0KcXxsmCFOhv1BtYUzHhFqppmJ0qGW/BP1NKQjAA7V8FpkYxVJKC82BDTXTa5
fi+01QJ/E4vQpfaBMJ3jOSlC3gF+2a+7D73GW7UFWuE/Iw05+tZFc07nT4yEngBA
zQ==";

/// A certificate, its key, and the certificate of its issuer.
struct Made {
    certificate: rcgen::Certificate,
    key: KeyPair,
    authority: String,
}

fn signed_by_an_authority(parameters: CertificateParams) -> Made {
    let mut of_authority = CertificateParams::default();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = of_authority.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(of_authority, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
    Made { certificate, key, authority }
}

fn for_the_address() -> CertificateParams {
    CertificateParams::new(["127.0.0.1".to_string()]).expect("a name")
}

/// Asks each client for a certificate, and accepts the one expected here without a look at who issued it.
#[derive(Debug)]
struct Expects(CertificateDer<'static>);

impl ClientCertVerifier for Expects {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *certificate == self.0 {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::General("another certificate".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn server(made: &Made, client: Option<CertificateDer<'static>>) -> Server {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    let builder = match client {
        Some(client) => builder.with_client_cert_verifier(Arc::new(Expects(client))),
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::Pkcs8(made.key.serialize_der().into());
    let config = builder
        .with_single_cert(vec![made.certificate.der().clone()], key)
        .expect("a certificate and its key");
    let tls = TlsAcceptor::from(Arc::new(config));
    Server::start_tls(tls, |_| Reply::text(404, "404 page not found\n"))
}

/// Runs `status` with this authority and these fields of the user.
fn run(server: &Server, authority: &str, user: &str) -> Ended {
    let machine = Machine::new();
    let authority = STANDARD.encode(authority);
    let address = server.address();
    machine.write(
        "home/.kube/config",
        format!(
            "{{current-context: lab, contexts: [{{name: lab, context: {{cluster: k, user: u, namespace: alice}}}}],
               clusters: [{{name: k, cluster: {{server: 'https://{address}', certificate-authority-data: {authority}}}}}],
               users: [{{name: u, user: {{{user}}}}}]}}"
        ),
    );
    machine.run("status")
}

fn certificate_and_key(certificate: &str, key: &str) -> String {
    format!(
        "client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    )
}

#[test]
fn server_certificate_of_the_authority_in_the_kubeconfig_is_accepted() {
    let made = signed_by_an_authority(for_the_address());
    let server = server(&made, None);
    let ended = run(&server, &made.authority, "token: t0k");
    assert!(!server.requests().is_empty(), "{ended}");
}

#[test]
fn server_certificate_of_another_authority_is_rejected() {
    let made = signed_by_an_authority(for_the_address());
    let server = server(&made, None);
    let other = signed_by_an_authority(for_the_address()).authority;
    run(&server, &other, "token: t0k").exits(4).says("cannot reach the API server");
    assert!(server.requests().is_empty(), "nothing is sent to a server that is not trusted");
}

#[test]
fn server_certificate_that_is_its_own_authority_is_accepted() {
    let mut authority = for_the_address();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = authority.self_signed(&key).expect("a certificate");
    let self_signed = Made { authority: certificate.pem(), certificate, key };
    for made in [signed_by_an_authority(for_the_address()), self_signed] {
        let server = server(&made, None);
        let ended = run(&server, &made.certificate.pem(), "token: t0k");
        assert!(!server.requests().is_empty(), "{ended}");
    }
}

#[test]
fn server_certificate_in_the_kubeconfig_for_another_name_is_rejected() {
    let parameters = CertificateParams::new(["elsewhere.example".to_string()]).expect("a name");
    let made = signed_by_an_authority(parameters);
    let server = server(&made, None);
    run(&server, &made.certificate.pem(), "token: t0k").exits(4).says("not valid for name");
    assert!(server.requests().is_empty(), "nothing is sent to a server of another name");
}

#[test]
fn server_certificate_in_the_kubeconfig_that_expired_is_rejected() {
    let mut parameters = for_the_address();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let made = signed_by_an_authority(parameters);
    let server = server(&made, None);
    run(&server, &made.certificate.pem(), "token: t0k").exits(4).says("expired");
    assert!(server.requests().is_empty(), "nothing is sent to a server of the past");
}

#[test]
fn server_certificate_of_an_authority_is_named_when_it_is_not_in_the_kubeconfig() {
    let mut parameters = for_the_address();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = signed_by_an_authority(parameters);
    let server = server(&made, None);
    run(&server, &made.authority, "token: t0k")
        .exits(4)
        .says("the server's certificate is one of a certificate authority (`CA:TRUE`)");
}

#[test]
fn client_certificate_reaches_the_server_in_version_1_and_3() {
    let made = signed_by_an_authority(for_the_address());
    let client = signed_by_an_authority(CertificateParams::default());
    let key = client.key.serialize_pem();
    for certificate in [VERSION_1.to_string(), client.certificate.pem()] {
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(certificate.as_bytes());
        let server = server(&made, Some(der.expect("a certificate")));
        let ended = run(&server, &made.authority, &certificate_and_key(&certificate, &key));
        assert!(!server.requests().is_empty(), "{ended}");
    }
}

#[test]
fn client_certificate_that_cannot_be_used_is_named_with_the_reason() {
    let made = signed_by_an_authority(for_the_address());
    let server = server(&made, None);
    let (certificate, key) = (made.certificate.pem(), made.key.serialize_pem());
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let unsupported = ["BEGIN", "END"].map(|mark| format!("-----{mark} PRIVATE KEY-----\n"));
    let unsupported = format!("{}{P521}\n{}", unsupported[0], unsupported[1]);
    for (user, reason) in [
        (
            certificate_and_key(&certificate, &unsupported),
            "the private key in `client-key-data` cannot be used: supported are RSA, P-256, P-384 and Ed25519",
        ),
        (
            certificate_and_key(&certificate, &other),
            "the private key in `client-key-data` does not belong to the certificate in `client-certificate-data`",
        ),
        (certificate_and_key(&key, &key), "`client-certificate-data` holds no certificate"),
        (certificate_and_key(&certificate, &certificate), "`client-key-data` holds no private key"),
        (
            "client-certificate: absent.crt, client-key: absent.key".into(),
            "cannot read `[MACHINE]/home/.kube/absent.crt`",
        ),
    ] {
        run(&server, &made.authority, &user)
            .exits(4)
            .says(&format!("error: context `lab` of the kubeconfig cannot be used: {reason}"));
    }
}
