//! What stands in the API server, held against what Demarc needs there: its webhook configuration, its policies and their bindings.
//! Each way of tampering has a reason of its own. It is told and never fought: deleting the configuration is the way to turn enforcement off (P15).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::install;
use crate::{
    api::{ENROLLED_LABEL, ENROLLED_VALUE},
    model::{proof::WEBHOOK, text::shown},
    policy::enforcing::Fault,
};

/// How the API server is to reach the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// By the address that `--local` listens at: `https://127.0.0.1:PORT`.
    Url(String),
    /// By a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What should stand there.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The name of the webhook configuration; the policies' names begin with it.
    pub configuration: String,
    /// How the webhook is reached.
    pub reached: Reached,
    /// The user that Demarc is.
    pub user: String,
}

/// What stands there.
#[derive(Debug, Default)]
pub struct Stored {
    /// The webhook configuration.
    pub configuration: Option<Value>,
    /// Other configurations with a webhook of our name.
    pub others: BTreeSet<String>,
    /// ValidatingAdmissionPolicies by name, as whole objects.
    pub policies: BTreeMap<String, Value>,
    /// Their bindings.
    pub bindings: BTreeMap<String, Value>,
    /// Why policies and bindings cannot be read.
    pub unseen: Option<&'static str>,
}

/// What is wrong first; `None` when everything is as it must be.
pub fn fault(expected: &Expected, stored: &Stored) -> Option<Fault> {
    webhook(expected, stored).or_else(|| policies(expected, stored)).or_else(|| {
        let other = stored.others.first()?;
        let message =
            format!("ValidatingWebhookConfiguration {} has a webhook {WEBHOOK} as well: which of the two refuses cannot be told; delete the one left over", shown(other, 63));
        Some(Fault::unknown("SecondConfiguration", message))
    })
}

/// What is wrong with the webhook configuration.
pub fn webhook(expected: &Expected, stored: &Stored) -> Option<Fault> {
    let wanted = install::webhook_configuration("", "");
    let entry = |of: &Value, name: &Value| list(&of["webhooks"]).iter().find(|w| w["name"] == *name).cloned();
    let Some(workloads) = stored.configuration.as_ref().and_then(|c| entry(c, &json!(WEBHOOK))) else {
        let message = format!("the API server asks nobody: ValidatingWebhookConfiguration {} is gone, or has no entry {WEBHOOK}", expected.configuration);
        return Some(Fault::wrong("WebhookMissing", message));
    };
    let of_entry = |entry: &Value, wanted: &Value| entry_fault(expected, entry, wanted);
    of_entry(&workloads, &wanted["webhooks"][0]).or_else(|| {
        let declarations = &wanted["webhooks"][1];
        let why = match stored.configuration.as_ref().and_then(|c| entry(c, &declarations["name"])) {
            None => "the entry is gone".to_owned(),
            Some(entry) => of_entry(&entry, declarations)?.message,
        };
        Some(Fault::wrong("DeclarationsUnguarded", format!("declarations are not checked as they are written: {why}")))
    })
}

/// What is worth telling though nothing is wrong: exclusions that a provider's enforcer adds to every webhook.
pub fn note(stored: &Stored) -> Option<String> {
    let entry = stored.configuration.as_ref().and_then(|c| list(&c["webhooks"]).iter().find(|w| w["name"] == WEBHOOK))?;
    let added: Vec<&str> = list(&entry["namespaceSelector"]["matchExpressions"]).iter().filter(|e| of_provider(e)).filter_map(|e| e["key"].as_str()).collect();
    (!added.is_empty()).then(|| format!("the cluster's provider has excluded namespaces of its own, by label {}", added.join(", ")))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What AKS's admissions enforcer adds: its own namespaces are left out. Whether an enrolled one is among them is looked at namespace by namespace.
fn of_provider(expression: &Value) -> bool {
    matches!(expression["key"].as_str(), Some("control-plane" | "kubernetes.azure.com/managedby")) && matches!(expression["operator"].as_str(), Some("NotIn" | "DoesNotExist"))
}

fn empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(Map::is_empty)
}

