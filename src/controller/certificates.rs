//! Certificates without cert-manager: the lease holder keeps an authority and a leaf in one Secret and the authority in the webhook
//! configuration, and every replica serves the leaf that it finds there. What is due is decided in `authority`; here is what is read and written.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use rcgen::KeyPair;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    authority::{Agreement, Authority, Lifetimes, Repairs, carry_out, plan},
    install::{MANAGED_BY, MANAGER},
    lease::{Mandate, leading},
};
use crate::model::text::shown;

const CALL: Duration = Duration::from_secs(5);
/// How often the Secret is read: a new leaf is served, and an emptied caBundle is filled (H123), within 5 s.
const EVERY: Duration = Duration::from_secs(2);
/// While there is nothing to serve: the start waits for it.
const EAGER: Duration = Duration::from_millis(300);

/// How the certificates stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The end of the leaf that is served.
    pub not_after: Option<Timestamp>,
    /// The Secret has been read and holds nothing to serve: somebody must lead to make it, ready or not.
    pub wanting: bool,
    /// Somebody else keeps on changing the caBundle.
    pub contested: bool,
}

/// Why the certificates do not come about.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The Secret is somebody else's.
    #[error("Secret {0} is not Demarc's: it holds data and has no label {MANAGED_BY}: {MANAGER}. Name another one, or mount it and use --tls-dir")]
    Foreign(String),
    /// The API server did not take a call.
    #[error("{0}: {1}")]
    Call(&'static str, String),
    /// A key or certificate could not be made, or the webhook does not take it.
    #[error("cannot make or use a certificate: {0}")]
    Make(String),
}

/// Where things are, and for whom.
pub struct Keeper {
    /// The API server.
    pub client: Client,
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The name of the webhook configuration.
    pub configuration: String,
    /// The names by which an API server calls the webhook.
    pub hosts: BTreeSet<String>,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// Whether this replica may write now.
    pub mandate: Mandate,
    /// Tells how it stands.
    pub report: watch::Sender<Certificates>,
}

/// What one replica remembers between two turns.
#[derive(Default)]
struct Memory {
    agreement: Agreement,
    repairs: Repairs,
}

/// The names of a Service in its namespace, as API servers use them.
pub fn hosts(service: &str, namespace: &str) -> BTreeSet<String> {
    ["", ".svc", ".svc.cluster.local"].iter().map(|end| format!("{service}.{namespace}{end}")).collect()
}

impl Keeper {
    /// Keeps the certificates for ever; `take` gets certificate and key in PEM, as often as they are read, and says whether they were new.
    ///
    /// # Errors
    /// When the Secret is somebody else's before anything was served. Afterwards the last good leaf stays.
    pub async fn run<E: std::fmt::Display>(self, mut take: impl FnMut(&str, &str) -> Result<bool, E>) -> Result<(), CertificateError> {
        let (mut memory, mut said) = (Memory::default(), String::new());
        loop {
            match self.turn(&mut memory, &mut take).await {
                Ok(()) => said.clear(),
                Err(error @ CertificateError::Foreign(_)) if self.report.borrow().not_after.is_none() => return Err(error),
                Err(error) => {
                    let error = error.to_string();
                    if said != error {
                        tracing::warn!(error, "certificates: trying again; what is served stays");
                        said = error;
                    }
                }
            }
            sleep(if self.report.borrow().wanting { EAGER } else { EVERY }).await;
        }
    }

