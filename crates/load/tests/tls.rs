//! Servers behind TLS: the same rows, stamped in user space.

#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod scripted;

use load::{PreflightError, TlsError, Wish, preflight};
use record::{Outcome, StampSource};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use scripted::{MODELS, STREAM_HEAD, end, short_phase, token};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// A server whose certificate nobody has signed but itself. Its threads end with the test's process.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicU32>,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (config, connections) = (Arc::new(config), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, SeqCst);
                let config = Arc::clone(&config);
                thread::spawn(move || serve(stream, config));
            }
        });
        Self {
            address,
            connections,
            folder,
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn wish(&self, ca_file: Option<PathBuf>) -> Wish {
        let url = format!("https://localhost:{}/v1", self.address.port());
        let mut wish = Wish::new(url.parse().unwrap());
        wish.ca_file = ca_file;
        wish.timeout = Duration::from_secs(5);
        wish
    }
}

/// Until the client is gone.
fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
    let tls = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    loop {
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
            request.push_str(&line);
        }
        stream.read_exact(&mut vec![0; length]).ok()?;
        let answer = match request.starts_with("GET /v1/models ") {
            true => {
                let length = MODELS.len();
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{MODELS}")
            }
            false => format!("{STREAM_HEAD}{}{}{}", token("a"), token(" b"), end(2)),
        };
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn tokens_come_through_tls_with_stamps_of_user_space() {
    let server = Server::start();
    let target = preflight(&server.wish(Some(server.ca_file()))).unwrap();
    let before = server.connections.load(SeqCst);
    // A long prompt takes several records.
    let mut phase = short_phase(2);
    phase.workload = load::Workload::new(40_000, 2, 1, 2);
    let (rows, report) = scripted::run_phase(&target, &phase);
    assert_eq!((report.clock, report.resent), (StampSource::User, 0));
    let (row, tokens) = &rows[0];
    assert_eq!(row.outcome, Outcome::Ok, "{:?}", row.error);
    assert_eq!((row.clock, row.client_lag), (StampSource::User, None));
    assert_eq!((tokens.chunks.len(), row.output_tokens), (2, Some(2)));
    // One for each user: what TLS says of itself in between closes none.
    assert!(rows.len() > 4, "{}", rows.len());
    assert_eq!(server.connections.load(SeqCst) - before, 2);
}

#[test]
fn a_certificate_that_nobody_signed_is_not_trusted() {
    let server = Server::start();
    let error = preflight(&server.wish(None)).unwrap_err();
    assert!(
        matches!(error, PreflightError::NotTrusted { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[test]
fn another_name_than_the_certificates_is_not_trusted() {
    let server = Server::start();
    let mut wish = server.wish(Some(server.ca_file()));
    wish.url = format!("https://{}", server.address).parse().unwrap();
    let error = preflight(&wish).unwrap_err();
    assert!(
        matches!(error, PreflightError::NotTrusted { .. }),
        "{error}"
    );
}

#[test]
fn a_plain_port_speaks_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = stream.read(&mut [0; 1_000]).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        hello
    });
    let error = preflight(&Wish::new(url.parse().unwrap())).unwrap_err();
    assert!(server.join().unwrap() > 0);
    assert!(
        matches!(error, PreflightError::NotTrusted { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("http://"), "{error}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let server = Server::start();
    let empty = server.folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [empty, server.folder.path().join("none.pem")] {
        let error = preflight(&server.wish(Some(path))).unwrap_err();
        let of_the_file = matches!(error, PreflightError::Tls(TlsError::CaFile { .. }));
        assert!(of_the_file, "{error}");
    }
}
