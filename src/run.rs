//! Wiring: who starts when, and who stops in which order. Every task stands in one `JoinSet`; one that ends early ends the process.
//!
//! Start: watches and a certificate → ready → webhook answers. Stop: not ready → decide on, ending each connection with its answer → finish what is in flight → exit.

use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, coordination::v1::Lease};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::Instant};

use crate::{
    admission::{
        assign,
        server::{self, Edge},
        tls::{self, Pair},
    },
    api::Declaration,
    controller::{
        audit::{Expected, Reached},
        authority::Lifetimes,
        certificates::{self, Certificates, Keeper},
        ends::Lookout,
        index::{Backing, Guard, Index, Kept, Source},
        install, lease, owners,
        probe::Prober,
        publish::Publisher,
        reconcile::Reconciler,
        rival, start,
        watch::{Health, follow},
    },
    controls::CATALOG,
    metrics::{self, Metrics},
    model::{
        estate::{NOT_SERVED, Version},
        subject::Kind,
        text::shown,
    },
};

/// How long a terminating replica goes on serving after it says that it is not ready: endpoints take some seconds to leave the Service.
pub const LINGER: Duration = Duration::from_secs(10);
/// The longest that requests in flight may take after that: the API server waits 5 s for each.
pub const DRAIN: Duration = Duration::from_secs(6);

/// What `demarc controller` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// For a cluster that cannot reach pods (a laptop, a test): install the CRDs, the webhook by loopback URL and the policies
    #[arg(long)]
    pub local: bool,
    /// Where the webhook listens (TLS): 0.0.0.0:10250 unless said, with --local a free port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS")]
    pub webhook_address: Option<SocketAddr>,
    /// Where /livez and /readyz answer (plain HTTP)
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,
    /// A folder with tls.crt and tls.key, read again when their content changes; not needed with --local or --tls-secret
    #[arg(long, value_name = "DIR", required_unless_present_any = ["local", "tls_secret"], conflicts_with_all = ["local", "tls_secret"])]
    pub tls_dir: Option<PathBuf>,
    /// A Secret in which Demarc keeps a certificate authority and a certificate of its own making, and renews them
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub tls_secret: Option<String>,
    /// The Service by which the API server calls the webhook
    #[arg(long, value_name = "NAME", default_value = "demarc")]
    pub webhook_service: String,
    /// The webhook configuration that is watched for changes, and whose caBundle is filled in with --tls-secret; names of policies begin with its name
    #[arg(long, value_name = "NAME", default_value = "demarc")]
    pub webhook_configuration: String,
    /// The namespace of the Lease and of --tls-secret, never enrolled itself; with --local unused, for the Lease is in kube-system
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "demarc-system")]
    pub namespace: String,
    /// The name of this replica in the Lease and in Events
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "demarc")]
    pub replica: String,
    /// Username of a controller whose Pods inherit from their parent, beside Kubernetes' own; may be repeated
    #[arg(long, value_name = "USERNAME")]
    pub trusted_controller: Vec<String>,
    /// How often enforcement is proven by a dry run that must be refused, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub probe_every: u16,
    /// Tells this process from another of the same name, in the Lease: two that took each other for themselves would both write.
    #[arg(skip)]
    pub incarnation: String,
    /// How long the certificates of --tls-secret last: no option, and shorter in tests.
    #[arg(skip)]
    pub lifetimes: Lifetimes,
}

