//! Tables of pods by the Pod Security Standards, each field with what it may say, and what is said of what it may not.

use super::*;
use crate::{
    controls::testing::{judge, policy},
    model::facts::Facts,
};

const ANY: &str = "containers: [{name: web, image: i}]";
/// A container that Restricted has nothing to say of, but for what is added.
const GOOD: &str = "allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}";

fn pod(meta: &str, spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p, {meta}}}, spec: {{{spec}}}}}")
}

fn at(level: &str, yaml: &str) -> Vec<String> {
    judge(&CONTROL, yaml, &policy(&format!("podSecurity: {{level: {level}}}")), &Facts::empty())
}

fn with(security: &str) -> String {
    format!("containers: [{{name: web, image: i, securityContext: {{{security}}}}}]")
}

/// Exactly these places and values are found, in this order.
fn expect(level: &str, yaml: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|e| format!("Violated {e}")).collect();
    assert_eq!(at(level, yaml), expected, "{level}: {yaml}");
}

#[test]
fn baseline_of_the_pod() {
    let app_armor = "container.apparmor.security.beta.kubernetes.io";
    let annotated = |value: &str| format!("annotations: {{{app_armor}/web: {value}}}");
    let forbidden = format!("metadata.annotations {app_armor}/web=unconfined");
    let two = [format!("metadata.annotations {app_armor}/a=unconfined"), format!("metadata.annotations {app_armor}/b=runtime/other")];
    for (meta, spec, expected) in [
        ("", "", &[][..]),
        ("", "hostNetwork: true", &["spec.hostNetwork true"]),
        ("", "hostPID: true", &["spec.hostPID true"]),
        ("", "hostIPC: true", &["spec.hostIPC true"]),
        ("", "hostNetwork: false, hostPID: null, hostIPC: false", &[]),
        ("", "hostNetwork: true, hostPID: true, hostIPC: true, hostUsers: false", &["spec.hostNetwork true", "spec.hostPID true", "spec.hostIPC true"]),
        (
            "",
            "volumes: [{name: data, hostPath: {path: /}}, {name: more, hostPath: {path: /etc}}]",
            &["spec.volumes[data].hostPath hostPath /", "spec.volumes[more].hostPath hostPath /etc"],
        ),
        ("", "volumes: [{name: data, nfs: {server: s, path: /}}, {name: none}, {name: null-path, hostPath: null, emptyDir: {}}]", &[]),
        ("", "securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}", &["spec.securityContext.sysctls kernel.msgmax"]),
        (
            "",
            "securityContext: {sysctls: [{name: net.core.somaxconn}, {name: kernel.sem}, {name: kernel.sem}, {name: net.ipv4.tcp_rmem}]}",
            &["spec.securityContext.sysctls kernel.sem", "spec.securityContext.sysctls net.core.somaxconn"],
        ),
        ("", "securityContext: {sysctls: [{name: net.ipv4.tcp_slow_start_after_idle}, {name: net.ipv4.tcp_notsent_lowat}, {name: net.ipv4.tcp_wmem}]}", &[]),
        ("", "securityContext: {sysctls: [{name: net/ipv4/tcp_wmem}]}", &["spec.securityContext.sysctls net/ipv4/tcp_wmem"]),
        ("", "securityContext: {windowsOptions: {hostProcess: true}}", &["spec.securityContext.windowsOptions.hostProcess true"]),
        ("", "os: {name: windows}, securityContext: {windowsOptions: {hostProcess: true}}", &["spec.securityContext.windowsOptions.hostProcess true"]),
        ("", "securityContext: {windowsOptions: {hostProcess: false}}", &[]),
        ("", "securityContext: {appArmorProfile: {type: Unconfined}}", &["spec.securityContext.appArmorProfile.type Unconfined"]),
        ("", "securityContext: {appArmorProfile: {type: Localhost, localhostProfile: p}}", &[]),
        (&annotated("unconfined"), "", &[&forbidden]),
        (&annotated("runtime/default"), "", &[]),
        (&annotated("localhost/p"), "", &[]),
        (&annotated("''"), "", &[]),
        (&format!("annotations: {{{app_armor}/b: runtime/other, {app_armor}/a: unconfined, other/c: unconfined}}"), "", &[&two[0], &two[1]]),
        ("annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined, container.seccomp.security.alpha.kubernetes.io/web: unconfined}", "", &[]),
        ("", "securityContext: {seLinuxOptions: {type: spc_t}}", &["spec.securityContext.seLinuxOptions.type spc_t"]),
        ("", "securityContext: {seLinuxOptions: {user: u, role: r, level: s0}}", &["spec.securityContext.seLinuxOptions.user u", "spec.securityContext.seLinuxOptions.role r"]),
        ("", "securityContext: {seLinuxOptions: {level: 's0:c1'}}", &[]),
        ("", "securityContext: {seccompProfile: {type: Unconfined}}", &["spec.securityContext.seccompProfile.type Unconfined"]),
        ("", "securityContext: {seccompProfile: {}}", &["spec.securityContext.seccompProfile.type"]),
        ("", "securityContext: {seccompProfile: {type: Localhost}}", &[]),
        ("", "securityContext: {runAsNonRoot: false, runAsUser: 0}", &[]),
    ] {
        let spec = if spec.is_empty() { ANY.to_owned() } else { format!("{spec}, {ANY}") };
        expect("Baseline", &pod(meta, &spec), expected);
        // Restricted has no less to say of the pod, in the same words.
        let strict = at("Restricted", &pod(meta, &spec));
        assert!(expected.iter().all(|e| strict.contains(&format!("Violated {e}"))), "{strict:?}");
    }
}

