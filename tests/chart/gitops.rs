//! The chart and declarations as Argo CD keeps them: synced by itself, healed and pruned, over and over while the controller runs.
//! Nothing here fights: not the two over what the chart owns, and not pruning over what Demarc makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use demarc::api::Declaration;
use serde_json::{Value, json};

use crate::{
    helm::{NAMESPACE, read, rendered},
    life::{bundles, fill_in, live, place, plane},
    pod,
    support::{ControlPlane, Said, eventually},
};

const SOON: Duration = Duration::from_secs(30);
const MANAGER: &str = "argocd-controller";
const TRACKING: &str = "argocd.argoproj.io/tracking-id";
const INSTANCE: &str = "app.kubernetes.io/instance";
const WEBHOOK: &str = "validatingwebhookconfiguration/demarc";

/// Argo CD's controller, which may do everything, by a ServiceAccount of its own.
struct Argo<'a> {
    plane: &'a ControlPlane,
    token: String,
}

/// What is in Git, tracked in both ways: by annotation, as Argo CD 3 does unless told otherwise, and by label, as 2 does.
struct Application {
    name: &'static str,
    objects: Vec<Value>,
}

impl Application {
    /// Helm's hooks are none of Argo CD's objects; those before a deletion and of `helm test` are no hooks of its own either.
    fn new(name: &'static str, mut objects: Vec<Value>) -> Self {
        objects.retain(|object| object["metadata"]["annotations"].get("helm.sh/hook").is_none());
        for object in &mut objects {
            let (group, kind) = (object["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group), object["kind"].as_str().unwrap());
            let id = format!("{name}:{group}/{kind}:{}/{}", object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE), object["metadata"]["name"].as_str().unwrap());
            object["metadata"]["annotations"][TRACKING] = json!(id);
            object["metadata"]["labels"][INSTANCE] = json!(name);
        }
        Self { name, objects }
    }

    fn list(&self) -> String {
        json!({"apiVersion": "v1", "kind": "List", "items": self.objects}).to_string()
    }

    fn places(&self) -> BTreeSet<String> {
        self.objects.iter().map(place).collect()
    }

    fn tracks(&self, object: &Value) -> bool {
        let id = object["metadata"]["annotations"][TRACKING].as_str().and_then(|id| id.split_once(':'));
        id.is_some_and(|(name, _)| name == self.name) || object["metadata"]["labels"][INSTANCE] == self.name
    }
}

impl<'a> Argo<'a> {
    fn install(plane: &'a ControlPlane) -> Self {
        plane.kubectl(&["create", "namespace", "argocd"], None).result().unwrap();
        let account = "argocd-application-controller";
        plane.kubectl(&["create", "serviceaccount", account, "-n", "argocd"], None).result().unwrap();
        plane.kubectl(&["create", "clusterrolebinding", account, "--clusterrole=cluster-admin", &format!("--serviceaccount=argocd:{account}")], None).result().unwrap();
        let token = plane.kubectl(&["create", "token", account, "-n", "argocd"], None).result().unwrap().trim().to_owned();
        Self { plane, token }
    }

    fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> Said {
        self.plane.kubectl(&[&["--token", &self.token], args].concat(), stdin)
    }

