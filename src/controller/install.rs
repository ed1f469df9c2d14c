//! What Demarc needs in the API server: its CRDs, the webhook configuration and the policies. `--local` applies them itself, by
//! server-side apply; in a cluster the chart does.

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

pub use crate::api::SYSTEM_NAMESPACES;
use crate::{
    api::{Declaration, ENROLLED_LABEL, ENROLLED_VALUE, GROUP, MEMBER_PREFIX, waiver::NOT_YET},
    model::{proof::WEBHOOK, subject::Kind},
};

/// Who applies what Demarc writes, and the value of [`MANAGED_BY`].
pub const MANAGER: &str = "demarc";
/// The label on what the leader makes: `demarc cleanup` finds it by that.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The CRDs as YAML documents, as `demarc crds` prints them.
///
/// # Errors
/// When YAML cannot be written, which does not happen.
pub fn crds_yaml() -> Result<String, serde_saphyr::ser::Error> {
    Ok(Declaration::ALL.iter().map(|d| crd_yaml(*d)).collect::<Result<Vec<_>, _>>()?.join("---\n"))
}

/// One of them, as a file of `crds/` holds it.
///
/// # Errors
/// When YAML cannot be written, which does not happen.
pub fn crd_yaml(declaration: Declaration) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&declaration.crd())
}

fn rule(group: &str, resources: &[&str]) -> Value {
    json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": resources, "scope": "Namespaced"})
}

/// The webhook's rules: every kind that is judged at admission, and the subresources that can change a pod.
pub fn rules() -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    let asked = || Kind::ALL.iter().filter(|k| k.namespaced() && !Kind::DRIFT_ONLY.contains(k));
    let mut groups: Vec<&str> = asked().map(|k| k.group()).collect();
    groups.dedup();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let mut resources: Vec<&str> = asked().filter(|k| k.group() == group).map(|k| k.plural()).collect();
        if group.is_empty() {
            resources.extend(["pods/ephemeralcontainers", "pods/resize"]);
        }
        rules.push(rule(group, &resources));
    }
    rules
}

/// The rule for one kind more: the chart's `webhook.kinds`.
pub fn rule_for(kind: Kind) -> Value {
    rule(kind.group(), &[kind.plural()])
}

/// Skips an UPDATE that changes nothing outside metadata and status, and neither labels nor annotations: finalizers must go while Demarc is
/// down, or namespaces stay Terminating.
const CAN_MATTER: &str = "request.operation != 'UPDATE' \
     || object.exists(k, k != 'metadata' && k != 'status' && (!(k in oldObject) || object[k] != oldObject[k])) \
     || oldObject.exists(k, k != 'metadata' && k != 'status' && !(k in object)) \
     || object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) \
     || object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({})";

/// An owner that no built-in controller is, and that was none before: what is made for such a one may be spared by its age. What Kubernetes writes
/// itself, such as the adoption of a Pod by its set, names groups without a dot.
const IS_GIVEN: &str = "object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false) && r.apiVersion.contains('.') \
     && !oldObject.metadata.?ownerReferences.orValue([]).exists(o, o.uid == r.uid && o.?controller.orValue(false)))";

/// The name of the webhook configuration that `--local` makes.
pub const CONFIGURATION: &str = "demarc";

// Selectors are written where they select everything too: what an apply does not say, it does not put back when somebody narrows it.
fn workloads_entry() -> Value {
    json!({
        "name": WEBHOOK,
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "rules": rules(),
        "namespaceSelector": {"matchExpressions": [
            {"key": ENROLLED_LABEL, "operator": "In", "values": [ENROLLED_VALUE]},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": SYSTEM_NAMESPACES},
        ]},
        "objectSelector": {},
        "matchConditions": [{"name": "can-matter", "expression": format!("{CAN_MATTER} || {IS_GIVEN}")}],
    })
}

