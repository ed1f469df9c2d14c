//! `demarc cleanup`, as `helm uninstall` runs it: with the rights of Demarc's service account, while its controller still runs.
//! What is taken away stays away until the controller is gone.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use demarc::controls::CATALOG;
use serde_json::json;

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, eventually},
    world::{SOON, World, binary},
};

fn cleanup(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let said = Command::new(binary()).arg("cleanup").args(args).env("KUBECONFIG", kubeconfig).output().unwrap();
    (said.status.code().unwrap(), String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
}

#[test]
fn nothing_stays_on_namespaces_and_no_replica_puts_it_back() {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let kubeconfig = plane.kubeconfig_of("one", &token(&plane, "demarc"));
    // Local mode keeps its Lease in kube-system.
    let mut world = World { demarc: Some(plane.demarc_as(binary(), "one", &kubeconfig)), plane };
    world.declare("shop", &json!({}));
    world.declare("ledger", &json!({"mode": "Audit"}));
    let gold = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ledger"}}}});
    world.accepts("default", &gold);
    let mark = |world: &World| world.field("ledger", "namespace/ledger", ".metadata.labels.baseline\\.demarc\\.dev/gold");
    eventually("the mark", SOON, || if mark(&world) == "member" { Ok(()) } else { Err(world.demarc.as_ref().unwrap().log()) });
    let label = |world: &World, name: &str| world.field(name, &format!("namespace/{name}"), ".metadata.labels.demarc\\.dev/admission");
    assert_eq!((label(&world, "shop").as_str(), label(&world, "ledger").as_str()), ("enabled", ""));
    let strict = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "strict"}, "spec": {"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny"}});
    let own = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Control", "metadata": {"name": "two-replicas", "labels": {"app.kubernetes.io/managed-by": "demarc"}},
        "spec": {"title": "a", "severity": "low", "kinds": ["Pod"], "validations": [{"expression": "true"}]}});
    for object in [strict, own] {
        world.plane.kubectl(&["apply", "-f", "-"], Some(&object.to_string())).result().unwrap();
    }
    let made = |world: &World| {
        let listed = world.plane.kubectl(&["get", "controls,validatingadmissionpolicybindings", "-o", "name"], None).result().unwrap();
        (listed.matches("control.demarc.dev/").count(), listed.contains("/demarc-gate-strict"))
    };
    let all = (CATALOG.len() + 1, true);
    eventually("the catalog and the gate", SOON, || if made(&world) == all { Ok(()) } else { Err(format!("{:?}", made(&world))) });

    let (code, out, err) = cleanup(&kubeconfig, &["-n", "kube-system"]);
    assert!((code, err.as_str()) == (0, "") && out.contains("namespace shop: no longer enrolled\n") && out.ends_with("done: 2 namespaces\n"), "{out}{err}");
    assert!(out.contains("namespace ledger: no longer marked as under a Baseline\n"), "{out}");
    assert!(out.contains(&format!("deleted: 1 bindings of the gate, {} Controls of the catalog\n", CATALOG.len())), "{out}");
    // As long as helm takes to tell the pods to go.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!((label(&world, "shop").as_str(), mark(&world).as_str(), made(&world)), ("", "", (1, false)), "somebody put it back");
        std::thread::sleep(Duration::from_millis(500));
    }
    // Who goes on running is not uninstalled.
    eventually("enrolled again", SOON, || if label(&world, "shop") == "enabled" { Ok(()) } else { Err(label(&world, "shop")) });
    eventually("marked again", SOON, || if mark(&world) == "member" { Ok(()) } else { Err(mark(&world)) });
    eventually("published again", SOON, || if made(&world) == all { Ok(()) } else { Err(format!("{:?}", made(&world))) });
    world.demarc.take().unwrap().kill();

    // Nobody leads, and the rights of the service account suffice; twice does no harm.
    let (code, out, err) = cleanup(&kubeconfig, &["-n", "demarc-system", "--tls-secret", "demarc-webhook"]);
    assert!((code, err.as_str()) == (0, "") && out.ends_with("done: 2 namespaces\n"), "{out}{err}");
    let (code, out, err) = cleanup(&kubeconfig, &["-n", "demarc-system"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "done: 0 namespaces\n", ""));

    let stranger = world.plane.kubeconfig_of("stranger", "no-token");
    let (code, _, err) = cleanup(&stranger, &[]);
    assert!(code == 2 && err.starts_with("error: the Lease cannot be taken"), "{err}");
    let (code, _, err) = cleanup(Path::new("/nowhere"), &[]);
    assert!(code == 2 && err.starts_with("error: no cluster"), "{err}");
}
