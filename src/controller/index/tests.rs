//! The index as its callers see it: what is taken in, and what the book shows of it then.
//! What each part keeps is tried beside the part.

use std::collections::HashSet;

use super::*;
use crate::model::facts::Facts;

#[test]
fn a_forbidden_kind_of_facts_is_told_as_such_and_comes_back() {
    let index = Index::default();
    let class = serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast", "uid": "c"}, "provisioner": "driver.longhorn.io"});
    index.take(Source::StorageClasses, &Change::Applied(Box::new(serde_json::from_value(class).unwrap())));
    let facts = || {
        index.settle();
        index.shared.book.load().facts.clone()
    };
    assert!(facts().storage_classes.is_ok_and(|c| c.contains_key("fast")));
    index.set_unreadable(vec![(Source::StorageClasses, "RBAC forbids reading them")]);
    assert_eq!(facts().storage_classes, Err("RBAC forbids reading them".to_owned()));
    assert!(facts().volumes.is_ok(), "the others stand");
    index.set_unreadable(Vec::new());
    assert!(facts().storage_classes.is_ok_and(|c| c.contains_key("fast")));
}

#[test]
fn bindings_and_policies_come_and_go_and_what_is_forbidden_is_unseen() {
    let index = Index::default();
    let object = |kind: &str, uid: &str, rest: serde_json::Value| {
        let mut object = serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "shop", "uid": uid}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Box::new(serde_json::from_value::<DynamicObject>(object).unwrap())
    };
    let subjects = serde_json::json!({"subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]});
    let facts = || {
        index.settle();
        index.shared.book.load().facts.clone()
    };
    let bound = |facts: &Facts| facts.grants.as_ref().unwrap().contains_key("shop/web");
    let (role, cluster) = (Source::Subjects(Kind::RoleBinding), Source::Backing(Backing::ClusterRoleBindings));
    index.take(role, &Change::Applied(object("RoleBinding", "1", subjects.clone())));
    index.take(cluster, &Change::Applied(object("ClusterRoleBinding", "2", subjects.clone())));
    assert!(bound(&facts()));
    index.take(role, &Change::Applied(object("RoleBinding", "1", serde_json::json!({"subjects": null}))));
    assert!(bound(&facts()), "by the other");
    index.take(cluster, &Change::Deleted(object("ClusterRoleBinding", "2", subjects)));
    assert!(!bound(&facts()));
    let policies = Source::Subjects(Kind::NetworkPolicy);
    index.take(policies, &Change::Applied(object("NetworkPolicy", "3", serde_json::json!({"spec": {"podSelector": {}}}))));
    assert!(facts().network_policies.unwrap()["shop"]["x"].ingress);
    index.take(policies, &Change::Listed(HashSet::new()));
    assert!(facts().network_policies.unwrap().is_empty());
    index.set_unreadable(vec![(cluster, "x"), (Source::Subjects(Kind::ServiceAccount), "x")]);
    let blind = facts();
    assert!(blind.grants.is_err() && blind.accounts.is_err() && blind.network_policies.is_ok());
    assert_eq!(blind.unseen.keys().collect::<Vec<_>>(), [&Kind::ServiceAccount, &Kind::ClusterRoleBinding]);
}

#[test]
fn what_a_fresh_list_lacks_is_forgotten_unless_its_name_lives_on() {
    let index = Index::default();
    let class = |name: &str, uid: &str| {
        Change::Applied(Box::new(
            serde_json::from_value(serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name, "uid": uid}, "provisioner": "p"}))
                .unwrap(),
        ))
    };
    for (name, uid) in [("gone", "1"), ("remade", "2"), ("remade", "3")] {
        index.take(Source::StorageClasses, &class(name, uid));
    }
    index.take(Source::StorageClasses, &Change::Listed(HashSet::from(["3".to_owned()])));
    index.settle();
    let names: Vec<String> = index.shared.book.load().facts.storage_classes.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(names, ["remade"]);
}

