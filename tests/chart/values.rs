//! What may be set: every unknown key is refused at every level, and what cannot work together in one sentence.
//! The schema, `values.yaml` and the README name the same values.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{BOTH, FILES, HELM4, find, read, rendered, tool};

fn schema() -> Value {
    serde_json::from_str(&read("values.schema.json")).unwrap()
}

/// A place in the values: a key, or the first element of a list.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    First,
}

/// Calls `at` for every schema of an object, with the way to it.
fn objects(schema: &Value, root: &Value, way: &mut Vec<Step>, at: &mut impl FnMut(&[Step], &Value)) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => &root["definitions"][name.rsplit('/').next().unwrap()],
        None => schema,
    };
    if schema["type"] == "object" {
        at(way, schema);
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            way.push(Step::Key(key.clone()));
            objects(below, root, way, at);
            way.pop();
        }
    } else if schema["type"] == "array" {
        way.push(Step::First);
        objects(&schema["items"], root, way, at);
        way.pop();
    }
}

fn told(way: &[Step]) -> String {
    way.iter().map(|step| if let Step::Key(key) = step { format!(".{key}") } else { "[]".to_owned() }).collect()
}

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    let (schema, mut levels, mut open) = (schema(), Vec::new(), BTreeSet::new());
    objects(&schema, &schema, &mut Vec::new(), &mut |way, schema| match (&schema["additionalProperties"], schema.get("properties")) {
        (Value::Bool(false), Some(_)) => levels.push(way.to_vec()),
        // A map of texts, as labels are.
        (Value::Object(_), None) => {}
        _ => {
            open.insert(told(way));
        }
    });
    // Kubernetes' own, which the API server checks.
    let expected =
        [".affinity.nodeAffinity", ".affinity.podAffinity", ".affinity.podAntiAffinity", ".extraEnv[].valueFrom", ".extraVolumes[]", ".topologySpreadConstraints[].labelSelector"];
    assert_eq!(open, expected.map(str::to_owned).into());
    assert!(levels.len() > 30, "{levels:?}");
    let dir = tempfile::tempdir().unwrap();
    for (i, way) in levels.iter().enumerate() {
        let values = way.iter().rev().fold(json!({"nonsense": true}), |inner, step| match step {
            Step::Key(key) => json!({key: inner}),
            Step::First => json!([inner]),
        });
        let file = dir.path().join(format!("{i}.json"));
        std::fs::write(&file, values.to_string()).unwrap();
        for helm in BOTH {
            let said = helm.template(&["-f", &file.display().to_string()]);
            assert!(!said.ok && said.err.contains("nonsense"), "{helm:?} takes an unknown key at {}: {}", told(way), said.err);
        }
    }
}

#[test]
fn the_schema_and_the_defaults_name_the_same_values() {
    fn compare(values: &Value, schema: &Value, way: &str) {
        let names = |v: &Value| v.as_object().map(|o| o.keys().filter(|k| *k != "enabled" || !way.is_empty()).cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
        assert_eq!(names(values), names(&schema["properties"]), "{way}");
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let way = format!("{way}.{key}");
            // An empty object, and what is Kubernetes' own, has no defaults of ours below it.
            let ours = ![".podSecurityContext", ".securityContext", ".resources"].contains(&way.as_str());
            if ours && below.get("properties").is_some() && values[key].as_object().is_some_and(|o| !o.is_empty()) {
                compare(&values[key], below, &way);
            }
        }
    }
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    compare(&values, &schema(), "");
}