fn declarations_entry() -> Value {
    json!({
        "name": "declarations.demarc.dev",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "rules": [
            {"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["ownerships", "waivers"], "scope": "Namespaced"},
            {"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["controls"], "scope": "Cluster"},
            // These belong to no namespace that would be left Terminating.
            {"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["baselines", "parties"], "scope": "Cluster"},
        ],
        "namespaceSelector": {},
        "objectSelector": {},
        // Finalizers must go here as well, and an owner may not come.
        "matchConditions": [{"name": "can-matter", "expression": format!("{CAN_MATTER} || object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences")}],
    })
}

/// The webhook configuration, reached at `base` (`https://127.0.0.1:PORT`) by the certificate in `ca` (base64 of PEM).
pub fn webhook_configuration(base: &str, ca: &str) -> Value {
    let reached = |mut entry: Value, path: &str| {
        entry["clientConfig"] = json!({"url": format!("{base}{path}"), "caBundle": ca});
        entry
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION},
        "webhooks": [reached(workloads_entry(), "/workloads"), reached(declarations_entry(), "/declarations")],
    })
}

/// The policies in the API server that hold while Demarc is down, each with its binding. `controller` is the username that Demarc runs as; only
/// a service account is confined, for a person who runs `--local` has rights of their own.
pub fn policies(controller: &str) -> Vec<Value> {
    let mut policies = vec![enrolment(controller), waiver_approval(), built_in_controls(controller)];
    if controller.starts_with("system:serviceaccount:") {
        policies.push(confinement(controller));
    }
    // The gate's bindings are the leader's, one for each Baseline that asks for it.
    let bindings: Vec<Value> = policies.iter().map(|policy| binding(&policy["metadata"]["name"])).collect();
    policies.into_iter().chain([gate()]).chain(bindings).collect()
}

/// The policy by which a namespace waits for its enrolment.
pub const GATE: &str = "demarc-gate";

/// Between the making of a namespace and its enrolment there are some milliseconds, and all the time that Demarc is down: where a Baseline denies the
/// undeclared, nothing that runs may come in before. It names no parameters: a definition that is missing would refuse more than it should.
fn gate() -> Value {
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": resources});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": GATE},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchExpressions": [
                    {"key": ENROLLED_LABEL, "operator": "NotIn", "values": [ENROLLED_VALUE]},
                    {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": SYSTEM_NAMESPACES},
                ]},
                "resourceRules": [
                    rule("", &["pods", "replicationcontrollers"]),
                    rule("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"]),
                    rule("batch", &["jobs", "cronjobs"]),
                ],
            },
            "validations": [{
                "expression": "false",
                "message": "a Baseline denies what is not declared here, and Demarc has not enrolled this namespace yet: try again in a moment",
                "reason": "Forbidden",
            }],
        },
    })
}

fn binding(policy: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy},
        "spec": {"policyName": policy, "validationActions": ["Deny"], "matchResources": {}},
    })
}

