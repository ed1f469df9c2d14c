//! What was found, judged: one line each, and for each that is not well what to do. No clock, no I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use super::look::{Found, HOME, home, proven, read};
use crate::{
    api::{Declaration, GROUP, baseline::Baseline, ownership::Ownership},
    controller::{
        audit::{self, Expected, Reached},
        authority, lease,
        probe::Outcome,
        start,
    },
    model::{
        proof::{LEASE, LEASE_GENERATION, LEASE_NAMESPACE, WEBHOOK},
        text::shown,
    },
    policy::enforcing::ENFORCING,
};

/// How it stands; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Well.
    Ok,
    /// It may not be seen.
    Unseen,
    /// Not well.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Line {
    /// How it stands.
    pub level: Level,
    /// What was looked at, in one stable word.
    pub about: &'static str,
    /// In a sentence.
    pub message: String,
    /// What to do.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl Line {
    fn ok(about: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, about, message: message.into(), action: None }
    }
    fn fail(about: &'static str, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self { level: Level::Fail, about, message: message.into(), action: Some(action.into()) }
    }
    fn unseen(about: &'static str, what: &str, why: &str) -> Self {
        Self { level: Level::Unseen, about, message: format!("{what} cannot be seen: {why}"), action: Some("ask as somebody who may read it, or with --context".to_owned()) }
    }
}

const INSTALL: &str = "helm upgrade --install demarc charts/demarc -n demarc-system --create-namespace";

/// Everything, in the order in which it is to be mended.
pub fn lines(found: &Found, now: Timestamp) -> Vec<Line> {
    let mut lines = vec![api_server(found)];
    let gone = found.definitions.values().all(|d| matches!(d, Ok(None)));
    if gone && found.webhooks.as_ref().is_ok_and(Vec::is_empty) {
        lines.push(Line::fail("installation", "Demarc is not installed in this cluster", INSTALL));
        return lines;
    }
    lines.push(definitions(found));
    lines.extend(webhook(found, now));
    lines.push(leader(found, now));
    lines.push(proof(found, now));
    lines.extend(tried(found));
    lines.extend(namespaces(found, now));
    lines.extend(baselines(found, now));
    lines
}

fn api_server(found: &Found) -> Line {
    let (version, minor) = &found.version;
    let user = shown(&found.user, 100);
    if let Some(message) = start::too_old(&shown(version, 40), *minor) {
        return Line::fail("api-server", message, "upgrade the cluster: without the policies anybody who may label a namespace can turn enforcement off");
    }
    Line::ok("api-server", format!("API server {}, as {user}", shown(version, 40)))
}

fn definitions(found: &Found) -> Line {
    const ABOUT: &str = "definitions";
    let (mut missing, mut old) = (Vec::new(), Vec::new());
    for declaration in Declaration::ALL {
        match &found.definitions[declaration.kind()] {
            Err(why) => return Line::unseen(ABOUT, "custom resource definitions", why),
            Ok(None) => missing.push(declaration.plural()),
            Ok(Some(stored)) if !as_written(*declaration, stored) => old.push(declaration.plural()),
            Ok(Some(_)) => {}
        }
    }
    let all = Declaration::ALL.len();
    let apply = "demarc crds | kubectl apply --server-side --force-conflicts -f -";
    if !missing.is_empty() {
        Line::fail(ABOUT, format!("custom resources: missing {}", missing.join(", ")), apply)
    } else if !old.is_empty() {
        Line::fail(ABOUT, format!("custom resources: not as this version writes them: {}", old.join(", ")), format!("{apply} (or use the demarc of the version that is installed)"))
    } else {
        Line::ok(ABOUT, format!("custom resources: {all} of {all}, as this version writes them"))
    }
}

/// Whether a stored definition of `group/v1alpha1` has the schema of this version.
fn as_written(declaration: Declaration, stored: &Value) -> bool {
    let Ok(written) = serde_json::to_value(declaration.crd()) else { return false };
    let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"].clone();
    alike(&schema(&written), &schema(stored))
}

/// Equal as far as `written` goes; a number is a number, whether 1 or 1.0.
fn alike(written: &Value, stored: &Value) -> bool {
    match (written, stored) {
        (Value::Object(a), Value::Object(b)) => a.iter().all(|(key, value)| b.get(key).map_or(value.is_null(), |other| alike(value, other))),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => written == stored,
    }
}