#[test]
fn baseline_of_a_container() {
    for (field, expected) in [
        ("securityContext: {privileged: true}", &["securityContext.privileged true"][..]),
        ("securityContext: {privileged: true}, ports: [{hostPort: 1}]", &["securityContext.privileged true", "ports 1"]),
        ("securityContext: {privileged: false}", &[]),
        ("securityContext: null", &[]),
        (
            "securityContext: {capabilities: {add: [SYS_ADMIN, CHOWN, NET_RAW, NET_RAW]}}",
            &["securityContext.capabilities.add NET_RAW", "securityContext.capabilities.add SYS_ADMIN"],
        ),
        ("securityContext: {capabilities: {add: [ALL], drop: [ALL]}}", &["securityContext.capabilities.add ALL"]),
        ("securityContext: {capabilities: {add: [CAP_CHOWN]}}", &["securityContext.capabilities.add CAP_CHOWN"]),
        ("securityContext: {capabilities: {add: [chown]}}", &["securityContext.capabilities.add chown"]),
        (
            "securityContext: {capabilities: {add: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT]}}",
            &[],
        ),
        ("securityContext: {capabilities: {add: null}}", &[]),
        ("ports: [{containerPort: 80, hostPort: 443}, {hostPort: 80}, {hostPort: 80, protocol: UDP}]", &["ports 80", "ports 443"]),
        ("ports: [{containerPort: 80}, {containerPort: 81, hostPort: 0}, {hostPort: null}]", &[]),
        ("livenessProbe: {httpGet: {host: 10.0.0.1, port: 80}}", &["livenessProbe.httpGet.host 10.0.0.1"]),
        ("readinessProbe: {tcpSocket: {host: 127.0.0.1, port: 80}}", &["readinessProbe.tcpSocket.host 127.0.0.1"]),
        ("startupProbe: {httpGet: {host: h.example, port: 80}}", &["startupProbe.httpGet.host h.example"]),
        ("lifecycle: {postStart: {httpGet: {host: a}}, preStop: {tcpSocket: {host: b}}}", &["lifecycle.postStart.httpGet.host a", "lifecycle.preStop.tcpSocket.host b"]),
        ("livenessProbe: {httpGet: {host: '', port: 80}}, readinessProbe: {exec: {command: [x]}}, lifecycle: {preStop: {httpGet: {port: 80}}}", &[]),
        ("securityContext: {appArmorProfile: {type: Unconfined}}", &["securityContext.appArmorProfile.type Unconfined"]),
        ("securityContext: {appArmorProfile: {type: RuntimeDefault}}", &[]),
        ("securityContext: {seLinuxOptions: {type: container_engine_t}}", &[]),
        ("securityContext: {seLinuxOptions: {type: container_kvm_t}}", &[]),
        (
            "securityContext: {seLinuxOptions: {type: container_runtime_t, role: r}}",
            &["securityContext.seLinuxOptions.type container_runtime_t", "securityContext.seLinuxOptions.role r"],
        ),
        ("securityContext: {seccompProfile: {type: Unconfined}}", &["securityContext.seccompProfile.type Unconfined"]),
        ("securityContext: {seccompProfile: {type: RuntimeDefault}}", &[]),
        ("securityContext: {procMount: Unmasked}", &["securityContext.procMount Unmasked"]),
        ("securityContext: {procMount: Default}", &[]),
        ("securityContext: {procMount: ''}", &["securityContext.procMount"]),
        ("securityContext: {windowsOptions: {hostProcess: true}}", &["securityContext.windowsOptions.hostProcess true"]),
        ("securityContext: {allowPrivilegeEscalation: true, runAsNonRoot: false, runAsUser: 0}", &[]),
    ] {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let others = if list == "containers" { String::new() } else { format!(", {ANY}") };
            let expected: Vec<_> = expected.iter().map(|e| format!("spec.{list}[c].{e}")).collect();
            let expected: Vec<_> = expected.iter().map(String::as_str).collect();
            expect("Baseline", &pod("", &format!("{list}: [{{name: c, image: i, {field}}}]{others}")), &expected);
        }
    }
}

