//! `demarc waiver`: ask for a permission to violate one control for some time, approve what somebody else asked for, and see how each stands.
//! It writes Waivers as anybody with kubectl could; what may be written the API server decides.

use std::io::Write;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    Output,
    connect::{Where, answer, whoami},
};
use crate::{
    api::{
        baseline::LabelSelector,
        waiver::{Target, Waiver, WaiverSpec},
    },
    controls,
    model::text::shown,
    policy::waiver::{AFTERWARDS, MAX_DAYS, Permit, known_kind, live, no_object},
};

/// When a permission is over.
const ENDS: &str = "it ends on that day, or when it is changed and so loses its approval";

const AFTER: &str = "\
When a Waiver is over, or loses its approval, the pods that it let in are not replaced from then on: one that is deleted or evicted stays away.";

const HELP: &str = "\
Examples:
  demarc waiver request encryption-declared -n shop --for statefulset/ledger --reason 'migration in March' --days 30
  demarc waiver request image-pinned-by-digest -n shop --selector app=legacy --reason 'vendor images' --until 2026-12-31
  demarc waiver approve encryption-declared-ledger -n shop
  demarc waiver list -A

A Waiver lets one control be violated by what it names, for at most 90 days unless a Baseline says otherwise. It counts once somebody
who holds the verb approve on waivers.demarc.dev, and did not ask for it, has approved it. Whatever else of it changes then needs a new
approval. Where two are for the same violation, it passes only while both are live. When it is over, or loses its approval, the pods that
it let in are not replaced from then on: mend what they violate before, or ask for another one in time.

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
    #[arg(long)]
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
#[command(after_help = AFTER)]
struct Approve {
    /// Its name; demarc waiver list shows them
    name: String,
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
pub async fn run(args: Args, out: &mut (dyn Write + Send), now: Timestamp) -> anyhow::Result<u8> {
    match args.command {
        Command::Request(args) => {
            let (name, spec) = asked(&args, now)?;
            let cluster = args.cluster.connect().await?;
            request(&args, &name, spec, &cluster.client, &cluster.namespace, out).await?;
        }
        Command::Approve(args) => {
            let cluster = args.cluster.connect().await?;
            approve(&args, &cluster.client, &cluster.namespace, out, now).await?;
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
    let (what, until) = (target(&made), Permit::read(&made, MAX_DAYS, None).last_day());
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

async fn approve(args: &Approve, client: &Client, namespace: &str, out: &mut (dyn Write + Send), now: Timestamp) -> anyhow::Result<()> {
    let api: Api<Waiver> = Api::namespaced(client.clone(), namespace);
    let stored = answer(api.get(&args.name)).await?;
    let me = whoami(client).await?;
    if stored.spec.requested_by == me {
        bail!("waiver {namespace}/{} was asked for by you ({}): somebody else has to approve it", args.name, shown(&me, 253));
    }
    let at = Time(Timestamp::from_second(now.as_second())?);
    // With the version that was read: what is approved is what was seen.
    let patch = json!({"metadata": {"resourceVersion": stored.metadata.resource_version}, "spec": {"approval": {"by": me, "at": at}}});
    let made = answer(api.patch(&args.name, &PatchParams { dry_run: args.dry_run, ..PatchParams::default() }, &Patch::Merge(&patch))).await?;
    match args.output {
        Output::Json => json(&made, out),
        Output::Text => {
            let dry = if args.dry_run { " (dry run)" } else { "" };
            let name = &args.name;
            writeln!(
                out,
                "waiver {namespace}/{name} approved{dry}: {} for {}, until {} at the longest",
                made.spec.control,
                target(&made),
                Permit::read(&made, MAX_DAYS, None).last_day()
            )?;
            writeln!(out, "reason: {}", shown(&made.spec.reason, 400))?;
            writeln!(out, "{ENDS}: {AFTERWARDS}")?;
            Ok(())
        }
    }
}

async fn list(args: &List, client: &Client, namespace: &str, out: &mut (dyn Write + Send), now: Timestamp) -> anyhow::Result<()> {
    let api: Api<Waiver> = if args.all_namespaces { Api::all(client.clone()) } else { Api::namespaced(client.clone(), namespace) };
    let mut waivers = answer(api.list(&ListParams::default())).await?.items;
    waivers.sort_by_key(|w| (w.metadata.namespace.clone(), w.metadata.name.clone()));
    let rows: Vec<Row> = waivers.iter().map(|w| Row::of(w, now)).collect();
    match args.output {
        Output::Json => json(&json!({"waivers": rows}), out),
        Output::Text => table(&rows, args.all_namespaces, namespace, out),
    }
}

/// What `list -o json` says of each; the keys are stable.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    control: String,
    target: String,
    requested_by: String,
    approved_by: Option<String>,
    expires: Timestamp,
    state: &'static str,
    #[serde(skip)]
    left: String,
}

impl Row {
    fn of(waiver: &Waiver, now: Timestamp) -> Self {
        let (meta, spec) = (&waiver.metadata, &waiver.spec);
        // A Baseline may have lengthened it, which the leader knows; where it has not spoken yet the rule does.
        let state = waiver.status.as_ref().and_then(|s| s.state).unwrap_or_else(|| live(&Permit::read(waiver, MAX_DAYS, controls::find(&spec.control)), now));
        let hours = spec.expires.0.duration_since(now).as_hours();
        Self {
            namespace: shown(meta.namespace.as_deref().unwrap_or_default(), 63),
            name: shown(meta.name.as_deref().unwrap_or_default(), 253),
            control: shown(&spec.control, 63),
            target: target(waiver),
            requested_by: shown(&spec.requested_by, 253),
            approved_by: spec.approval.as_ref().map(|a| shown(&a.by, 253)),
            expires: spec.expires.0,
            state: state.as_str(),
            left: match hours {
                _ if spec.expires.0 <= now => "over".to_owned(),
                ..48 => format!("{hours}h"),
                48.. => format!("{}d", hours / 24),
            },
        }
    }
}

/// Kind and name, or the labels.
fn target(waiver: &Waiver) -> String {
    let target = &waiver.spec.target;
    let labels = target.selector.iter().flat_map(|s| &s.match_labels).map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let what = match (&target.name, labels.as_str()) {
        (Some(name), _) => name.clone(),
        (None, "") => "(expressions)".to_owned(),
        (None, labels) => format!("({labels})"),
    };
    shown(&format!("{}/{what}", target.kind.as_deref().map_or_else(|| "*".to_owned(), str::to_lowercase)), 80)
}

fn json(value: &impl serde::Serialize, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

fn table(rows: &[Row], all: bool, namespace: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    if rows.is_empty() {
        let place = if all { "any namespace".to_owned() } else { format!("namespace {}", shown(namespace, 63)) };
        return Ok(writeln!(out, "no waivers in {place}")?);
    }
    let mut lines = vec![["NAMESPACE", "NAME", "CONTROL", "TARGET", "REQUESTED", "APPROVED", "EXPIRES", "STATE"].map(str::to_owned)];
    lines.extend(rows.iter().map(|r| {
        let approved = r.approved_by.clone().unwrap_or_else(|| "-".to_owned());
        [r.namespace.clone(), r.name.clone(), r.control.clone(), r.target.clone(), r.requested_by.clone(), approved, r.left.clone(), r.state.to_owned()]
    }));
    let skip = usize::from(!all);
    let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..8).map(width).collect();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).skip(skip).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("   ").trim_end())?;
    }
    Ok(())
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

    #[test]
    fn what_is_over_does_not_show_as_a_last_hour() {
        let now: Timestamp = "2026-04-01T12:00:00Z".parse().unwrap();
        for (expires, left) in [
            ("2026-03-01T00:00:00Z", "over"),
            ("2026-04-01T11:59:59Z", "over"),
            ("2026-04-01T12:00:00Z", "over"),
            ("2026-04-01T12:00:01Z", "0h"),
            ("2026-04-02T12:00:00Z", "24h"),
            ("2026-04-04T12:00:00Z", "3d"),
        ] {
            let spec = json!({"control": "a", "target": {"kind": "Pod", "name": "web"}, "reason": "r", "requestedBy": "sam", "expires": expires});
            assert_eq!(Row::of(&Waiver::new("w", serde_json::from_value(spec).unwrap()), now).left, left, "{expires}");
        }
    }
}