#[test]
fn a_namespace_that_the_cluster_depends_on_is_known_by_what_depends_on_it() {
    let index = Index::default();
    let take = |backing, object: serde_json::Value| index.take(Source::Backing(backing), &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    let hook = |namespace: &str| {
        serde_json::json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "cert-manager", "uid": "w"},
        "webhooks": [{"clientConfig": {"url": "https://127.0.0.1/"}}, {"clientConfig": {"service": {"namespace": namespace, "name": "s"}}}]})
    };
    take(Backing::ValidatingWebhooks, hook("certs"));
    assert_eq!(index.backs("certs").unwrap(), "it serves webhook cert-manager");
    take(Backing::ValidatingWebhooks, hook("elsewhere"));
    assert_eq!((index.backs("certs"), index.backs("elsewhere").is_some()), (None, true), "it moved");
    index.take(Source::Backing(Backing::ValidatingWebhooks), &Change::Listed(HashSet::new()));
    assert_eq!(index.backs("elsewhere"), None, "it is gone");
    take(
        Backing::ApiServices,
        serde_json::json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io", "uid": "a"}, "spec": {"service": {"namespace": "metrics", "name": "s"}}}),
    );
    assert!(index.backs("metrics").is_some());
    let binding = |account: &str| {
        serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": account, "uid": account},
        "subjects": [{"kind": "User", "name": "kustomize-controller", "namespace": "users"}, {"kind": "ServiceAccount", "name": account, "namespace": "apps"}]})
    };
    take(Backing::ClusterRoleBindings, binding("web"));
    assert_eq!(index.backs("apps"), None);
    take(Backing::ClusterRoleBindings, binding("argocd-application-controller"));
    assert!(index.backs("apps").is_some() && index.backs("users").is_none());
}

#[test]
fn what_the_leader_writes_into_a_baseline_concerns_no_namespace_and_what_people_write_all() {
    let index = Index::default();
    let take = |source, object: serde_json::Value| index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    let baseline = |generation: i64, declared: i64| {
        take(
            Source::Declared(Declaration::Baseline),
            serde_json::json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "all", "uid": "b", "generation": generation},
            "spec": {"namespaceSelector": {}, "serviceModel": if generation == 1 { "PaaS" } else { "SaaS" }}, "status": {"declared": declared}}),
        );
        (index.drain_dirty(), index.baselines()[0].status.as_ref().unwrap().declared, index.shared.book.load().floors["shop"].clone())
    };
    take(Source::Namespaces, serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n"}}));
    let shop = BTreeSet::from(["shop".to_owned()]);
    let (concerns, _, before) = baseline(1, 0);
    assert_eq!(concerns, shop);
    let (concerns, declared, after) = baseline(1, 7);
    assert_eq!((concerns, declared), (BTreeSet::new(), 7), "it is known all the same");
    assert!(Arc::ptr_eq(&before, &after), "and nothing is resolved anew");
    let (concerns, _, after) = baseline(2, 7);
    assert_eq!(concerns, shop);
    assert!(!Arc::ptr_eq(&before, &after));
}

/// A namespace that is judged by an older book than the change that made it due would not be judged again: the change would never be told.
#[test]
fn what_is_due_is_judged_by_a_book_that_shows_why() {
    const MANY: usize = 2000;
    let index = Index::default();
    let ownership = |namespace: &str| {
        serde_json::json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": namespace, "uid": namespace, "generation": 1},
            "spec": {"serviceModel": "PaaS"}})
    };
    let change = |object| Change::Applied(Box::new(serde_json::from_value(object).unwrap()));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| (0..MANY).for_each(|i| index.take(Source::Declared(Declaration::Ownership), &change(ownership(&format!("shop-{i}"))))));
        let mut judged = 0;
        while judged < MANY {
            // Read first: what comes after the last look is there at the next.
            let ended = watch.is_finished();
            let due = index.drain_dirty();
            let book = index.shared.book.load_full();
            for namespace in &due {
                assert!(book.promises.contains_key(namespace), "{namespace}");
            }
            judged += due.len();
            assert!(!ended || judged == MANY, "{judged}");
        }
    });
}