/// Only the controller sets its labels. Whoever holds the verb `unenrol` may remove the enrolment, and whoever holds `release` on a Baseline its mark,
/// one in a request: asking who may costs most of what an expression may cost.
fn enrolment(controller: &str) -> Value {
    let mark = |object: &str| format!("has({object}.metadata.labels) && '{ENROLLED_LABEL}' in {object}.metadata.labels ? {object}.metadata.labels['{ENROLLED_LABEL}'] : ''");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "demarc-enrolment"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["namespaces", "namespaces/status", "namespaces/finalize"],
            }]},
            "variables": [
                {"name": "now", "expression": mark("object")},
                {"name": "before", "expression": format!("oldObject == null ? '' : ({})", mark("oldObject"))},
                {"name": "labels", "expression": "object.metadata.?labels.orValue({})"},
                {"name": "had", "expression": "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"},
                {"name": "released", "expression": format!("variables.had.filter(k, k.startsWith('{MEMBER_PREFIX}') && !(k in variables.labels))")},
            ],
            "validations": [{
                "expression": format!(
                    "variables.labels.all(k, !k.startsWith('{MEMBER_PREFIX}') || (k in variables.had && variables.had[k] == variables.labels[k])) || request.userInfo.username == {}",
                    json!(controller)
                ),
                "message": format!("labels {MEMBER_PREFIX}NAME are set by Demarc alone, on the namespaces that a Baseline selects"),
                "reason": "Forbidden",
            }, {
                "expression": format!(
                    "size(variables.released) == 0 || request.userInfo.username == {} || (size(variables.released) == 1 && \
                     authorizer.group('{GROUP}').resource('baselines').name(variables.released[0].substring({})).check('release').allowed())",
                    json!(controller), MEMBER_PREFIX.len()
                ),
                "message": format!("a namespace stays under a Baseline until whoever holds the verb release on baselines.{GROUP} takes its label off, one in a request"),
                "reason": "Forbidden",
            }, {
                "expression": format!(
                    "variables.now == variables.before || request.userInfo.username == {} || (variables.now == '' && \
                     authorizer.group('{GROUP}').resource('namespaces').name(request.name).check('unenrol').allowed())",
                    json!(controller)
                ),
                "message": format!("label {ENROLLED_LABEL} is set by Demarc alone, from the Ownership in the namespace; whoever holds the verb unenrol on namespaces.{GROUP} may remove it"),
                "reason": "Forbidden",
            }],
        },
    })
}

/// Who asks for a Waiver is who makes it, and who approves it may do so, is somebody else, and changes nothing else on the way. That an approval
/// does not outlive what was approved, the definition's own rules say.
fn waiver_approval() -> Value {
    // All but the approval, for there is no word for that.
    let same = ["control", "target", "reason", "requestedBy", "expires"].map(|field| format!("object.spec.{field} == oldObject.spec.{field}")).join(" && ");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "demarc-waiver-approval"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["waivers"]}]},
            "variables": [
                {"name": "same", "expression": format!("oldObject != null && {same} && object.spec.?ticket == oldObject.spec.?ticket")},
                {"name": "approves", "expression": "has(object.spec.approval) && (oldObject == null || object.spec.?approval != oldObject.spec.?approval)"},
                {"name": "asks", "expression": "request.userInfo.username == object.spec.requestedBy"},
            ],
            "validations": [
                {
                    "expression": "oldObject != null || variables.asks",
                    "messageExpression": "'spec.requestedBy: whoever creates a Waiver asks for it: write ' + request.userInfo.username",
                    "message": "spec.requestedBy is whoever creates the Waiver",
                    "reason": "Forbidden",
                },
                {
                    "expression": "oldObject != null || !variables.approves",
                    "message": NOT_YET,
                    "reason": "Forbidden",
                },
                {
                    "expression": "oldObject == null || variables.same || variables.asks",
                    "message": "what a Waiver asks for is changed by whoever asked for it; ask for a new one",
                    "reason": "Forbidden",
                },
                {
                    "expression": "oldObject == null || !variables.approves || variables.same",
                    "message": "an approval changes nothing else of the Waiver: approve it as it stands",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!("!variables.approves || oldObject == null || authorizer.group('{GROUP}').resource('waivers').namespace(request.namespace).name(request.name).check('approve').allowed()"),
                    "message": format!("a Waiver is approved by whoever holds the verb approve on waivers.{GROUP} in its namespace"),
                    "reason": "Forbidden",
                },
                {
                    "expression": "!variables.approves || oldObject == null || object.spec.approval.by == request.userInfo.username",
                    "messageExpression": "'spec.approval.by: whoever approves writes their own name: ' + request.userInfo.username",
                    "message": "spec.approval.by is whoever approves the Waiver",
                    "reason": "Forbidden",
                },
                {
                    "expression": "!variables.approves || oldObject == null || !variables.asks",
                    "message": "nobody approves what they asked for themselves",
                    "reason": "Forbidden",
                },
            ],
        },
    })
}

