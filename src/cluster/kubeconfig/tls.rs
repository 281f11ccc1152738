//! TLS to the API server, with certificates that Go accepts and rustls rejects: a client certificate of
//! X.509 version 1, and a server certificate that the kubeconfig names as its own authority.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::client::ConfigExt as _;
use kube::config::AuthInfo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore,
    SignatureScheme,
};
use secrecy::ExposeSecret as _;

/// What `ring` can sign and verify with.
const SUPPORTED: &str = "supported are RSA, P-256, P-384 and Ed25519";

/// How this configuration trusts the server and what it shows of itself.
///
/// # Errors
///
/// The message names the certificate or the key that cannot be used.
pub fn client_config(config: &Config) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let kube_decides = config.accept_invalid_certs || config.root_cert_file.is_some();
    let mut tls = match config.root_cert.as_ref().filter(|_| !kube_decides) {
        Some(roots) => {
            let verifier = Verifier::new(roots, Arc::clone(&provider))?;
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
        // kube reads the certificates of the machine where the kubeconfig names none
        None => {
            let mut plain = config.clone();
            plain.root_cert = None;
            plain.auth_info = AuthInfo::default();
            plain.rustls_client_config().map_err(|error| error.to_string())?
        }
    };
    if let Some(identity) = identity(&config.auth_info, &provider)? {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity));
    }
    Ok(tls)
}

/// The client certificate of a user and its key.
fn identity(user: &AuthInfo, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, String> {
    let key_data = user.client_key_data.as_ref().map(|data| data.expose_secret());
    let certificate = Pem::read(
        "client-certificate",
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
    )?;
    let key = Pem::read("client-key", key_data, user.client_key.as_deref())?;
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err("the user has a client certificate without its key".into()),
        (None, Some(_)) => return Err("the user has a client key without its certificate".into()),
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate.text)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{} is not PEM", certificate.place))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", certificate.place));
    }
    let der = PrivateKeyDer::from_pem_slice(&key.text)
        .map_err(|_| format!("{} holds no private key", key.place))?;
    let signer = provider
        .key_provider
        .load_private_key(der)
        .map_err(|_| format!("the private key in {} cannot be used: {SUPPORTED}", key.place))?;
    let identity = CertifiedKey::new(chain, signer);
    // rustls cannot compare the keys of a certificate of version 1, but it can send it
    match identity.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(format!(
            "the private key in {} does not belong to the certificate in {}",
            key.place, certificate.place
        )),
        _ => Ok(Some(identity)),
    }
}

struct Pem {
    text: Vec<u8>,
    /// The file or the field, for users.
    place: String,
}

impl Pem {
    /// As client-go: the data of a field wins over the file.
    fn read(field: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Self>, String> {
        match (data, file) {
            (Some(data), _) => {
                let place = format!("`{field}-data`");
                let text = STANDARD.decode(data).map_err(|_| format!("{place} is not base64"))?;
                Ok(Some(Self { text, place }))
            }
            (None, Some(file)) => {
                let place = format!("`{file}`");
                let text =
                    fs::read(file).map_err(|error| format!("cannot read {place}: {error}"))?;
                Ok(Some(Self { text, place }))
            }
            (None, None) => Ok(None),
        }
    }
}

#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(roots: &[Vec<u8>], provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let roots: Vec<_> = roots.iter().cloned().map(CertificateDer::from).collect();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|_| "the certificate authority of the cluster holds no usable certificate")?;
        Ok(Self { webpki, roots })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(server, intermediates, name, ocsp, now);
        let Err(fault) = verified else { return verified };
        // Go accepts a certificate that is itself among the authorities. rustls checks the time before the chain.
        if concerns_the_chain(&fault) && self.roots.iter().any(|root| root == server) {
            verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        Err(explained(fault))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_scheme(signature)?;
        self.webpki.verify_tls12_signature(message, server, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_scheme(signature)?;
        self.webpki.verify_tls13_signature(message, server, signature)
    }

    /// With P-521, so that a server which has nothing else shows its certificate, and the error can name it.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.webpki.supported_verify_schemes();
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes
    }
}

fn check_scheme(signature: &DigitallySignedStruct) -> Result<(), Error> {
    if signature.scheme == SignatureScheme::ECDSA_NISTP521_SHA512 {
        let fault = format!("the server's certificate has a P-521 key: {SUPPORTED}");
        return Err(Error::General(fault));
    }
    Ok(())
}

fn is_authority_as_server(fault: &CertificateError) -> bool {
    let CertificateError::Other(other) = fault else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn concerns_the_chain(fault: &Error) -> bool {
    match fault {
        // a certificate whose issuer has the same name has a bad signature for rustls
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => true,
        Error::InvalidCertificate(fault) => is_authority_as_server(fault),
        _ => false,
    }
}

/// The same fault with the certificate that it is about.
fn explained(fault: Error) -> Error {
    match &fault {
        Error::InvalidCertificate(cause) if is_authority_as_server(cause) => Error::General(
            "the server's certificate is one of a certificate authority (`CA:TRUE`), and not the one in the kubeconfig".into(),
        ),
        Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => Error::General(format!(
            "the signature of the server's certificate cannot be verified: {SUPPORTED}"
        )),
        _ => fault,
    }
}