/// Each with its name.
type Tasks = JoinSet<(&'static str, anyhow::Result<()>)>;

/// Kubernetes' own controllers that make children, as the API server names them.
const TRUSTED: &[&str] = &[
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:serviceaccount:kube-system:statefulset-controller",
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:cronjob-controller",
    "system:serviceaccount:kube-system:replication-controller",
    "system:serviceaccount:kube-system:ephemeral-volume-controller",
    // Where kube-controller-manager does not use service-account credentials.
    "system:kube-controller-manager",
];

/// Runs until `shutdown` ends or a part fails.
///
/// # Errors
/// When the cluster cannot be reached at the start, an address is taken, or a part ends early.
pub async fn controller(args: Args, client: Client, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let address = webhook_address(&args)?;
    let webhook = TcpListener::bind(address).await.with_context(|| format!("--webhook-address {address}: choose one that is free"))?;
    let admin = TcpListener::bind(args.admin_address).await.with_context(|| format!("--admin-address {}: choose one that is free", args.admin_address))?;
    let (pair, ca) = match (&args.tls_dir, &args.tls_secret) {
        (Some(dir), _) => (Pair::from_dir(dir).context("--tls-dir needs tls.crt and tls.key that fit")?, None),
        (None, Some(_)) => (Pair::none(), None),
        (None, None) => {
            let (certificate, key) = tls::self_made(&["127.0.0.1", "localhost"])?;
            (Pair::from_pem(certificate.clone(), key)?, Some(certificate))
        }
    };
    let pair = Arc::new(pair);
    let me = whoami(&client).await?;
    new_enough(&client).await?;
    if ca.is_some() {
        alone(&client).await?;
        install::apply(&client, &install::crds()?).await.context("cannot install the CRDs")?;
        established(&client).await?;
    }

    let address = webhook.local_addr()?;
    let index = Arc::new(Index::new(expected(&args, address, &me)));
    let mut tasks: Tasks = JoinSet::new();
    let healths = start_watches(&client, &index, &mut tasks);
    let settled = index.clone();
    tasks.spawn(async move {
        settled.keep_settled().await;
        ("book", Ok(()))
    });

    tasks.spawn(ask_version(client.clone(), index.clone()));
    let owned = (client.clone(), index.clone());
    tasks.spawn(async move {
        owners::run(owned.0, owned.1).await;
        ("owners", Ok(()))
    });

    let (mandate_sender, mandate) = watch::channel(None);
    let (stop_admin, stopped) = watch::channel(false);
    let shared = index.shared.clone();
    let metrics = Arc::new(Metrics { index: index.clone(), watches: ages(&healths), mandate: mandate.clone(), pair: pair.clone() });
    let page: server::Page = Arc::new(move || metrics::page(metrics.clone()).ok());
    tasks.spawn(async move { ("admin port", server::serve_admin(admin, shared, page, until(stopped)).await.map_err(Into::into)) });
    let certificates = start_certificate(&args, &client, &pair, &mandate, &mut tasks);
    start_lookout(&args, &client, &index, &mandate, &pair, &mut tasks);

    let trusted = TRUSTED.iter().map(|t| (*t).to_owned()).chain(args.trusted_controller.clone()).collect();
    let edge =
        Edge { shared: index.shared.clone(), trusted: Arc::new(trusted), replica: args.replica.as_str().into(), assigns: assign::by(client.clone()), now: jiff::Timestamp::now };
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pair.clone().server_config()?));
    let (stop_webhook, stopped) = watch::channel(false);
    tasks.spawn(async move { ("webhook", server::serve(webhook, acceptor, server::routes(edge), until(stopped), DRAIN).await.map_err(Into::into)) });

    let (ready_sender, mut ready) = watch::channel(false);
    let (watched, deciding) = (index.clone(), deciding(&healths));
    tasks.spawn(async move {
        keep_ready(&watched, &healths, &pair, &ready_sender).await;
        ("readiness", Ok(()))
    });
    let replica = format!("{}-{}", args.replica, args.incarnation);
    let leases: Api<Lease> = Api::namespaced(client.clone(), home(&args));
    tasks.spawn(lead(leases.clone(), replica.clone(), ready.clone(), certificates, mandate_sender));

    let mut shutdown = std::pin::pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => return Ok(()),
        ended = tasks.join_next() => return early(ended),
        reason = start::hindered(&deciding, &me) => bail!(reason),
        _ = ready.wait_for(|r| *r) => {}
    }
    if let Some(ca) = ca {
        let ca = base64(&ca);
        let mut objects = vec![install::webhook_configuration(&format!("https://{address}"), &ca)];
        objects.extend(install::policies(&me));
        install::apply(&client, &objects).await.context("cannot register the webhook and its policies")?;
    }
    tracing::info!(webhook = %address, admin = %args.admin_address, user = me, "ready");
    index.mark_all();

    start_writers(&args, &client, &index, (&mandate, leases, replica), &mut tasks);

    tokio::select! {
        () = &mut shutdown => {}
        ended = tasks.join_next() => return early(ended),
    }
    index.shared.leave();
    tracing::info!("leaving: not ready, serving on until the API server has stopped asking");
    // A webhook that is called by URL has no endpoint to leave.
    tokio::time::sleep(if args.local { Duration::from_millis(300) } else { LINGER }).await;
    stop_webhook.send_replace(true);
    let served = async {
        while let Some(ended) = tasks.join_next().await {
            if matches!(&ended, Ok(("webhook", _))) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN + Duration::from_secs(1), served).await;
    stop_admin.send_replace(true);
    if args.local {
        let configuration = install::CONFIGURATION;
        tracing::warn!(
            "ValidatingWebhookConfiguration {configuration} stays: workloads in enrolled namespaces are refused until demarc runs again, or: kubectl delete validatingwebhookconfiguration {configuration}"
        );
    }
    tracing::info!("left: nothing is in flight");
    Ok(())
}

