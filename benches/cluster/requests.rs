//! W12: what is added to a request through a real API server: creates of the small Deployment by dry run, over one connection, in turns in a namespace
//! that nobody is asked about, in one that Demarc is asked about, in one that a fixed reply is given for, and in ones that policies of the API server hold in.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing::post};
use demarc::{
    admission::answer::Answer,
    controls::{CATALOG, custom::MAX_CUSTOM},
};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    common::{Client, deployment, line, quantile, serve},
    process::cpu,
    world::{JSON, OURS, World, Write, deployments, namespace_of},
};

/// The rule of all policies, and of the controls of users' own.
const RULE: &str = "object.spec.template.spec.containers.all(c, c.image.startsWith('ghcr.io/acme/'))";
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";
const REGISTRY: &str = "image-registry-allowed";
/// How large the Deployment is: 3.6 KB, as in W1.
const ENV: usize = 32;

/// The floor: the uid that was asked by, and nothing judged.
async fn echo(body: Bytes) -> ([(header::HeaderName, &'static str); 1], Vec<u8>) {
    let text = std::str::from_utf8(&body).unwrap();
    // The first of a review is its own.
    let uid = text.split_once("\"uid\":\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    ([(header::CONTENT_TYPE, "application/json")], Answer::allow(uid).to_json())
}

/// The word on the command line by which this program is the fixed reply.
pub const FIXED: &str = "fixed-reply";

/// The fixed reply: says where it listens, and ends with its standard input.
pub fn reply() {
    let server = serve(|| Router::new().route("/fixed", post(echo).layer(axum::extract::DefaultBodyLimit::disable())));
    println!("{}", json!({"port": server.port, "ca": String::from_utf8(server.ca).unwrap()}));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// A process of its own, as a webhook is: in the process that asks, its code would still be in the caches from asking, and it would be the faster for it.
struct Fixed {
    child: Child,
}

impl Drop for Fixed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// In `fixed` without further ado, and in `conditioned` where a condition holds first, as Demarc's does: for that the API server makes a tree of the object.
fn fixed_reply(world: &World) -> Fixed {
    let mut child = Command::new(std::env::current_exe().unwrap()).arg(FIXED).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let server: Value = serde_json::from_str(&said).unwrap();
    let ca = k8s_openapi::ByteString(server["ca"].as_str().unwrap().into());
    let webhooks = [("fixed", json!([])), ("conditioned", json!([{"name": "always", "expression": "request.operation != 'UPDATE'"}]))].map(|(name, conditions)| {
        world.write(namespace_of(name, &json!({"bench": name})));
        json!({"name": format!("{name}.demarc.test"), "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5,
            "clientConfig": {"url": format!("https://127.0.0.1:{}/fixed", server["port"]), "caBundle": ca},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}],
            "namespaceSelector": {"matchLabels": {"bench": name}}, "matchConditions": conditions})
    });
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "fixed"}, "webhooks": webhooks});
    world.write(Write::create(format!("{REGISTRATION}/validatingwebhookconfigurations"), object));
    Fixed { child }
}

/// So many policies with one rule each, which hold in a namespace of their own.
fn policies(world: &World, number: usize) -> String {
    let namespace = format!("policies-{number}");
    world.write(namespace_of(&namespace, &json!({"bench": namespace})));
    let matched = json!({"namespaceSelector": {"matchLabels": {"bench": namespace}},
        "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]});
    world.write_all(number, |i| {
        let spec = json!({"failurePolicy": "Fail", "matchConstraints": matched, "validations": [{"expression": RULE}]});
        Write::create(
            format!("{REGISTRATION}/validatingadmissionpolicies"),
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": format!("{namespace}-{i}")}, "spec": spec}),
        )
    });
    world.write_all(number, |i| {
        let spec = json!({"policyName": format!("{namespace}-{i}"), "validationActions": ["Deny"]});
        Write::create(
            format!("{REGISTRATION}/validatingadmissionpolicybindings"),
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": format!("{namespace}-{i}")}, "spec": spec}),
        )
    });
    namespace
}

fn delete_policies(world: &World, number: usize) {
    for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
        world.write_all(number, |i| Write::delete(format!("{REGISTRATION}/{kind}/policies-{number}-{i}")));
    }
}

/// Controls of users' own, by the rule of the policies.
fn own_controls(world: &World, from: usize, to: usize) {
    world.write_all(to - from, |i| {
        let spec =
            json!({"title": "images are ours", "severity": "low", "enforcement": "Deny", "kinds": ["Deployment"], "validations": [{"expression": RULE, "message": "it is not"}]});
        Write::create(
            format!("{OURS}/controls"),
            json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Control", "metadata": {"name": format!("own-{}", from + i), "labels": {"bench": "own"}}, "spec": spec}),
        )
    });
}

/// Whether a violation is refused there: nothing is measured that does not decide.
fn refuses(world: &World, namespace: &str) -> bool {
    let mut object = deployment(namespace, "payments", ENV);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("docker.io/stranger/payments:1");
    let path = format!("{}?dryRun=All", deployments(namespace));
    let (status, _) = world.runtime.block_on(async { crate::world::connect(&world.api()).await.send(Method::POST, &path, JSON, Bytes::from(object.to_string())).await }).unwrap();
    // By a webhook 403, by a policy 422.
    !status.is_success() && !status.is_server_error()
}

/// Milliseconds of one create.
async fn create(client: &mut Client, (path, body): &(String, Bytes)) -> f64 {
    let began = Instant::now();
    let (status, answer) = client.send(Method::POST, path, JSON, body.clone()).await.unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer));
    took
}

