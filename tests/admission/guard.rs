//! Who may weaken what: reviews of declarations by several users, through the router, with somebody to ask for the verb `assign`.
//! Nothing is stored: each review is judged by itself, as the API server would send it.

use std::sync::Arc;

use demarc::{
    admission::{
        assign::{self, Assigns},
        server::routes,
    },
    api::Declaration,
    controller::index::Source,
};
use serde_json::{Value, json};

use super::{edge, index, post};

const STORED: &str = "
{apiVersion: demarc.dev/v1alpha1, kind: Party, metadata: {name: acme}, spec: {role: Customer, subjects: [{kind: User, name: alice}, {kind: Group, name: acme-admins}]}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Party, metadata: {name: shield}, spec: {role: MSSP, subjects: [{kind: User, name: bob}]}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Party, metadata: {name: free}, spec: {role: ThirdParty}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: gold, labels: {tier: gold}}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Baseline, metadata: {name: gold}, spec: {namespaceSelector: {matchLabels: {tier: gold}}, undeclared: Deny, parties: {customer: acme, mssp: shield}}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {name: default, namespace: shop}, spec: {serviceModel: PaaS, parties: {customer: acme, provider: azure}}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Party, metadata: {name: quiet}, spec: {role: Customer}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {name: default, namespace: quiet}, spec: {serviceModel: PaaS, parties: {customer: quiet}}}
---
{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {name: default, namespace: absent}, spec: {serviceModel: PaaS, parties: {customer: absent}, reviews: {matrix: {by: tested}}}}
";

fn review(operation: &str, (kind, namespace, name): (&str, &str, &str), user: &str, old: &str, new: &str) -> String {
    let object = |spec: &str| match spec {
        "" => Value::Null,
        spec => {
            json!({"apiVersion": "demarc.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": serde_saphyr::from_str::<Value>(spec).unwrap()})
        }
    };
    let (user, groups) = user.split_once('/').unwrap_or((user, ""));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": "demarc.dev", "version": "v1alpha1", "kind": kind},
        "name": name, "namespace": namespace, "operation": operation, "userInfo": {"username": user, "groups": [groups]}, "object": object(new), "oldObject": object(old)}})
    .to_string()
}

/// The user gitops holds the verb, where the namespace and the name are those that are meant.
fn assigns() -> Assigns {
    Arc::new(|appeal| Box::pin(async move { Ok(appeal.user.username.as_deref() == Some("gitops") && !appeal.resource.is_empty() && !appeal.name.is_empty()) }))
}

const OWN: (&str, &str, &str) = ("Ownership", "shop", "default");
const PLAIN: &str = "{serviceModel: PaaS, parties: {customer: acme, provider: azure}}";
const AUDIT: &str = "{serviceModel: PaaS, mode: Audit, parties: {customer: acme, provider: azure}}";
const SAAS: &str = "{serviceModel: SaaS, parties: {customer: acme, provider: azure}}";
const TESTED: &str = "{serviceModel: PaaS, parties: {customer: acme, provider: azure}, reviews: {penetrationTest: {by: shield, lastCompleted: '2026-01-01T00:00:00Z'}}}";
const PROVEN: &str = "{serviceModel: PaaS, parties: {customer: acme, provider: azure}, controls: [{control: mfa-enforced, evidence: [{type: contract, ref: c-1, by: azure}]}]}";
const PROVEN_BELOW: &str = "{namespaceSelector: {matchLabels: {tier: gold}}, undeclared: Deny, parties: {customer: acme, mssp: shield}, controls: [{control: mfa-enforced, evidence: [{type: contract, ref: c-1, by: acme}]}]}";
const NOBODY: &str = "{serviceModel: PaaS}";
const GOLD: (&str, &str, &str) = ("Baseline", "", "gold");
const FLOOR: &str = "{namespaceSelector: {matchLabels: {tier: gold}}, undeclared: Deny, parties: {customer: acme, mssp: shield}}";
const LOWER: &str = "{namespaceSelector: {matchLabels: {tier: gold}}, undeclared: Warn, parties: {customer: acme, mssp: shield}}";
const ACME: (&str, &str, &str) = ("Party", "", "acme");
const MEMBERS: &str = "{role: Customer, subjects: [{kind: User, name: alice}]}";
const EVERYBODY: &str = "{role: Customer, subjects: [{kind: User, name: alice}, {kind: Group, name: system:authenticated}]}";
const ASSURED: &str = "{role: Customer, subjects: [{kind: User, name: alice}], assurance: [{type: soc2, ref: r-1, validUntil: '2999-01-01T00:00:00Z'}]}";
const ASSURED_ALONE: &str = "{role: Customer, assurance: [{type: soc2, ref: r-1, validUntil: '2999-01-01T00:00:00Z'}]}";
const MORE: &str = "{role: Customer, subjects: [{kind: User, name: alice}, {kind: User, name: mallory}]}";