/// With `--local` nobody else is registered who answers.
async fn alone(client: &Client) -> anyhow::Result<()> {
    if let Some(other) = rival::serving(client, install::CONFIGURATION).await.context("cannot read what is registered in the cluster")? {
        bail!("another demarc controller --local serves this cluster at {}: stop that one first, or set KUBECONFIG to another cluster", shown(&other, 100));
    }
    Ok(())
}

/// With `--local` the API server calls the very address that is listened on, by a certificate for loopback.
fn webhook_address(args: &Args) -> anyhow::Result<SocketAddr> {
    match args.webhook_address {
        Some(address) if args.local && !address.ip().is_loopback() => {
            bail!("--webhook-address {address}: with --local it must be a loopback address, such as 127.0.0.1:0, for the API server calls just that")
        }
        Some(address) => Ok(address),
        None if args.local => Ok(SocketAddr::from(([127, 0, 0, 1], 0))),
        None => Ok(SocketAddr::from(([0, 0, 0, 0], 10250))),
    }
}

/// What the API server is to be told of Demarc: with `--local` by Demarc itself, otherwise by the chart.
fn expected(args: &Args, address: SocketAddr, me: &str) -> Expected {
    let (configuration, reached) = if args.local {
        (install::CONFIGURATION.to_owned(), Reached::Url(format!("https://{address}")))
    } else {
        (args.webhook_configuration.clone(), Reached::Service { namespace: args.namespace.clone(), name: args.webhook_service.clone() })
    };
    Expected { configuration, reached, user: me.to_owned() }
}

/// Keeps the pair as its source has it; the receiver tells how a Secret's stands.
fn start_certificate(args: &Args, client: &Client, pair: &Arc<Pair>, mandate: &lease::Mandate, tasks: &mut Tasks) -> watch::Receiver<Certificates> {
    let (report, certificates) = watch::channel(Certificates::default());
    let pair = pair.clone();
    if let Some(secret) = args.tls_secret.clone() {
        let keeper = Keeper {
            client: client.clone(),
            namespace: args.namespace.clone(),
            secret,
            configuration: args.webhook_configuration.clone(),
            hosts: certificates::hosts(&args.webhook_service, &args.namespace),
            lifetimes: args.lifetimes.clone(),
            mandate: mandate.clone(),
            report,
        };
        tasks.spawn(async move { ("certificate", keeper.run(move |certificate, key| pair.take(certificate.into(), key.into())).await.map_err(Into::into)) });
    } else if let Some(dir) = args.tls_dir.clone() {
        tasks.spawn(async move {
            pair.follow(dir, Duration::from_secs(5)).await;
            ("certificate", Ok(()))
        });
    }
    certificates
}