fn webhook(found: &Found, now: Timestamp) -> Vec<Line> {
    const ABOUT: &str = "webhook";
    let all = match &found.webhooks {
        Err(why) => return vec![Line::unseen(ABOUT, "the webhook configuration", why)],
        Ok(all) => all,
    };
    let Some(first) = all.first() else {
        let message = format!("no ValidatingWebhookConfiguration has a webhook {WEBHOOK}: nothing is refused anywhere");
        return vec![Line::fail(ABOUT, message, format!("was it turned off on purpose? Otherwise: {INSTALL}"))];
    };
    let name = first["metadata"]["name"].as_str().unwrap_or_default();
    if all.len() > 1 {
        let names: Vec<String> = all.iter().map(|w| shown(w["metadata"]["name"].as_str().unwrap_or_default(), 63)).collect();
        let action = "kubectl delete validatingwebhookconfiguration of the release that is gone";
        return vec![Line::fail(ABOUT, format!("{} configurations have a webhook {WEBHOOK}: {}", all.len(), names.join(", ")), action)];
    }
    let entry = first["webhooks"].as_array().and_then(|w| w.iter().find(|w| w["name"] == WEBHOOK)).cloned().unwrap_or_default();
    let config = &entry["clientConfig"];
    let reached = match config["url"].as_str() {
        Some(url) => Reached::Url(url.trim_end_matches("/workloads").to_owned()),
        None => {
            let text = |key: &str| config["service"][key].as_str().unwrap_or_default().to_owned();
            Reached::Service { namespace: text("namespace"), name: text("name") }
        }
    };
    let expected = Expected { configuration: name.to_owned(), reached, user: controller(found, name).unwrap_or_default() };
    let (no, stored) = (BTreeMap::new(), |policies: &BTreeMap<String, Value>, bindings: &BTreeMap<String, Value>| audit::Stored {
        configuration: Some(first.clone()),
        policies: policies.clone(),
        bindings: bindings.clone(),
        ..audit::Stored::default()
    });
    let described = || {
        let until = bundle_until(&config["caBundle"]);
        let ca = until.map_or_else(|| ", CA not readable".to_owned(), |until| format!(", CA until {}", until.strftime("%F")));
        format!("webhook \"{}\": Fail, {} s, enrolment selector{ca}", shown(name, 63), entry["timeoutSeconds"])
    };
    let upgrade = format!("kubectl get validatingwebhookconfiguration {} -o yaml; then put it back: {INSTALL}", shown(name, 63));
    let looked = match audit::webhook(&expected, &stored(&no, &no)) {
        Some(fault) => Line::fail(ABOUT, format!("webhook \"{}\": {} ({})", shown(name, 63), fault.message, fault.reason), upgrade),
        None => match bundle_until(&config["caBundle"]) {
            Some(until) if until <= now => Line::fail(
                ABOUT,
                format!("the CA of the webhook's certificate ended {}", until.strftime("%F")),
                "kubectl -n demarc-system logs deployment/demarc: the leader replaces it, or your own source of certificates",
            ),
            _ => Line::ok(ABOUT, described()),
        },
    };
    let mut lines = vec![looked];
    lines.extend(audit::note(&stored(&no, &no)).map(|note| Line::ok("webhook-selector", note)));
    lines.push(match (&found.policies, &found.bindings) {
        (Err(why), _) | (_, Err(why)) => Line::unseen("policies", "ValidatingAdmissionPolicies", why),
        (Ok(policies), Ok(bindings)) => match audit::policies(&expected, &stored(policies, bindings)) {
            Some(fault) => Line::fail("policies", format!("{} ({})", fault.message, fault.reason), INSTALL),
            None => Line::ok("policies", "policies: those of this version, each with its binding"),
        },
    });
    lines
}

