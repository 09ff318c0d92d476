//! TLS by rustls.

use super::TlsError;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

/// How a server is spoken to in TLS: whom to trust, and whom to expect.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the system's certificates and those of the file.
    pub(crate) fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::ServerName(host.to_owned()))?;
        let mut roots = RootCertStore::empty();
        // A system without a store is none that can't be used: the file may have all it needs.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            add_file(&mut roots, path)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Or a proxy may prefer HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let bad = |reason: String| TlsError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    let before = roots.len();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| bad(error.to_string()))?;
    }
    match roots.len() - before {
        0 => Err(bad("there is none in it".to_owned())),
        _ => Ok(()),
    }
}

/// The same configuration, not an equal one.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.name).finish()
    }
}

/// One connection's TLS.
#[derive(Debug)]
pub(crate) struct Session {
    tls: ClientConnection,
    /// Bytes for the socket, of which `sent` are there.
    outgoing: Vec<u8>,
    sent: usize,
    plain: Vec<u8>,
    /// The peer said that nothing follows.
    over: bool,
}

impl Session {
    /// One that has to shake hands yet.
    pub(crate) fn new(tls: &Tls) -> io::Result<Self> {
        let connection = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
        let mut tls = connection.map_err(io::Error::other)?;
        // A whole request is enciphered before it is sent.
        tls.set_buffer_limit(None);
        Ok(Self {
            tls,
            outgoing: Vec::new(),
            sent: 0,
            plain: Vec::new(),
            over: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the peer said that nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Enciphers what is to be sent.
    pub(crate) fn encrypt(&mut self, plain: &[&[u8]]) -> io::Result<()> {
        let mut writer = self.tls.writer();
        plain.iter().try_for_each(|part| writer.write_all(part))
    }

    /// What is to be sent now; empty when nothing is.
    pub(crate) fn outgoing(&mut self) -> io::Result<&[u8]> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.outgoing)?;
        }
        Ok(&self.outgoing[self.sent..])
    }

    /// So many of these bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Takes bytes that were received; gives what they say, which may be nothing.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> io::Result<&[u8]> {
        self.plain.clear();
        while !bytes.is_empty() && !self.over {
            if self.tls.read_tls(&mut bytes)? == 0 {
                break;
            }
            let state = self.tls.process_new_packets();
            let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.over = state.peer_has_closed();
            let length = self.plain.len();
            self.plain
                .resize(length + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut self.plain[length..])?;
        }
        Ok(&self.plain)
    }
}

pub(super) fn reason(error: &io::Error) -> Option<String> {
    let tls: &rustls::Error = error.get_ref()?.downcast_ref()?;
    Some(tls.to_string())
}
