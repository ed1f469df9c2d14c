//! `demarc waiver`: ask for a permission to violate one control for some time, approve what somebody else asked for, and see how each stands.
//! It writes Waivers as anybody with kubectl could; what may be written the API server decides.

use std::io::Write;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, api::PostParams};

pub mod approve;
pub mod list;

use self::{
    approve::{Approve, Person, approve},
    list::list,
};
use super::{
    Output,
    connect::{Where, answer, is_name, object_name, whoami},
};
use crate::{
    api::{
        baseline::LabelSelector,
        waiver::{Target, Waiver, WaiverSpec},
    },
    model::text::shown,
    policy::waiver::{AFTERWARDS, known_kind, no_object, told_last_day},
};

/// When a permission is over.
const ENDS: &str = "it ends on that day, or when it is changed and so loses its approval";

const AFTER: &str = "\
When a Waiver is over, or loses its approval, the pods that it let in are not replaced from then on: one that is deleted or evicted stays away.";

const HELP: &str = "\
Examples:
  demarc waiver request encryption-declared -n shop --for statefulset/ledger \\
    --reason 'migration in March' --days 30
  demarc waiver request image-pinned-by-digest -n shop --selector app=legacy \\
    --reason 'vendor images' --until 2026-12-31
  demarc waiver approve encryption-declared-ledger -n shop
  demarc waiver list -A

A Waiver lets one control be violated by what it names, for at most 90 days unless a Baseline says otherwise. It counts once somebody \
who holds the verb approve on waivers.demarc.dev, and did not ask for it, has approved it. Whatever else of it changes then needs a new \
approval. A violation passes while any one is live that is for it: a new one may be approved before the old one is over, and what is over \
takes nothing from the new one. When none is left, the pods that it let in are not replaced from then on: mend what they violate before, \
or ask for another one in time.

approve shows what it is about to approve and asks at a terminal. Without one it takes --resource-version, the version that you have seen.

Exit codes: 0 done, 2 it could not be: the error says why.";

/// Arguments of `demarc waiver`.
#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask for a Waiver
    Request(Request),
    /// Approve a Waiver that somebody else asked for
    Approve(Approve),
    /// How each Waiver stands
    List(List),
}

#[derive(Debug, Parser)]
#[command(after_help = AFTER)]
struct Request {
    /// The control that may be violated; demarc explain lists them
    control: String,
    /// The object that may violate it, such as statefulset/ledger; its pods follow it
    #[arg(long = "for", value_name = "KIND/NAME", required_unless_present = "selector", conflicts_with = "selector")]
    target: Option<String>,
    /// Labels of the objects that may violate it, such as app=ledger,tier=db
    #[arg(short = 'l', long, value_name = "KEY=VALUE")]
    selector: Option<String>,
    /// Why, for whoever approves it and for the auditor
    #[arg(long)]
    reason: String,
    /// Where the matter is followed: a number or a link
    #[arg(long)]
    ticket: Option<String>,
    /// How many days it lasts
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// The last day on which it counts (UTC), such as 2026-12-31
    #[arg(long, value_name = "DATE", conflicts_with = "days")]
    until: Option<Date>,
    /// Its name; made of the control and the target unless said
    #[arg(long, value_parser = object_name)]
    name: Option<String>,
    /// Ask the API server whether it would take it, and store nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: Where,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Parser)]
struct List {
    /// In every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: Where,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Does what `args` say; the exit code.
///
/// # Errors
/// In one sentence, what could not be done and why.
pub async fn run(args: Args, out: &mut (dyn Write + Send), person: Person<'_>, now: Timestamp) -> anyhow::Result<u8> {
    match args.command {
        Command::Request(args) => {
            let (name, spec) = asked(&args, now)?;
            let cluster = args.cluster.connect().await?;
            request(&args, &name, spec, &cluster.client, &cluster.namespace, out).await?;
        }
        Command::Approve(args) => {
            let cluster = args.cluster.connect().await?;
            approve(&args, &cluster.client, &cluster.namespace, out, person, now).await?;
        }
        Command::List(args) => {
            let cluster = args.cluster.connect().await?;
            list(&args, &cluster.client, &cluster.namespace, out, now).await?;
        }
    }
    Ok(0)
}

/// The Waiver that is meant, all but who asks.
fn asked(args: &Request, now: Timestamp) -> anyhow::Result<(String, WaiverSpec)> {
    // Whether there is such a control the cluster knows: some are the users' own.
    if let Some(why) = no_object(&args.control) {
        bail!("{why}");
    }
    let target = match (&args.target, &args.selector) {
        (Some(target), _) => {
            let Some((kind, name)) = target.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()) else {
                bail!("--for {}: write kind and name, such as statefulset/ledger", shown(target, 320));
            };
            if !known_kind(kind) {
                bail!("--for {}: no control is about kind {}; write a kind such as deployment, whole and in the singular", shown(target, 320), shown(kind, 63));
            }
            Target { kind: Some(kind.to_owned()), name: Some(name.to_owned()), selector: None }
        }
        (None, Some(selector)) => {
            let labels = labels(selector)
                .with_context(|| format!("--selector {}: it understands labels and their values, such as app=ledger,tier=db, and neither != nor in (...)", shown(selector, 320)))?;
            Target { kind: None, name: None, selector: Some(labels) }
        }
        (None, None) => bail!("say what it is for: --for KIND/NAME or --selector KEY=VALUE"),
    };
    let expires = match args.until {
        // The whole of the last day belongs to it.
        Some(day) => day.tomorrow().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok()).map(|z| z.timestamp()),
        None => now.checked_add(SignedDuration::from_hours(24 * i64::from(args.days))).ok().and_then(|t| Timestamp::from_second(t.as_second()).ok()),
    };
    let expires = Time(expires.context("--until: there is no such day")?);
    if expires.0 <= now {
        bail!("--until {}: that day is over", args.until.map_or_else(String::new, |d| d.to_string()));
    }
    let name = args.name.clone().unwrap_or_else(|| default_name(&args.control, &target));
    if !is_name(&name) {
        bail!("no name can be made of that control and target: say --name");
    }
    let spec = WaiverSpec { control: args.control.clone(), target, reason: args.reason.clone(), ticket: args.ticket.clone(), requested_by: String::new(), expires, approval: None };
    Ok((name, spec))
}

