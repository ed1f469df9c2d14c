//! What is rendered, without a cluster: the same by both Helms and twice, and the same as the code says.
//! The numbers that the process and its pod must agree on are read from both.

use std::process::Command;

use demarc::{controller::install, run};
use serde_json::{Value, json};

use crate::{
    generate,
    helm::{BOTH, FILES, FULL, HELM3, HELM4, NAMESPACE, find, identity, objects, read, rendered},
};

#[test]
fn both_helms_render_the_same_objects_and_the_same_bytes_twice() {
    for values in FILES {
        for helm in BOTH {
            assert!(helm.render(values) == helm.render(values), "{helm:?} renders {values:?} differently each time");
        }
        // The order of documents and the blank lines between them are Helm's own.
        let (three, four) = (objects(&HELM3.render(values)), objects(&HELM4.render(values)));
        let names = |of: &[Value]| of.iter().map(identity).collect::<Vec<_>>();
        assert_eq!(names(&three), names(&four), "{values:?}");
        for (a, b) in three.iter().zip(&four) {
            assert_eq!(a, b, "{values:?}");
        }
    }
}

/// Whoever applies what is printed would run it.
#[test]
fn the_hooks_before_an_uninstall_and_of_helm_test_are_in_releases_alone() {
    for values in FILES {
        assert!(rendered(values).iter().all(|object| object["kind"] != "Job" && object["kind"] != "Pod"), "{values:?}");
    }
}

#[test]
fn what_is_generated_is_what_the_code_says() {
    for (file, text) in generate::files().unwrap() {
        assert!(read(&format!("files/{file}")) == text, "charts/demarc/files/{file} is not what the code generates: make chart");
    }
}

/// The same with every number as a float.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(whole).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), whole(value))).collect()),
        other => other.clone(),
    }
}

#[test]
fn the_definitions_are_the_codes() {
    let (kept, bare) = (rendered(&[]), rendered(&["--set", "crds.keep=false"]));
    for expected in install::crds().unwrap() {
        let name = format!("CustomResourceDefinition {}", expected["metadata"]["name"].as_str().unwrap());
        let mut crd = find(&kept, &name).clone();
        let kept = json!({"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false,Delete=false", "kustomize.toolkit.fluxcd.io/prune": "disabled"});
        assert_eq!(crd["metadata"]["annotations"], kept);
        crd["metadata"] = json!({"name": crd["metadata"]["name"]});
        // Through Helm, 65535.0 is 65535.
        assert_eq!(whole(&crd), whole(&expected));
        assert_eq!(find(&bare, &name)["metadata"].get("annotations"), None);
    }
    assert!(rendered(&["--set", "crds.install=false"]).iter().all(|o| o["kind"] != "CustomResourceDefinition"));
}

#[test]
fn the_webhook_is_the_codes() {
    let configuration = rendered(&[]);
    let configuration = find(&configuration, "ValidatingWebhookConfiguration demarc");
    let mut expected = install::webhook_configuration("", "")["webhooks"].clone();
    for (webhook, path) in expected.as_array_mut().unwrap().iter_mut().zip(["/workloads", "/declarations"]) {
        // By Service; and no caBundle, which the leader fills in.
        webhook["clientConfig"] = json!({"service": {"name": "demarc", "namespace": NAMESPACE, "path": path, "port": 443}});
    }
    expected[0]["namespaceSelector"]["matchExpressions"][1]["values"].as_array_mut().unwrap().push(json!(NAMESPACE));
    assert_eq!(configuration["webhooks"], expected);
    assert_eq!(expected[0]["rules"], json!(install::rules()));
}

#[test]
fn kinds_are_added_to_the_webhook_by_name() {
    let full = rendered(&["--set", "webhook.kinds={ServiceAccount,ConfigMap}"]);
    let rules = find(&full, "ValidatingWebhookConfiguration demarc")["webhooks"][0]["rules"].clone();
    let mut expected = install::rules();
    expected.extend(demarc::model::subject::Kind::DRIFT_ONLY.iter().map(|kind| install::rule_for(*kind)));
    assert_eq!(rules, json!(expected));
}