/// What the leader publishes of the catalog is nobody else's to write. Whether somebody else is who Demarc runs as, nobody can tell: what an
/// administrator changes whose own kubeconfig `--local` uses is taken, and put right.
fn built_in_controls(controller: &str) -> Value {
    let own = |object: &str| format!("({object} == null || {object}.spec.?check.orValue('cel') != 'built-in')");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "demarc-built-in-controls"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["controls"]}]},
            "validations": [{
                "expression": format!("request.userInfo.username == {} || ({} && {})", json!(controller), own("object"), own("oldObject")),
                "message": "a built-in Control is published by Demarc from its catalog, to be read: say whose it is and how it is met in an Ownership or a Baseline, or write a Control of another name",
                "reason": "Forbidden",
            }],
        },
    })
}

/// Patching namespaces is a wide right (Pod Security is a label); of it the controller keeps its own mark alone, PodTemplates by dry run, and of Controls
/// those that it publishes.
fn confinement(controller: &str) -> Value {
    let built_in = |object: &str| format!("({object} == null || {object}.spec.?check.orValue('cel') == 'built-in')");
    // `a` holds whatever `b` holds of it, apart from the mark.
    let kept = |a: &str, b: &str| format!("{a}.all(k, k == '{ENROLLED_LABEL}' || k.startsWith('{MEMBER_PREFIX}') || (k in {b} && {a}[k] == {b}[k]))");
    let same = |field: &str| format!("object.metadata.?{field} == oldObject.metadata.?{field}");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "demarc-confinement"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"]},
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["podtemplates"]},
                {"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["controls"]},
            ]},
            "matchConditions": [{"name": "the-controller", "expression": format!("request.userInfo.username == {}", json!(controller))}],
            "variables": [
                {"name": "now", "expression": "object.metadata.?labels.orValue({})"},
                {"name": "before", "expression": "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"},
            ],
            "validations": [
                {
                    "expression": "request.resource.resource != 'podtemplates' || (request.operation == 'CREATE' && request.dryRun)",
                    "message": "Demarc makes PodTemplates by dry run only: they prove that its webhook is asked, and are never stored",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!(
                        "request.resource.resource != 'namespaces' || (oldObject != null && {} && {} && {} && {} && {} && object.?spec == oldObject.?spec)",
                        kept("variables.now", "variables.before"), kept("variables.before", "variables.now"), same("annotations"), same("finalizers"), same("ownerReferences"),
                    ),
                    "message": format!("of a namespace Demarc changes nothing but its own labels {ENROLLED_LABEL} and {MEMBER_PREFIX}NAME"),
                    "reason": "Forbidden",
                },
                {
                    "expression": format!("request.resource.resource != 'controls' || ({} && {})", built_in("object"), built_in("oldObject")),
                    "message": "of Controls Demarc writes the built-in ones alone",
                    "reason": "Forbidden",
                },
            ],
        },
    })
}

/// Applies objects by server-side apply, as they are.
///
/// # Errors
/// What the API server says of the first that it does not take.
pub async fn apply(client: &Client, objects: &[Value]) -> Result<(), kube::Error> {
    for object in objects {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let (group, version) = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).unwrap_or_default();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&object["kind"])));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let params = PatchParams::apply(MANAGER).force();
        tokio::time::timeout(std::time::Duration::from_secs(10), api.patch(&text(&object["metadata"]["name"]), &params, &Patch::Apply(object)))
            .await
            .map_err(|_| kube::Error::Service("the API server gave no answer within 10 s".into()))??;
    }
    Ok(())
}

/// The CRDs as objects to apply.
///
/// # Errors
/// When one cannot be written as JSON, which does not happen.
pub fn crds() -> Result<Vec<Value>, serde_json::Error> {
    let object = |declaration: &Declaration| {
        let mut crd = serde_json::to_value(declaration.crd())?;
        crd["apiVersion"] = json!("apiextensions.k8s.io/v1");
        crd["kind"] = json!("CustomResourceDefinition");
        Ok(crd)
    };
    Declaration::ALL.iter().map(object).collect()
}
