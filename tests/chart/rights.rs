//! The rights of the controller, held against what the code calls, and those of people.
//! What is read follows from `run::watched`; each right beyond that stands in a table, with the place that uses it.

use std::{collections::BTreeSet, time::Duration};

use demarc::run;
use serde_json::{Value, json};

use crate::{
    helm::{FULL, HELM4, NAMESPACE, find, rendered},
    pod,
    support::{ControlPlane, Said, eventually},
};

const SOON: Duration = Duration::from_secs(30);

/// Where, group, resource, name, verb; and who calls it.
const BEYOND_READING: &[(&str, &str, &str, &str, &str)] = &[
    ("ClusterRole", "demarc.dev", "ownerships", "", "get"),          // reconcile: status_of_unreadable
    ("ClusterRole", "demarc.dev", "ownerships/status", "", "patch"), // reconcile: write
    ("ClusterRole", "demarc.dev", "waivers/status", "", "patch"),    // permits: waivers
    ("ClusterRole", "demarc.dev", "baselines/status", "", "patch"),  // baselines: baselines
    ("ClusterRole", "demarc.dev", "controls", "", "create"),         // publish: carry_out
    ("ClusterRole", "demarc.dev", "controls", "", "patch"),
    ("ClusterRole", "demarc.dev", "controls", "", "delete"),                                            // and cleanup
    ("ClusterRole", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "create"), // baselines: bind
    ("ClusterRole", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "patch"),
    ("ClusterRole", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "delete"),
    ("ClusterRole", "authorization.k8s.io", "subjectaccessreviews", "", "create"), // assign: ask
    ("ClusterRole", "", "namespaces", "", "patch"),                                // reconcile: label
    ("ClusterRole", "", "podtemplates", "", "create"),                             // probe: ask, by dry run
    ("ClusterRole", "events.k8s.io", "events", "", "create"),                      // reconcile: tell
    ("ClusterRole", "events.k8s.io", "events", "", "patch"),                       // the same Event again: kube counts it up
    ("Role", "coordination.k8s.io", "leases", "", "create"),                       // lease: turn
    ("Role", "coordination.k8s.io", "leases", "demarc", "get"),                    // and doctor, by helm test
    ("Role", "coordination.k8s.io", "leases", "demarc", "patch"),
    ("Role", "coordination.k8s.io", "leases", "demarc-proof", "get"),   // doctor, by helm test
    ("Role", "coordination.k8s.io", "leases", "demarc-proof", "patch"), // probe: note
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "baselines.demarc.dev", "get"), // doctor, by helm test
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "controls.demarc.dev", "get"),
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "ownerships.demarc.dev", "get"),
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "parties.demarc.dev", "get"),
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "rosters.demarc.dev", "get"),
    ("ClusterRole", "apiextensions.k8s.io", "customresourcedefinitions", "waivers.demarc.dev", "get"),
];

/// Only where the leader makes the certificate itself.
const OWN_CERTIFICATE: &[(&str, &str, &str, &str, &str)] = &[
    ("ClusterRole", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "demarc", "get"),
    ("ClusterRole", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "demarc", "patch"),
    ("Role", "", "secrets", "", "create"),
    ("Role", "", "secrets", "demarc-tls", "get"),
    ("Role", "", "secrets", "demarc-tls", "update"),
    // The hook before an uninstall.
    ("Role", "", "secrets", "demarc-tls", "delete"),
];

type Right = (String, String, String, String, String);