/// Where the Leases are.
fn home(args: &Args) -> &str {
    if args.local { "kube-system" } else { &args.namespace }
}

/// Tells of what ends.
fn start_lookout(args: &Args, client: &Client, index: &Arc<Index>, mandate: &lease::Mandate, pair: &Arc<Pair>, tasks: &mut Tasks) {
    let (pair, namespace, replica) = (pair.clone(), home(args).to_owned(), args.replica.clone());
    let lookout = Lookout { index: index.clone(), client: client.clone(), mandate: mandate.clone(), served: move || pair.validity(), namespace, replica };
    tasks.spawn(async move {
        lookout.run().await;
        ("lookout", Ok(()))
    });
}

/// What the lease holder does. Every replica runs it, and leadership gates the writes.
fn start_writers(args: &Args, client: &Client, index: &Arc<Index>, (mandate, leases, replica): (&lease::Mandate, Api<Lease>, String), tasks: &mut Tasks) {
    let publisher = Publisher { index: index.clone(), client: client.clone(), mandate: mandate.clone() };
    tasks.spawn(async move {
        publisher.run().await;
        ("catalog", Ok(()))
    });
    let every = Duration::from_secs(u64::from(args.probe_every));
    let prober = Prober { index: index.clone(), client: client.clone(), mandate: mandate.clone(), leases, every };
    tasks.spawn(async move {
        prober.run().await;
        ("probe", Ok(()))
    });
    let own_namespace = (!args.local).then(|| args.namespace.clone());
    let reconciler = Reconciler { index: index.clone(), client: client.clone(), mandate: mandate.clone(), own_namespace, replica };
    tasks.spawn(async move {
        reconciler.run().await;
        ("reconciler", Ok(()))
    });
}

/// Whoever is ready may lead. The first certificate is what readiness waits for, so somebody must lead before that to make it.
async fn lead(
    leases: Api<Lease>,
    replica: String,
    mut ready: watch::Receiver<bool>,
    mut certificates: watch::Receiver<Certificates>,
    mandate: watch::Sender<Option<Instant>>,
) -> (&'static str, anyhow::Result<()>) {
    tokio::select! {
        _ = ready.wait_for(|ready| *ready) => {}
        Ok(_) = certificates.wait_for(|certificates| certificates.wanting) => {}
    }
    lease::run(leases, replica, mandate).await;
    ("lease", Ok(()))
}

