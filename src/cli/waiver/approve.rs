//! `demarc waiver approve`: what is asked for is shown, and that version of it is approved and no other.
//! Somebody at a terminal is asked; whoever is not says by `--resource-version` which one they have seen.

use std::io::Write;

use anyhow::{Context, bail};
use clap::Parser;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{AFTER, ENDS, json, target};
use crate::{
    api::waiver::{Waiver, WaiverState},
    cli::{
        Output,
        connect::{Where, answer, object_name, whoami},
    },
    model::text::shown,
    policy::waiver::{AFTERWARDS, Permit, live, told_last_day},
};

/// Arguments of `demarc waiver approve`.
#[derive(Debug, Parser)]
#[command(after_help = AFTER)]
pub struct Approve {
    /// Its name; demarc waiver list shows them
    #[arg(value_parser = object_name)]
    name: String,
    /// Approve the version that you have seen, and ask nothing: demarc waiver list -o json shows it
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    /// Ask the API server whether it would take it, and store nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) cluster: Where,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Somebody who is shown what they do, and perhaps is asked.
pub struct Person<'a> {
    /// Where they read it.
    pub sees: &'a mut (dyn Write + Send),
    /// What they say to a question; `None` where nobody sits at a terminal.
    pub answers: &'a mut (dyn FnMut(&str) -> std::io::Result<Option<bool>> + Send),
}

/// Approves one.
///
/// # Errors
/// It is not the version that was seen, nobody said yes, it can never count, or the API server does not take it.
pub async fn approve(args: &Approve, client: &Client, namespace: &str, out: &mut (dyn Write + Send), person: Person<'_>, now: Timestamp) -> anyhow::Result<()> {
    let api: Api<Waiver> = Api::namespaced(client.clone(), namespace);
    let (name, stored) = (&args.name, answer(api.get(&args.name)).await?);
    let me = whoami(client).await?;
    if stored.spec.requested_by == me {
        bail!("waiver {namespace}/{name} was asked for by you ({}): somebody else has to approve it", shown(&me, 253));
    }
    let permit = Permit::told(&stored);
    match live(&permit, now) {
        WaiverState::Void => bail!("waiver {namespace}/{name} can never count: {}", permit.void().unwrap_or_default()),
        WaiverState::Expired => bail!("waiver {namespace}/{name} is over, its last day was {}: a new one has to be asked for", permit.last_day()),
        WaiverState::Requested | WaiverState::Live | WaiverState::Expiring => {}
    }
    let version = stored.metadata.resource_version.as_deref().context("the API server does not say which version that is")?;
    show(&stored, namespace, version, person.sees)?;
    match &args.resource_version {
        Some(seen) if seen != version => bail!("waiver {namespace}/{name} has changed since version {}: look at it again", shown(seen, 63)),
        Some(_) => {}
        None if args.dry_run => {}
        None => match (person.answers)("approve it?")? {
            Some(true) => {}
            Some(false) => bail!("waiver {namespace}/{name} is not approved"),
            None => bail!("there is no terminal to ask at: --resource-version {version} approves what is shown here"),
        },
    }
    let at = Time(Timestamp::from_second(now.as_second())?);
    // With the version that was shown: the API server takes it for no other.
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"approval": {"by": me, "at": at}}});
    let made = answer(api.patch(name, &PatchParams { dry_run: args.dry_run, ..PatchParams::default() }, &Patch::Merge(&patch))).await?;
    match args.output {
        Output::Json => json(&made, out),
        Output::Text => {
            let dry = if args.dry_run { " (dry run)" } else { "" };
            let (control, target, until) = (&made.spec.control, target(&made, 320), told_last_day(&made));
            writeln!(out, "waiver {namespace}/{name} approved{dry}: {control} for {target}, until {until} at the longest")?;
            Ok(writeln!(out, "{ENDS}: {AFTERWARDS}")?)
        }
    }
}

/// All that an approval is for.
fn show(waiver: &Waiver, namespace: &str, version: &str, sees: &mut dyn Write) -> std::io::Result<()> {
    let spec = &waiver.spec;
    writeln!(sees, "waiver {namespace}/{}, version {version}", shown(waiver.metadata.name.as_deref().unwrap_or_default(), 253))?;
    writeln!(sees, "  control:      {}", shown(&spec.control, 63))?;
    writeln!(sees, "  for:          {}", target(waiver, 4096))?;
    writeln!(sees, "  requested by: {}", shown(&spec.requested_by, 1012))?;
    writeln!(sees, "  reason:       {}", shown(&spec.reason, 4096))?;
    if let Some(ticket) = &spec.ticket {
        writeln!(sees, "  ticket:       {}", shown(ticket, 1012))?;
    }
    writeln!(sees, "  until:        {}", told_last_day(waiver))
}