const WAIVER: (&str, &str, &str) = ("Waiver", "shop", "w");
const ASKED: &str = "{control: pod-security-standard, target: {kind: Pod, name: web}, reason: a, requestedBy: jo, expires: '2999-01-01T00:00:00Z'}";
const GIVEN: &str =
    "{control: pod-security-standard, target: {kind: Pod, name: web}, reason: a, requestedBy: jo, expires: '2999-01-01T00:00:00Z', approval: {by: x, at: '2026-04-01T00:00:00Z'}}";
const GIVEN_LATER: &str =
    "{control: pod-security-standard, target: {kind: Pod, name: web}, reason: a, requestedBy: jo, expires: '2999-01-01T00:00:00Z', approval: {by: x, at: '2031-04-01T00:00:00Z'}}";
const GIVEN_BEFORE: &str = "{control: pod-security-standard, target: {kind: Pod, name: web}, reason: a, requestedBy: jo, expires: '2999-01-01T00:00:00Z', approval: {by: x, at: '1999-04-01T00:00:00+14:00'}}";
const DUTY: &str = "{control: penetration-test-current, target: {kind: Pod, name: web}, reason: a, requestedBy: jo, expires: '2026-05-01T00:00:00Z'}";
const NO_LABEL: &str = "{control: pod-security-standard, target: {selector: {matchLabels: {app!: web}}}, reason: a, requestedBy: jo, expires: '2026-05-01T00:00:00Z'}";

/// Operation, on what, what is stored, what comes, by whom, and why not; empty where it is admitted.
type Row = (&'static str, (&'static str, &'static str, &'static str), &'static str, &'static str, &'static str, &'static str);

async fn held(rows: &[Row]) {
    let mut edge = edge(&index(STORED));
    edge.assigns = assigns();
    let router = routes(edge);
    for &(operation, at, old, new, by, refused) in rows {
        let body = review(operation, at, by, old, new);
        let (_, answer) = post(&router, "/declarations", "application/json", body.clone()).await;
        let response = &answer["response"];
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert_eq!((&response["allowed"], message.contains(refused)), (&json!(refused.is_empty()), true), "{operation} by {by}: {body}\n{answer}");
        assert!(!["alice", "bob", "mallory", "sam", "gitops"].iter().any(|name| message.contains(name)), "no person is named: {message}");
    }
}