/// Says ten times a second whether every store that decides is full and fresh and there is a certificate, and which facts cannot be read.
async fn keep_ready(index: &Index, healths: &[(Source, Arc<Health>)], pair: &Pair, ready: &watch::Sender<bool>) {
    loop {
        // Without a fact the verdicts that need it are Unknown; without the rest nothing may be decided.
        let trouble = |source: Source, h: &Health| h.trouble().or_else(|| (h.absent() && matches!(source, Source::Estate(_))).then_some(NOT_SERVED));
        let unreadable: Vec<(Source, &'static str)> =
            healths.iter().filter(|(source, _)| source.is_fact()).filter_map(|(source, h)| Some((*source, trouble(*source, h)?))).collect();
        let fresh = pair.present() && healths.iter().all(|(source, h)| h.fresh() || unreadable.iter().any(|(of, _)| of == source));
        index.set_unreadable(unreadable);
        // Full is what the watches have said, and so must be the book.
        index.settle();
        index.shared.set_ready(fresh);
        ready.send_if_modified(|was| std::mem::replace(was, fresh) != fresh);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn early(ended: Option<Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>>) -> anyhow::Result<()> {
    match ended {
        Some(Ok((part, Err(error)))) => Err(error.context(format!("{part} failed"))),
        Some(Ok((part, Ok(())))) => bail!("{part} ended early"),
        Some(Err(error)) => Err(anyhow::Error::new(error).context("a part of the controller panicked")),
        None => bail!("nothing is running"),
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|s| *s).await;
}

async fn whoami(client: &Client) -> anyhow::Result<String> {
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

async fn new_enough(client: &Client) -> anyhow::Result<()> {
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
async fn ask_version(client: Client, index: Arc<Index>) -> (&'static str, anyhow::Result<()>) {
    loop {
        let version = version(&client).await.map(|(_, version)| version);
        index.serve(version);
        tokio::time::sleep(Duration::from_secs(if version.is_some() { 600 } else { 60 })).await;
    }
}

async fn established(client: &Client) -> anyhow::Result<()> {
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

/// What is watched, each with its resource: the rights to read follow from this. All but the facts decide: a child whose parent has no record
/// would be refused for ever.
pub fn watched() -> Vec<(Source, ApiResource)> {
    let resource = |group: &str, version: &str, kind: &str, plural: &str| ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let admission = "admissionregistration.k8s.io";
    let declared = Declaration::ALL.iter().map(|d| (Source::Declared(*d), resource(crate::api::GROUP, "v1alpha1", d.kind(), d.plural())));
    let mut watched: Vec<_> = declared.collect();
    watched.extend([
        (Source::Namespaces, resource("", "v1", "Namespace", "namespaces")),
        (Source::StorageClasses, resource("storage.k8s.io", "v1", "StorageClass", "storageclasses")),
        (Source::Volumes, resource("", "v1", "PersistentVolume", "persistentvolumes")),
        (Source::Backing(Backing::ValidatingWebhooks), resource(admission, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")),
        (Source::Backing(Backing::MutatingWebhooks), resource(admission, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")),
        (Source::Backing(Backing::ApiServices), resource("apiregistration.k8s.io", "v1", "APIService", "apiservices")),
        (Source::Guards(Guard::Policies), resource(admission, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")),
        (Source::Guards(Guard::Bindings), resource(admission, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")),
        (Source::Backing(Backing::ClusterRoleBindings), resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings")),
    ]);
    // ClusterRoleBindings are watched already, for what depends on them.
    let judged = Kind::ALL.iter().filter(|k| **k != Kind::ClusterRoleBinding).filter(|k| k.informs() || CATALOG.iter().any(|c| c.kinds.contains(k)));
    watched.extend(Kept::WATCHED.iter().map(|kept| {
        let [group, version, kind, plural] = kept.resource();
        (Source::Estate(*kept), resource(group, version, kind, plural))
    }));
    watched.extend(judged.map(|kind| (Source::Subjects(*kind), resource(kind.group(), kind.version(), kind.name(), kind.plural()))));
    watched
}

/// Starts one watch a kind.
fn start_watches(client: &Client, index: &Arc<Index>, tasks: &mut Tasks) -> Vec<(Source, Arc<Health>)> {
    watched()
        .into_iter()
        .map(|(source, resource)| {
            let health = Arc::new(if source.optional() { Health::optional() } else { Health::default() });
            if let Source::Subjects(kind) = source {
                index.heed(kind, health.clone());
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let (index, watched) = (index.clone(), health.clone());
            tasks.spawn(async move {
                follow(api, &resource.plural, watched, move |change| index.take(source, &change)).await;
                ("watch", Ok(()))
            });
            (source, health)
        })
        .collect()
}

/// Each watch by its resource, for whoever asks how old what it says is.
fn ages(healths: &[(Source, Arc<Health>)]) -> Vec<(String, Arc<Health>)> {
    let name = |r: &ApiResource| if r.group.is_empty() { r.plural.clone() } else { format!("{}.{}", r.plural, r.group) };
    watched().iter().zip(healths).map(|((_, resource), (_, health))| (name(resource), health.clone())).collect()
}

/// Those without which nothing may be decided.
fn deciding(healths: &[(Source, Arc<Health>)]) -> Vec<(String, Arc<Health>)> {
    ages(healths).into_iter().zip(healths).filter(|(_, (source, _))| !source.is_fact()).map(|(named, _)| named).collect()
}

fn base64(bytes: &[u8]) -> String {
    // `ByteString` is how the Kubernetes types write bytes: no second encoder.
    serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
