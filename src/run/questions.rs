//! What the API server is asked at the start: who Demarc is there, whether it is new enough, whether the definitions are served, and who answers already.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};

use crate::{
    api::Declaration,
    controller::{index::Index, install, rival, start},
    model::{estate::Version, text::shown},
};

/// With `--local` nobody else is registered who answers.
pub(super) async fn alone(client: &Client) -> anyhow::Result<()> {
    if let Some(other) = rival::serving(client, install::CONFIGURATION).await.context("cannot read what is registered in the cluster")? {
        bail!("another demarc controller --local serves this cluster at {}: stop that one first, or set KUBECONFIG to another cluster", shown(&other, 100));
    }
    Ok(())
}

pub(super) async fn whoami(client: &Client) -> anyhow::Result<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, question) = (PostParams::default(), SelfSubjectReview::default());
    let review = match tokio::time::timeout(Duration::from_secs(10), api.create(&params, &question)).await {
        Err(_) => bail!("the API server gives no answer within 10 s: check KUBECONFIG and the network"),
        Ok(Err(kube::Error::Api(status))) => bail!("the API server answers {} {}: check the credentials in KUBECONFIG", status.code, shown(&status.message, 200)),
        // The innermost cause: those around it say the same in the words of the libraries.
        Ok(Err(error)) => bail!("the API server cannot be reached, {}: check KUBECONFIG and the network", anyhow::Error::new(error).root_cause()),
        Ok(Ok(review)) => review,
    };
    review.status.and_then(|s| s.user_info).and_then(|u| u.username).context("the API server does not say who we are")
}

pub(super) async fn new_enough(client: &Client) -> anyhow::Result<()> {
    match version(client).await.and_then(|(text, version)| start::too_old(&shown(&text, 40), version.minor)) {
        Some(reason) => bail!("{reason}: upgrade the cluster"),
        None => Ok(()),
    }
}

async fn version(client: &Client) -> Option<(String, Version)> {
    let info = tokio::time::timeout(Duration::from_secs(10), client.apiserver_version()).await.ok()?.ok()?;
    Some((info.git_version, Version::parse(&format!("{}.{}", info.major, info.minor))?))
}

/// The version of the API server, which nodes are held against, asked for now and then: an upgrade takes longer than that.
pub(super) async fn ask_version(client: Client, index: Arc<Index>) -> (&'static str, anyhow::Result<()>) {
    loop {
        let version = version(&client).await.map(|(_, version)| version);
        index.serve(version);
        tokio::time::sleep(Duration::from_secs(if version.is_some() { 600 } else { 60 })).await;
    }
}

pub(super) async fn established(client: &Client) -> anyhow::Result<()> {
    for declaration in Declaration::ALL {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(crate::api::GROUP, "v1alpha1", declaration.kind()), declaration.plural());
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut last = "no answer within 5 s".to_owned();
        let mut listed = false;
        for _ in 0..100 {
            match tokio::time::timeout(Duration::from_secs(5), api.list(&kube::api::ListParams::default().limit(1))).await {
                Ok(Ok(_)) => listed = true,
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => {}
            }
            if listed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A missing right looks the same from here: the API server's own words tell which it is.
        if !listed {
            bail!("{} cannot be listed after 10 s: {last}", declaration.plural());
        }
    }
    Ok(())
}
