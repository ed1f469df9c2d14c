//! Operators that make Pods themselves: a real CRD, a real ServiceAccount with a token, and Demarc with the least rights and those on its kind.
//! What an operator makes for a custom resource that stood before enforcement comes back, and nothing else does.

use serde_json::{Value, json};

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, Said, eventually},
    world::{SOON, World, binary, in_the_next_second, nothing_slipped_in, only, rejected, spec, workload},
};

const OPERATOR: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: clusters.pg.example}
  spec:
    group: pg.example
    scope: Namespaced
    names: {plural: clusters, singular: cluster, kind: Cluster, listKind: ClusterList}
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
- {apiVersion: v1, kind: Namespace, metadata: {name: operators}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: operator, namespace: operators}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: operator}, rules: [{apiGroups: [''], resources: [pods], verbs: [create, get, list, delete]}, {apiGroups: [pg.example], resources: ['clusters/finalizers'], verbs: [update]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: operator}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operator}, subjects: [{kind: ServiceAccount, name: operator, namespace: operators}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reads-clusters}, rules: [{apiGroups: [pg.example], resources: [clusters], verbs: [list, watch]}]}
";

const BAD: &str = "evil.example/pg:1";

/// The operator's hands.
struct Operator {
    token: String,
}

impl Operator {
    /// As it makes a Pod for a Cluster.
    fn makes(&self, world: &World, cluster: &str, name: &str, image: &str) -> Said {
        world.plane.kubectl(&["--token", &self.token, "create", "-n", "shop", "-f", "-"], Some(&pod(world, cluster, name, image).to_string()))
    }

    /// What stands beside it, and what is gone, is heard of some moments later: asked by dry run until then, and then in earnest.
    fn is_refused(&self, world: &World, cluster: &str, image: &str) {
        let dry = pod(world, cluster, "asked", image).to_string();
        eventually("it is refused", SOON, || {
            let said = world.plane.kubectl(&["--token", &self.token, "create", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&dry));
            if said.err.contains("denied the request") && said.err.contains("image-registry-allowed") { Ok(()) } else { Err(format!("{said:?}")) }
        });
        rejected(&self.makes(world, cluster, "violator", image), "image-registry-allowed");
    }

    /// It tries again, as operators do.
    fn brings_back(&self, world: &World, cluster: &str, name: &str, image: &str) {
        eventually(&format!("{name} of {cluster} comes back"), SOON, || self.makes(world, cluster, name, image).result());
    }
}

fn pod(world: &World, cluster: &str, name: &str, image: &str) -> Value {
    let uid = world.field("shop", &format!("cluster/{cluster}"), ".metadata.uid");
    let mut pod = workload("Pod", name, &spec(image, false));
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "pg.example/v1", "kind": "Cluster", "name": cluster, "uid": uid, "controller": true}]);
    pod
}

fn gone(world: &World, names: &[&str]) {
    world.plane.kubectl(&[&["delete", "pod", "-n", "shop", "--force", "--grace-period=0"], names].concat(), None).result().unwrap();
}

fn cluster(name: &str) -> Value {
    json!({"apiVersion": "pg.example/v1", "kind": "Cluster", "metadata": {"name": name}})
}

