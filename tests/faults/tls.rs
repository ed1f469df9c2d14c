//! A TLS client by hand: it can send half a request, and reads one answer at a time.
//! HTTP libraries refuse to misbehave, so there is none here.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Three times the longest patience of the server: nothing waits longer.
pub const LONG: Duration = Duration::from_secs(15);

pub type Tls = TlsStream<TcpStream>;

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in small letters.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn closes(&self) -> bool {
        self.head.contains("connection: close")
    }

    pub fn review(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A client that trusts `certificate`.
pub fn connector(certificate: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

pub async fn connect(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<Tls> {
    connect_from([127, 0, 0, 1], connector, address).await
}

/// As another peer: any address of 127.0.0.0/8 is this machine's own.
pub async fn connect_from(peer: [u8; 4], connector: &TlsConnector, address: SocketAddr) -> std::io::Result<Tls> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((peer, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A whole request.
pub fn request(method: &str, path: &str, content_type: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The next answer, or `None` when the connection is closed instead.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    tokio::time::timeout(LONG, async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("not HTTP: {head}"));
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    })
    .await
    .expect("neither an answer nor an end")
}

/// A TLS stream may keep back what it was given, until it is flushed.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Sends a request and reads its answer.
pub async fn ask(stream: &mut Tls, request: &str) -> Option<Answer> {
    send(stream, request.as_bytes()).await.ok()?;
    read(stream).await
}

/// Whatever still comes until the peer closes, in order or not.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection is still open");
    bytes
}
