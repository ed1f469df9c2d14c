//! secrets-not-in-plain-env: no credential stands in plain text in a variable or a ConfigMap.
//! A finding holds the name and the place, never the value: not in its message, not in its fingerprint.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{Kind, Plain},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "secrets-not-in-plain-env",
    title: "No credentials in plain environment values or ConfigMaps",
    group: "data",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.5.17"]), ("SOC 2", &["CC6.1"]), ("CCM 4.0.12", &["IAM-15"]), ("NIST 800-53r5", &["IA-5(7)"]), ("CIS Kubernetes 2.0.1", &["5.4.1"])],
    why: "What stands in a manifest is read by everybody who may look at a pod, and stays in Git, in backups and in logs.",
    checked: "Literal values of env in every container list: a name with the word password, passwd, passphrase, token, bearer, secret, api key or private key (or AZURE_…KEY), unless it ends \
              as a name, a place or a number does (_FILE, _URL, _NAME, _TTL …); a private key; a token that its issuer marks; a URL with a password. In the data of ConfigMaps: private keys \
              and tokens. Values from a Secret (valueFrom, envFrom) are fine.",
    unknown: "ConfigMaps cannot be read. A credential that looks like nothing, or that stands in arguments or binaryData, is not recognised.",
    fix: "move the value to a Secret and mount it as a file",
    kinds: workloads_and!(ConfigMap),
    root_only: false,
    confidential: true,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    // How it was recognised makes it the same: a credential that is changed in its place is no new violation.
    let mut push = |path: String, plain: &Plain<'_>| {
        let message = format!("{}, in plain text", plain.sign);
        out.push(Finding::violated(path, plain.sign.to_string(), message, "move the value to a Secret and mount it as a file"));
    };
    match &cx.subject.pod {
        Some(pod) => {
            for (list, container) in pod.spec.all_containers() {
                for plain in &container.env.0 {
                    push(format!("spec.{list}[{}].env[{}]", shown(&container.name, 63), shown(&plain.name, 63)), plain);
                }
            }
        }
        None if cx.subject.kind == Kind::ConfigMap => cx.subject.data.iter().for_each(|plain| push(format!("data[{}]", shown(&plain.name, 253)), plain)),
        None => return Applies::No,
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::judge, model::facts::Facts};

    #[test]
    fn a_finding_names_the_variable_and_never_the_value() {
        let yaml = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {
            initContainers: [{name: i, env: [{name: API_TOKEN, value: hunter2}]}],
            containers: [{name: a, env: [{name: LOG_LEVEL, value: debug}, {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: p}}}, {name: DSN, value: 'pg://u:hunter2@db'}]},
                         {name: b, env: null, envFrom: [{secretRef: {name: db}}]}, {name: c, env: [{name: PASSWORD, value: null}, {name: TOKEN}]}]}}}}";
        let said = judge(&CONTROL, yaml, &Default::default(), &Facts::empty());
        assert_eq!(said, ["Violated spec.initContainers[i].env[API_TOKEN] a credential, by its name", "Violated spec.containers[a].env[DSN] a URL with a password"]);
        let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}";
        assert_eq!(judge(&CONTROL, service, &Default::default(), &Facts::empty()), ["-"]);
    }

    #[test]
    fn a_config_map_holds_no_key_and_no_token() {
        let yaml =
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {password: hunter2, tls.key: '-----BEGIN EC PRIVATE KEY-----', ca.crt: '-----BEGIN CERTIFICATE-----',
            config: 'key = AKIAIOSFODNN7EXAMPLE', empty: null}}";
        let said = judge(&CONTROL, yaml, &Default::default(), &Facts::empty());
        assert_eq!(said, ["Violated data[config] a token of AWS", "Violated data[tls.key] a private key"]);
        assert!(judge(&CONTROL, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: null}", &Default::default(), &Facts::empty()).is_empty());
    }
}
