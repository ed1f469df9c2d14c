//! How subcommands reach a cluster: as kubectl would, by KUBECONFIG, its context and its namespace.
//! An error is one sentence that says what to do; a cluster's own words are kept.

use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::model::text::shown;

const CALL: Duration = Duration::from_secs(10);

/// Which cluster, and where in it.
#[derive(clap::Args, Clone, Debug)]
pub struct Where {
    /// The namespace; that of the context unless said
    #[arg(short, long, value_name = "NAMESPACE")]
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
            None => Config::infer().await.context("no cluster to talk to: set KUBECONFIG, or name a context with --context")?,
            Some(context) => {
                let kubeconfig = Kubeconfig::read().context("KUBECONFIG cannot be read")?;
                let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(|| format!("--context {}: kubectl config get-contexts lists them", shown(context, 253)))?
            }
        };
        config.connect_timeout = Some(Duration::from_secs(5));
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config).context("the certificates or credentials in KUBECONFIG cannot be used")?, namespace })
    }
}

/// The answer to one call, in time.
///
/// # Errors
/// What the API server says, in its own words, or that it says nothing.
pub async fn answer<T>(call: impl Future<Output = Result<T, kube::Error>>) -> anyhow::Result<T> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => bail!("{}", shown(&status.message, 1200)),
        // The innermost cause: those around it say the same in the words of the libraries.
        Ok(Err(error)) => bail!("the cluster cannot be reached, {}: check KUBECONFIG and the network", anyhow::Error::new(error).root_cause()),
        Err(_) => bail!("the API server gives no answer within {} s: check KUBECONFIG and the network", CALL.as_secs()),
    }
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