/// Whom the enrolment policy lets label namespaces: the user that Demarc is.
fn controller(found: &Found, name: &str) -> Option<String> {
    let policy = found.policies.as_ref().ok()?.get(&format!("{name}-enrolment"))?;
    let expression = policy["spec"]["validations"][0]["expression"].as_str()?;
    let (_, rest) = expression.split_once("request.userInfo.username == \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// When the last of the authorities that are trusted ends.
fn bundle_until(bundle: &Value) -> Option<Timestamp> {
    let (_, until) = authority::validity_of_bundle(bundle.clone())?;
    Timestamp::from_second(until).ok()
}

/// Where to look why nobody does what a leader does.
fn logs(found: &Found) -> String {
    let place = shown(home(&found.webhooks).unwrap_or(HOME), 63);
    format!("kubectl -n {place} get pods, and kubectl -n {place} logs -l app.kubernetes.io/name=demarc: somebody must lead (lease demarc), and may not be refused")
}

/// The leader renews its Lease every 2 s, and another takes it over within 15 s; the rest of a minute is for the clock of this machine.
const LED: i64 = 60;

fn leader(found: &Found, now: Timestamp) -> Line {
    const ABOUT: &str = "leader";
    let what = format!("lease {}", lease::NAME);
    let nobody = |why: &str| {
        let place = shown(home(&found.webhooks).unwrap_or(HOME), 63);
        Line::fail(ABOUT, format!("nobody leads, so no namespace is enrolled and nothing is told of any: {what} in namespace {place} {why}"), logs(found))
    };
    let spec = match &found.lead {
        Err(why) => return Line::unseen(ABOUT, &what, why),
        Ok(None) if home(&found.webhooks).is_none() => return Line::unseen(ABOUT, &what, "the webhook configuration would say in which namespace it is"),
        Ok(None) => return nobody("is not there"),
        Ok(Some(lease)) => lease.spec.as_ref(),
    };
    let Some(renewed) = spec.and_then(|s| s.renew_time.as_ref()) else { return nobody("does not say when it was renewed") };
    let age = now.as_second().saturating_sub(renewed.0.as_second());
    if age > LED {
        return nobody(&format!("was last renewed {} ago", span(age)));
    }
    match spec.and_then(|s| s.holder_identity.as_deref()).unwrap_or_default() {
        "" => nobody("names no replica"),
        replica => Line::ok(ABOUT, format!("leader: replica {}, as of {} ago", shown(replica, 63), span(age.max(0)))),
    }
}

fn proof(found: &Found, now: Timestamp) -> Line {
    const ABOUT: &str = "proof";
    if found.enrolled.as_ref().is_ok_and(Vec::is_empty) {
        return Line::ok(ABOUT, "proof: no namespace is enrolled, so there is nothing to prove");
    }
    let (place, logs) = (home(&found.webhooks).unwrap_or(HOME), logs(found));
    let lease = match &found.proof {
        Err(why) => return Line::unseen(ABOUT, &format!("lease {LEASE}"), why),
        Ok(None) => return Line::fail(ABOUT, format!("enforcement has never been proven: there is no lease {LEASE} in namespace {}", shown(place, 63)), logs),
        Ok(Some(lease)) => lease,
    };
    let Some((at, good_for)) = proven(lease.spec.as_ref()) else {
        return Line::fail(ABOUT, format!("lease {LEASE} does not say when enforcement was proven"), logs);
    };
    let age = now.as_second().saturating_sub(at.as_second());
    let note = |key: &str| lease.metadata.annotations.as_ref().and_then(|a| a.get(key)).map(|v| shown(v, 63)).unwrap_or_default();
    if age > good_for {
        return Line::fail(ABOUT, format!("enforcement was last proven {} ago: nobody knows whether it holds", span(age)), logs);
    }
    let replica = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
    Line::ok(
        ABOUT,
        format!("proof: namespace {} refused a dry run {} ago (replica {}, generation {})", note(LEASE_NAMESPACE), span(age.max(0)), shown(&replica, 63), note(LEASE_GENERATION)),
    )
}

/// The name of the configuration with our webhook.
fn registered(found: &Found) -> String {
    let name = found.webhooks.as_ref().ok().and_then(|all| all.first()?["metadata"]["name"].as_str());
    shown(name.unwrap_or("NAME"), 63)
}

/// One try of the user's own.
fn tried(found: &Found) -> Option<Line> {
    const ABOUT: &str = "dry-run";
    let (namespace, outcome) = found.tried.as_ref()?;
    let namespace = shown(namespace, 63);
    Some(match outcome {
        Outcome::Proven { replica, .. } | Outcome::Behind { replica } => Line::ok(ABOUT, format!("dry run: refused just now in namespace {namespace}, by replica {replica}")),
        Outcome::FailingOpen => Line::fail(
            ABOUT,
            format!("dry run: namespace {namespace} admitted what must be refused, so enforcement is failing open"),
            format!("look at the webhook above; then: {INSTALL}"),
        ),
        Outcome::Unreachable(why) => Line::fail(
            ABOUT,
            format!("dry run: the API server cannot ask Demarc, so nothing new is admitted in enrolled namespaces: {why}"),
            format!("see that its pods are ready, and that the control plane reaches them; to turn it off: kubectl delete validatingwebhookconfiguration {}", registered(found)),
        ),
        Outcome::Masked(why) => Line::unseen(ABOUT, &format!("whether Demarc refuses in namespace {namespace}"), &format!("somebody else refuses first: {why}")),
        Outcome::Unheard(why) => Line::unseen(ABOUT, &format!("whether Demarc refuses in namespace {namespace}"), why),
    })
}

/// The most namespaces that are told one by one.
const MOST: usize = 20;

fn namespaces(found: &Found, now: Timestamp) -> Vec<Line> {
    const ABOUT: &str = "namespace";
    let objects = match &found.ownerships {
        Err(why) => return vec![Line::unseen(ABOUT, "Ownerships", why)],
        Ok(objects) => objects,
    };
    let enrolled = match &found.enrolled {
        Err(why) => return vec![Line::unseen(ABOUT, "namespaces", why)],
        Ok(enrolled) => enrolled,
    };
    let mut lines: Vec<Line> = objects.iter().filter_map(|object| namespace(object, enrolled, now)).collect();
    let total = lines.len();
    if total > MOST {
        lines.truncate(MOST);
        lines.push(Line::fail(ABOUT, format!("and {} namespaces more", total - MOST), "kubectl get ownerships -A -o wide"));
    }
    lines
}

fn namespace(object: &DynamicObject, enrolled: &[String], now: Timestamp) -> Option<Line> {
    const ABOUT: &str = "namespace";
    let name = object.metadata.namespace.clone().unwrap_or_default();
    let shown_name = shown(&name, 63);
    let describe = format!("kubectl -n {shown_name} describe ownership default");
    let Some(ownership) = read::<Ownership>(object) else {
        return Some(Line::fail(ABOUT, format!("the declaration of namespace {shown_name} cannot be read by this version of {GROUP}"), describe));
    };
    let (condition, age) = enforcing(ownership.status.as_ref().map(|s| &*s.conditions), object, now);
    let is_enrolled = enrolled.contains(&name);
    match condition {
        // Its own choice, or the cluster's.
        Some(c) if c.reason == "ModeAudit" => None,
        Some(c) if c.reason == "CriticalNamespace" => Some(Line::ok(ABOUT, format!("namespace {shown_name} is declared and left out: {}", shown(&c.message, 200)))),
        _ if !ownership.spec.mode.enrolled() => None,
        _ if !is_enrolled => {
            let message = format!("namespace {shown_name} is declared but not enrolled for {age}: label {} is missing", crate::api::ENROLLED_LABEL);
            Some(Line::fail(ABOUT, message, format!("{describe}; the leader sets the label, and its log tells why it could not")))
        }
        Some(c) if c.status == "True" => None,
        Some(c) => Some(Line::fail(ABOUT, format!("namespace {shown_name}: {} ({}, for {age})", shown(&c.message, 300), shown(&c.reason, 63)), describe)),
        None => Some(Line::fail(ABOUT, format!("namespace {shown_name} is declared, and nobody has written its status for {age}"), describe)),
    }
}

fn baselines(found: &Found, now: Timestamp) -> Vec<Line> {
    const ABOUT: &str = "baseline";
    match &found.baselines {
        Err(why) => vec![Line::unseen(ABOUT, "Baselines", why)],
        Ok(objects) => objects.iter().filter_map(|object| baseline(object, now)).collect(),
    }
}

/// A Baseline as it is told: also of the namespaces under it that declare nothing.
fn baseline(object: &DynamicObject, now: Timestamp) -> Option<Line> {
    const ABOUT: &str = "baseline";
    let name = shown(object.metadata.name.as_deref().unwrap_or_default(), 63);
    let describe = format!("kubectl describe baseline {name}");
    let Some(baseline) = read::<Baseline>(object) else {
        return Some(Line::fail(ABOUT, format!("baseline {name} cannot be read by this version of {GROUP}"), describe));
    };
    let (condition, age) = enforcing(baseline.status.as_ref().map(|s| &*s.conditions), object, now);
    match condition {
        Some(c) if c.status == "True" || c.reason == "NothingAsked" => None,
        Some(c) => Some(Line::fail(ABOUT, format!("baseline {name}: {} (for {age})", shown(&c.message, 400)), describe)),
        None => Some(Line::fail(ABOUT, format!("nobody has written the status of baseline {name} for {age}"), describe)),
    }
}

/// The condition, and for how long it has been so.
fn enforcing<'c>(conditions: Option<&'c [Condition]>, object: &DynamicObject, now: Timestamp) -> (Option<&'c Condition>, String) {
    let condition = conditions.unwrap_or_default().iter().find(|c| c.type_ == ENFORCING);
    let since = condition.map(|c| c.last_transition_time.0).or_else(|| object.metadata.creation_timestamp.as_ref().map(|t| t.0)).unwrap_or(now);
    (condition, span(now.as_second().saturating_sub(since.as_second()).max(0)))
}

fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
