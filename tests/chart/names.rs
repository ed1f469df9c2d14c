//! Releases of every name, one after the other and beside each other, as somebody installs who has not read much.
//! What Helm or the chart does not take, it says in a sentence and before anything is made.

use serde_json::Value;

use crate::{
    helm::{BOTH, HELM3, HELM4, Helm, NAMESPACE, copy, objects, read},
    life::plane,
    support::ControlPlane,
};

/// As long as Helm takes one.
fn longest() -> String {
    "a".repeat(53)
}

#[test]
fn a_name_that_no_service_can_have_is_refused() {
    for helm in BOTH {
        for name in ["my.demarc", "1demarc"] {
            let said = helm.with(None, &["template", name, "charts/demarc"]);
            assert!(!said.ok && said.err.contains(&format!("\"{name}\" cannot be the name of a Service")), "{helm:?}: {said:?}");
            helm.with(None, &["template", name, "charts/demarc", "--set", "fullnameOverride=guard"]).result().unwrap();
        }
    }
}

/// Everything that the release would make, hooks and all, is taken by the API server.
fn all_is_taken(plane: &ControlPlane, helm: Helm, release: &str) {
    for part in ["manifest", "hooks"] {
        let text = helm.with(Some(&plane.kubeconfig()), &["get", part, release]).result().unwrap();
        let taken: Vec<Value> = objects(&text);
        assert!(part != "hooks" || taken.len() == 2, "{text}");
        for object in taken {
            let said = plane.kubectl(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"], Some(&object.to_string()));
            assert!(said.ok, "{said:?}\n{object}");
        }
    }
}

#[test]
fn the_longest_names_leave_nothing_that_helm_could_not_uninstall() {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    let override_of = format!("fullnameOverride={0},nameOverride={0}", "b".repeat(63));
    for (helm, values) in [(HELM3, "logLevel=info"), (HELM4, override_of.as_str())] {
        helm.with(Some(&kubeconfig), &["install", &longest(), "charts/demarc", "--set", values, "--take-ownership"]).result().unwrap();
        all_is_taken(&plane, helm, &longest());
        helm.with(Some(&kubeconfig), &["uninstall", &longest(), "--no-hooks"]).result().unwrap();
    }
}

#[test]
fn one_cluster_has_one_demarc_and_the_next_takes_over_what_was_kept() {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    let (run, page) = (|helm: Helm, args: &[&str]| helm.with(Some(&kubeconfig), args), read("README.md"));
    for helm in BOTH {
        let said = run(helm, &["install", "demarc", "charts/demarc", "-n", "default"]);
        assert!(!said.ok && said.err.contains("install it in one of its own, -n demarc-system --create-namespace"), "{said:?}");
    }
    run(HELM4, &["install", "demarc", "charts/demarc"]).result().unwrap();
    for helm in BOTH {
        for values in ["crds.install=true", "crds.install=false"] {
            let said = run(helm, &["install", "second", "charts/demarc", "--set", values]);
            assert!(!said.ok && said.err.contains("ValidatingWebhookConfiguration demarc is of another Demarc, and one cluster has one"), "{said:?}");
        }
        // Its own upgrade is none.
        run(helm, &["upgrade", "demarc", "charts/demarc", "--set", "crds.install=true"]).result().unwrap();
    }
    let made = plane.kubectl(&["get", "clusterroles,serviceaccounts", "-A", "-o", "name"], None).result().unwrap();
    assert!(!made.contains("second"), "{made}");

    run(HELM4, &["uninstall", "demarc", "--no-hooks"]).result().unwrap();
    assert!(page.contains("--take-ownership"), "{page}");
    plane.kubectl(&["create", "namespace", "elsewhere"], None).result().unwrap();
    for helm in BOTH {
        let args = ["install", "second", "charts/demarc", "-n", "elsewhere"];
        let said = run(helm, &args);
        assert!(!said.ok && said.err.contains("cannot be imported"), "{said:?}");
        run(helm, &[&args[..], &["--take-ownership"]].concat()).result().unwrap();
        run(helm, &["uninstall", "second", "-n", "elsewhere", "--no-hooks"]).result().unwrap();
        // Back again, for the other one's turn.
        run(helm, &["install", "demarc", "charts/demarc", "--take-ownership"]).result().unwrap();
        run(helm, &["uninstall", "demarc", "--no-hooks"]).result().unwrap();
    }
}

/// A chart from before `cleanup` was a value.
fn before_a_value() -> tempfile::TempDir {
    let dir = copy();
    let drop = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        std::fs::write(dir.path().join(file), text.replace(from, to)).unwrap();
    };
    drop("values.yaml", "cleanup:\n  # -- Before the release is uninstalled", "older:\n  # -- Before the release is uninstalled");
    drop("values.schema.json", "\"cleanup\",", "");
    drop("values.schema.json", "\"additionalProperties\": false,", "");
    for file in ["templates/cleanup.yaml", "templates/rbac.yaml"] {
        drop(file, ".Values.cleanup.enabled", "true");
    }
    dir
}

#[test]
fn an_upgrade_that_reuses_values_says_what_an_older_chart_did_not_have() {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    let older = before_a_value();
    let release = "demarc";
    for helm in BOTH {
        let run = |args: &[&str]| helm.with(Some(&kubeconfig), args);
        run(&["install", release, &older.path().display().to_string(), "--set", "replicaCount=3"]).result().unwrap();
        let upgrade = ["upgrade", release, "charts/demarc", "--set", "logLevel=debug"];
        let said = run(&[&upgrade[..], &["--reuse-values"]].concat());
        assert!(!said.ok && said.err.contains("missing property 'cleanup'"), "{helm:?}: {said:?}");
        assert!(read("README.md").contains("--reset-then-reuse-values"));
        run(&[&upgrade[..], &["--reset-then-reuse-values"]].concat()).result().unwrap();
        let values = run(&["get", "values", release, "-o", "json"]).result().unwrap();
        assert!(values.contains("\"replicaCount\":3") && values.contains("\"logLevel\":\"debug\""), "{values}");
        run(&["uninstall", release, "--no-hooks"]).result().unwrap();
    }
    let left = plane.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "name"], None).result().unwrap();
    assert_eq!(left, "");
}
