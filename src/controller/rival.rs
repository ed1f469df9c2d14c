//! Whether another process of `--local` serves the cluster: two that register themselves would take the webhook from each other, and the one that ends
//! last but one would leave the API server calling nobody. Of one that is gone everything may be taken over.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhookConfiguration, WebhookClientConfig};
use kube::{Api, Client};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// On loopback whoever listens answers well within that.
const ANSWER: Duration = Duration::from_secs(1);

/// The address of a process that the configuration of this name leads to and that answers by the certificate in it: whatever else listens there by now is
/// none of ours.
///
/// # Errors
/// The API server does not say what is registered.
pub async fn serving(client: &Client, configuration: &str) -> Result<Option<String>, kube::Error> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let stored = timeout(Duration::from_secs(10), api.get_opt(configuration)).await;
    let stored = stored.map_err(|_| kube::Error::Service("the API server gave no answer within 10 s".into()))??;
    let Some(webhook) = stored.and_then(|stored| stored.webhooks?.into_iter().next()) else { return Ok(None) };
    let Some(address) = webhook.client_config.url.as_deref().and_then(authority) else { return Ok(None) };
    let answers = timeout(ANSWER, answers(&address, &webhook.client_config)).await;
    Ok(matches!(answers, Ok(Some(()))).then_some(address))
}

/// `127.0.0.1:8443` of `https://127.0.0.1:8443/workloads`.
fn authority(url: &str) -> Option<String> {
    Some(url.strip_prefix("https://")?.split('/').next()?.to_owned())
}

async fn answers(address: &str, config: &WebhookClientConfig) -> Option<()> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&config.ca_bundle.as_ref()?.0) {
        roots.add(certificate.ok()?).ok()?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().ok()?;
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let (host, _) = address.rsplit_once(':')?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TcpStream::connect(address).await.ok()?;
    connector.connect(name, stream).await.ok().map(|_| ())
}
