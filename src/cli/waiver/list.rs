//! `demarc waiver list`: how each Waiver stands now, by the one rule and the clock of whoever looks.
//! A stored status is what the leader last saw; of that only what nobody else can tell is believed.

use std::io::Write;

use jiff::Timestamp;
use kube::{Api, Client, api::ListParams};
use serde_json::json;

use super::{List, json, target};
use crate::{
    api::waiver::Waiver,
    cli::{Output, connect::answer},
    model::text::shown,
    policy::waiver::{Permit, live},
};

pub(super) async fn list(args: &List, client: &Client, namespace: &str, out: &mut (dyn Write + Send), now: Timestamp) -> anyhow::Result<()> {
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
pub struct Row {
    namespace: String,
    name: String,
    control: String,
    target: String,
    reason: String,
    requested_by: String,
    approved_by: Option<String>,
    /// As it says, or sooner where it may not last so long.
    expires: Timestamp,
    /// Where it stands.
    pub state: &'static str,
    /// For demarc waiver approve --resource-version.
    resource_version: String,
    #[serde(skip)]
    left: String,
}

impl Row {
    /// How one stands at `now`.
    pub fn of(waiver: &Waiver, now: Timestamp) -> Self {
        let (meta, spec, permit) = (&waiver.metadata, &waiver.spec, Permit::told(waiver));
        let hours = permit.ends().duration_since(now).as_hours();
        Self {
            namespace: shown(meta.namespace.as_deref().unwrap_or_default(), 63),
            name: shown(meta.name.as_deref().unwrap_or_default(), 253),
            control: shown(&spec.control, 63),
            target: target(waiver, 4096),
            reason: shown(&spec.reason, 4096),
            requested_by: shown(&spec.requested_by, 253),
            approved_by: spec.approval.as_ref().map(|a| shown(&a.by, 253)),
            expires: permit.ends(),
            state: live(&permit, now).as_str(),
            resource_version: shown(meta.resource_version.as_deref().unwrap_or_default(), 63),
            left: match hours {
                _ if permit.ends() <= now => "over".to_owned(),
                ..48 => format!("{hours}h"),
                48.. => format!("{}d", hours / 24),
            },
        }
    }
}

fn table(rows: &[Row], all: bool, namespace: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    if rows.is_empty() {
        let place = if all { "any namespace".to_owned() } else { format!("namespace {}", shown(namespace, 63)) };
        return Ok(writeln!(out, "no waivers in {place}")?);
    }
    let mut lines = vec![["NAMESPACE", "NAME", "CONTROL", "TARGET", "REQUESTED", "APPROVED", "EXPIRES", "STATE"].map(str::to_owned)];
    lines.extend(rows.iter().map(|r| {
        let approved = r.approved_by.clone().unwrap_or_else(|| "-".to_owned());
        [r.namespace.clone(), r.name.clone(), r.control.clone(), shown(&r.target, 80), r.requested_by.clone(), approved, r.left.clone(), r.state.to_owned()]
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
            assert_eq!(Row::of(&waiver(&format!("expires: '{expires}'"), "latest: '2026-06-30T00:00:00Z'"), now).left, left, "{expires}");
        }
    }

    fn waiver(spec: &str, status: &str) -> Waiver {
        let meta = "name: w, namespace: shop, generation: 2, creationTimestamp: '2026-01-01T00:00:00Z'";
        let spec = format!("control: two-replicas, target: {{kind: Pod, name: web}}, reason: r, requestedBy: sam, approval: {{by: jo, at: '2026-01-01T00:00:00Z'}}, {spec}");
        serde_saphyr::from_str(&format!("{{apiVersion: demarc.dev/v1alpha1, kind: Waiver, metadata: {{{meta}}}, spec: {{{spec}}}, status: {{{status}}}}}")).unwrap()
    }

    #[test]
    fn the_clock_says_how_it_stands_and_the_leader_what_nobody_else_can_tell() {
        let (march, june) = ("expires: '2026-03-01T00:00:00Z'", "expires: '2026-06-01T00:00:00Z'");
        let longer = "state: Live, observedGeneration: 1, latest: '2026-06-30T00:00:00Z'";
        for (spec, status, now, state) in [
            (march, "", "2026-02-01T00:00:00Z", "Live"),
            (march, "", "2026-02-23T00:00:00Z", "Expiring"),
            (march, "state: Live, observedGeneration: 2", "2026-02-23T00:00:00Z", "Expiring"),
            (march, "state: Live, observedGeneration: 2", "2026-03-01T00:00:00Z", "Expired"),
            (march, "state: Expired, observedGeneration: 1", "2026-02-01T00:00:00Z", "Live"),
            // No longer than a Waiver may, which a Baseline may lengthen and shorten.
            (june, "", "2026-04-01T00:00:00Z", "Expired"),
            (june, longer, "2026-04-01T00:00:00Z", "Live"),
            (june, longer, "2026-06-01T00:00:00Z", "Expired"),
            (june, "state: Live, observedGeneration: 2, latest: '2026-01-31T00:00:00Z'", "2026-01-31T00:00:00Z", "Expired"),
            // The catalog knows nothing of one's own controls; the leader tells when there is none of that name, until it is mended.
            (march, "state: Void, observedGeneration: 2", "2026-02-01T00:00:00Z", "Void"),
            (march, "state: Void, observedGeneration: 1", "2026-02-01T00:00:00Z", "Live"),
        ] {
            assert_eq!(Row::of(&waiver(spec, status), now.parse().unwrap()).state, state, "{spec} {status} {now}");
        }
    }
}