fn right((role, group, resource, name, verb): (&str, &str, &str, &str, &str)) -> Right {
    (role.to_owned(), group.to_owned(), resource.to_owned(), name.to_owned(), verb.to_owned())
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn granted(objects: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for role in ["ClusterRole", "Role"] {
        for rule in find(objects, &format!("{role} demarc"))["rules"].as_array().unwrap() {
            let names = texts(&rule["resourceNames"]);
            for (group, resource, verb) in texts(&rule["apiGroups"])
                .iter()
                .flat_map(|g| texts(&rule["resources"]).into_iter().map(move |r| (g, r)))
                .flat_map(|(g, r)| texts(&rule["verbs"]).into_iter().map(move |v| (g, r, v)))
            {
                for name in if names.is_empty() { &[""][..] } else { &names } {
                    rights.insert(right((role, group, resource, name, verb)));
                }
            }
        }
    }
    rights
}

#[test]
fn the_controller_has_the_rights_that_it_uses_and_no_other() {
    let watched = run::watched();
    let reads = watched.iter().flat_map(|(_, r)| ["list", "watch"].map(|verb| right(("ClusterRole", &r.group, &r.plural, "", verb))));
    let always: BTreeSet<Right> = reads.chain(BEYOND_READING.iter().copied().map(right)).collect();
    assert_eq!(granted(&rendered(&["--set", "tls.certManager.enabled=true"])), always);
    let own: BTreeSet<Right> = always.into_iter().chain(OWN_CERTIFICATE.iter().copied().map(right)).collect();
    assert_eq!(granted(&rendered(&[])), own);
    // What operators make Pods for, where it is asked for, and only to be watched.
    let asked = rendered(&["--set", "rbac.thirdPartyKinds[0].apiGroups={pg.example},rbac.thirdPartyKinds[0].resources={clusters,poolers}"]);
    let more = ["clusters", "poolers"].into_iter().flat_map(|r| ["list", "watch"].map(|verb| right(("ClusterRole", "pg.example", r, "", verb))));
    assert_eq!(granted(&asked), own.into_iter().chain(more).collect());
}

#[test]
fn no_role_holds_an_asterisk_and_none_is_bound_to_more_than_the_controller() {
    for values in [&[][..], FULL] {
        let objects = rendered(values);
        let roles: Vec<&Value> = objects.iter().filter(|o| o["kind"].as_str().unwrap().ends_with("Role")).collect();
        assert_eq!(roles.len(), 7);
        for rule in roles.iter().flat_map(|r| r["rules"].as_array().unwrap()) {
            let all = ["apiGroups", "resources", "verbs"].map(|part| texts(&rule[part])).concat();
            assert!(!all.iter().any(|part| part.contains('*')), "{rule}");
        }
        let account = find(&objects, if values.is_empty() { "ServiceAccount demarc" } else { "ServiceAccount guardian" });
        let bindings: Vec<&Value> = objects.iter().filter(|o| o["kind"].as_str().unwrap().ends_with("RoleBinding")).collect();
        assert_eq!(bindings.len(), 2);
        for binding in bindings {
            assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": NAMESPACE}]));
            find(&objects, &format!("{} {}", binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap()));
        }
    }
}

fn may(said: &Said) -> bool {
    match said.out.trim() {
        "yes" => true,
        "no" => false,
        _ => panic!("{said:?}"),
    }
}

#[test]
fn with_the_charts_rights_demarc_does_its_work_and_is_held_to_it() {
    let plane = ControlPlane::start();
    let kubectl = |args: &[&str], stdin: Option<&str>| plane.kubectl(args, stdin).result().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    kubectl(&["create", "namespace", NAMESPACE], None);
    HELM4.with(Some(&plane.kubeconfig()), &["install", "demarc", "charts/demarc"]).result().unwrap();
    let user = format!("system:serviceaccount:{NAMESPACE}:demarc");
    let (demarc, kubeconfig) = pod::start(&plane, &[]);

    // Label, status, Event and Lease.
    kubectl(&["create", "namespace", "shop"], None);
    let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"serviceModel": "PaaS", "parties": {"customer": "acme", "provider": "azure"}}});
    // The API server may not have heard of the endpoint or of the CA yet.
    eventually("the declaration", SOON, || plane.kubectl(&["apply", "-f", "-"], Some(&ownership.to_string())).result());
    kubectl(&["wait", "ownership/default", "-n", "shop", "--for=condition=Enforcing=True", "--timeout=30s"], None);
    eventually("an Event", SOON, || match plane.kubectl(&["get", "events.events.k8s.io", "-n", "shop", "-o", "name"], None).result()?.as_str() {
        "" => Err(demarc.log()),
        _ => Ok(()),
    });
    // The certificate that it made is kept where it may be read.
    assert!(!kubectl(&["get", "secret", "demarc-tls", "-n", NAMESPACE, "-o", "jsonpath={.data.tls\\.crt}"], None).is_empty());
    assert!(kubectl(&["get", "lease", "demarc", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"], None).starts_with("one-"));
    // And its word counts.
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": [{"name": "a", "image": "b", "securityContext": {"privileged": true}}]}});
    eventually("the default service account", SOON, || plane.kubectl(&["get", "serviceaccount", "default", "-n", "shop"], None).result());
    let said = plane.kubectl(&["apply", "-n", "shop", "-f", "-"], Some(&pod.to_string()));
    assert!(!said.ok && said.err.contains("denied the request"), "{said:?}");

    // Nothing that it tried was forbidden, but what it asks to be refused.
    let probe = |e: &Value| e["objectRef"]["resource"] == "podtemplates";
    let refused: Vec<Value> = plane.audit().into_iter().filter(|e| e["user"]["username"] == user.as_str() && e["responseStatus"]["code"] == 403 && !probe(e)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!demarc.log().contains("forbidden"), "{}", demarc.log());
    assert_eq!(demarc.readyz(), 200);

    each_right_is_used(&plane, &user);

    // With the same rights `helm test` sees everything that doctor looks at.
    let doctor = || std::process::Command::new(env!("CARGO_BIN_EXE_demarc")).arg("doctor").env("KUBECONFIG", &kubeconfig).output().unwrap();
    eventually("doctor", SOON, || {
        let told = doctor();
        let out = String::from_utf8_lossy(&told.stdout).into_owned();
        if told.status.success() && out.contains("1 namespace enrolled, 0 problems\n") { Ok(()) } else { Err(out) }
    });

    // The policies know this ServiceAccount by name: it alone enrols, and of a namespace it changes nothing else.
    let said = plane.kubectl(&["label", "namespace", "default", "demarc.dev/admission=enabled"], None);
    assert!(!said.ok && said.err.contains("set by Demarc alone"), "{said:?}");
    // Server-side: kubectl's other ways to change it begin with a GET, which is not granted.
    let loosened = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let said = plane.kubectl(&["apply", "--server-side", "--as", &user, "-f", "-"], Some(&loosened.to_string()));
    assert!(!said.ok && said.err.contains("changes nothing but its own label"), "{said:?}");

    // The Secret: its own by name.
    let can = |verb: &str, what: &str| may(&plane.kubectl(&["auth", "can-i", verb, what, "-n", NAMESPACE, "--as", &user], None));
    assert!(can("get", "secret/demarc-tls") && can("update", "secret/demarc-tls") && can("create", "secrets"));
    assert!(!can("get", "secrets") && !can("list", "secrets") && !can("get", "secret/other") && !can("delete", "secrets") && !can("list", "secret/demarc-tls"));

    people(&plane);
    demarc.kill();
}

/// Writes that this story has no occasion for, and what the occasion is.
const RARE: &[(&str, &str, &str, &str)] = &[
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "create", "an apply that makes it is written down as a patch"),
    ("demarc.dev", "controls", "create", "the same"),
    ("demarc.dev", "controls", "delete", "an older version has published one that this one has not"),
    ("events.k8s.io", "events", "patch", "the same is told again"),
    ("", "secrets", "update", "the certificate is renewed"),
    ("", "secrets", "delete", "the hook before an uninstall"),
];

/// Of what it may write it writes all, as the API server's own log says; and it may do what the chart says and nothing else.
fn each_right_is_used(plane: &ControlPlane, user: &str) {
    let apply = |object: Value| plane.kubectl(&["apply", "-f", "-"], Some(&object.to_string())).result().unwrap();
    let demarc = |kind: &str, meta: Value, spec: Value| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec});
    let gold = json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny"});
    apply(demarc("Baseline", json!({"name": "gold"}), gold));
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 20);
    let waiver = json!({"control": "encryption-declared", "target": {"kind": "Deployment", "name": "web"}, "reason": "moves next week", "requestedBy": "admin", "expires": until.strftime("%FT%TZ").to_string()});
    apply(demarc("Waiver", json!({"name": "web", "namespace": "shop"}), waiver));
    // Who weakens is asked whether they may, and a dry run is asked about as well.
    let patch = r#"{"spec": {"mode": "Audit"}}"#;
    plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", patch, "--dry-run=server"], None).result().unwrap();

    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let called = |e: &Value| {
        let about = &e["objectRef"];
        let resource = [text(&about["resource"]), text(&about["subresource"])].join("/");
        [text(&about["apiGroup"]), resource.trim_end_matches('/').to_owned(), text(&e["verb"])]
    };
    let writes = |right: &[String; 3]| !["get", "list", "watch"].contains(&&*right[2]);
    let all: BTreeSet<[String; 3]> = granted(&rendered(&[])).into_iter().map(|(_, group, resource, _, verb)| [group, resource, verb]).collect();
    let may: BTreeSet<[String; 3]> = all.iter().filter(|right| writes(right)).cloned().collect();
    let rare: BTreeSet<[String; 3]> = RARE.iter().map(|(group, resource, verb, _)| [group, resource, verb].map(|t| (*t).to_owned())).collect();
    // The probe asks to be refused, and not by RBAC.
    let did = |e: &&Value| e["user"]["username"] == user && (e["responseStatus"]["code"] != 403 || e["objectRef"]["resource"] == "podtemplates");
    let wrote = || plane.audit().iter().filter(did).map(called).collect::<BTreeSet<_>>();
    let gate = ["admissionregistration.k8s.io", "validatingadmissionpolicybindings", "patch"].map(str::to_owned);
    eventually("the gate", SOON, || if wrote().contains(&gate) { Ok(()) } else { Err(format!("{:?}", wrote())) });
    plane.kubectl(&["patch", "baseline", "gold", "--type=merge", "-p", r#"{"spec": {"undeclared": "Warn"}}"#], None).result().unwrap();
    eventually("each right", SOON, || {
        let unused: BTreeSet<_> = may.difference(&wrote()).cloned().collect();
        if unused.is_subset(&rare) { Ok(()) } else { Err(format!("{:?}", unused.difference(&rare))) }
    });

    // As the API server lists them, beside what every account may.
    let listed = |who: &str| -> BTreeSet<String> {
        let rows = plane.kubectl(&["auth", "can-i", "--list", "--no-headers", "-n", NAMESPACE, "--as", who], None).result().unwrap();
        rows.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let rows: BTreeSet<String> = listed(user).difference(&listed(&format!("system:serviceaccount:{NAMESPACE}:nobody"))).cloned().collect();
    let mut shown: BTreeSet<[String; 3]> = BTreeSet::new();
    for row in &rows {
        // `resource.group [] [names] [verbs]`, and a subresource after the group.
        let (what, rest) = row.split_once(' ').unwrap();
        let (what, sub) = what.split_once('/').map_or((what, String::new()), |(what, sub)| (what, format!("/{sub}")));
        let (resource, group) = what.split_once('.').unwrap_or((what, ""));
        let verbs = rest.rsplit_once('[').unwrap().1.trim_end_matches(']');
        shown.extend(verbs.split(' ').map(|verb| [group.to_owned(), format!("{resource}{sub}"), verb.to_owned()]));
    }
    assert_eq!(shown, all);
}

fn people(plane: &ControlPlane) {
    for (user, role) in [("alice", "edit"), ("bob", "admin")] {
        plane.kubectl(&["create", "rolebinding", role, "-n", "shop", &format!("--clusterrole={role}"), &format!("--user={user}")], None).result().unwrap();
    }
    let can = |user: &str, verb: &str, what: &str, namespace: &str| may(&plane.kubectl_as(user, &["auth", "can-i", verb, what, "-n", namespace], None));
    // The cluster's roles take the chart's up a moment after they are made.
    eventually("aggregation", SOON, || if can("bob", "update", "ownerships.demarc.dev", "shop") { Ok(()) } else { Err("not yet".into()) });
    for verb in ["get", "list", "watch"] {
        assert!(can("alice", verb, "ownerships.demarc.dev", "shop") && can("bob", verb, "ownerships.demarc.dev", "shop"), "{verb}");
        assert!(!can("alice", verb, "ownerships.demarc.dev", "default"), "{verb}");
    }
    // Edit asks for Waivers, and nobody approves them by default.
    assert!(can("alice", "create", "waivers.demarc.dev", "shop") && can("bob", "create", "waivers.demarc.dev", "shop"));
    assert!(!can("alice", "approve", "waivers.demarc.dev", "shop") && !can("bob", "approve", "waivers.demarc.dev", "shop"));
    for what in ["baselines.demarc.dev", "parties.demarc.dev", "rosters.demarc.dev"] {
        assert!(!can("bob", "create", what, "shop"), "{what}");
    }
    // Nor does anybody assign: an admin of a namespace writes its Ownership, and weakens nothing that another answers for.
    for what in ["ownerships.demarc.dev", "baselines.demarc.dev", "parties.demarc.dev"] {
        assert!(!can("alice", "assign", what, "shop") && !can("bob", "assign", what, "shop"), "{what}");
    }
    assert!(!can("bob", "get", "rosters.demarc.dev", "shop"), "personal data");
    // To delete one ends what it asks for, where there is no Baseline.
    for verb in ["delete", "deletecollection"] {
        assert!(!can("bob", verb, "ownerships.demarc.dev", "shop") && !can("alice", verb, "ownerships.demarc.dev", "shop"), "{verb}");
    }
    assert!(can("bob", "delete", "waivers.demarc.dev", "shop"));
    for verb in ["create", "update", "patch"] {
        assert!(can("bob", verb, "ownerships.demarc.dev", "shop"), "{verb}");
        assert!(!can("alice", verb, "ownerships.demarc.dev", "shop"), "edit must not {verb}");
        let status = plane.kubectl_as("bob", &["auth", "can-i", verb, "ownerships.demarc.dev", "--subresource=status", "-n", "shop"], None);
        assert!(!may(&status), "{verb}");
    }
}
