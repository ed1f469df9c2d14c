//! image-registry-allowed: images come from the registries that the Ownership lists.
//! References are parsed into host and path components and compared whole: `ghcr.io/acme` never allows `ghcr.io/acme-evil`.

use super::{Applies, Check, Context, Control, WORKLOADS};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        text::{every, shown},
    },
};

pub const CONTROL: Control = Control {
    id: "image-registry-allowed",
    title: "Images come from approved registries",
    group: "workload",
    severity: Severity::Medium,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.5.21", "A.8.19"]), ("SOC 2", &["CC6.8"]), ("CCM 4.0.12", &["STA-02", "CCC-04"]), ("NIST 800-53r5", &["SR-3", "CM-7"])],
    why: "Whoever controls the registry controls what runs.",
    checked: "Every image of every container list, and every image that is mounted as a volume, with docker.io and library/ filled in as the container runtime does, against policy.images.allowedPrefixes, whole path components at \
              a time. Without a list there is nothing to judge.",
    unknown: "Never: the reference is in the object. A reference that cannot be parsed is a violation.",
    fix: "use an image below one of policy.images.allowedPrefixes",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(images) = cx.policy.images.as_ref().filter(|i| !i.allowed_prefixes.is_empty()) else { return Applies::No };
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    for image in pod.spec.all_images() {
        // A pod's image may be left to a higher-level controller; what is absent comes from nowhere that is allowed.
        let parsed = Reference::parse(image.reference);
        if parsed.as_ref().is_some_and(|r| images.allowed_prefixes.iter().any(|p| r.below(p))) {
            continue;
        }
        let (fingerprint, from) = match &parsed {
            Some(r) => (r.repository(), r.repository()),
            None => (image.reference.to_owned(), "a reference that cannot be read".to_owned()),
        };
        let allowed = images.allowed_prefixes.iter().take(3).map(|p| shown(p, 40)).collect::<Vec<_>>().join(", ");
        out.push(Finding::violated(image.path(), fingerprint, format!("comes from {}", shown(&from, 80)), format!("use an image below {allowed}")));
    }
    Applies::Yes
}

/// An image reference without its tag and digest.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    host: &'a str,
    /// `library` for an official Docker Hub image.
    implied: Option<&'static str>,
    path: &'a str,
}

impl<'a> Reference<'a> {
    /// The grammar of <https://pkg.go.dev/github.com/distribution/reference>: `[host[:port]/]path[:tag][@digest]`; `None` when it is not one.
    fn parse(image: &'a str) -> Option<Self> {
        let name = match image.split_once('@') {
            Some((name, digest)) => {
                let (algorithm, hex) = digest.split_once(':')?;
                if algorithm.is_empty() || hex.len() < 32 || !every(hex, |b| b.is_ascii_hexdigit()) {
                    return None;
                }
                name
            }
            None => image,
        };
        let (first, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) => (first, rest),
            _ => ("", name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|t| t.is_empty() || t.len() > 128 || !every(t, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))) {
            return None;
        }
        let component = |c: &str| {
            c.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && c.bytes().last().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && every(c, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        };
        if !path.split('/').all(component) {
            return None;
        }
        if !first.is_empty() {
            let (host, port) = first.split_once(':').unwrap_or((first, "1"));
            let label = |l: &str| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-') && every(l, |b| b.is_ascii_alphanumeric() || b == b'-');
            if !host.split('.').all(label) || port.is_empty() || !every(port, |b| b.is_ascii_digit()) {
                return None;
            }
        }
        let (host, hub) = match first {
            "" | "docker.io" | "index.docker.io" => ("docker.io", true),
            other => (other, false),
        };
        Some(Self { host, implied: (hub && !path.contains('/')).then_some("library"), path })
    }

    fn components(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.host).chain(self.implied).chain(self.path.split('/'))
    }

    /// Registry and repository, as the runtime would pull it.
    fn repository(&self) -> String {
        self.components().collect::<Vec<_>>().join("/")
    }

    /// Whether every component of `prefix` is this reference's, in order. The host's case does not matter, as in DNS.
    fn below(&self, prefix: &str) -> bool {
        let mut own = self.components();
        let mut wanted = prefix.split('/');
        let host = wanted.next().unwrap_or_default();
        !host.is_empty() && own.next().is_some_and(|h| h.eq_ignore_ascii_case(host)) && wanted.all(|w| own.next() == Some(w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::testing::{judge, policy},
        model::facts::Facts,
    };

    #[test]
    fn prefixes_match_whole_components() {
        let digest = format!("ghcr.io/acme/web@sha256:{}", "a".repeat(64));
        for (image, prefix, allowed) in [
            ("ghcr.io/acme/web:1", "ghcr.io/acme", true),
            ("ghcr.io/acme/web:1", "ghcr.io/acme/web", true),
            ("ghcr.io/acme/web", "ghcr.io", true),
            (digest.as_str(), "ghcr.io/acme", true),
            ("GHCR.io/acme/web", "ghcr.io/acme", true),
            ("ghcr.io/acme-evil/web", "ghcr.io/acme", false),
            ("ghcr.io.evil.example/acme/web", "ghcr.io", false),
            ("evil.example/ghcr.io/acme/web", "ghcr.io/acme", false),
            ("ghcr.io:443/acme/web", "ghcr.io/acme", false),
            ("localhost:5000/web", "localhost:5000", true),
            ("nginx", "docker.io/library", true),
            ("nginx:1.27", "docker.io", true),
            ("index.docker.io/library/nginx", "docker.io/library/nginx", true),
            ("acme/web", "docker.io/acme", true),
            ("acme/web", "docker.io/library", false),
            ("ghcr.io/acme/../evil/web", "ghcr.io/acme", false),
            ("ghcr.io/acme//web", "ghcr.io/acme", false),
            ("ghcr.io@evil.example/acme", "ghcr.io", false),
            ("ghcr.io/acme/web@sha256:short", "ghcr.io/acme", false),
            ("ghcr.io/acme/wéb", "ghcr.io/acme", false),
            ("", "ghcr.io", false),
            (" ghcr.io/acme/web", "ghcr.io/acme", false),
            ("ghcr.io/acme/web:", "ghcr.io/acme", false),
        ] {
            assert_eq!(Reference::parse(image).is_some_and(|r| r.below(prefix)), allowed, "{image} below {prefix}");
        }
    }

    #[test]
    fn every_list_of_containers_is_read_and_a_tag_is_not_part_of_the_violation() {
        let yaml = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {
            initContainers: [{name: i, image: 'evil.example/i:1'}],
            containers: [{name: a, image: 'ghcr.io/acme/a:1'}, {name: b, image: 'evil.example/b:2'}, {name: c}],
            ephemeralContainers: [{name: e, image: busybox}],
            volumes: [{name: m, image: {reference: 'evil.example/m:1'}}, {name: o, image: {reference: ghcr.io/acme/o}}, {name: none, image: {}}, {name: t, emptyDir: {}}]}}";
        let settings = policy("images: {allowedPrefixes: [ghcr.io/acme]}");
        assert_eq!(
            judge(&CONTROL, yaml, &settings, &Facts::empty()),
            [
                "Violated spec.initContainers[i].image evil.example/i",
                "Violated spec.containers[b].image evil.example/b",
                "Violated spec.containers[c].image",
                "Violated spec.ephemeralContainers[e].image docker.io/library/busybox",
                "Violated spec.volumes[m].image.reference evil.example/m",
                "Violated spec.volumes[none].image.reference",
            ]
        );
        assert_eq!(judge(&CONTROL, yaml, &policy("{}"), &Facts::empty()), ["-"]);
    }
}
