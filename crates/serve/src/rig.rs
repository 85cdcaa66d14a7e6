//! A scripted server in a thread of its own, for tests: on a free port of loopback, gone when dropped.

use crate::app::{Keep, Listening, Record, StopHandle};
use crate::error::ServeError;
use crate::script::Script;
use crate::scripted::ScriptedBackend;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// The running server.
pub struct ScriptedServer {
    address: SocketAddr,
    scheme: &'static str,
    handle: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts playing a script.
    ///
    /// # Errors
    /// [`ServeError`], also for a script that cannot be played.
    pub fn start(script: Script) -> Result<Self, ServeError> {
        Self::launch(script, None)
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// [`ServeError`], also for a certificate or key that cannot be used.
    pub fn start_tls(script: Script, certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, ServeError> {
        Self::launch(script, Some(tls_config(certificate_pem, key_pem)?))
    }

    fn launch(script: Script, tls: Option<Arc<ServerConfig>>) -> Result<Self, ServeError> {
        script.check()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut listening = Listening::bind("127.0.0.1", 0, tls, Box::new(ScriptedBackend::new(script)))?;
        listening.keep = Keep::Everything;
        let (address, handle) = (listening.address()?, listening.handle());
        let thread = std::thread::Builder::new().name("scripted".into()).spawn(move || {
            // A loop that fails leaves its clients without answers, which their tests notice.
            let _ = listening.serve();
        })?;
        Ok(Self { address, scheme, handle, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What it has seen so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.handle.records()
    }

    /// Lets replies go that wait at this gate.
    pub fn open_gate(&self, name: &str) {
        self.handle.open_gate(name);
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there.
            let _ = thread.join();
        }
    }
}

pub(crate) fn tls_config(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, ServeError> {
    let refuse = ServeError::Certificate;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate_pem).collect();
    let certificates = certificates.map_err(|error| refuse(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| refuse(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
    config.map(Arc::new).map_err(|error| refuse(error.to_string()))
}