#[tokio::test]
async fn what_weakens_is_for_those_who_answer_or_may_assign() {
    held(&[
        ("UPDATE", OWN, PLAIN, AUDIT, "mallory", "spec.mode: enforcement Audit after Deny of"),
        ("UPDATE", OWN, PLAIN, AUDIT, "mallory", "a subject of party acme, which answers for it today, or whoever holds the verb assign on ownerships.demarc.dev may say so"),
        ("UPDATE", OWN, PLAIN, AUDIT, "alice", ""),
        ("UPDATE", OWN, PLAIN, AUDIT, "sam/acme-admins", ""),
        ("UPDATE", OWN, PLAIN, AUDIT, "bob", "spec.mode"),
        ("UPDATE", OWN, PLAIN, AUDIT, "gitops", ""),
        ("UPDATE", OWN, AUDIT, PLAIN, "mallory", ""),
        ("UPDATE", OWN, NOBODY, "{serviceModel: PaaS, mode: Warn}", "alice", "no party is named that answers for it today, so whoever holds the verb assign"),
        ("UPDATE", OWN, NOBODY, "{serviceModel: PaaS, mode: Warn}", "gitops", ""),
        ("UPDATE", OWN, "{serviceModel: 7}", PLAIN, "alice", "what is stored cannot be read"),
        ("CREATE", OWN, "", AUDIT, "mallory", ""),
        ("CREATE", ("Ownership", "gold", "default"), "", AUDIT, "mallory", "spec.mode"),
        ("CREATE", ("Ownership", "gold", "default"), "", AUDIT, "alice", "less than holds here where nothing is declared (baseline gold), so whoever holds the verb assign"),
        ("CREATE", ("Ownership", "gold", "default"), "", AUDIT, "gitops", ""),
        // Whoever declares comes no further down than whoever does not, in two steps either.
        ("UPDATE", ("Ownership", "gold", "default"), PLAIN, SAAS, "alice", "spec.serviceModel: owner Provider after"),
        (
            "UPDATE",
            ("Ownership", "gold", "default"),
            PLAIN,
            SAAS,
            "alice",
            "that is less than holds here where nothing is declared (baseline gold), so whoever holds the verb assign",
        ),
        ("UPDATE", ("Ownership", "gold", "default"), PLAIN, SAAS, "gitops", ""),
        ("UPDATE", ("Ownership", "gold", "default"), SAAS, SAAS, "mallory", ""),
        ("UPDATE", ("Ownership", "gold", "default"), SAAS, PLAIN, "mallory", ""),
        ("UPDATE", OWN, PLAIN, SAAS, "alice", ""),
        ("CREATE", ("Ownership", "gold", "default"), "", PLAIN, "mallory", ""),
        ("DELETE", OWN, PLAIN, "", "mallory", ""),
        // Each party attests for itself, also where nothing stands yet.
        ("UPDATE", OWN, PLAIN, TESTED, "mallory", "spec.reviews.penetrationTest: attests penetration-test-current; a subject of party shield"),
        ("UPDATE", OWN, PLAIN, TESTED, "alice", "a subject of party shield"),
        ("UPDATE", OWN, PLAIN, TESTED, "bob", ""),
        ("UPDATE", OWN, PLAIN, TESTED, "gitops", ""),
        ("UPDATE", OWN, TESTED, PLAIN, "mallory", ""),
        ("CREATE", OWN, "", TESTED, "alice", "a subject of party shield"),
        ("CREATE", OWN, "", TESTED, "bob", ""),
        ("UPDATE", OWN, PLAIN, PROVEN, "bob", "spec.controls[0].evidence: attests mfa-enforced; a subject of party acme"),
        ("UPDATE", OWN, PLAIN, PROVEN, "alice", ""),
        ("CREATE", OWN, "", PROVEN, "mallory", ""),
        ("UPDATE", GOLD, FLOOR, PROVEN_BELOW, "bob", "a subject of party acme"),
        ("UPDATE", GOLD, FLOOR, PROVEN_BELOW, "gitops", ""),
        ("UPDATE", GOLD, FLOOR, LOWER, "alice", "a subject of party shield"),
        ("UPDATE", GOLD, FLOOR, LOWER, "bob", ""),
        ("UPDATE", GOLD, LOWER, FLOOR, "mallory", ""),
        ("DELETE", GOLD, FLOOR, "", "alice", "spec: the floor would be gone"),
        ("DELETE", GOLD, FLOOR, "", "bob", ""),
        ("CREATE", ("Baseline", "", "new"), "", LOWER, "bob", "spec.parties: it says who answers where nobody does"),
        ("CREATE", ("Baseline", "", "new"), "", "{namespaceSelector: {}}", "mallory", ""),
        ("UPDATE", ACME, MEMBERS, MORE, "mallory", "spec.subjects: others would act for it; a subject of party acme"),
        ("UPDATE", ACME, MEMBERS, MORE, "alice", ""),
        ("UPDATE", ACME, MORE, MEMBERS, "mallory", ""),
        // Not even who acts for it lets everybody do so.
        ("UPDATE", ACME, MEMBERS, EVERYBODY, "alice", "spec.subjects[1].name: system:authenticated is everybody; name who acts for the party"),
        ("UPDATE", ACME, EVERYBODY, EVERYBODY, "alice", ""),
        ("UPDATE", ACME, EVERYBODY, MEMBERS, "mallory", ""),
        ("CREATE", ("Party", "", "azure"), "", MORE, "mallory", "spec.subjects"),
        // Nobody makes a party to speak in its name, or takes away whoever is asked in it.
        ("CREATE", ("Party", "", "unheard-of"), "", MORE, "mallory", "spec.subjects: others would act for it"),
        ("CREATE", ("Party", "", "unheard-of"), "", MORE, "gitops", ""),
        ("UPDATE", ("Party", "", "free"), "{role: ThirdParty}", "{role: ThirdParty, subjects: [{kind: User, name: mallory}]}", "mallory", "spec.subjects"),
        ("UPDATE", ACME, MEMBERS, "{role: Customer}", "mallory", "spec.subjects: nobody would act for it; a subject of party acme"),
        ("UPDATE", ACME, MEMBERS, "{role: Customer}", "alice", ""),
        // What others rely on is a party's own to say; where nobody acts for it the verb alone counts, and where nothing names it, nothing is asked.
        ("UPDATE", ACME, MEMBERS, ASSURED, "mallory", "spec.assurance: attests its own security; a subject of party acme"),
        ("UPDATE", ACME, MEMBERS, ASSURED, "alice", ""),
        ("UPDATE", ACME, MEMBERS, ASSURED, "gitops", ""),
        ("UPDATE", ACME, ASSURED, MEMBERS, "mallory", ""),
        ("UPDATE", ACME, "{role: Customer}", ASSURED_ALONE, "alice", "spec.assurance: attests its own security; no party is named"),
        ("UPDATE", ("Party", "", "free"), "{role: Customer}", ASSURED_ALONE, "mallory", ""),
        ("CREATE", ("Party", "", "azure"), "", ASSURED_ALONE, "mallory", "spec.assurance"),
        ("CREATE", ("Party", "", "azure"), "", "{role: Provider}", "mallory", ""),
        ("CREATE", ("Party", "", "tested"), "", MEMBERS, "mallory", "spec.subjects"),
        ("DELETE", ("Party", "", "tested"), MEMBERS, "", "mallory", "party tested is named in the Ownership of namespace absent"),
        ("DELETE", ACME, MEMBERS, "", "gitops", "party acme is named in Baseline gold; name another there first"),
        ("DELETE", ("Party", "", "azure"), MEMBERS, "", "gitops", "party azure is named in the Ownership of namespace shop"),
        ("DELETE", ("Party", "", "free"), MEMBERS, "", "mallory", ""),
    ])
    .await;
}

