//! Third-party controllers that a Baseline lists, and the custom resources for which they make Pods: of each only its kind and when it was made,
//! which is how old the grace is of what is made for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::objects::Record;
use crate::{
    api::baseline::Controller,
    model::{
        Sameness,
        subject::{Kind, OwnerReference, Subject},
    },
};

/// The most kinds that are watched, whatever the Baselines list.
pub const MAX_KINDS: usize = 64;

/// Who is believed: usernames, each with the kinds for which it makes something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers(BTreeMap<String, BTreeSet<String>>);

impl Controllers {
    /// Adds what a Baseline lists. Of several each counts: they spare what stood, and permit nothing new.
    pub fn add(&mut self, listed: &[Controller]) {
        for Controller { service_account, kinds } in listed {
            let username = format!("system:serviceaccount:{}:{}", service_account.namespace, service_account.name);
            self.0.entry(username).or_default().extend(kinds.iter().cloned());
        }
    }

    /// The kind that an owner reference names, as it is listed, where `username` makes something for its objects.
    pub fn believes(&self, username: &str, owner: &OwnerReference<'_>) -> Option<&str> {
        let (group, _) = owner.api_version.split_once('/')?;
        self.0.get(username)?.iter().find(|listed| listed.split_once('/') == Some((group, &*owner.kind))).map(String::as_str)
    }

    /// Whether anybody does, for objects of the kind that an owner reference names.
    pub fn lists(&self, owner: &OwnerReference<'_>) -> bool {
        self.0.keys().any(|username| self.believes(username, owner).is_some())
    }

    /// Whether anybody does, for objects of `kind`.
    fn names(&self, kind: &str) -> bool {
        self.0.values().any(|kinds| kinds.contains(kind))
    }

    /// Who makes what, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(username, kinds)| kinds.iter().map(|kind| (&**username, &**kind)))
    }
}

/// A custom resource of a kind that a Baseline lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `group/Kind`.
    pub kind: Arc<str>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// What is known of the owner that a listed controller names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// When it was made.
    Made(Option<Timestamp>),
    /// Nothing yet: its kind is read, and it may come.
    NotYet,
    /// Its kind cannot be read.
    Unseen,
}

/// The custom resources of one namespace, by uid.
pub type Owners = HashMap<Arc<str>, Owner>;

/// When the owner of `uid` was made, if it is of a kind that is listed here.
pub fn made(owners: &Owners, uid: &str, controllers: &Controllers) -> Option<Option<Timestamp>> {
    owners.get(uid).filter(|owner| controllers.names(&owner.kind)).map(|owner| owner.created)
}

/// The most siblings that one is held against, the oldest first. Each is judged, and reviews wait meanwhile.
const MOST: usize = 16;

/// What the siblings of an object violate that stand and have the same containers, or some more or fewer; `None` where there are none. A custom
/// resource may have Pods of several sorts, and one sort says nothing of another. Once it is `enough`, no further one is judged.
pub fn siblings<'r>(
    subject: &Subject<'_>,
    of_owner: impl Iterator<Item = &'r Record>,
    enough: impl Fn(&HashSet<Sameness>) -> bool,
    mut violated: impl FnMut(&Subject<'_>, &Record) -> HashSet<Sameness>,
) -> Option<HashSet<Sameness>> {
    let containers = containers(subject)?;
    let mut siblings: Vec<&Record> = of_owner.filter(|record| record.kind == subject.kind).collect();
    // The oldest first, so that it is always the same ones.
    siblings.sort_by_key(|record| record.created);
    let mut found: Option<HashSet<Sameness>> = None;
    let alike = |other: &Subject<'_>| self::containers(other).is_some_and(|other| other.is_subset(&containers) || other.is_superset(&containers));
    let parsed = siblings.into_iter().take(10 * MOST).filter_map(|record| Some((record, record.subject().ok()?)));
    for (record, sibling) in parsed.filter(|(_, sibling)| alike(sibling)).take(MOST) {
        let found = found.get_or_insert_default();
        found.extend(violated(&sibling, record));
        if enough(found) {
            break;
        }
    }
    found
}

