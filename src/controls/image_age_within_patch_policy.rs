//! image-age-within-patch-policy: what runs was built not longer ago than the Ownership allows.
//! The pod template says when its image was built; where it does not, the verdict is `Unknown`. Time passes: the verdict turns by itself.

use jiff::{SignedDuration, Timestamp};

use super::{Applies, Check, Context, Control, WORKLOADS, declared::days};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::Finding,
};

pub const CONTROL: Control = Control {
    id: "image-age-within-patch-policy",
    title: "Running images are younger than the patch policy allows",
    group: "workload",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.8"]), ("SOC 2", &["CC7.1"]), ("CCM 4.0.12", &["TVM-03", "AIS-07"]), ("NIST 800-53r5", &["SI-2", "SI-2(3)"])],
    why: "An image that is never built anew keeps every hole that was found since, however often it is deployed.",
    checked: "Annotation org.opencontainers.image.created on the pod template is not older than policy.patch.maxImageAge. An Ownership without that setting has no patch policy, which is a \
              violation itself.",
    unknown: "The annotation is missing, is no time of RFC 3339, or lies ahead: let the build pipeline write it.",
    fix: "build the image anew and deploy it; set policy.patch.maxImageAge",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

const KEY: &str = "org.opencontainers.image.created";
const PATH: &str = "metadata.annotations";
const WRITE: &str = "let the build pipeline annotate org.opencontainers.image.created";
/// Clocks differ, and not by more.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    let Some(age) = cx.policy.patch.as_ref().and_then(|p| p.max_image_age.as_deref()) else {
        out.push(Finding::violated(PATH, "no policy", "no patch policy says how old an image may be", "set policy.patch.maxImageAge in the Ownership: P90D"));
        return Applies::Yes;
    };
    let Some(allowed) = days(age) else {
        out.push(Finding::unknown(PATH, "policy.patch.maxImageAge is not a number of days", "write it as P90D"));
        return Applies::Yes;
    };
    let said = pod.annotations.get(KEY).map(|v| v.trim().parse::<Timestamp>());
    match said {
        None => out.push(Finding::unknown(PATH, "nobody says when its image was built", WRITE)),
        Some(Err(_)) => out.push(Finding::unknown(PATH, "when its image was built is not a time of RFC 3339", WRITE)),
        Some(Ok(built)) if built.duration_since(cx.now) > AHEAD => {
            out.push(Finding::unknown(PATH, "its image is said to be built in the future", WRITE));
            return Applies::until(built.checked_sub(AHEAD));
        }
        // Neither the age nor the day: the same finding must read the same tomorrow.
        Some(Ok(built)) if cx.now.duration_since(built) >= allowed => {
            out.push(Finding::violated(PATH, "too old", format!("its image is older than {age}"), "build the image anew and deploy it"));
        }
        Some(Ok(built)) => return Applies::until(built.checked_add(allowed)),
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::testing::{NOW, judge, policy},
        model::facts::Facts,
    };

    #[test]
    fn an_image_ages() {
        assert_eq!(NOW, "2026-04-01T00:00:00Z");
        let (old, unknown) = (vec!["Violated metadata.annotations too old"], vec!["Unknown metadata.annotations"]);
        for (built, settings, said) in [
            ("org.opencontainers.image.created: '2026-03-01T00:00:00Z'", "patch: {maxImageAge: P90D}", vec![]),
            ("org.opencontainers.image.created: '2026-03-01T02:00:00.5+02:00'", "patch: {maxImageAge: P31D}", vec![]),
            ("org.opencontainers.image.created: '2026-03-01T00:00:01Z'", "patch: {maxImageAge: P31D}", vec![]),
            ("org.opencontainers.image.created: '2026-03-01T00:00:00Z'", "patch: {maxImageAge: P31D}", old.clone()),
            ("org.opencontainers.image.created: '1970-01-01T00:00:00Z'", "patch: {maxImageAge: P90D}", old),
            ("org.opencontainers.image.created: '2026-04-01T12:00:00Z'", "patch: {maxImageAge: P90D}", vec![]),
            ("org.opencontainers.image.created: '2026-05-01T00:00:00Z'", "patch: {maxImageAge: P90D}", unknown.clone()),
            ("org.opencontainers.image.created: yesterday", "patch: {maxImageAge: P90D}", unknown.clone()),
            ("org.opencontainers.image.created: ''", "patch: {maxImageAge: P90D}", unknown.clone()),
            ("", "patch: {maxImageAge: P90D}", unknown.clone()),
            ("", "patch: {maxImageAge: P0D}", unknown.clone()),
            ("", "patch: {maxImageAge: P3M}", unknown),
            ("org.opencontainers.image.created: '2026-03-01T00:00:00Z'", "{}", vec!["Violated metadata.annotations no policy"]),
            ("", "patch: {remediationDays: {high: 30}}", vec!["Violated metadata.annotations no policy"]),
        ] {
            let yaml = format!(
                "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{metadata: {{annotations: {{{built}}}}}, spec: {{containers: [{{name: c}}]}}}}}}}}"
            );
            assert_eq!(judge(&CONTROL, &yaml, &policy(settings), &Facts::empty()), said, "{built} {settings}");
        }
    }
}