    /// With ServerSideApply=true; then what is tracked and no longer in Git goes, unless it says otherwise itself. What has an owner is its owner's.
    fn sync(&self, application: &Application) -> Result<Vec<String>, String> {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--field-manager", MANAGER, "-f", "-"], Some(&application.list())).result()?;
        let (wanted, mut pruned) = (application.places(), Vec::new());
        for object in live(self.plane)? {
            let options = object["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].as_str().unwrap_or_default();
            // Endpoints have their Service's labels, and Argo CD knows whose they are.
            let owned = object["metadata"].get("ownerReferences").is_some() || object["kind"] == "Endpoints";
            let stays = owned || options.split(',').any(|o| o == "Prune=false");
            if application.tracks(&object) && !stays && !wanted.contains(&place(&object)) {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
                let what = format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
                self.kubectl(&["delete", &what, "-n", namespace], None).result()?;
                pruned.push(place(&object));
            }
        }
        Ok(pruned)
    }

    /// How what stands differs from Git, by a dry run; nothing where it is in sync.
    fn difference(&self, application: &Application) -> String {
        let said = self.kubectl(&["diff", "--server-side", "--force-conflicts", "--field-manager", MANAGER, "-f", "-"], Some(&application.list()));
        // kubectl diff: 0 is the same, 1 differs, and an error is told.
        assert!(said.ok == said.out.is_empty(), "{said:?}");
        said.out
    }
}

/// Every object's version, but of what is written without end: Leases, and what an Event says.
fn versions(plane: &ControlPlane) -> BTreeMap<String, String> {
    let objects = eventually("a list of everything", SOON, || live(plane));
    let still = objects.iter().filter(|object| object["kind"] != "Lease");
    still.map(|object| (place(object), object["metadata"]["resourceVersion"].as_str().unwrap().to_owned())).collect()
}

/// What was written since, made or taken away.
fn moved(plane: &ControlPlane, before: &BTreeMap<String, String>) -> Vec<String> {
    let now = versions(plane);
    let places: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    places.into_iter().filter(|place| now.get(*place) != before.get(*place)).map(|place| format!("{place}: {:?} {:?}", before.get(place), now.get(place))).collect()
}

/// Until the leader has proven anew that the API server asks it, which it tries every second: whatever it does besides, it had the time to.
fn goes_round(plane: &ControlPlane) {
    let proven = || plane.kubectl(&["get", "lease", "demarc-proof", "-n", NAMESPACE, "-o", "jsonpath={.spec.renewTime}"], None).result();
    let before = eventually("a proof", SOON, proven);
    eventually("another proof", SOON, || if proven()? == before { Err(before.clone()) } else { Ok(()) });
}

/// Once everybody has done what there is to do.
fn settled(plane: &ControlPlane) -> BTreeMap<String, String> {
    eventually("rest", SOON, || {
        let before = versions(plane);
        goes_round(plane);
        goes_round(plane);
        let moved = moved(plane, &before);
        if moved.is_empty() { Ok(before) } else { Err(format!("{moved:?}")) }
    })
}

/// Declarations of every kind that one writes, and what they are about.
fn declarations() -> Vec<Value> {
    let own = |kind: &str, metadata: Value, spec: Value| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 60)).strftime("%FT%TZ").to_string();
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "gold"}}}),
        own("Party", json!({"name": "acme"}), json!({"role": "Customer"})),
        own("Roster", json!({"name": "acme"}), json!({"party": "acme", "people": [{"name": "jo", "trainedOn": "2026-01-01"}]})),
        own(
            "Control",
            json!({"name": "replicas-two"}),
            json!({"title": "Two run at least", "severity": "low", "enforcement": "Warn", "kinds": ["Deployment"],
                "validations": [{"expression": "object.spec.replicas >= 2", "message": "too few"}]}),
        ),
        own("Baseline", json!({"name": "gold"}), json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny"})),
        own("Ownership", json!({"name": "default", "namespace": "shop"}), json!({"serviceModel": "PaaS", "parties": {"customer": "acme", "provider": "azure"}})),
        own(
            "Waiver",
            json!({"name": "web", "namespace": "shop"}),
            json!({"control": "pod-security-standard", "target": {"kind": "Pod", "name": "web"}, "reason": "a",
                "requestedBy": "system:serviceaccount:argocd:argocd-application-controller", "expires": expires}),
        ),
    ]
}

struct World<'a> {
    argo: Argo<'a>,
    chart: Application,
    estate: Application,
}

impl World<'_> {
    fn both(&self) -> [&Application; 2] {
        [&self.chart, &self.estate]
    }

    fn says(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}"), SOON, || {
            let path = "jsonpath={.status.conditions[?(@.type==\"Enforcing\")]}";
            let said = self.argo.plane.kubectl(&["get", "ownership", "default", "-n", "shop", "-o", path], None).result()?;
            if expected.iter().all(|e| said.contains(e)) { Ok(()) } else { Err(said) }
        });
    }

    fn refuses(&self) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "violator", "namespace": "shop"},
            "spec": {"containers": [{"name": "a", "image": "b", "securityContext": {"privileged": true}}]}});
        let said = self.argo.plane.kubectl(&["create", "-f", "-"], Some(&pod.to_string()));
        assert!(!said.ok && said.err.contains("denied the request") && said.err.contains("pod-security-standard"), "{said:?}");
    }

    /// A round: nothing differs, nothing is to be pruned, and a violation is refused.
    fn round(&self) {
        for application in self.both() {
            assert_eq!(self.argo.difference(application), "", "{} is out of sync", application.name);
            assert_eq!(self.argo.sync(application).unwrap(), [""; 0], "pruned of {}", application.name);
            assert_eq!(self.argo.difference(application), "", "{} is out of sync after the sync", application.name);
        }
        assert_eq!(bundles(self.argo.plane), [true, true]);
        self.refuses();
    }
}