#[test]
fn a_ca_bundle_is_rendered_only_when_it_is_given() {
    for values in FILES {
        let given = *values == FULL;
        let objects = rendered(values);
        let configuration = objects.iter().find(|o| o["kind"] == "ValidatingWebhookConfiguration").unwrap();
        for webhook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(webhook["clientConfig"].get("caBundle").is_some(), given, "{values:?}");
        }
        let injected = configuration["metadata"]["annotations"].get("cert-manager.io/inject-ca-from");
        assert_eq!(injected, values.iter().any(|v| v.contains("certmanager") || v.contains("issuer")).then(|| json!("demarc-system/demarc-tls")).as_ref(), "{values:?}");
        // The certificate that cert-manager injects from is there, and it fills the Secret that the pods mount.
        if injected.is_some() {
            let certificate = find(&objects, "Certificate demarc-tls");
            assert_eq!(certificate["spec"]["dnsNames"], json!(["demarc.demarc-system.svc"]));
            let issuer = &certificate["spec"]["issuerRef"];
            assert!(issuer["name"] == "corporate" || objects.iter().any(|o| o["kind"] == "Issuer" && o["metadata"]["name"] == issuer["name"]), "{certificate}");
            assert_eq!(find(&objects, "Deployment demarc")["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"], certificate["spec"]["secretName"]);
        }
    }
}

#[test]
fn the_policies_are_the_codes_with_this_releases_names() {
    for (values, name, username) in [(&[][..], "demarc", generate::USERNAME), (FULL, "guard", "system:serviceaccount:demarc-system:guardian")] {
        let objects = rendered(values);
        let expected = install::policies(username);
        assert_eq!(expected.len(), 9);
        for mut policy in expected {
            let renamed = policy["metadata"]["name"].as_str().unwrap().replacen("demarc", name, 1);
            policy["metadata"]["name"] = json!(renamed);
            if policy["spec"].get("policyName").is_some() {
                policy["spec"]["policyName"] = json!(renamed);
            }
            let mut found = find(&objects, &identity(&policy)).clone();
            found["metadata"].as_object_mut().unwrap().remove("labels");
            assert_eq!(found, policy);
        }
    }
}