fn containers(subject: &Subject<'_>) -> Option<BTreeSet<String>> {
    let pod = subject.pod.as_ref().filter(|_| subject.kind != Kind::PersistentVolumeClaim)?;
    Some(pod.spec.containers.iter().map(|c| c.name.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{baseline::Baseline, ownership::Ownership},
        model::Finding,
        policy::{floor::Floor, objects::Objects},
    };

    #[test]
    fn what_several_baselines_list_adds_up_and_each_is_believed_of_its_own_kinds_alone() {
        let baseline = |name: &str, controllers: &str| Baseline::new(name, serde_saphyr::from_str(&format!("{{namespaceSelector: {{}}, controllers: [{controllers}]}}")).unwrap());
        let (gold, silver) = (
            baseline("gold", "{serviceAccount: {namespace: pg, name: operator}, kinds: [pg.example/Cluster]}"),
            baseline(
                "silver",
                "{serviceAccount: {namespace: pg, name: operator}, kinds: [pg.example/Pooler]}, {serviceAccount: {namespace: mq, name: operator}, kinds: [mq.example/Cluster]}",
            ),
        );
        let floor = Floor::of([&gold, &silver], &Arc::default()).unwrap();
        let declared = Ownership::new("default", serde_saphyr::from_str("{serviceModel: PaaS}").unwrap());
        for matrix in [floor.alone(), floor.under(&declared)] {
            for (username, api_version, kind, believed) in [
                ("system:serviceaccount:pg:operator", "pg.example/v1", "Cluster", true),
                ("system:serviceaccount:pg:operator", "pg.example/v2beta1", "Pooler", true),
                ("system:serviceaccount:mq:operator", "mq.example/v1", "Cluster", true),
                ("system:serviceaccount:mq:operator", "pg.example/v1", "Cluster", false),
                ("system:serviceaccount:pg:operator", "mq.example/v1", "Cluster", false),
                ("system:serviceaccount:pg:operator", "v1", "Cluster", false),
                ("system:serviceaccount:pg:operator", "pg.example/v1", "cluster", false),
                ("system:serviceaccount:pg:operator", "pg.example", "Cluster", false),
                ("system:serviceaccount:pg:operator", "", "", false),
                ("operator", "pg.example/v1", "Cluster", false),
                ("", "pg.example/v1", "Cluster", false),
            ] {
                let owner = OwnerReference { api_version: api_version.into(), kind: kind.into(), ..OwnerReference::default() };
                assert_eq!(matrix.controllers.believes(username, &owner).is_some(), believed, "{username} {api_version} {kind}");
            }
        }
    }

    #[test]
    fn only_what_has_the_same_containers_or_some_more_or_fewer_is_a_sibling() {
        let pod = |containers: &[&str], uid: &str| {
            let containers: Vec<_> = containers.iter().map(|name| serde_json::json!({"name": name, "image": "a"})).collect();
            serde_json::json!({"metadata": {"name": uid, "namespace": "shop", "uid": uid, "ownerReferences": [{"uid": "c", "controller": true}]}, "spec": {"containers": containers}})
        };
        for (standing, new, siblings) in [
            (&[][..], &["db"][..], None),
            (&[&["db"][..]], &["db"], Some(1)),
            (&[&["db"]], &["router"], None),
            (&[&["db"]], &["db", "extra"], Some(1)),
            (&[&["db", "metrics"]], &["db"], Some(1)),
            (&[&["db", "metrics"]], &["router", "metrics"], None),
            (&[&["db"], &["router"], &["db"]], &["db"], Some(2)),
        ] {
            let mut objects = Objects::default();
            for (i, containers) in standing.iter().enumerate() {
                objects.put(Kind::Pod, pod(containers, &format!("u{i}")));
            }
            objects.put(
                Kind::Pod,
                pod(&["db"], "of-another")
                    .as_object()
                    .map(|o| {
                        let mut o = o.clone();
                        o["metadata"]["ownerReferences"][0]["uid"] = "d".into();
                        o.into()
                    })
                    .unwrap(),
            );
            let new = pod(new, "new").to_string();
            let subject = Subject::parse(Kind::Pod, &new).unwrap();
            let same = Finding::violated("spec", "a", "", "").sameness("b");
            for (violate, judged) in [(None, siblings), (Some(same), siblings.map(|_| 1))] {
                let mut seen = 0;
                let found = super::siblings(
                    &subject,
                    objects.room("shop").unwrap().children("c"),
                    |found| found.contains(&same),
                    |_, _| {
                        seen += 1;
                        violate.into_iter().collect()
                    },
                );
                assert_eq!(found.map(|_| seen), judged, "{standing:?} {new} {violate:?}");
            }
        }
    }
}