#[test]
fn restricted_asks_for_more() {
    let web = "spec.containers[web].securityContext";
    let root: &str = &format!("{web}.runAsNonRoot false");
    let seccomp: &str = &format!("{web}.seccompProfile.type Unconfined");
    let escalation: &str = &format!("{web}.allowPrivilegeEscalation true");
    let drop: &str = &format!("{web}.capabilities.drop");
    let add: [&str; 2] = [&format!("{web}.capabilities.add CHOWN"), &format!("{web}.capabilities.add NET_RAW")];
    let user: &str = &format!("{web}.runAsUser 0");
    let proc_mount: &str = &format!("{web}.procMount Unmasked");
    let no_root = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}";
    let no_seccomp = "allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}";
    let no_capabilities = "allowPrivilegeEscalation: false, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}";
    let no_escalation = "runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}";
    for (spec, security, expected) in [
        ("", GOOD, &[][..]),
        ("", "", &[drop, root, seccomp, escalation]),
        // allowPrivilegeEscalation
        ("", no_escalation, &[escalation]),
        ("", &format!("{no_escalation}, allowPrivilegeEscalation: true"), &[escalation]),
        ("hostUsers: false", no_escalation, &[escalation]),
        ("os: {name: linux}", no_escalation, &[escalation]),
        ("os: {name: windows}", no_escalation, &[]),
        // runAsNonRoot
        ("", no_root, &[root]),
        ("", &format!("{no_root}, runAsNonRoot: false"), &[root]),
        ("securityContext: {runAsNonRoot: true}", no_root, &[]),
        ("securityContext: {runAsNonRoot: true}", &format!("{no_root}, runAsNonRoot: false"), &[root]),
        ("securityContext: {runAsNonRoot: false}", no_root, &["spec.securityContext.runAsNonRoot false"]),
        ("securityContext: {runAsNonRoot: false}", GOOD, &["spec.securityContext.runAsNonRoot false"]),
        ("hostUsers: false", no_root, &[]),
        ("hostUsers: false, securityContext: {runAsNonRoot: false, runAsUser: 0}", &format!("{no_root}, runAsNonRoot: false, runAsUser: 0"), &[]),
        ("hostUsers: true", no_root, &[root]),
        ("os: {name: windows}", no_root, &[root]),
        // runAsUser
        ("", &format!("{GOOD}, runAsUser: 0"), &[user]),
        ("", &format!("{GOOD}, runAsUser: 1000"), &[]),
        ("securityContext: {runAsUser: 0}", GOOD, &["spec.securityContext.runAsUser 0"]),
        ("hostUsers: true, securityContext: {runAsUser: 0}", &format!("{GOOD}, runAsUser: 0"), &["spec.securityContext.runAsUser 0", user]),
        // capabilities
        ("", no_capabilities, &[drop]),
        ("", &format!("{no_capabilities}, capabilities: {{drop: [NET_RAW]}}"), &[drop]),
        ("", &format!("{no_capabilities}, capabilities: {{drop: [all]}}"), &[drop]),
        ("", &format!("{no_capabilities}, capabilities: {{drop: [KILL, ALL], add: [NET_BIND_SERVICE]}}"), &[]),
        ("", &format!("{no_capabilities}, capabilities: {{drop: [ALL], add: [NET_RAW, CHOWN]}}"), &add),
        ("", &format!("{no_capabilities}, capabilities: {{add: [NET_RAW, CHOWN]}}"), &[add[0], add[1], drop]),
        ("hostUsers: false", no_capabilities, &[drop]),
        ("os: {name: windows}", no_capabilities, &[]),
        ("os: {name: windows}", &format!("{no_capabilities}, capabilities: {{add: [NET_RAW]}}"), &[]),
        // seccomp
        ("", no_seccomp, &[seccomp]),
        ("", &format!("{no_seccomp}, seccompProfile: {{type: Unconfined}}"), &[seccomp]),
        ("", &format!("{no_seccomp}, seccompProfile: {{type: Localhost}}"), &[]),
        ("securityContext: {seccompProfile: {type: RuntimeDefault}}", no_seccomp, &[]),
        ("securityContext: {seccompProfile: {type: Unconfined}}", no_seccomp, &["spec.securityContext.seccompProfile.type Unconfined"]),
        ("securityContext: {seccompProfile: {type: Unconfined}}", GOOD, &["spec.securityContext.seccompProfile.type Unconfined"]),
        ("hostUsers: false", no_seccomp, &[seccomp]),
        ("os: {name: windows}", no_seccomp, &[]),
        ("os: {name: windows}, securityContext: {seccompProfile: {type: Unconfined}}", no_seccomp, &[]),
        // procMount
        ("", &format!("{GOOD}, procMount: Unmasked"), &[proc_mount]),
        ("hostUsers: false", &format!("{GOOD}, procMount: Unmasked"), &[proc_mount]),
        // Windows as a whole
        ("os: {name: windows}, securityContext: {runAsNonRoot: true}", "", &[]),
        ("os: {name: Windows}, securityContext: {runAsNonRoot: true}", "", &[drop, seccomp, escalation]),
        (
            "os: {name: windows}, securityContext: {runAsNonRoot: true}, hostNetwork: true",
            "windowsOptions: {hostProcess: true}",
            &["spec.hostNetwork true", &format!("{web}.windowsOptions.hostProcess true")],
        ),
        // volumes
        (
            "volumes: [{name: a, configMap: {name: m}}, {name: b, csi: {driver: d}}, {name: c, downwardAPI: {}}, {name: d, emptyDir: {}}, {name: e, ephemeral: {volumeClaimTemplate: {spec: {}}}}]",
            GOOD,
            &[],
        ),
        ("volumes: [{name: a, image: {reference: i}}, {name: b, persistentVolumeClaim: {claimName: c}}, {name: c, projected: {}}, {name: d, secret: {}}, {name: e}]", GOOD, &[]),
        (
            "volumes: [{name: a, hostPath: {path: /}}, {name: b, nfs: {}}, {name: c, iscsi: {}}]",
            GOOD,
            &["spec.volumes[a].hostPath hostPath /", "spec.volumes[b].nfs nfs", "spec.volumes[c].iscsi iscsi"],
        ),
        (
            "volumes: [{name: a, gitRepo: {repository: r}}, {name: b, azureFile: {}}, {name: c, storageos: {}}]",
            GOOD,
            &["spec.volumes[a].gitRepo gitRepo", "spec.volumes[b].azureFile azureFile", "spec.volumes[c].storageos storageos"],
        ),
    ] {
        let spec = if spec.is_empty() { with(security) } else { format!("{spec}, {}", with(security)) };
        expect("Restricted", &pod("", &spec), expected);
    }
}