    async fn turn<E: std::fmt::Display>(&self, memory: &mut Memory, take: &mut impl FnMut(&str, &str) -> Result<bool, E>) -> Result<(), CertificateError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let stored = call("the Secret cannot be read", secrets.get_opt(&self.secret)).await?;
        if stored.as_ref().is_some_and(|secret| !ours(secret)) {
            return Err(CertificateError::Foreign(format!("{}/{}", self.namespace, self.secret)));
        }
        let mut held = stored.as_ref().and_then(|secret| secret.data.as_ref()).and_then(Authority::read);
        self.serve(held.as_ref(), &memory.repairs, take)?;
        // Time in which nobody looked counts for nothing.
        let mut agreement = std::mem::take(&mut memory.agreement);
        if !leading(&self.mandate) {
            return Ok(());
        }
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let configuration = call("the webhook configuration cannot be read", configurations.get_opt(&self.configuration)).await?;
        let same = held.as_ref().filter(|held| configuration.as_ref().is_some_and(|configuration| astray(configuration, held).next().is_none()));
        let agreed = agreement.note(same, Instant::now());
        memory.agreement = agreement;
        memory.repairs.stood(agreed.unwrap_or_default());
        if let Some(action) = plan(held.as_ref(), agreed, &self.hosts, Timestamp::now(), &self.lifetimes) {
            let made = carry_out(action, held, &self.hosts, Timestamp::now(), &self.lifetimes, &mut || KeyPair::generate()).map_err(|e| CertificateError::Make(e.to_string()))?;
            if !leading(&self.mandate) || !self.write(&secrets, stored, made.data()).await? {
                return Ok(());
            }
            tracing::info!(?action, secret = self.secret, "certificates: written");
            self.serve(Some(&made), &memory.repairs, take)?;
            held = Some(made);
        }
        if let (Some(held), Some(configuration)) = (held, configuration) {
            self.publish(&configurations, &configuration, &held, memory).await?;
        }
        Ok(())
    }

    /// Hands the leaf over.
    fn serve<E: std::fmt::Display>(&self, held: Option<&Authority>, repairs: &Repairs, take: &mut impl FnMut(&str, &str) -> Result<bool, E>) -> Result<(), CertificateError> {
        let Some(leaf) = held.and_then(Authority::leaf) else {
            self.report.send_if_modified(|report| !std::mem::replace(&mut report.wanting, true));
            return Ok(());
        };
        let end = leaf.life.until();
        if take(&leaf.certificate, &leaf.key).map_err(|e| CertificateError::Make(e.to_string()))? {
            tracing::info!(not_after = %end, "certificate: a new pair is in use");
        }
        let contested = repairs.contested();
        let report = Certificates { not_after: Some(end), wanting: false, contested };
        self.report.send_if_modified(|was| std::mem::replace(was, report) != report);
        Ok(())
    }

    /// Says whether the Secret was taken as it is now; somebody else who was faster is no error.
    async fn write(&self, api: &Api<Secret>, stored: Option<Secret>, made: BTreeMap<String, ByteString>) -> Result<bool, CertificateError> {
        let new = stored.is_none();
        // What others put beside it stays: their labels, and the type, which cannot be changed.
        let mut secret = stored.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        });
        secret.metadata.labels.get_or_insert_default().insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
        secret.data = Some(made);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        // With the resourceVersion that was read.
        let written = if new { timeout(CALL, api.create(&params, &secret)).await } else { timeout(CALL, api.replace(&self.secret, &params, &secret)).await };
        match written {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
            // The code alone: a message may quote what was sent.
            Ok(Err(kube::Error::Api(status))) => Err(CertificateError::Call("the Secret cannot be written", format!("{} {}", status.code, status.reason))),
            Ok(Err(_)) => Err(CertificateError::Call("the Secret cannot be written", "no connection".to_owned())),
            Err(_) => Err(CertificateError::Call("the Secret cannot be written", "no answer within 5 s".to_owned())),
        }
    }

    /// Fills in the bundle where it is not; nothing else of the configuration is touched.
    async fn publish(
        &self,
        api: &Api<ValidatingWebhookConfiguration>,
        configuration: &ValidatingWebhookConfiguration,
        held: &Authority,
        memory: &mut Memory,
    ) -> Result<(), CertificateError> {
        let astray: Vec<usize> = astray(configuration, held).collect();
        let bundle = held.bundle();
        if astray.is_empty() || !memory.repairs.due(&bundle, Instant::now()) || !leading(&self.mandate) {
            return Ok(());
        }
        let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": configuration.metadata.resource_version})];
        let value = ByteString(bundle.into_bytes());
        patch.extend(astray.iter().map(|i| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": value})));
        let patch: Patch<()> = Patch::Json(serde_json::from_value(json!(patch)).map_err(|e| CertificateError::Make(e.to_string()))?);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        call("the caBundle cannot be written", api.patch(&self.configuration, &params, &patch)).await?;
        let pause = memory.repairs.done(Instant::now());
        if memory.repairs.contested() {
            tracing::warn!(
                configuration = self.configuration,
                "caBundle: somebody else keeps on changing it; put right once more, and not again within {pause:?}: let them leave the field alone"
            );
        } else {
            tracing::info!(configuration = self.configuration, webhooks = astray.len(), "caBundle: filled in");
        }
        Ok(())
    }
}

/// The webhooks that do not have the bundle.
fn astray(configuration: &ValidatingWebhookConfiguration, held: &Authority) -> impl Iterator<Item = usize> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    webhooks.iter().enumerate().filter(|(_, webhook)| !webhook.client_config.ca_bundle.as_ref().is_some_and(|bundle| held.is_bundle(&bundle.0))).map(|(i, _)| i)
}

/// A Secret of ours says so, and one that holds nothing may become it.
fn ours(secret: &Secret) -> bool {
    let labelled = secret.metadata.labels.as_ref().is_some_and(|labels| labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER));
    labelled || secret.data.iter().flatten().all(|(_, value)| value.0.is_empty())
}

async fn call<T>(what: &'static str, future: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CertificateError> {
    match timeout(CALL, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(CertificateError::Call(what, format!("{} {}", status.code, shown(&status.message, 200)))),
        Ok(Err(error)) => Err(CertificateError::Call(what, shown(&error.to_string(), 200))),
        Err(_) => Err(CertificateError::Call(what, "no answer within 5 s".to_owned())),
    }
}
