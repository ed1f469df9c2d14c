//! What is kept of an object that exists: the fields that `Subject` reads, and nothing that could be a secret.
//! Arguments are dropped before anything is stored; of variables and data what looks like a credential leaves its name, and a stand-in for its value.

use serde_json::{Value, json};

use crate::model::credential::Sign;

/// Drops from an object whatever `Subject` does not read, so that a record stays small and holds no environment value or argument.
pub fn slim(object: &mut Value) {
    let Some(root) = object.as_object_mut() else { return };
    if let Some(Value::Object(mut data)) = root.remove("data") {
        data.retain(|_, text| match text.as_str().and_then(Sign::of_text) {
            Some(sign) => {
                *text = sign.stand_in().into();
                true
            }
            None => false,
        });
        if !data.is_empty() {
            root.insert("data".to_owned(), data.into());
        }
    }
    for key in ["status", "binaryData", "stringData", "apiVersion", "kind", "secrets", "imagePullSecrets"] {
        root.remove(key);
    }
    if let Some(meta) = root.get_mut("metadata").and_then(|m| m.as_object_mut()) {
        // A record keeps uid, namespace, creation and parent beside the JSON.
        for key in ["managedFields", "resourceVersion", "generation", "selfLink", "finalizers", "uid", "namespace", "creationTimestamp", "ownerReferences"] {
            meta.remove(key);
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(|a| a.as_object_mut()) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    for key in ["spec", "template"] {
        if let Some(value) = root.get_mut(key) {
            prune(value);
        }
    }
}

/// Drops, at any depth of a spec, the fields that no check reads.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in [
                "envFrom",
                "command",
                "args",
                "resources",
                "volumeMounts",
                "volumeDevices",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "imagePullPolicy",
                "imagePullSecrets",
                "affinity",
                "tolerations",
                "topologySpreadConstraints",
                "selector",
                "strategy",
                "updateStrategy",
                "schedulerName",
                "dnsPolicy",
                "restartPolicy",
                "nodeSelector",
                "hostAliases",
                "exec",
                "httpHeaders",
                "headers",
                "queryParams",
                "requestHeaderModifier",
                "responseHeaderModifier",
                "items",
                "accessModes",
                "revisionHistoryLimit",
                "progressDeadlineSeconds",
                "terminationGracePeriodSeconds",
                "serviceAccount",
                "initialDelaySeconds",
                "periodSeconds",
                "failureThreshold",
                "successThreshold",
                "timeoutSeconds",
                "containerPort",
                "readOnlyRootFilesystem",
            ] {
                map.remove(key);
            }
            if let Some(env) = map.remove("env").as_ref().map(telling).filter(|env| !env.is_empty()) {
                map.insert("env".to_owned(), env.into());
            }
            if let Some(sources) = map.get_mut("sources").and_then(|s| s.as_array_mut()) {
                // Of what a volume projects, a token alone is read; the rest may be a Secret's or ConfigMap's name.
                sources.retain(|s| s["serviceAccountToken"].is_object());
                for source in sources {
                    *source = serde_json::json!({"serviceAccountToken": {"audience": source["serviceAccountToken"]["audience"]}});
                }
            }
            // Labels and annotations are the author's own words: a label may be called `env`.
            map.iter_mut().filter(|(key, _)| *key != "metadata").for_each(|(_, value)| prune(value));
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

/// The variables that look like credentials, without their values.
fn telling(env: &Value) -> Vec<Value> {
    let text = |variable: &Value, key: &str| variable[key].as_str().map(str::to_owned);
    let stand_in = |variable: &Value| {
        let name = text(variable, "name").unwrap_or_default();
        let sign = Sign::of_variable(&name, &text(variable, "value")?)?;
        Some(json!({"name": name, "value": sign.stand_in()}))
    };
    env.as_array().into_iter().flatten().filter_map(stand_in).collect()
}

#[cfg(test)]
mod tests {
    use super::slim;
    use crate::model::subject::{Kind, Subject};

    #[test]
    fn a_record_keeps_what_checks_read_and_no_value_of_the_environment() {
        let mut object = serde_json::json!({
            "metadata": {"name": "web", "labels": {"env": "prod"}, "managedFields": [{}], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "owner": "shop"}},
            "spec": {"template": {"metadata": {"labels": {"env": "prod"}}, "spec": {
                "containers": [{"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": "hunter2"}], "args": ["hunter2"], "securityContext": {"privileged": true}}],
                "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]}}},
            "status": {"replicas": 1},
        });
        let whole = object.to_string();
        slim(&mut object);
        let kept = object.to_string();
        assert!(!kept.contains("hunter2") && !kept.contains("managedFields"), "{kept}");
        let (before, after) = (Subject::parse(Kind::Deployment, &whole).unwrap(), Subject::parse(Kind::Deployment, &kept).unwrap());
        assert_eq!(format!("{:?}", before.pod), format!("{:?}", after.pod), "the checks see the same");
        assert_eq!(before.meta.labels, after.meta.labels);
    }

    #[test]
    fn no_value_of_a_variable_or_of_data_is_ever_kept() {
        let token = format!("ghp_{}", "s3cr3t".repeat(6));
        let secrets = ["hunter2", "s3cr3t", "MIIEkey", "IOSFODNN7EXAMPLE", "debug"];
        let env = serde_json::json!([
            {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "debug"}, {"name": "PASSWORD_FILE", "value": "/debug"}, {"name": "URL", "value": "pg://u:hunter2@db"},
            {"name": "GH", "value": token}, {"name": "KEY", "value": "-----BEGIN RSA PRIVATE KEY-----\nMIIEkey"}, {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "ID", "value": "AKIAIOSFODNN7EXAMPLE"},
        ]);
        let mut pod = serde_json::json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "env": env}], "initContainers": [{"name": "b", "env": env}],
            "ephemeralContainers": [{"name": "c", "env": [{"name": "LEVEL", "value": "debug"}]}]}});
        let mut map = serde_json::json!({"metadata": {"name": "c"}, "data": {"password": "hunter2", "token": token, "key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEkey", "id": "x AKIAIOSFODNN7EXAMPLE"},
            "binaryData": {"x": "aHVudGVyMg=="}});
        for (kind, object, found) in [(Kind::Pod, &mut pod, 10), (Kind::ConfigMap, &mut map, 3)] {
            let whole = object.to_string();
            slim(object);
            let kept = object.to_string();
            assert!(secrets.iter().all(|secret| !kept.contains(secret)) && !kept.contains("aHV"), "{kept}");
            let (before, after) = (Subject::parse(kind, &whole).unwrap(), Subject::parse(kind, &kept).unwrap());
            let said = format!("{:?} {:?}", before.pod, before.data);
            assert_eq!(said, format!("{:?} {:?}", after.pod, after.data), "the checks see the same");
            assert_eq!(said.matches("Plain {").count(), found, "{said}");
            assert!(secrets.iter().all(|secret| !said.contains(secret)), "not even while it is read: {said}");
        }
    }

    #[test]
    fn a_route_keeps_what_is_read_and_no_header() {
        let modifier = serde_json::json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "Authorization", "value": "Bearer hunter2"}]}});
        let mut route = serde_json::json!({"metadata": {"name": "r"}, "spec": {"parentRefs": [{"name": "g"}], "hostnames": ["a.example"], "rules": [
            {"matches": [{"path": {"value": "/"}, "headers": [{"name": "X-Key", "value": "hunter2"}], "queryParams": [{"name": "k", "value": "hunter2"}]}],
             "filters": [modifier, {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}], "backendRefs": [{"name": "b", "filters": [modifier]}]}]}});
        let whole = route.to_string();
        slim(&mut route);
        let kept = route.to_string();
        assert!(!kept.contains("hunter2"), "{kept}");
        let (before, after) = (Subject::parse(Kind::HTTPRoute, &whole).unwrap(), Subject::parse(Kind::HTTPRoute, &kept).unwrap());
        assert_eq!(format!("{:?}", before.route), format!("{:?}", after.route), "the checks see the same");
    }

    #[test]
    fn every_kind_reads_null_and_wrong_types_without_a_panic() {
        for kind in Kind::ALL {
            for json in [
                "null",
                "[]",
                "{}",
                "1",
                "{\"metadata\":null}",
                "{\"metadata\":{},\"spec\":null}",
                "{\"metadata\":{\"labels\":[]},\"spec\":{}}",
                "{\"metadata\":{},\"spec\":{\"template\":null}}",
            ] {
                let said = Subject::parse(*kind, json);
                assert!(said.is_err() || said.is_ok_and(|s| s.pod.is_none() || *kind == Kind::Pod), "{kind:?} {json}");
            }
        }
    }
}
