//! Certificates that Demarc has not made, in real pods: a kubelet mounts the Secret, and what is put into it is served by every replica as it is.
//! Leaf and authority are replaced under requests, once by hand and once by cert-manager's own controllers, and none of them fails.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::{
    cluster::{SOON, apply, given, kubectl, namespace, on_the_node},
    installed::{NAMESPACE, RELEASE, declare, denied, doctor_is_content, install, inventory, replicas, under_requests, uninstall, upgrade},
    support::eventually,
};

/// An authority of one's own, and its certificate.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), certificate)
}

/// Puts a new certificate into the Secret `webhook`, good until the first day of `year`.
fn put(by: &Issuer<'_, KeyPair>, year: i32) {
    let mut params = CertificateParams::new([format!("{RELEASE}.{NAMESPACE}.svc")]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("tls.crt", params.signed_by(&key, by).unwrap().pem()), file("tls.key", key.serialize_pem()));
    let secret =
        kubectl(&["create", "secret", "tls", "webhook", "-n", NAMESPACE, &format!("--cert={cert}"), &format!("--key={key}"), "--dry-run=client", "-o", "json"]).result().unwrap();
    apply(NAMESPACE, &serde_json::from_str(&secret).unwrap()).result().unwrap();
}

/// When the certificate ends that each replica serves, in seconds since 1970.
fn served() -> Vec<u64> {
    let addresses = kubectl(&["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=demarc", "-o", "jsonpath={.items[*].status.podIP}"]).result().unwrap();
    let ask = |address: &str| {
        let ask = format!("exec 3<>/dev/tcp/{address}/8080 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
        let page = on_the_node(&["bash", "-c", &ask]).result().unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("demarc_certificate_not_after_timestamp_seconds "));
        line.unwrap_or_else(|| panic!("{page}")).trim().parse().unwrap()
    };
    addresses.split_whitespace().map(ask).collect()
}

/// Until each replica serves another certificate than it did.
fn renewed(before: &[u64]) -> Vec<u64> {
    // A kubelet looks at a Secret once a minute, and at once when something of the pod changes.
    for pod in replicas() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        kubectl(&["annotate", "pod", "-n", NAMESPACE, &pod, "--overwrite", &format!("example.com/touched={now}")]).result().unwrap();
    }
    eventually("the new certificate at every replica", 2 * SOON, || {
        let now = served();
        if now.len() == before.len() && now.iter().all(|end| !before.contains(end)) { Ok(now) } else { Err(format!("{now:?}")) }
    })
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_certificate_of_ones_own_is_served_and_so_is_what_replaces_it() {
    let before = inventory();
    let ((old, old_ca), (new, new_ca)) = (authority("old"), authority("new"));
    let dir = tempfile::tempdir().unwrap();
    let bundle = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("tls.caBundle={}", path.display())
    };
    namespace(NAMESPACE);
    put(&old, 2050);
    install(&["--set", "tls.existingSecret=webhook", "--set-file", &bundle("old", &old_ca)]);
    namespace("shop");
    declare("shop");
    denied();
    doctor_is_content();

    let (pods, mut ends) = (replicas(), served());
    under_requests("shop", "another certificate", || {
        put(&old, 2051);
        ends = renewed(&ends);
    });
    // Trust goes before and comes after, as the README of the chart has it.
    under_requests("shop", "another authority", || {
        upgrade(&["--set-file", &bundle("both", &format!("{old_ca}{new_ca}"))]);
        put(&new, 2052);
        ends = renewed(&ends);
        upgrade(&["--set-file", &bundle("new", &new_ca)]);
    });
    denied();
    assert_eq!(replicas(), pods, "no pod was restarted for it");
    uninstall(&before);
}

/// cert-manager's controllers, of which the cluster knows nothing but what they write.
struct CertManager(Child, tempfile::TempDir);

impl CertManager {
    fn start() -> Self {
        let folder = given("DEMARC_E2E_CERT_MANAGER");
        kubectl(&["apply", "--server-side", "-f", &format!("{folder}/crds")]).result().unwrap();
        kubectl(&["wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "crd/issuers.cert-manager.io", "--timeout=30s"]).result().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(format!("{folder}/cert-manager"));
        command.env("KUBECONFIG", given("DEMARC_E2E_KUBECONFIG")).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap(), dir)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.1.path().join("log")).unwrap_or_default()
    }
}

impl Drop for CertManager {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("cert-manager: {}", self.log());
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn cert_manager_makes_the_certificate_and_has_it_trusted_and_renews_it() {
    let cert_manager = CertManager::start();
    let before = inventory();
    namespace(NAMESPACE);
    install(&["--set", "tls.certManager.enabled=true"]);
    namespace("shop");
    declare("shop");
    denied();
    doctor_is_content();
    let secret = |field: &str| kubectl(&["get", "secret", "demarc-tls", "-n", NAMESPACE, "-o", &format!("jsonpath={{.data.{field}}}")]).result().unwrap();
    let configuration: Value = serde_json::from_str(&kubectl(&["get", "validatingwebhookconfiguration", "demarc", "-o", "json"]).result().unwrap()).unwrap();
    for webhook in configuration["webhooks"].as_array().unwrap() {
        assert_eq!(webhook["clientConfig"]["caBundle"], secret(r"ca\.crt"), "{webhook}");
    }

    let (pods, ends, old) = (replicas(), served(), secret(r"tls\.crt"));
    under_requests("shop", "renewed by cert-manager", || {
        // As `cmctl renew` says it.
        let now = kubectl(&["get", "certificate", "demarc-tls", "-n", NAMESPACE, "-o", "jsonpath={.status.conditions[0].lastTransitionTime}"]).result().unwrap();
        let issuing = json!({"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "again", "lastTransitionTime": now}]}});
        kubectl(&["patch", "certificate", "demarc-tls", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &issuing.to_string()]).result().unwrap();
        eventually("another certificate", SOON, || if secret(r"tls\.crt") == old { Err(cert_manager.log()) } else { Ok(()) });
        renewed(&ends);
    });
    denied();
    assert_eq!(replicas(), pods, "no pod was restarted for it");
    uninstall(&before);
    // Its kinds, while it runs: it lets go of what is of them.
    kubectl(&["delete", "-f", &format!("{}/crds", given("DEMARC_E2E_CERT_MANAGER")), "--timeout=60s"]).result().unwrap();
}
