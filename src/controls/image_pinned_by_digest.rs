//! image-pinned-by-digest: an image is named by its digest, so that what was reviewed is what runs.
//! A tag may be moved at any time; a digest fixes identity, and proves no signature.

use super::{Applies, Check, Context, Control, WORKLOADS};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        text::{every, shown},
    },
};

pub const CONTROL: Control = Control {
    id: "image-pinned-by-digest",
    title: "Images are pinned by digest",
    group: "workload",
    severity: Severity::Medium,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.19"]), ("SOC 2", &["CC8.1"]), ("CCM 4.0.12", &["CCC-04"]), ("NIST 800-53r5", &["SI-7", "CM-2"]), ("CIS Kubernetes 2.0.1", &["5.5.1"])],
    why: "A tag is a name that somebody can move: the next restart may run something that nobody has looked at.",
    checked: "Every image of every container list, and every image that is mounted as a volume, ends with @sha256: and 64 hexadecimal digits (or @sha512: and 128). A tag beside the digest is fine, and changes nothing.",
    unknown: "Never: the reference is in the object. An image that is left out is a violation.",
    fix: "deploy <image>@sha256:<digest> from the build pipeline",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    for image in pod.spec.all_images().filter(|i| !is_pinned(i.reference)) {
        let name = image.reference.split('@').next().unwrap_or_default();
        let name = if name.is_empty() { "<image>".to_owned() } else { shown(name, 100) };
        // What is missing is the digest: the same violation whatever the tag is today.
        out.push(Finding::violated(image.path(), "", "not pinned by digest", format!("write {name}@sha256:<digest>")));
    }
    Applies::Yes
}

/// Lower case only, as container runtimes ask for.
fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once('@') else { return false };
    let length = match digest.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha512", _)) => 128,
        _ => return false,
    };
    let hex = &digest["sha256:".len()..];
    !name.is_empty() && hex.len() == length && every(hex, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::judge, model::facts::Facts};

    #[test]
    fn only_a_whole_digest_pins() {
        let (hex, long) = ("a1".repeat(32), "b2".repeat(64));
        for (image, pinned) in [
            (format!("ghcr.io/acme/web@sha256:{hex}"), true),
            (format!("ghcr.io/acme/web:1.2@sha256:{hex}"), true),
            (format!("localhost:5000/web@sha512:{long}"), true),
            ("nginx".to_owned(), false),
            ("nginx:latest".to_owned(), false),
            ("nginx:1.27@".to_owned(), false),
            ("nginx@sha256:".to_owned(), false),
            (format!("nginx@sha256:{}", &hex[1..]), false),
            (format!("nginx@sha256:{hex}0"), false),
            (format!("nginx@sha256:{}", hex.to_uppercase()), false),
            (format!("nginx@sha512:{hex}"), false),
            (format!("nginx@md5:{hex}"), false),
            (format!("nginx:sha256-{hex}"), false),
            (format!("nginx@sha256:{hex}@sha256:{hex}"), false),
            (format!("@sha256:{hex}"), false),
            (format!("nginx@sha256:{}ä", &hex[2..]), false),
            (String::new(), false),
        ] {
            assert_eq!(is_pinned(&image), pinned, "{image}");
        }
    }

    #[test]
    fn every_list_of_containers_is_read_and_a_tag_is_not_part_of_the_violation() {
        let yaml = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{spec: {{initContainers: [{{name: i, image: 'i:1'}}],
            containers: [{{name: a, image: 'a@sha256:{0}'}}, {{name: b, image: 'b:2'}}, {{name: c}}], futureContainers: [{{name: f, image: f}}],
            volumes: [{{name: m, image: {{reference: 'm:1'}}}}, {{name: p, image: {{reference: 'm@sha256:{0}'}}}}, {{name: e, image: {{}}}}]}}}}}}}}",
            "0".repeat(64)
        );
        let said =
            ["initContainers[i].image", "containers[b].image", "containers[c].image", "futureContainers[f].image", "volumes[m].image.reference", "volumes[e].image.reference"];
        let said = said.map(|place| format!("Violated spec.{place}"));
        assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said);
        let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}";
        assert_eq!(judge(&CONTROL, service, &Default::default(), &Facts::empty()), ["-"]);
    }
}