#[test]
fn argo_cd_and_the_controller_do_not_fight_over_the_chart_nor_over_declarations() {
    let plane = plane();
    let world = World { argo: Argo::install(&plane), chart: Application::new("demarc", rendered(&[])), estate: Application::new("estate", declarations()) };
    assert!(!world.argo.difference(&world.chart).is_empty(), "nothing is there yet");
    world.argo.sync(&world.chart).unwrap();
    let (demarc, _) = pod::start(&plane, &["--probe-every", "1"]);
    // A sync that fails is tried again: the API server may not have heard of the endpoint or of the CA yet.
    eventually("the declarations", SOON, || world.argo.sync(&world.estate));
    world.says(&["\"True\"", "Proven"]);
    // A person approves what Git asks for.
    let approval = json!({"spec": {"approval": {"by": "admin", "at": jiff::Timestamp::now()}}}).to_string();
    plane.kubectl(&["patch", "waiver", "web", "-n", "shop", "--type=merge", "-p", &approval], None).result().unwrap();
    plane.kubectl(&["wait", "waiver/web", "-n", "shop", "--for=jsonpath={.status.state}=Live", "--timeout=30s"], None).result().unwrap();

    // (a) Nothing moves, whoever looks. In the first round the API server sorts its own notes of who wrote what, once.
    world.round();
    let before = settled(&plane);
    for _ in 0..3 {
        world.round();
        goes_round(&plane);
    }
    assert_eq!(moved(&plane, &before), [""; 0]);

    // (b) What Demarc makes is nobody's to prune: it carries no tracking, whatever its owner carries.
    let made: Vec<Value> = live(&plane).unwrap().into_iter().filter(|o| o["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "demarc").collect();
    let places: BTreeSet<String> = made.iter().map(place).collect();
    for expected in ["ValidatingAdmissionPolicyBinding  demarc-gate-gold", "Control  encryption-declared", "Secret demarc-system demarc-tls"] {
        assert!(places.contains(expected), "{expected}: {places:?}");
    }
    let leases = live(&plane).unwrap().into_iter().filter(|o| o["kind"] == "Lease" && o["metadata"]["namespace"] == NAMESPACE);
    let leases: Vec<Value> = leases.collect();
    assert_eq!(leases.len(), 2, "{leases:?}");
    for object in made.iter().chain(&leases) {
        assert!(world.both().iter().all(|application| !application.tracks(object)), "{object}");
    }
    let labels = plane.kubectl(&["get", "namespace", "shop", "-o", "jsonpath={.metadata.labels}"], None).result().unwrap();
    assert!(labels.contains("\"demarc.dev/admission\":\"enabled\"") && labels.contains("\"baseline.demarc.dev/gold\""), "{labels}");

    // (c) What somebody else changes is told by the one and put back by the other.
    let mine = json!([{"key": "team", "operator": "NotIn", "values": ["shop"]}]);
    let narrowed = json!({"namespaceSelector": {"matchExpressions": mine}});
    for (object, path, value, reason) in [
        ("validatingadmissionpolicy/demarc-enrolment", "/spec/validations/0/expression", json!("true"), "PolicyChanged"),
        ("validatingadmissionpolicybinding/demarc-enrolment", "/spec/matchResources", narrowed.clone(), "BindingChanged"),
        (WEBHOOK, "/webhooks/0/namespaceSelector/matchExpressions", mine.clone(), "SelectorChanged"),
        (WEBHOOK, "/webhooks/0/objectSelector", json!({"matchLabels": {"asked": "yes"}}), "ObjectSelectorAdded"),
        (WEBHOOK, "/webhooks/1/namespaceSelector", json!({"matchExpressions": mine}), "DeclarationsUnguarded"),
        (WEBHOOK, "/webhooks/0/failurePolicy", json!("Ignore"), "FailurePolicyChanged"),
        // Without the right to ask, nothing is proven.
        ("clusterrole/demarc", "/rules", without_the_probe(&world.chart), "ProofOld"),
    ] {
        let patch = json!([{"op": "add", "path": path, "value": value}]).to_string();
        plane.kubectl(&["patch", object, "--type=json", "-p", &patch], None).result().unwrap();
        world.says(&[reason]);
        healed(&world, &format!("{object} {path}"));
    }
    // What is put beside what Git says is none of its business: in a set, and in a list whose elements have names. Whoever deletes the object helps.
    let binding = "validatingadmissionpolicybinding/demarc-enrolment";
    plane.kubectl(&["patch", binding, "--type=merge", "-p", r#"{"spec": {"validationActions": ["Warn"]}}"#], None).result().unwrap();
    world.says(&["BindingChanged"]);
    let said = world.argo.sync(&world.chart).unwrap_err();
    assert!(said.contains("must not contain both Deny and Warn"), "{said}");
    plane.kubectl(&["delete", binding], None).result().unwrap();
    healed(&world, binding);
    let never = json!([{"op": "add", "path": "/webhooks/0/matchConditions/-", "value": {"name": "never", "expression": "false"}}]).to_string();
    plane.kubectl(&["patch", WEBHOOK, "--type=json", "-p", &never], None).result().unwrap();
    world.says(&["ConditionsChanged"]);
    assert_eq!(world.argo.difference(&world.chart), "");
    plane.kubectl(&["delete", WEBHOOK], None).result().unwrap();
    healed(&world, WEBHOOK);
    for (object, reason) in [("validatingadmissionpolicybinding/demarc-confinement", "BindingMissing"), (WEBHOOK, "WebhookMissing")] {
        plane.kubectl(&["delete", object], None).result().unwrap();
        world.says(&[reason]);
        healed(&world, object);
    }
    world.round();
    let after = settled(&plane);
    world.round();
    assert_eq!(moved(&plane, &after), [""; 0]);

    // What the values no longer ask for is pruned; not the definitions, and with them every declaration.
    let less = Application::new("demarc", rendered(&["--set", "crds.install=false,podDisruptionBudget.enabled=false"]));
    assert_eq!(world.argo.sync(&less).unwrap(), [format!("PodDisruptionBudget {NAMESPACE} demarc")]);
    for declaration in Declaration::ALL {
        plane.kubectl(&["get", "crd", &format!("{}.demarc.dev", declaration.plural())], None).result().unwrap();
    }
    world.refuses();
    demarc.kill();
    goes(&world, &less);
}

/// The Application is deleted with what it tracks, but what says that it is not to be; then the command of the chart's README.
fn goes(world: &World, application: &Application) {
    let plane = world.argo.plane;
    let stays = |o: &&Value| o["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].as_str().is_some_and(|options| options.contains("Delete=false"));
    let tracked: Vec<Value> = application.objects.iter().filter(|o| !stays(o)).cloned().collect();
    world.argo.kubectl(&["delete", "--wait=false", "-f", "-"], Some(&json!({"apiVersion": "v1", "kind": "List", "items": tracked}).to_string())).result().unwrap();
    let words = ["cleanup", "-n", NAMESPACE, "--tls-secret", "demarc-tls"];
    assert!(read("README.md").contains(&format!("`demarc {}`", words.join(" "))), "the README says otherwise");
    let cleanup = std::process::Command::new(env!("CARGO_BIN_EXE_demarc")).args(words).env("KUBECONFIG", plane.kubeconfig()).output().unwrap();
    assert!(cleanup.status.success(), "{cleanup:?}");
    let left = live(plane).unwrap();
    let made: Vec<String> = left.iter().filter(|o| o["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "demarc").map(place).collect();
    assert_eq!(made, [""; 0]);
    let shop = left.iter().find(|o| place(o) == "Namespace  shop").unwrap();
    assert!(!shop["metadata"]["labels"].to_string().contains("demarc.dev"), "{shop}");
    let places: BTreeSet<String> = left.iter().map(place).collect();
    assert!(world.estate.places().is_subset(&places), "declarations stay: {places:?}");
}

/// The rules of the controller's ClusterRole but the one for the probe.
fn without_the_probe(chart: &Application) -> Value {
    let role = chart.objects.iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == "demarc").unwrap();
    let rules = role["rules"].as_array().unwrap();
    let rest: Vec<&Value> = rules.iter().filter(|rule| !(rule["verbs"] == json!(["create"]) && rule["resources"] == json!(["podtemplates"]))).collect();
    assert_eq!(rest.len() + 1, rules.len());
    json!(rest)
}

/// Argo CD sees it, and one sync later all is well.
fn healed(world: &World, what: &str) {
    assert_ne!(world.argo.difference(&world.chart), "", "{what}: is in sync");
    world.argo.sync(&world.chart).unwrap();
    world.says(&["\"True\"", "Proven"]);
    assert_eq!(world.argo.difference(&world.chart), "", "{what}: is out of sync still");
    assert_eq!(bundles(world.argo.plane), [true, true]);
    world.refuses();
}

/// Argo CD as it is unless told otherwise: `kubectl apply` with what was applied last in an annotation.
#[test]
fn without_server_side_apply_nothing_differs_either() {
    let plane = plane();
    let chart = Application::new("demarc", rendered(&[])).list();
    let diff = || plane.kubectl(&["diff", "-f", "-"], Some(&chart));
    for round in 0..2 {
        plane.kubectl(&["apply", "-f", "-"], Some(&chart)).result().unwrap();
        if round == 0 {
            fill_in(&plane);
        }
        let said = diff();
        assert!(said.ok && said.out.is_empty(), "{said:?}");
        assert_eq!(bundles(&plane), [true, true]);
    }
    // A list without names is replaced, so what stops a server-side apply is put back here.
    let binding = "validatingadmissionpolicybinding/demarc-enrolment";
    plane.kubectl(&["patch", binding, "--type=merge", "-p", r#"{"spec": {"validationActions": ["Warn"]}}"#], None).result().unwrap();
    assert!(!diff().ok);
    plane.kubectl(&["apply", "-f", "-"], Some(&chart)).result().unwrap();
    let said = diff();
    assert!(said.ok && said.out.is_empty(), "{said:?}");
}