#[tokio::test]
async fn a_waiver_is_given_by_those_who_answer_and_for_what_can_be_violated() {
    held(&[
        ("UPDATE", WAIVER, ASKED, GIVEN, "mallory", "spec.approval: lets pod-security-standard be violated; a subject of party acme, which answers for it today"),
        ("UPDATE", WAIVER, ASKED, GIVEN, "bob", "or whoever holds the verb assign on waivers.demarc.dev may say so"),
        ("UPDATE", WAIVER, ASKED, GIVEN, "alice", ""),
        ("UPDATE", WAIVER, ASKED, GIVEN, "sam/acme-admins", ""),
        ("UPDATE", WAIVER, ASKED, GIVEN, "gitops", ""),
        ("UPDATE", WAIVER, ASKED, GIVEN_LATER, "alice", "spec.approval.at: an approval is given now: write \"2026-04-01T00:00:00Z\""),
        ("UPDATE", WAIVER, ASKED, GIVEN_BEFORE, "alice", "spec.approval.at: an approval is given now"),
        ("UPDATE", WAIVER, GIVEN, GIVEN_BEFORE, "alice", "spec.approval.at"),
        // What was stored before this was asked stays.
        ("UPDATE", WAIVER, GIVEN_BEFORE, GIVEN_BEFORE, "mallory", ""),
        ("UPDATE", WAIVER, GIVEN, GIVEN, "mallory", ""),
        ("UPDATE", WAIVER, GIVEN, ASKED, "mallory", ""),
        // What can never count is not made; what is stored of it may be written on.
        ("CREATE", WAIVER, "", DUTY, "jo", "spec.control: penetration-test-current judges what is declared and no object"),
        ("UPDATE", WAIVER, ASKED, DUTY, "jo", "spec.control: penetration-test-current judges what is declared and no object"),
        ("UPDATE", WAIVER, DUTY, DUTY, "jo", ""),
        ("CREATE", WAIVER, "", NO_LABEL, "jo", "spec.target.selector.matchLabels: \"app!\" is no label's key"),
        ("UPDATE", WAIVER, NO_LABEL, NO_LABEL, "jo", ""),
        // Where nobody has said who acts for the party, the verb approve is for the API server to ask for.
        ("UPDATE", ("Waiver", "quiet", "w"), ASKED, GIVEN, "mallory", ""),
        ("UPDATE", ("Waiver", "absent", "w"), ASKED, GIVEN, "mallory", ""),
        ("UPDATE", ("Waiver", "gold", "w"), ASKED, GIVEN, "mallory", "a subject of party acme"),
        ("UPDATE", ("Waiver", "undeclared", "w"), ASKED, GIVEN, "mallory", ""),
    ])
    .await;
}

