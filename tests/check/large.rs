//! One object with thousands of violations, in each list that may be long: what that costs grows with it, and not with its square (H82).

use std::fmt::Write as _;

use super::checked;

#[path = "../support/linear.rs"]
mod linear;

/// All that a file can show, asked for.
const STRICT: &str = "apiVersion: demarc.dev/v1alpha1
kind: Ownership
metadata: {name: default}
spec:
  serviceModel: IaaS
  parties: {customer: acme}
  escalation: {levels: [{party: acme, contact: a@b.example, coverage: 24x7}, {party: acme, contact: c@b.example}]}
  policy: {images: {allowedPrefixes: [ghcr.io/acme]}, podSecurity: {level: Restricted}, encryption: {requireFor: Storage}}
";

/// So many of one line each, below `head`.
fn list(head: &str, n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).fold(format!("{STRICT}---\n{head}\n"), |mut text, i| {
        writeln!(text, "{}", line(i)).unwrap();
        text
    })
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:";
const WEB: &str = "  containers: [{name: web, image: web}]\n  volumes:";

#[test]
fn ten_times_as_many_violations_in_one_object_take_about_ten_times_as_long() {
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 9] = [
        ("containers", |n| list(&format!("{POD}\n  containers:"), n, |i| format!("  - {{name: c{i}, image: web, env: [{{name: DB_PASSWORD, value: swordfish{i}}}]}}"))),
        ("variables", |n| list(&format!("{POD}\n  containers:\n  - name: web\n    image: web\n    env:"), n, |i| format!("    - {{name: V{i}_PASSWORD, value: swordfish{i}}}"))),
        ("paths of the node", |n| list(&format!("{POD}\n{WEB}"), n, |i| format!("  - {{name: v{i}, hostPath: {{path: /etc}}}}"))),
        ("claims", |n| list(&format!("{POD}\n{WEB}"), n, |i| format!("  - {{name: v{i}, persistentVolumeClaim: {{claimName: c{i}}}}}"))),
        ("claims made with it", |n| list(&format!("{POD}\n{WEB}"), n, |i| format!("  - {{name: v{i}, ephemeral: {{volumeClaimTemplate: {{spec: {{storageClassName: s}}}}}}}}"))),
        ("entries of a ConfigMap", |n| list("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:", n, |i| format!("  key.{i}: AKIAABCDEFGHIJKLMNOP"))),
        ("hosts of an Ingress", |n| {
            let line = |i| format!("  - {{host: h{i}.example, http: {{paths: [{{path: /internal, pathType: Prefix, backend: {{service: {{name: s, port: {{number: 1}}}}}}}}]}}}}");
            list("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec:\n  rules:", n, line)
        }),
        ("rules of a Role", |n| {
            list("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules:", n, |i| format!("- {{apiGroups: ['', g{i}], resources: ['*'], verbs: ['*']}}"))
        }),
        ("subjects of a RoleBinding", |n| {
            let head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects:";
            list(head, n, |i| format!("- {{kind: User, apiGroup: rbac.authorization.k8s.io, name: u{i}}}"))
        }),
    ];
    for (what, shape) in shapes {
        linear::is_linear(what, 300, |n| {
            let (code, out, err) = checked(&["-f", "-", "--show-unknown"], shape(n).as_bytes());
            let told = out.lines().filter(|line| line.contains(" = fix: ")).count();
            assert!(code < 2 && told >= n, "{what}: {n} of them, {told} told: {err}");
        });
    }
}