#[test]
fn restricted_reads_every_list_of_containers() {
    for list in ["initContainers", "ephemeralContainers"] {
        let spec = format!("{list}: [{{name: c, image: i}}], {}", with(GOOD));
        let fields = ["capabilities.drop", "runAsNonRoot false", "seccompProfile.type Unconfined", "allowPrivilegeEscalation true"];
        let expected = fields.map(|f| format!("spec.{list}[c].securityContext.{f}"));
        expect("Restricted", &pod("", &spec), &expected.each_ref().map(String::as_str));
    }
}

#[test]
fn baseline_spares_user_namespaces_one_thing_and_windows_nothing() {
    for (spec, expected) in [
        (format!("hostUsers: false, {}", with("procMount: Unmasked")), &[][..]),
        (format!("hostUsers: true, {}", with("procMount: Unmasked")), &["spec.containers[web].securityContext.procMount Unmasked"]),
        (format!("hostUsers: null, {}", with("procMount: Unmasked")), &["spec.containers[web].securityContext.procMount Unmasked"]),
        (format!("hostUsers: false, {}", with("privileged: true")), &["spec.containers[web].securityContext.privileged true"]),
        (format!("os: {{name: windows}}, {}", with("capabilities: {add: [NET_RAW]}")), &["spec.containers[web].securityContext.capabilities.add NET_RAW"]),
        (format!("os: {{name: windows}}, {}", with("seccompProfile: {type: Unconfined}")), &["spec.containers[web].securityContext.seccompProfile.type Unconfined"]),
    ] {
        expect("Baseline", &pod("", &spec), expected);
    }
}

