//! Wiring: who starts when, and who stops in which order. Every task stands in one `JoinSet`; one that ends early ends the process.
//!
//! Start: watches and a certificate → ready → webhook answers. Stop: not ready → decide on, ending each connection with its answer → finish what is in flight → exit.

mod questions;
mod watches;

use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::Instant};
pub use watches::watched;

use crate::{
    admission::{
        assign,
        server::{self, Edge},
        tls::{self, Pair},
    },
    controller::{
        audit::{Expected, Reached},
        authority::Lifetimes,
        certificates::{self, Certificates, Keeper},
        ends::Lookout,
        index::Index,
        install, lease, owners,
        probe::Prober,
        publish::Publisher,
        reconcile::Reconciler,
        start,
    },
    metrics::{self, Metrics},
    traces::{self, Traces},
};
use questions::{alone, ask_version, established, new_enough, whoami};
use watches::{ages, deciding, keep_ready, start_watches};

/// How long a terminating replica goes on serving after it says that it is not ready: endpoints take some seconds to leave the Service.
pub const LINGER: Duration = Duration::from_secs(10);
/// The longest that requests in flight may take after that: the API server waits 5 s for each.
pub const DRAIN: Duration = Duration::from_secs(6);
/// The longest that the last spans may take, after everybody has been answered.
pub const LAST_SPANS: Duration = Duration::from_secs(2);

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
    /// Whether spans are sent, and where.
    #[command(flatten)]
    pub traces: traces::Args,
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
    let traces = Traces::new(&args.traces, &args.replica)?;
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
    let metrics = Arc::new(Metrics { index: index.clone(), watches: ages(&healths), mandate: mandate.clone(), pair: pair.clone(), traces: traces.clone() });
    let page: server::Page = Arc::new(move || metrics::page(metrics.clone()).ok());
    tasks.spawn(async move { ("admin port", server::serve_admin(admin, shared, page, until(stopped)).await.map_err(Into::into)) });
    let certificates = start_certificate(&args, &client, &pair, &mandate, &mut tasks);
    start_lookout(&args, &client, &index, &mandate, &pair, &mut tasks);

    let trusted = TRUSTED.iter().map(|t| (*t).to_owned()).chain(args.trusted_controller.clone()).collect();
    let edge = Edge {
        shared: index.shared.clone(),
        trusted: Arc::new(trusted),
        replica: args.replica.as_str().into(),
        assigns: assign::by(client.clone()),
        traces: traces.clone(),
        now: jiff::Timestamp::now,
    };
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

    start_writers(&args, &client, &index, &traces, (&mandate, leases, replica), &mut tasks);

    tokio::select! {
        () = &mut shutdown => {}
        ended = tasks.join_next() => return early(ended),
    }
    leave(&args, &index, &mut tasks, (&stop_webhook, &stop_admin), &traces).await;
    Ok(())
}

/// Not ready, then decides on until nobody asks any more, finishes what is in flight, and sends the last spans.
async fn leave(args: &Args, index: &Index, tasks: &mut Tasks, (webhook, admin): (&watch::Sender<bool>, &watch::Sender<bool>), traces: &Traces) {
    index.shared.leave();
    tracing::info!("leaving: not ready, serving on until the API server has stopped asking");
    // A webhook that is called by URL has no endpoint to leave.
    tokio::time::sleep(if args.local { Duration::from_millis(300) } else { LINGER }).await;
    webhook.send_replace(true);
    let served = async {
        while let Some(ended) = tasks.join_next().await {
            if matches!(&ended, Ok(("webhook", _))) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN + Duration::from_secs(1), served).await;
    traces.end(LAST_SPANS).await;
    admin.send_replace(true);
    if args.local {
        let configuration = install::CONFIGURATION;
        tracing::warn!(
            "ValidatingWebhookConfiguration {configuration} stays: workloads in enrolled namespaces are refused until demarc runs again, or: kubectl delete validatingwebhookconfiguration {configuration}"
        );
    }
    tracing::info!("left: nothing is in flight");
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
fn start_writers(args: &Args, client: &Client, index: &Arc<Index>, traces: &Traces, (mandate, leases, replica): (&lease::Mandate, Api<Lease>, String), tasks: &mut Tasks) {
    let publisher = Publisher { index: index.clone(), client: client.clone(), mandate: mandate.clone() };
    tasks.spawn(async move {
        publisher.run().await;
        ("catalog", Ok(()))
    });
    let every = Duration::from_secs(u64::from(args.probe_every));
    let prober = Prober { index: index.clone(), client: client.clone(), mandate: mandate.clone(), traces: traces.clone(), leases, every };
    tasks.spawn(async move {
        prober.run().await;
        ("probe", Ok(()))
    });
    let own_namespace = (!args.local).then(|| args.namespace.clone());
    let reconciler = Reconciler { index: index.clone(), client: client.clone(), mandate: mandate.clone(), traces: traces.clone(), own_namespace, replica };
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

fn base64(bytes: &[u8]) -> String {
    // `ByteString` is how the Kubernetes types write bytes: no second encoder.
    serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
