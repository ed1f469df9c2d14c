//! How subcommands reach a cluster: as kubectl would, by KUBECONFIG, its context and its namespace.
//! An error is one sentence that says what to do; a cluster's own words are kept.

use std::{error::Error, time::Duration};

use anyhow::Context;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, ListParams, PostParams},
    config::{InferConfigError, KubeConfigOptions, Kubeconfig},
};

use super::context::{LABEL, is_label};
use crate::model::text::shown;

/// A call that is not answered by then is not waited for.
const CALL: Duration = Duration::from_secs(10);
/// Objects a page of a list.
const PAGE: u32 = 500;

/// Which cluster, and where in it.
#[derive(clap::Args, Clone, Debug)]
pub struct Where {
    /// The namespace; that of the context unless said
    #[arg(short, long, value_name = "NAMESPACE", value_parser = namespace_name)]
    pub namespace: Option<String>,
    /// The context of KUBECONFIG to use; its current one unless said
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// A cluster, and the namespace that is meant.
pub struct Cluster {
    /// Asks it.
    pub client: Client,
    /// `-n`, or the context's.
    pub namespace: String,
}

impl Where {
    /// Reaches it.
    ///
    /// # Errors
    /// There is no such context, or its credentials cannot be used.
    pub async fn connect(&self) -> anyhow::Result<Cluster> {
        let mut config = match &self.context {
            None => Config::infer().await.map_err(|error| no_cluster(&error))?,
            Some(context) => {
                let kubeconfig = Kubeconfig::read().map_err(|error| anyhow::anyhow!("KUBECONFIG cannot be read: {}", first_line(&error.to_string())))?;
                let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(|| format!("--context {}: kubectl config get-contexts lists them", shown(context, 253)))?
            }
        };
        config.connect_timeout = Some(Duration::from_secs(5));
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config).context("the certificates or credentials in KUBECONFIG cannot be used")?, namespace })
    }
}

/// A namespace, as an argument.
///
/// # Errors
/// None can have that name.
pub fn namespace_name(text: &str) -> Result<String, String> {
    if is_label(text) { Ok(text.to_owned()) } else { Err(format!("it {LABEL}")) }
}

/// An object's name, as an argument: another one would ask the cluster for something else than is meant.
///
/// # Errors
/// No object can have it.
pub fn object_name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("no object can have that name; it is at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends".to_owned()) }
}

/// An RFC 1123 subdomain, as most objects are named.
pub fn is_name(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !part.starts_with('-') && !part.ends_with('-');
    text.len() <= 253 && text.split('.').all(part)
}

/// Why there is no cluster to talk to. The library tells both places where it looked, and the causes twice; the kubeconfig's half is the one that a person
/// can mend.
pub fn no_cluster(error: &InferConfigError) -> anyhow::Error {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    anyhow::anyhow!("no cluster: {}; set KUBECONFIG to a kubeconfig that can be read, or run in a pod with a service account", first_line(&cause))
}

fn first_line(cause: &str) -> String {
    shown(cause.lines().next().unwrap_or_default(), 300)
}

/// Why one call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// What was asked for is not there, in the API server's words.
    #[error("{0}")]
    Missing(String),
    /// What the API server says otherwise, or why there was nothing to ask it.
    #[error("{0}")]
    Refused(String),
    /// It cannot be asked at all.
    #[error("{0}")]
    Unreached(String),
    /// Nothing came in time.
    #[error("no answer within {} s", CALL.as_secs())]
    Silent,
}

impl Unanswered {
    /// For whoever cannot go on: what to do about it, too.
    pub fn for_good(self) -> anyhow::Error {
        match self {
            Self::Missing(said) | Self::Refused(said) => anyhow::anyhow!("{said}"),
            Self::Unreached(why) => anyhow::anyhow!("the cluster cannot be reached, {why}: check KUBECONFIG and the network"),
            Self::Silent => anyhow::anyhow!("the API server gives {self}: check KUBECONFIG and the network"),
        }
    }
}

/// The innermost cause: those around it say the same in the words of the libraries.
fn innermost(error: kube::Error) -> String {
    anyhow::Error::new(error).root_cause().to_string()
}

async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>, most: usize) -> Result<T, Unanswered> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Unanswered::Missing(shown(&status.message, most))),
        Ok(Err(kube::Error::Api(status))) => Err(Unanswered::Refused(shown(&status.message, most))),
        // Nothing was sent, or something came that is no answer.
        Ok(Err(error @ (kube::Error::BuildRequest(_) | kube::Error::SerdeError(_)))) => Err(Unanswered::Refused(shown(&innermost(error), most))),
        Ok(Err(error)) => Err(Unanswered::Unreached(shown(&innermost(error), most))),
        Err(_) => Err(Unanswered::Silent),
    }
}

/// The answer to one call, in time, for whoever goes on without one.
///
/// # Errors
/// Why there is none; no library's words are told again behind the API server's own.
pub async fn asked<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Unanswered> {
    in_time(call, 300).await
}

/// A whole list, page by page.
///
/// # Errors
/// Why there is none.
pub async fn pages(api: &Api<DynamicObject>, params: &ListParams) -> Result<Vec<DynamicObject>, Unanswered> {
    let (mut all, mut params) = (Vec::new(), params.clone().limit(PAGE));
    loop {
        let page = asked(api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(all),
        }
    }
}

/// The answer to one call, in time, for whoever ends without one.
///
/// # Errors
/// What the API server says, in its own words, or that it says nothing.
pub async fn answer<T>(call: impl Future<Output = Result<T, kube::Error>>) -> anyhow::Result<T> {
    // A policy's refusal may be long, and is all that is said.
    in_time(call, 1200).await.map_err(Unanswered::for_good)
}

/// As whom the cluster knows the caller.
///
/// # Errors
/// It does not say.
pub async fn whoami(client: &Client) -> anyhow::Result<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = answer(api.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
    review.status.and_then(|s| s.user_info).and_then(|u| u.username).context("the API server does not say who you are")
}