fn entry_fault(expected: &Expected, entry: &Value, wanted: &Value) -> Option<Fault> {
    let name = wanted["name"].as_str().unwrap_or_default();
    if entry["failurePolicy"] != wanted["failurePolicy"] {
        return Some(Fault::wrong("FailurePolicyChanged", format!("failurePolicy of {name} is not Fail: an outage admits everything")));
    }
    let selector = if empty(&wanted["namespaceSelector"]) {
        (!empty(&entry["namespaceSelector"])).then(|| Fault::wrong("SelectorChanged", format!("{name} does not select every namespace")))
    } else {
        selector_fault(&entry["namespaceSelector"])
    };
    if selector.is_some() {
        return selector;
    }
    let rest = [
        ("ObjectSelectorAdded", empty(&entry["objectSelector"]), "has an objectSelector: whoever writes labels is not asked about"),
        ("MatchPolicyChanged", entry["matchPolicy"] == wanted["matchPolicy"], "is not asked about equivalent versions: matchPolicy is not Equivalent"),
        ("RulesChanged", list(&wanted["rules"]).iter().all(|rule| covered(list(&entry["rules"]), rule)), "is not asked about all kinds and operations that Demarc judges"),
        ("ConditionsChanged", entry["matchConditions"] == wanted["matchConditions"], "has match conditions that are not Demarc's"),
        ("TimeoutChanged", entry["timeoutSeconds"] == wanted["timeoutSeconds"], "does not wait the 5 s of timeoutSeconds that Demarc reckons with"),
        ("SideEffectsChanged", entry["sideEffects"] == wanted["sideEffects"], "does not declare sideEffects None, which a dry run needs"),
        ("VersionsChanged", list(&entry["admissionReviewVersions"]).contains(&json!("v1")), "is not asked by admissionReviewVersions v1"),
    ];
    if let Some((reason, _, why)) = rest.into_iter().find(|(_, holds, _)| !holds) {
        return Some(Fault::wrong(reason, format!("{name} {why}")));
    }
    client_fault(&expected.reached, &entry["clientConfig"], &wanted["clientConfig"], name)
}

fn selector_fault(selector: &Value) -> Option<Fault> {
    let enrolled = json!({"key": ENROLLED_LABEL, "operator": "In", "values": [ENROLLED_VALUE]});
    let expressions = list(&selector["matchExpressions"]);
    let by_name = |e: &Value| e["key"] == "kubernetes.io/metadata.name" && e["operator"] == "NotIn";
    if !empty(&selector["matchLabels"]) || !expressions.iter().all(|e| *e == enrolled || by_name(e) || of_provider(e)) {
        Some(Fault::wrong("SelectorChanged", format!("{WEBHOOK} does not select every enrolled namespace")))
    } else if !expressions.contains(&enrolled) {
        Some(Fault::wrong("SelectorWidened", format!("{WEBHOOK} selects namespaces that nobody enrolled: an outage of Demarc reaches as far")))
    } else {
        None
    }
}

fn covered(rules: &[Value], wanted: &Value) -> bool {
    list(&wanted["resources"]).iter().all(|resource| {
        list(&wanted["operations"]).iter().all(|operation| {
            rules.iter().any(|rule| {
                let has = |key: &str, word: &Value| list(&rule[key]).iter().any(|w| w == word || w == "*");
                has("apiGroups", &wanted["apiGroups"][0])
                    && has("apiVersions", &wanted["apiVersions"][0])
                    && has("resources", resource)
                    && has("operations", operation)
                    && (rule["scope"] == wanted["scope"] || rule["scope"] == "*" || rule["scope"].is_null())
            })
        })
    })
}