#[test]
fn versions_are_one() {
    let chart: Value = serde_saphyr::from_str(&read("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
    let annotation = |name: &str| -> Value { serde_saphyr::from_str(chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap()).unwrap() };
    assert_eq!(annotation("images")[0]["image"], format!("ghcr.io/demarc/demarc:{version}"));
    let listed: Vec<Value> = annotation("crds").as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(listed, install::crds().unwrap().iter().map(|c| c["metadata"]["name"].clone()).collect::<Vec<_>>());
    assert_eq!(annotation("crdsExamples")[0]["kind"], "Ownership");
}

/// The clusters of the workflow are what the chart, the README and doctor speak of.
#[test]
fn the_oldest_and_the_newest_kubernetes_are_the_same_everywhere() {
    let file = |name: &str| std::fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let workflow: Value = serde_saphyr::from_str(&file(".github/workflows/e2e.yaml")).unwrap();
    let rows = workflow["jobs"]["kind"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let minor = |text: &str| text.split('.').nth(1).unwrap().to_owned();
    let of = |which: &str| minor(rows.iter().find(|row| row["kubernetes"] == which).unwrap()["image"].as_str().unwrap().split_once(":v").unwrap().1);
    let oldest = of("oldest");
    let chart: Value = serde_saphyr::from_str(&read("Chart.yaml")).unwrap();
    assert_eq!(chart["kubeVersion"], format!(">=1.{oldest}.0-0"));
    assert!(file("README.md").contains(&format!("Kubernetes 1.{oldest} or newer")));
    assert!(file("src/cli/doctor/judge/tests.rs").contains(&format!("older than 1.{oldest}")));
    let pinned = file("hack/controlplane/go.mod");
    let pinned = pinned.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")).unwrap();
    assert_eq!(of("newest"), minor(pinned));
}

#[test]
fn a_pod_is_given_the_time_to_leave() {
    let needed = (run::LINGER + run::DRAIN + run::LAST_SPANS).as_secs() + 1;
    let objects = rendered(&[]);
    let grace = &find(&objects, "Deployment demarc")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    assert!(grace.as_u64().unwrap() > needed, "{grace} s, and leaving takes {needed} s");
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    assert!(schema["properties"]["terminationGracePeriodSeconds"]["minimum"].as_u64().unwrap() > needed);
}

#[test]
fn the_binary_takes_the_arguments() {
    for values in FILES {
        let objects = rendered(values);
        let deployment = objects.iter().find(|o| o["kind"] == "Deployment").unwrap();
        let args: Vec<&str> = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        // An unknown argument is told before the help is shown; and without it the controller would start.
        let said = Command::new(env!("CARGO_BIN_EXE_demarc")).args(&args).arg("--help").output().unwrap();
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
}

#[test]
fn the_parts_find_each_other() {
    for values in FILES {
        let objects = rendered(values);
        let one = |kind: &str| objects.iter().find(|o| o["kind"] == kind);
        let deployment = one("Deployment").unwrap();
        let template = &deployment["spec"]["template"];
        let container = &template["spec"]["containers"][0];
        let labels = template["metadata"]["labels"].as_object().unwrap();
        let selects = |selector: &Value| selector.as_object().is_some_and(|s| !s.is_empty() && s.iter().all(|(key, value)| labels.get(key) == Some(value)));
        assert!(selects(&deployment["spec"]["selector"]["matchLabels"]), "{values:?}");
        assert!(selects(&one("Service").unwrap()["spec"]["selector"]), "{values:?}");
        for constraint in template["spec"]["topologySpreadConstraints"].as_array().unwrap() {
            assert!(selects(&constraint["labelSelector"]["matchLabels"]), "{values:?}: {constraint}");
        }
        for guard in ["PodDisruptionBudget", "NetworkPolicy"].iter().filter_map(|kind| one(kind)) {
            let selector = guard["spec"].get("podSelector").unwrap_or(&guard["spec"]["selector"]);
            assert!(selects(&selector["matchLabels"]), "{values:?}: {guard}");
        }
        // The port that the process is told is the one that the Service sends to, and the probes ask at the other.
        let port = |name: &str| container["ports"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()["containerPort"].clone();
        let args = container["args"].to_string();
        for (argument, name) in [("--webhook-address", "webhook"), ("--admin-address", "admin")] {
            let told = args.split('"').find(|a| a.starts_with(argument)).unwrap();
            assert_eq!(told.rsplit(':').next().unwrap(), port(name).to_string(), "{values:?}");
        }
        assert_eq!(one("Service").unwrap()["spec"]["ports"][0]["targetPort"], "webhook");
        for (probe, path) in [("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{values:?}");
        }
        // The webhook calls this Service, and the token is this ServiceAccount's.
        let service = &one("ValidatingWebhookConfiguration").unwrap()["webhooks"][0]["clientConfig"]["service"];
        assert_eq!((&service["name"], &service["namespace"]), (&one("Service").unwrap()["metadata"]["name"], &one("Service").unwrap()["metadata"]["namespace"]));
        assert_eq!(template["spec"]["serviceAccountName"], one("ServiceAccount").unwrap()["metadata"]["name"]);
        // The Secret by which the process is told its certificate is the one that it may read.
        if let Some(secret) = args.split('"').find_map(|a| a.strip_prefix("--tls-secret=")) {
            let role = find(&objects, "Role demarc")["rules"].as_array().unwrap().iter().find(|r| r["resources"] == json!(["secrets"]) && r.get("resourceNames").is_some());
            assert_eq!(role.unwrap()["resourceNames"], json!([secret]));
        }
    }
}

#[test]
fn a_pod_can_write_nothing_and_a_rollout_or_a_drain_takes_one_at_a_time() {
    let objects = rendered(&[]);
    let deployment = &find(&objects, "Deployment demarc")["spec"];
    let container = &deployment["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
    assert_eq!(container.get("volumeMounts"), None);
    assert_eq!(deployment["strategy"]["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": 1}));
    assert_eq!(deployment["replicas"], 2);
    let budget = &find(&objects, "PodDisruptionBudget demarc")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["unhealthyPodEvictionPolicy"]), (&json!(1), &json!("AlwaysAllow")));
}