/// What was measured of one namespace, in milliseconds.
struct Took {
    all: Vec<f64>,
}

impl Took {
    fn p50(&self) -> f64 {
        quantile(self.all.clone(), 0.5)
    }
    fn p99(&self) -> f64 {
        quantile(self.all.clone(), 0.99)
    }
    /// The p50 and p99 over those of the other.
    fn over(&self, unasked: &Self) -> (f64, f64) {
        (self.p50() - unasked.p50(), self.p99() - unasked.p99())
    }
}

/// Creates in these namespaces in turns.
fn in_turns<const N: usize>(world: &World, rounds: usize, namespaces: [&str; N]) -> [Took; N] {
    let asks = namespaces.map(|n| (format!("{}?dryRun=All", deployments(n)), Bytes::from(deployment(n, "payments", ENV).to_string())));
    let mut took = namespaces.map(|_| Took { all: Vec::new() });
    let mut client = world.connect();
    world.runtime.block_on(async {
        for round in 0..rounds + rounds / 10 {
            for i in 0..N {
                // Each follows each other as often.
                let i = (i * if round % 2 == 0 { 1 } else { N - 1 } + round / 2) % N;
                let millis = create(&mut client, &asks[i]).await;
                // The first tenth warms up.
                if round >= rounds / 10 {
                    took[i].all.push(millis);
                }
            }
        }
    });
    took
}

fn said(took: &Took, unasked: &Took) -> String {
    let (p50, p99) = took.over(unasked);
    format!("added p50 {p50:.2} ms, p99 {p99:.2} ms")
}

/// The namespace that is asked about asks for these controls of the catalog.
fn redeclare(world: &World, controls: &Value) {
    let patch = Write::patch(format!("{OURS}/namespaces/asked/ownerships/default"), json!({"spec": {"controls": controls}}));
    world.write(patch);
    std::thread::sleep(Duration::from_secs(2));
    assert!(refuses(world, "asked"));
}

pub fn measure(world: &World) {
    world.step("W12: a fixed reply, and a namespace that is asked about");
    world.write(namespace_of("unasked", &json!({})));
    let fixed_reply = fixed_reply(world);
    world.declare("asked", &json!({}));
    let rounds = 1_000;
    std::thread::sleep(Duration::from_secs(2));
    world.step("W12: the whole catalog beside a fixed reply");
    let before = [world.demarc.as_ref().unwrap().pid(), fixed_reply.child.id()].map(|pid| (pid, cpu(pid)));
    let [unasked, asked, fixed, conditioned] = in_turns(world, rounds, ["unasked", "asked", "fixed", "conditioned"]);
    // The fixed reply is asked twice a round, and one round in ten warms up.
    let [ours, theirs] = before.map(|(pid, before)| (cpu(pid) - before) * 1e3 / (rounds as f64 * 1.1));
    let rest = format!(
        "the whole catalog {}, {ours:.2} ms CPU; a fixed reply {}, {:.2} ms CPU; behind a condition {}; unasked p50 {:.2} ms",
        said(&asked, &unasked),
        said(&fixed, &unasked),
        theirs / 2.0,
        said(&conditioned, &unasked),
        unasked.p50()
    );
    let (ours, floor) = (asked.over(&unasked), fixed.over(&unasked));
    line("W12 added p50", ours.0 / floor.0, "<= 1.20", ours.0 / floor.0 <= 1.2, &rest);

    let only: Value = CATALOG.iter().filter(|c| c.id != REGISTRY).map(|c| json!({"control": c.id, "enforcement": "Off"})).collect();
    let built_in = CATALOG.len();
    let mut had = 0;
    for (number, bar) in [(1_usize, 1.3), (50, 1.05), (100, 1.0)] {
        world.step(&format!("W12: {number} beside as many policies"));
        let own = number.saturating_sub(built_in).min(MAX_CUSTOM);
        own_controls(world, had, own);
        had = own;
        redeclare(world, if number == 1 { &only } else { &Value::Null });
        let namespace = policies(world, number);
        crate::support::eventually("the policies", Duration::from_secs(60), || if refuses(world, &namespace) { Ok(()) } else { Err("it is admitted".to_owned()) });
        std::thread::sleep(Duration::from_secs(2));
        let [unasked, asked, fixed, policies] = in_turns(world, rounds / 2, ["unasked", "asked", "fixed", &namespace]);
        let ratio = asked.p50() / policies.p50();
        let whose = if own == 0 { "the same rule".to_owned() } else { format!("{built_in} of the catalog and {own} of one's own") };
        let bar_said = if number == 50 { "a tie, <= 1.05" } else { &format!("<= {bar:.2}") };
        let rest = format!(
            "total p50 {:.2} ms against {:.2}, a fixed reply {:.2}; {whose} {}; policies {}",
            asked.p50(),
            policies.p50(),
            fixed.p50(),
            said(&asked, &unasked),
            said(&policies, &unasked)
        );
        line(&format!("W12 {number} against {number} policies"), ratio, bar_said, ratio <= bar, &rest);
        delete_policies(world, number);
    }
    world.write_all(had, |i| Write::delete(format!("{OURS}/controls/own-{i}")));
}
