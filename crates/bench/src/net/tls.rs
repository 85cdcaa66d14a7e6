//! TLS by rustls on ring: the system's certificates, or the user's, or none checked.

use measure::Lang;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How far the server's certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file of authorities, instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Check nothing.
    pub insecure: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The user's file.
    #[error("--cacert {path}: {why}; a PEM file with at least one certificate is expected")]
    CaCert {
        /// What was given.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The system's store.
    #[error("no certificate authorities were found on this system; give --cacert FILE, or --insecure to check nothing")]
    NoRoots,
    /// The library's own refusal.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

impl TlsError {
    /// The error in the user's language. The library's and the system's words stay as they are.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Zh, Self::CaCert { path, why }) => format!("--cacert {path}：{why}；应为至少含一个证书的 PEM 文件"),
            (Lang::Zh, Self::NoRoots) => {
                "系统中没有找到证书颁发机构；请给出 --cacert 文件，或用 --insecure 不作校验".into()
            }
            (Lang::Zh, Self::Setup(error)) => format!("无法建立 TLS：{error}"),
        }
    }
}

/// A client configuration for HTTP/1.1.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider))).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(options)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(options: &TlsOptions) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    if let Some(path) = &options.cacert {
        let refuse = |why: String| TlsError::CaCert { path: path.display().to_string(), why };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            store.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(refuse("it holds no certificate".into()));
        }
        return Ok(store);
    }
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

/// `--insecure`: any certificate, though the handshake itself must still be sound.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