#[test]
fn values_that_cannot_work_are_refused_in_one_sentence() {
    let own = "tls.caBundle=-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    let cases: &[(&[&str], &str)] = &[
        (&["--set", "tls.existingSecret=a,tls.certManager.enabled=true", "--set", own], "two sources of one certificate"),
        (&["--set", "tls.existingSecret=a"], "tls.existingSecret needs tls.caBundle"),
        (&["--set", own], "tls.caBundle goes with tls.existingSecret only"),
        (&["--set", "tls.certManager.enabled=true,tls.certManager.issuerRef.kind=ClusterIssuer"], "issuerRef has no name"),
        (&["--set", "serviceAccount.create=false"], "name a service account"),
        (&["--set", "priorityClassName=a,priorityClass.create=true"], "two sources of one class"),
        (&["--set", "webhook.port=8080"], "where the probes are answered"),
        (&["--namespace", "kube-system"], "install Demarc in a namespace of its own"),
        // By the schema.
        (&["--set", "replicaCount=0"], "replicaCount"),
        (&["--set", "terminationGracePeriodSeconds=10"], "terminationGracePeriodSeconds"),
        (&["--set", "image.digest=sha256:abc"], "digest"),
        (&["--set", "image.pullPolicy=Sometimes"], "pullPolicy"),
        (&["--set", "webhook.kinds={Secret}"], "kinds"),
        (&["--set", "rbac.thirdPartyKinds[0].apiGroups={apps},rbac.thirdPartyKinds[0].resources={deployments}"], "apiGroups"),
        (&["--set-json", r#"rbac.thirdPartyKinds=[{"apiGroups": [""], "resources": ["secrets"]}]"#], "apiGroups"),
        (&["--set", "rbac.thirdPartyKinds[0].apiGroups={a.example},rbac.thirdPartyKinds[0].resources={*}"], "resources"),
        (&["--set", "rbac.thirdPartyKinds[0].apiGroups={a.example}"], "resources"),
        (&["--set", "tls.caBundle=bm90IFBFTQ=="], "caBundle"),
        (&["--set", "fullnameOverride=Has_Capitals"], "fullnameOverride"),
        // What a cluster would take, or refuse half way, and no pod could live with.
        (&["--set", "resources.limits.memory=1Mi"], "memory 1Mi is less than Demarc needs to start"),
        (&["--set-json", r#"resources={"limits": {"memory": 5}}"#], "memory 5 is less than Demarc needs to start"),
        (&["--set", "resources.limits.memory=0"], "memory 0 is less than Demarc needs to start"),
        (&["--set", "resources.limits.memory=32Mi"], "requests.memory 64Mi is more than resources.limits.memory 32Mi"),
        (&["--set", "resources.limits.cpu=10m"], "requests.cpu 50m is more than resources.limits.cpu 10m"),
        (&["--set", "resources.limits.memory=banana"], "/resources/limits/memory"),
        (&["--set", "resources.requests.cpu=-1"], "/resources/requests/cpu"),
        (&["--set", "webhook.bindAddress=localhost"], "bindAddress localhost is no address"),
        (&["--set", "webhook.bindAddress=::"], "bindAddress :: is no address"),
        (&["--set", "webhook.bindAddress=127.0.0.1"], "bindAddress 127.0.0.1 is no address"),
        (&["--set", "webhook.bindAddress=[::1]"], "bindAddress [::1] is no address"),
        (&["--set", "logLevel=loud"], "/logLevel"),
        (&["--set", "image.registry=https://ghcr.io"], "/image/registry"),
        (&["--set", "image.repository=demarc/demarc:latest"], "/image/repository"),
        (&["--set", "commonLabels.team=a b"], "/commonLabels/team"),
        (&["--set", "tls.existingSecret=a", "--set", "tls.caBundle=-----BEGIN CERTIFICATE-----\n$\n-----END CERTIFICATE-----"], "tls.caBundle is no certificate in PEM"),
        (&["--set", "tls.existingSecret=a", "--set", "tls.caBundle=-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"], "tls.caBundle holds a private key"),
    ];
    for (values, sentence) in cases {
        for helm in BOTH {
            let said = helm.template(values);
            assert!(!said.ok && said.err.contains(sentence), "{helm:?} with {values:?} should say {sentence:?}: {said:?}");
            assert!(!said.err.contains("MIIB"), "a key is no part of what is told: {said:?}");
        }
    }
}

#[test]
fn the_same_values_as_a_cluster_writes_them_are_taken() {
    let cases: &[&[&str]] = &[
        &["--set", "resources.limits.memory=32Mi,resources.requests.memory=32768Ki"],
        &["--set", "resources.limits.memory=1G,resources.requests.memory=1e9,resources.limits.cpu=50m"],
        &["--set-json", r#"resources={"limits": {"memory": 268435456, "cpu": 1.5}, "requests": {"memory": "0.1Gi", "cpu": "100m"}}"#],
        &["--set", "resources=null"],
        &["--set", "resources.limits=null,podSecurityContext=null,securityContext=null"],
        &["--set", "webhook.bindAddress=[::]"],
        &["--set", r"logLevel=demarc=debug\,kube=info\,warn"],
        &["--set", "image.registry=localhost:5000,global.imageRegistry=mirror.example.com/proxy/"],
    ];
    for values in cases {
        for helm in BOTH {
            helm.template(values).result().unwrap_or_else(|error| panic!("{helm:?} with {values:?}: {error}"));
        }
    }
}

/// Whoever sets a value to null takes its default away: the schema says what is missing, and no template stumbles over it.
#[test]
fn a_value_that_is_taken_away_is_told_or_not_needed() {
    let schema = schema();
    let (mut ways, mut missing) = (BTreeSet::new(), 0);
    objects(&schema, &schema, &mut Vec::new(), &mut |way, schema| {
        for key in schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let way = format!("{}.{key}", told(way));
            if !way.contains("[]") {
                ways.insert(way.trim_start_matches('.').to_owned());
            }
        }
    });
    for way in ways {
        let said = HELM4.template(&["--set", &format!("{way}=null")]);
        let key = way.rsplit('.').next().unwrap();
        missing += usize::from(said.err.contains(&format!("missing property '{key}'")));
        let sentence = ["missing property", "got null, want", "name a service account"].iter().any(|s| said.err.contains(s));
        assert!(said.ok || sentence, "{way}: {said:?}");
    }
    assert!(missing > 20, "{missing}");
}

#[test]
fn a_cluster_that_is_too_old_is_refused() {
    for helm in BOTH {
        let said = helm.template(&["--kube-version", "1.29.9"]);
        assert!(!said.ok && said.err.contains("1.30.0"), "{said:?}");
        // As a provider writes it.
        helm.template(&["--kube-version", "v1.30.1-eks-1234567"]).result().unwrap();
    }
}

#[test]
fn the_image_is_named_by_registry_tag_and_digest() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let version = env!("CARGO_PKG_VERSION");
    let cases = [
        (String::new(), format!("ghcr.io/demarc/demarc:{version}")),
        ("image.registry=".to_owned(), format!("demarc/demarc:{version}")),
        ("image.tag=v2".to_owned(), "ghcr.io/demarc/demarc:v2".to_owned()),
        ("image.repository=team/guard,image.registry=r.example.com:5000".to_owned(), format!("r.example.com:5000/team/guard:{version}")),
        ("global.imageRegistry=mirror.example.com".to_owned(), format!("mirror.example.com/demarc/demarc:{version}")),
        (format!("image.digest={digest}"), format!("ghcr.io/demarc/demarc@{digest}")),
        (format!("image.tag=v2,image.digest={digest}"), format!("ghcr.io/demarc/demarc:v2@{digest}")),
    ];
    for (values, image) in cases {
        let objects = rendered(&["--set", &values]);
        assert_eq!(find(&objects, "Deployment demarc")["spec"]["template"]["spec"]["containers"][0]["image"], image, "{values}");
    }
}

#[test]
fn lint_is_clean() {
    for helm in BOTH {
        for values in FILES {
            let said = helm.with(None, &[&["lint", "--strict", "charts/demarc"], *values].concat());
            assert!(said.ok, "{helm:?} with {values:?}: {said:?}");
        }
    }
}

#[test]
fn the_readme_is_what_helm_docs_writes_and_leaves_no_value_unsaid() {
    // It writes into the folder that it reads, hence a copy.
    let dir = tempfile::tempdir().unwrap();
    for file in ["Chart.yaml", "values.yaml", "README.md.gotmpl"] {
        std::fs::copy(crate::helm::chart(file), dir.path().join(file)).unwrap();
    }
    let status = tool("helm-docs").args(["--log-level", "warning", "--chart-search-root"]).arg(dir.path()).status().unwrap();
    assert!(status.success());
    let written = std::fs::read_to_string(dir.path().join("README.md")).unwrap();
    assert!(written == read("README.md"), "charts/demarc/README.md is not what helm-docs writes: make chart");
    let unsaid: Vec<&str> = written.lines().filter(|line| line.starts_with('|') && line.ends_with("|  |")).collect();
    assert!(unsaid.is_empty(), "values without a comment `# --`: {unsaid:?}");
}

#[test]
fn the_notes_say_how_to_turn_it_off() {
    // Helm 3 and 4 show them after an install; by dry run without a cluster.
    for (values, line) in [("crds.keep=true", true), ("crds.keep=false", false)] {
        let said = HELM4.with(None, &["install", "demarc", "charts/demarc", "--dry-run=client", "--set", values]).result().unwrap();
        assert!(said.contains("kubectl delete validatingwebhookconfiguration demarc"), "{said}");
        assert_eq!(said.contains("keeps the custom resource definition"), line, "{said}");
    }
}