#[test]
fn what_an_operator_makes_for_what_stood_before_comes_back_and_nothing_else() {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    plane.kubectl(&["apply", "-f", "-"], Some(OPERATOR)).result().unwrap();
    plane.kubectl(&["wait", "crd/clusters.pg.example", "--for=condition=Established", "--timeout=30s"], None).result().unwrap();
    let operator = Operator { token: plane.kubectl(&["create", "token", "operator", "-n", "operators"], None).result().unwrap().trim().to_owned() };
    let kubeconfig = plane.kubeconfig_of("one", &token(&plane, "demarc"));
    let mut world = World { demarc: Some(plane.demarc_as(binary(), "one", &kubeconfig)), plane };
    let promise = |mode: &str| json!({"mode": mode, "controls": only(&["image-registry-allowed"]), "policy": {"images": {"allowedPrefixes": ["ghcr.io/acme"]}}});
    world.declare("shop", &promise("Audit"));
    eventually("the CRD's endpoint", SOON, || world.apply("shop", &cluster("db")).result());
    for name in ["db-0", "db-1"] {
        operator.brings_back(&world, "db", name, BAD);
    }
    in_the_next_second();
    let floor = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "floor"}, "spec": {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        "controllers": [{"serviceAccount": {"namespace": "operators", "name": "operator"}, "kinds": ["pg.example/Cluster"]}]}});
    world.accepts("default", &floor);
    world.redeclare("shop", &promise("Enforce"));

    // Without the right to read the kind, what stands beside it speaks for it, and the Baseline says which right is missing.
    let unseen = |world: &World| world.field("default", "baseline/floor", ".status.conditions[?(@.type==\"OwnersUnseen\")].message");
    let lacks = "pg.example/Cluster: Demarc lacks the rights list and watch on clusters.pg.example";
    eventually("the missing right", SOON, || if unseen(&world).contains(lacks) { Ok(()) } else { Err(unseen(&world)) });
    for name in ["db-0", "db-1"] {
        gone(&world, &[name]);
        operator.brings_back(&world, "db", name, BAD);
    }
    gone(&world, &["db-0", "db-1"]);
    operator.is_refused(&world, "db", BAD);
    assert_eq!(world.demarc.as_ref().unwrap().readyz(), 200);

    // With it the age of the custom resource does, also when all are gone at once, and for the next replica.
    world.plane.kubectl(&["create", "clusterrolebinding", "reads-clusters", "--clusterrole=reads-clusters", "--serviceaccount=demarc-system:demarc"], None).result().unwrap();
    for name in ["db-0", "db-1"] {
        operator.brings_back(&world, "db", name, BAD);
    }
    eventually("nothing to tell", SOON, || if unseen(&world).is_empty() { Ok(()) } else { Err(unseen(&world)) });
    gone(&world, &["db-0"]);
    operator.brings_back(&world, "db", "db-0", "evil.example/pg:2");
    gone(&world, &["db-0", "db-1"]);
    world.demarc.take().unwrap().kill();
    world.demarc = Some(world.plane.demarc_as(binary(), "two", &kubeconfig));
    for name in ["db-0", "db-1"] {
        operator.brings_back(&world, "db", name, BAD);
    }

    // Nothing worse, nobody else, and nothing that came later.
    operator.is_refused(&world, "db", "worse.example/pg:1");
    let forged = world.plane.kubectl(&["create", "-n", "shop", "-f", "-"], Some(&pod(&world, "db", "violator", BAD).to_string()));
    rejected(&forged, "image-registry-allowed");
    world.accepts("shop", &cluster("late"));
    operator.is_refused(&world, "late", BAD);
    // Whoever changes settings that say nothing of it makes it no older.
    let line = || world.field("shop", "ownership/default", ".status.matrix[?(@.control==\"image-registry-allowed\")].forbiddenSince");
    let (since, settings) = (line(), world.field("shop", "ownership/default", ".status.settings"));
    let other = r#"{"spec":{"defaultOwner":"jo","policy":{"network":{"requireEgress":true}}}}"#;
    in_the_next_second();
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", other], None).result().unwrap();
    eventually("it is read", SOON, || match world.field("shop", "ownership/default", ".status.settings") {
        now if now != settings => Ok(()),
        now => Err(now),
    });
    assert_eq!(line(), since);
    operator.is_refused(&world, "late", BAD);
    let compliant = operator.makes(&world, "late", "late-0", "ghcr.io/acme/pg:1");
    assert!(compliant.ok, "{compliant:?}");
    let mut unknown = pod(&world, "db", "violator", BAD);
    unknown["metadata"]["ownerReferences"][0]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let said = world.plane.kubectl(&["--token", &operator.token, "create", "-n", "shop", "-f", "-"], Some(&unknown.to_string()));
    assert!(said.err.contains("not known here yet: try again in a moment"), "{said:?}");

    // What a Waiver lets in for a while is given no owner that would keep it, by nobody but the operator.
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).strftime("%FT%TZ").to_string();
    let lent = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Waiver", "metadata": {"name": "lent"}, "spec": {
        "control": "image-registry-allowed", "target": {"kind": "Deployment", "name": "lent"}, "reason": "a", "requestedBy": "admin", "expires": expires}});
    world.accepts("shop", &lent);
    world.plane.kubectl(&["create", "clusterrolebinding", "approves", "--clusterrole=cluster-admin", "--user=bob"], None).result().unwrap();
    let approval = json!({"spec": {"approval": {"by": "bob", "at": jiff::Timestamp::now()}}}).to_string();
    eventually("bob approves", SOON, || world.plane.kubectl_as("bob", &["patch", "waiver", "lent", "-n", "shop", "--type=merge", "-p", &approval], None).result());
    let mut kept = workload("Deployment", "lent", &spec(BAD, false));
    eventually("it passes by the waiver", SOON, || world.plane.kubectl(&["create", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&kept.to_string())).result());
    kept["metadata"]["ownerReferences"] = pod(&world, "db", "any", BAD)["metadata"]["ownerReferences"].clone();
    let said = world.plane.kubectl(&["create", "-n", "shop", "-f", "-"], Some(&kept.to_string()));
    rejected(&said, "image-registry-allowed");
    assert!(said.err.contains("not written by the owner's listed controller"), "{said:?}");
    let references = json!({"metadata": {"ownerReferences": kept["metadata"]["ownerReferences"].take()}}).to_string();
    world.accepts("shop", &workload("Deployment", "lent", &spec(BAD, false)));
    rejected(&world.plane.kubectl(&["patch", "deployment", "lent", "-n", "shop", "--type=merge", "-p", &references], None), "image-registry-allowed");

    // What is written into a custom resource again and again concerns nobody.
    for i in 0..5 {
        world.plane.kubectl(&["annotate", "cluster", "db", "-n", "shop", "--overwrite", &format!("tick={i}")], None).result().unwrap();
    }
    world.writes_nothing();
    // A kind that goes, and one that nobody lists any more.
    world.plane.kubectl(&["delete", "crd", "clusters.pg.example"], None).result().unwrap();
    eventually("it is not served", 2 * SOON, || if unseen(&world).contains("does not serve") { Ok(()) } else { Err(unseen(&world)) });
    let nobody = json!([{"op": "remove", "path": "/spec/controllers"}]).to_string();
    world.plane.kubectl(&["patch", "baseline", "floor", "--type=json", "-p", &nobody], None).result().unwrap();
    eventually("nothing to tell", SOON, || if unseen(&world).is_empty() { Ok(()) } else { Err(unseen(&world)) });
    assert_eq!(world.demarc.as_ref().unwrap().readyz(), 200);
    nothing_slipped_in(&world);
}