/// `wanted` carries the path, at an empty address.
fn client_fault(reached: &Reached, config: &Value, wanted: &Value, name: &str) -> Option<Fault> {
    let path = wanted["url"].as_str().unwrap_or_default();
    let (holds, reason) = match reached {
        Reached::Url(base) => (config["url"] == format!("{base}{path}"), "UrlChanged"),
        Reached::Service { namespace, name } => {
            let service = &config["service"];
            let port = service["port"].is_null() || service["port"] == 443;
            (
                service["namespace"] == *namespace && service["name"] == *name && service["path"] == path && port,
                if config["url"].is_string() { "UrlChanged" } else { "ServiceChanged" },
            )
        }
    };
    if !holds {
        return Some(Fault::wrong(reason, format!("the API server asks somebody else than Demarc: the clientConfig of {name} was changed")));
    }
    let given = config["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty());
    (!given).then(|| {
        Fault::wrong("CaBundleMissing", format!("{name} has no caBundle: the API server does not trust Demarc's certificate, and refuses everything that it would ask about"))
    })
}

/// What is wrong with the policies and their bindings.
pub fn policies(expected: &Expected, stored: &Stored) -> Option<Fault> {
    if let Some(why) = stored.unseen {
        return Some(Fault::unknown("PoliciesUnseen", format!("whether Demarc's policies stand cannot be seen: {why}")));
    }
    install::policies(&expected.user).into_iter().find_map(|wanted| {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let own = |name: &str| format!("{}{}", expected.configuration, name.trim_start_matches(install::CONFIGURATION));
        let mut spec = wanted["spec"].clone();
        let (what, found, missing, changed) = if wanted["kind"] == "ValidatingAdmissionPolicy" {
            ("ValidatingAdmissionPolicy", &stored.policies, "PolicyMissing", "PolicyChanged")
        } else {
            spec["policyName"] = json!(own(spec["policyName"].as_str().unwrap_or_default()));
            ("ValidatingAdmissionPolicyBinding", &stored.bindings, "BindingMissing", "BindingChanged")
        };
        let name = own(name);
        match found.get(&name) {
            None => Some(Fault::wrong(missing, format!("{what} {name} is gone: what it refuses is refused by nobody"))),
            Some(object) if !same(&spec, &object["spec"]) => Some(Fault::wrong(changed, format!("{what} {name} is not as this version of Demarc wrote it"))),
            Some(_) => None,
        }
    })
}

/// Whether what is stored says what was written, and nothing beside it but what the API server fills in itself.
pub(super) fn same(written: &Value, stored: &Value) -> bool {
    let filled_in = |key: &str, value: &Value| {
        value.is_null() || value == &json!({}) || value == &json!([]) || matches!((key, value.as_str()), ("matchPolicy", Some("Equivalent")) | ("scope", Some("*")))
    };
    match (written, stored) {
        (Value::Object(written), Value::Object(stored)) => {
            written.iter().all(|(key, value)| same(value, stored.get(key).unwrap_or(&Value::Null)))
                && stored.iter().all(|(key, value)| written.contains_key(key) || filled_in(key, value))
        }
        // Said of nothing in particular, and not said.
        (Value::Object(written), Value::Null) => written.is_empty(),
        (Value::Array(written), Value::Array(stored)) => written.len() == stored.len() && written.iter().zip(stored).all(|(a, b)| same(a, b)),
        _ => written == stored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "system:serviceaccount:demarc-system:demarc";

    fn whole() -> (Expected, Stored) {
        let reached = Reached::Service { namespace: "demarc-system".into(), name: "demarc".into() };
        let mut configuration = install::webhook_configuration("", "QQ==");
        for webhook in configuration["webhooks"].as_array_mut().unwrap() {
            let path = webhook["clientConfig"]["url"].clone();
            webhook["clientConfig"] = json!({"service": {"namespace": "demarc-system", "name": "demarc", "path": path, "port": 443}, "caBundle": "QQ=="});
        }
        let mut stored = Stored { configuration: Some(configuration), ..Stored::default() };
        for mut object in install::policies(USER) {
            // As the API server fills it in.
            let of = if object["kind"] == "ValidatingAdmissionPolicy" {
                object["spec"]["matchConstraints"]["matchPolicy"] = json!("Equivalent");
                // Only where nothing is said: the gate has a selector of its own.
                if object["spec"]["matchConstraints"]["namespaceSelector"].is_null() {
                    object["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
                }
                for rule in object["spec"]["matchConstraints"]["resourceRules"].as_array_mut().unwrap() {
                    rule["scope"] = json!("*");
                }
                &mut stored.policies
            } else {
                &mut stored.bindings
            };
            of.insert(object["metadata"]["name"].as_str().unwrap().to_owned(), object);
        }
        (Expected { configuration: "demarc".into(), reached, user: USER.into() }, stored)
    }

    fn set(object: &mut Value, path: &str, value: Value) {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match key.parse::<usize>() {
            Ok(i) => parent[i] = value,
            Err(_) => parent[key] = value,
        }
    }

    #[test]
    fn each_way_of_tampering_with_the_configuration_has_a_name() {
        let (expected, stored) = whole();
        assert_eq!(fault(&expected, &stored), None);
        let gone = Stored { configuration: None, ..whole().1 };
        assert_eq!(fault(&expected, &gone).unwrap().reason, "WebhookMissing");
        let enrolled = json!({"key": ENROLLED_LABEL, "operator": "In", "values": [ENROLLED_VALUE]});
        let by_name = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["demarc-system"]});
        let aks = json!({"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]});
        let control_plane = json!({"key": "control-plane", "operator": "DoesNotExist"});
        let mine = json!({"key": "team", "operator": "NotIn", "values": ["shop"]});
        for (what, path, value, reason) in [
            ("nothing", "/webhooks", json!([]), Some("WebhookMissing")),
            ("an open policy", "/webhooks/0/failurePolicy", json!("Ignore"), Some("FailurePolicyChanged")),
            ("another label", "/webhooks/0/namespaceSelector/matchExpressions/0/key", json!("team"), Some("SelectorChanged")),
            ("one more label", "/webhooks/0/namespaceSelector/matchLabels", json!({"team": "shop"}), Some("SelectorChanged")),
            ("an exclusion of one's own", "/webhooks/0/namespaceSelector/matchExpressions", json!([enrolled, mine]), Some("SelectorChanged")),
            ("every namespace", "/webhooks/0/namespaceSelector", json!({}), Some("SelectorWidened")),
            ("every namespace but some", "/webhooks/0/namespaceSelector/matchExpressions", json!([by_name]), Some("SelectorWidened")),
            ("the release namespace as well", "/webhooks/0/namespaceSelector/matchExpressions/1", by_name.clone(), None),
            ("a provider's exclusions", "/webhooks/0/namespaceSelector/matchExpressions", json!([enrolled, by_name, aks, control_plane]), None),
            ("a provider's own alone", "/webhooks/0/namespaceSelector/matchExpressions/0/operator", json!("NotIn"), Some("SelectorChanged")),
            ("some objects only", "/webhooks/0/objectSelector", json!({"matchLabels": {"a": "b"}}), Some("ObjectSelectorAdded")),
            ("all objects", "/webhooks/0/objectSelector", json!({}), None),
            ("no rules", "/webhooks/0/rules", json!([]), Some("RulesChanged")),
            ("only what is made", "/webhooks/0/rules/0/operations", json!(["CREATE"]), Some("RulesChanged")),
            ("a kind less", "/webhooks/0/rules/0/resources", json!(["pods"]), Some("RulesChanged")),
            ("cluster-wide only", "/webhooks/0/rules/0/scope", json!("Cluster"), Some("RulesChanged")),
            ("more rules", "/webhooks/0/rules/0/resources", json!(["*"]), None),
            ("exact versions only", "/webhooks/0/matchPolicy", json!("Exact"), Some("MatchPolicyChanged")),
            ("a condition that never holds", "/webhooks/0/matchConditions/0/expression", json!("false"), Some("ConditionsChanged")),
            ("one condition more", "/webhooks/0/matchConditions/1", json!(null), Some("ConditionsChanged")),
            ("a long wait", "/webhooks/0/timeoutSeconds", json!(30), Some("TimeoutChanged")),
            ("side effects", "/webhooks/0/sideEffects", json!("NoneOnDryRun"), Some("SideEffectsChanged")),
            ("another version", "/webhooks/0/admissionReviewVersions", json!(["v1beta1"]), Some("VersionsChanged")),
            ("another namespace's service", "/webhooks/0/clientConfig/service/namespace", json!("evil"), Some("ServiceChanged")),
            ("another path", "/webhooks/0/clientConfig/service/path", json!("/declarations"), Some("ServiceChanged")),
            ("a URL", "/webhooks/0/clientConfig", json!({"url": "https://evil.example/", "caBundle": "QQ=="}), Some("UrlChanged")),
            ("no bundle", "/webhooks/0/clientConfig/caBundle", json!(""), Some("CaBundleMissing")),
            ("declarations unasked", "/webhooks/1/name", json!("x.demarc.dev"), Some("DeclarationsUnguarded")),
            ("declarations let through", "/webhooks/1/failurePolicy", json!("Ignore"), Some("DeclarationsUnguarded")),
            ("declarations of some namespaces", "/webhooks/1/namespaceSelector", json!({"matchLabels": {"a": "b"}}), Some("DeclarationsUnguarded")),
        ] {
            let (expected, mut stored) = whole();
            let configuration = stored.configuration.as_mut().unwrap();
            if what == "one condition more" {
                configuration["webhooks"][0]["matchConditions"].as_array_mut().unwrap().push(value);
            } else {
                set(configuration, path, value);
            }
            let found = fault(&expected, &stored);
            assert_eq!(found.as_ref().map(|f| f.reason), reason, "{what}: {found:?}");
            assert_eq!(note(&stored).is_some(), what == "a provider's exclusions", "{what}");
        }
    }

    #[test]
    fn each_way_of_tampering_with_the_policies_has_a_name() {
        type Change = fn(&mut Stored);
        fn policy(stored: &mut Stored, path: &str, value: Value) {
            set(stored.policies.get_mut("demarc-enrolment").unwrap(), path, value);
        }
        fn binding(stored: &mut Stored, path: &str, value: Value) {
            set(stored.bindings.get_mut("demarc-enrolment").unwrap(), path, value);
        }
        let cases: &[(&str, Change, Option<&str>)] = &[
            ("nothing", |_| {}, None),
            ("a policy is gone", |s| drop(s.policies.remove("demarc-confinement")), Some("PolicyMissing")),
            ("a binding is gone", |s| drop(s.bindings.remove("demarc-enrolment")), Some("BindingMissing")),
            ("it lets through when it fails", |s| policy(s, "/spec/failurePolicy", json!("Ignore")), Some("PolicyChanged")),
            ("it always holds", |s| policy(s, "/spec/validations/0/expression", json!("true")), Some("PolicyChanged")),
            ("it needs parameters", |s| policy(s, "/spec/paramKind", json!({"kind": "ConfigMap", "apiVersion": "v1"})), Some("PolicyChanged")),
            ("some are excluded", |s| policy(s, "/spec/matchConstraints/excludeResourceRules", json!([{"resources": ["namespaces"]}])), Some("PolicyChanged")),
            ("it only warns", |s| binding(s, "/spec/validationActions", json!(["Warn"])), Some("BindingChanged")),
            ("for some only", |s| binding(s, "/spec/matchResources", json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})), Some("BindingChanged")),
            ("for all, unsaid", |s| binding(s, "/spec/matchResources", Value::Null), None),
            (
                "for all, as the API server writes it",
                |s| binding(s, "/spec/matchResources", json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}})),
                None,
            ),
            ("it binds another", |s| binding(s, "/spec/policyName", json!("other")), Some("BindingChanged")),
            ("nobody may look", |s| s.unseen = Some("RBAC forbids reading them"), Some("PoliciesUnseen")),
            ("a second configuration", |s| s.others = BTreeSet::from(["old-demarc".into()]), Some("SecondConfiguration")),
        ];
        for (what, change, reason) in cases {
            let (expected, mut stored) = whole();
            change(&mut stored);
            assert_eq!(fault(&expected, &stored).map(|f| f.reason), *reason, "{what}");
        }
        // Under the name of another release.
        let (mut expected, stored) = whole();
        expected.configuration = "guard".into();
        assert_eq!(fault(&expected, &stored).map(|f| f.reason), Some("PolicyMissing"));
    }
}
