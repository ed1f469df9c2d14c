//! A process as a pod of the chart: its ServiceAccount, the arguments of the Deployment, and the Service before it.
//! There is no node here, so its endpoint is made as a kubelet's word would make it.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    helm::{NAMESPACE, find, rendered},
    support::{ControlPlane, Demarc, eventually, free_port},
};

const SOON: Duration = Duration::from_secs(30);

/// Where the chart is installed with its defaults: started, ready and reached. And the kubeconfig by which it knows itself.
pub fn start(plane: &ControlPlane, further: &[&str]) -> (Demarc, PathBuf) {
    let kubectl = |args: &[&str], stdin: Option<&str>| plane.kubectl(args, stdin).result().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    let token = kubectl(&["create", "token", "demarc", "-n", NAMESPACE], None);
    // Not loopback, which no endpoint may be.
    let address = eventually("the API server's own endpoint", SOON, || {
        let address = plane.kubectl(&["get", "endpointslice", "kubernetes", "-o", "jsonpath={.endpoints[0].addresses[0]}"], None).result()?;
        if address.is_empty() { Err("none".to_owned()) } else { Ok(address) }
    });
    let port = free_port();
    let objects = rendered(&[]);
    let args = find(&objects, "Deployment demarc")["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().iter().filter_map(Value::as_str);
    // The addresses are this machine's; the rest is what a pod is told.
    let mode: Vec<&str> = args.filter(|a| *a != "controller" && !a.contains("-address=")).chain(further.iter().copied()).collect();
    let kubeconfig = plane.kubeconfig_of("one", token.trim());
    let demarc = plane.launch(std::path::Path::new(env!("CARGO_BIN_EXE_demarc")), "one", &kubeconfig, &format!("{address}:{port}"), &mode);
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "one", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "demarc"}},
        "ports": [{"name": "webhook", "port": port}], "endpoints": [{"addresses": [address], "conditions": {"ready": true}}]});
    kubectl(&["apply", "-f", "-"], Some(&slice.to_string()));
    eventually("ready", SOON, || if demarc.readyz() == 200 { Ok(()) } else { Err(demarc.log()) });
    (demarc, kubeconfig)
}