/// Labels and their values, as `-l` has them; `None` for anything else, and for a label that must have two values.
fn labels(selector: &str) -> Option<LabelSelector> {
    let mut labels = LabelSelector::default();
    for pair in selector.split(',') {
        let (key, value) = pair.trim().split_once('=')?;
        if labels.match_labels.insert(key.to_owned(), value.strip_prefix('=').unwrap_or(value).to_owned()).is_some() {
            return None;
        }
    }
    labels.no_key().is_none().then_some(labels)
}

/// Of the control and the target, as Kubernetes lets things be called.
fn default_name(control: &str, target: &Target) -> String {
    let of = target.name.clone().or_else(|| target.selector.as_ref()?.match_labels.values().next().cloned()).unwrap_or_default();
    let clean: String = format!("{control}-{of}").to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    clean.trim_matches('-').to_owned()
}

async fn request(args: &Request, name: &str, spec: WaiverSpec, client: &Client, namespace: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let waiver = Waiver::new(name, WaiverSpec { requested_by: whoami(client).await?, ..spec });
    let api: Api<Waiver> = Api::namespaced(client.clone(), namespace);
    let made = answer(api.create(&PostParams { dry_run: args.dry_run, ..PostParams::default() }, &waiver)).await?;
    let (what, until) = (target(&made, 320), told_last_day(&made));
    match args.output {
        Output::Json => json(&made, out),
        Output::Text => {
            let dry = if args.dry_run { " (dry run)" } else { "" };
            writeln!(out, "waiver {namespace}/{name} requested{dry}: {} for {what}, until {until} at the longest", made.spec.control)?;
            writeln!(out, "it counts once somebody else has approved it: demarc waiver approve {name} -n {namespace}")?;
            writeln!(out, "{ENDS}: {AFTERWARDS}")?;
            Ok(())
        }
    }
}

/// Kind and name, or all that the selector asks for.
fn target(waiver: &Waiver, max: usize) -> String {
    let target = &waiver.spec.target;
    let selected = target.selector.iter().flat_map(|selector| {
        let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        labels.chain(selector.match_expressions.iter().map(|r| match r.values.as_slice() {
            [] => format!("{} {}", r.key, r.operator),
            values => format!("{} {} ({})", r.key, r.operator, values.join(",")),
        }))
    });
    let what = target.name.clone().unwrap_or_else(|| format!("({})", selected.collect::<Vec<_>>().join(",")));
    shown(&format!("{}/{what}", target.kind.as_deref().map_or_else(|| "*".to_owned(), str::to_lowercase)), max)
}

fn json(value: &impl serde::Serialize, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[&str]) -> Result<Target, String> {
        let args = Request::parse_from(["request", "--reason", "r"].iter().chain(args));
        asked(&args, "2026-04-01T12:00:00Z".parse().unwrap()).map(|(_, spec)| spec.target).map_err(|e| e.to_string())
    }

    #[test]
    fn a_selector_is_labels_with_one_value_each() {
        for (selector, labels) in [("app=a", r#"{"app":"a"}"#), ("app==a, tier=b", r#"{"app":"a","tier":"b"}"#), ("x.example/app=", r#"{"x.example/app":""}"#)] {
            let selected = request(&["encryption-declared", "-l", selector]).unwrap().selector.unwrap();
            assert_eq!(serde_json::to_string(&selected.match_labels).unwrap(), labels, "{selector}");
        }
        for selector in ["", "app", "app!=b", "=b", "app in (a,b)", "app in (a=b)", "app notin (a)", "!app", "app=a,app=b", "app=a,", "not a label=a"] {
            let said = request(&["encryption-declared", "-l", selector]).unwrap_err();
            assert!(said.contains("--selector") && said.contains("it understands labels and their values"), "{selector}: {said}");
        }
    }

    #[test]
    fn what_judges_no_object_is_not_asked_for() {
        for target in [["--for", "ownership/default"], ["--for", "pod/web"], ["-l", "app=a"]] {
            let said = request(&["escalation-contact-declared", target[0], target[1]]).unwrap_err();
            assert!(said.starts_with("escalation-contact-declared judges what is declared and no object, so no Waiver can let anything pass: meet it"), "{said}");
        }
        assert!(request(&["encryption-declared", "--for", "ownership/default"]).unwrap_err().contains("no control is about kind ownership"));
    }
}
