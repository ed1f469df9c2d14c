//! The webhook's certificate: read from files by content, handed over from a Secret, or made on the spot for `--local`.
//! A kubelet replaces a mounted pair by swapping a symlink, which file watches miss after the first time; so the content is polled, a pair is
//! taken only when both halves fit, and the last good one stays.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::policy::expiry::Validity;

/// Why a pair is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or unreadable.
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    /// Not a certificate chain and key in PEM.
    #[error("not a PEM certificate and key: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The key is not the certificate's.
    #[error("certificate and key do not fit: {0}")]
    Mismatch(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate in use; every new connection takes the newest.
#[derive(Debug)]
pub struct Pair {
    key: ArcSwapOption<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    seen: std::sync::Mutex<(Vec<u8>, Vec<u8>)>,
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.key.load_full()
    }
}

impl Pair {
    /// No pair yet: every handshake is refused until one is taken.
    pub fn none() -> Self {
        Self { key: ArcSwapOption::empty(), provider: Arc::new(rustls::crypto::ring::default_provider()), seen: std::sync::Mutex::default() }
    }

    /// A pair from PEM.
    ///
    /// # Errors
    /// When it is not PEM or the halves do not fit.
    pub fn from_pem(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, TlsError> {
        let pair = Self::none();
        pair.take(certificate, key)?;
        Ok(pair)
    }

    /// From when until when the certificate that is served is valid.
    pub fn validity(&self) -> Option<Validity> {
        let key = self.key.load();
        let (_, certificate) = x509_parser::parse_x509_certificate(key.as_ref()?.cert.first()?).ok()?;
        let validity = certificate.validity();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// Whether there is a pair to serve.
    pub fn present(&self) -> bool {
        self.key.load().is_some()
    }

    /// A pair from `tls.crt` and `tls.key` in a folder, as a kubelet mounts a Secret.
    ///
    /// # Errors
    /// When a file cannot be read or the pair does not fit.
    pub fn from_dir(dir: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = read(dir)?;
        Self::from_pem(certificate, key)
    }

    /// Takes the pair in `dir` if its content changed and fits; says whether it did.
    ///
    /// # Errors
    /// When it does not fit; the last good pair stays in use.
    pub fn refresh(&self, dir: &Path) -> Result<bool, TlsError> {
        let (certificate, key) = read(dir)?;
        self.take(certificate, key)
    }

    /// Takes a pair from PEM if it is another and fits; says whether it did.
    ///
    /// # Errors
    /// When it does not fit; the last good pair stays in use.
    pub fn take(&self, certificate: Vec<u8>, key: Vec<u8>) -> Result<bool, TlsError> {
        let pair = (certificate, key);
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *seen == pair {
            return Ok(false);
        }
        self.key.store(Some(Arc::new(parse(&pair.0, &pair.1, &self.provider)?)));
        *seen = pair;
        Ok(true)
    }

    /// Polls `dir` for ever.
    pub async fn follow(self: Arc<Self>, dir: std::path::PathBuf, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            match self.refresh(&dir) {
                Ok(true) => tracing::info!("certificate: a new pair is in use"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "certificate: the new pair is not taken, the last good one stays"),
            }
        }
    }

    /// The TLS side of the server: 1.2 and 1.3, HTTP/1.1 as an API server in production speaks it.
    ///
    /// # Errors
    /// Never with the built-in provider; rustls says so in a type.
    pub fn server_config(self: Arc<Self>) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(dir: &Path) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read(&path).map_err(|e| TlsError::Read(path.display().to_string(), e))
    };
    Ok((read("tls.crt")?, read("tls.key")?))
}

fn parse(certificate: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let certified = CertifiedKey::from_der(chain, key, provider)?;
    certified.keys_match()?;
    Ok(certified)
}

/// A self-made pair for `hosts`, with the certificate to put into `caBundle`.
///
/// # Errors
/// When a host is not a DNS name or address.
pub fn self_made(hosts: &[&str]) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let made = rcgen::generate_simple_self_signed(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
    Ok((made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn three_symlink_swaps_are_each_taken_and_a_torn_pair_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        let publish = |n: usize, certificate: &[u8], key: &[u8]| {
            let version = mount.join(format!("..{n}"));
            std::fs::create_dir(&version).unwrap();
            std::fs::write(version.join("tls.crt"), certificate).unwrap();
            std::fs::write(version.join("tls.key"), key).unwrap();
            let next = mount.join("..next");
            symlink(&version, &next).unwrap();
            std::fs::rename(&next, mount.join("..data")).unwrap();
        };
        let (certificate, key) = self_made(&["localhost"]).unwrap();
        publish(0, &certificate, &key);
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
        let pair = Pair::from_dir(&mount).unwrap();
        let mut last = certificate;
        for n in 1..=3 {
            let (certificate, key) = self_made(&["localhost"]).unwrap();
            publish(n, &certificate, &key);
            assert!(pair.refresh(&mount).unwrap(), "swap {n}");
            assert!(!pair.refresh(&mount).unwrap(), "nothing changed since swap {n}");
            assert_eq!(pair.key.load_full().unwrap().cert, parse(&certificate, &key, &pair.provider).unwrap().cert);
            last = certificate;
        }
        let before = pair.key.load_full().unwrap();
        let (_, other) = self_made(&["localhost"]).unwrap();
        publish(9, &last, &other);
        assert!(matches!(pair.refresh(&mount), Err(TlsError::Mismatch(_))));
        assert!(Arc::ptr_eq(&before, &pair.key.load_full().unwrap()), "the last good pair stays");
    }
}