#[test]
fn baseline_is_the_default_and_every_kind_with_pods_is_judged() {
    let template = format!("{{metadata: {{}}, spec: {{hostPID: true, {ANY}}}}}");
    for (yaml, expected) in [
        (pod("", &format!("hostPID: true, {ANY}")), "Violated spec.hostPID true"),
        (format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {template}}}}}"), "Violated spec.hostPID true"),
        (format!("{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: d}}, spec: {{jobTemplate: {{spec: {{template: {template}}}}}}}}}"), "Violated spec.hostPID true"),
        (format!("{{apiVersion: v1, kind: PodTemplate, metadata: {{name: d}}, template: {template}}}"), "Violated spec.hostPID true"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: d}}".to_owned(), "-"),
    ] {
        for settings in ["{}", "podSecurity: {}", "podSecurity: {level: Baseline}"] {
            assert_eq!(judge(&CONTROL, &yaml, &policy(settings), &Facts::empty()), [expected], "{yaml} with {settings}");
        }
    }
}

#[test]
fn names_are_made_safe_to_show() {
    let spec = "containers: [{name: \"w\\eb\", image: i, securityContext: {privileged: true}}], volumes: [{name: \"d\\u202e\", hostPath: {path: /}}]";
    assert_eq!(at("Baseline", &pod("", spec)), ["Violated spec.volumes[d\\u{202e}].hostPath hostPath /", "Violated spec.containers[w\\u{1b}b].securityContext.privileged true"]);
}
