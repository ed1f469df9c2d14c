//! What is kept of an object that exists: the fields that `Subject` reads, and nothing that could be a secret.
//! Environment values, arguments and data are dropped before anything is stored.

/// Drops from an object whatever `Subject` does not read, so that a record stays small and holds no environment value or argument.
pub fn slim(object: &mut serde_json::Value) {
    let Some(root) = object.as_object_mut() else { return };
    for key in ["status", "data", "binaryData", "stringData", "apiVersion", "kind", "secrets", "imagePullSecrets"] {
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
fn prune(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for key in [
                "env",
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
                "items",
                "accessModes",
                "replicas",
                "revisionHistoryLimit",
                "progressDeadlineSeconds",
                "terminationGracePeriodSeconds",
                "serviceAccount",
                "initialDelaySeconds",
                "periodSeconds",
                "failureThreshold",
                "successThreshold",
                "timeoutSeconds",
                "scheme",
                "containerPort",
                "readOnlyRootFilesystem",
            ] {
                map.remove(key);
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
        serde_json::Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
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