#[tokio::test]
async fn whom_nobody_can_vouch_for_is_refused_and_told_why() {
    let mut unreachable = edge(&index(STORED));
    unreachable.assigns = assign::nobody();
    let (_, answer) = post(&routes(unreachable), "/declarations", "application/json", review("UPDATE", OWN, "gitops", PLAIN, AUDIT)).await;
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("may say so (whether you hold it is not known: there is nobody to ask)"), "{message}");
    assert_eq!(answer["response"]["status"]["code"], 403);
    // Without the parties nobody acts for one.
    let mut blind = edge(&index(&STORED.replace("kind: Party", "kind: Roster").replace("role: Customer, subjects", "party: acme, people: [], subjects")));
    blind.assigns = assigns();
    let (_, answer) = post(&routes(blind), "/declarations", "application/json", review("UPDATE", OWN, "alice", PLAIN, AUDIT)).await;
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
    // Nor where they cannot be read: then they may well say who acts for it.
    let unread = index(STORED);
    unread.set_unreadable(vec![(Source::Declared(Declaration::Party), "RBAC forbids reading them")]);
    for (at, old, new) in [(OWN, PLAIN, AUDIT), (WAIVER, ASKED, GIVEN), (("Waiver", "quiet", "w"), ASKED, GIVEN)] {
        let mut edge = edge(&unread);
        edge.assigns = assigns();
        let router = routes(edge);
        for (user, allowed) in [("alice", false), ("gitops", true)] {
            let (_, answer) = post(&router, "/declarations", "application/json", review("UPDATE", at, user, old, new)).await;
            assert_eq!(answer["response"]["allowed"], allowed, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_party_that_is_not_there_is_told_and_not_refused() {
    let router = routes(edge(&index(STORED)));
    let (_, answer) = post(&router, "/declarations", "application/json", review("CREATE", ("Ownership", "new", "default"), "mallory", "", PLAIN)).await;
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    assert_eq!(answer["response"]["warnings"], json!(["there is no Party azure yet; nobody acts for it until there is"]));
    // Nor is a promise that is not kept: the cluster's own namespaces wait for nobody.
    for namespace in demarc::api::SYSTEM_NAMESPACES {
        let (_, answer) = post(&router, "/declarations", "application/json", review("CREATE", ("Ownership", namespace, "default"), "mallory", "", PLAIN)).await;
        let told = format!("{namespace} is the cluster's own: never enrolled, so nothing is refused here; drift is reported");
        assert!(told.len() <= 120 && answer["response"]["warnings"][1] == json!(told), "{answer}");
    }
}
