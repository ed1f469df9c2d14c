//! pod-security-standard: the Pod Security Standards of Kubernetes 1.37, Baseline or Restricted, over every kind that makes pods.
//! The oracle is the newest version of each check of k8s.io/pod-security-admission. A verdict here is its verdict; only the findings are finer, one a place and value, so that one of two
//! less is an improvement. What is left unset has the fingerprint of the value that it stands for.

use std::{collections::BTreeSet, fmt::Display};

use super::{Applies, Check, Context, Control, WORKLOADS};
use crate::{
    api::ownership::{Enforcement, OwnerClass, PodSecurityLevel, Severity},
    model::{
        Finding,
        map::Map,
        subject::{Container, Handler, PodSpec, SecurityContext, VolumeSource},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "pod-security-standard",
    title: "Pods meet the namespace's Pod Security Standard",
    group: "workload",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.9"]),
        ("SOC 2", &["CC6.8", "CC7.1"]),
        ("CCM 4.0.12", &["IVS-04"]),
        ("NIST 800-53r5", &["CM-6", "CM-7"]),
        ("CIS Kubernetes 2.0.1", &["5.2.1", "5.2.2", "5.2.3", "5.2.4", "5.2.5", "5.2.6", "5.2.7", "5.2.11"]),
    ],
    why: "A pod that shares the node's namespaces, devices or files, or runs as root, turns a fault in one application into control of the node and of every tenant on it.",
    checked: "Every check of the Pod Security Standards of Kubernetes 1.37 over the pod, its volumes and its init, ordinary and ephemeral containers: Baseline, or Restricted when \
              policy.podSecurity.level says so. Windows pods and pods with hostUsers: false are spared what Kubernetes spares them.",
    unknown: "Never: all of it is in the object.",
    fix: "set securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

/// What a container may add to its capabilities under Baseline.
const ADDABLE: &[&str] = &["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"];

/// Kernel parameters that stay within the pod.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Values of `seLinuxOptions.type` made for containers; empty is the runtime's own choice.
const SELINUX_TYPES: &[&str] = &["", "container_engine_t", "container_init_t", "container_kvm_t", "container_t"];

/// Volumes that Restricted has; without a field the API server makes an `emptyDir`.
const VOLUMES: &[&str] = &["", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

/// Where `appArmorProfile` was set before it was a field; the container's name follows.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The types of `seccompProfile` and `appArmorProfile` that keep a container confined.
const PROFILES: &[&str] = &["RuntimeDefault", "Localhost"];

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    let restricted = cx.policy.pod_security.as_ref().is_some_and(|p| p.level == PodSecurityLevel::Restricted);
    Judge { restricted, spec: &pod.spec, out }.pod(&pod.annotations);
    Applies::Yes
}

/// A holder of a security context.
#[derive(Clone, Copy)]
enum Place<'p> {
    Pod,
    Container(&'p str, &'p str),
}

impl Place<'_> {
    fn path(self, field: &str) -> String {
        match self {
            Self::Pod => format!("spec.{field}"),
            Self::Container(list, name) => format!("spec.{list}[{}].{field}", shown(name, 63)),
        }
    }
}

struct Judge<'j, 'a> {
    restricted: bool,
    spec: &'j PodSpec<'a>,
    out: &'j mut Vec<Finding>,
}

impl Judge<'_, '_> {
    fn pod(mut self, annotations: &Map<'_>) {
        let spec = self.spec;
        self.annotations(annotations);
        for (set, field) in [(spec.host_network, "hostNetwork"), (spec.host_pid, "hostPID"), (spec.host_ipc, "hostIPC")] {
            if set {
                self.violated(Place::Pod, field, true, "shares a namespace of the node", format!("set {field}: false"));
            }
        }
        if let Some(security) = &spec.security_context {
            self.anywhere(Place::Pod, security);
            let forbidden: BTreeSet<&str> = security.sysctls.iter().map(|s| &*s.name).filter(|s| !SYSCTLS.contains(s)).collect();
            for name in forbidden {
                let message = format!("sets the kernel parameter {}", shown(name, 80));
                self.violated(Place::Pod, "securityContext.sysctls", name, message, "remove it from securityContext.sysctls");
            }
        }
        self.volumes();
        let unset = SecurityContext::default();
        for (list, container) in spec.all_containers() {
            self.container(Place::Container(list, &container.name), container, container.security_context.as_deref().unwrap_or(&unset));
        }
    }

    fn violated(&mut self, place: Place<'_>, field: &str, value: impl Display, message: impl Into<String>, fix: impl Into<String>) {
        self.out.push(Finding::violated(place.path(field), value.to_string(), message, fix));
    }

    /// The API server refuses on a Windows pod the Linux settings that Restricted would ask of it.
    fn windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| &*os.name == "windows")
    }

    /// In a user namespace, root is nobody on the node.
    fn user_namespace(&self) -> bool {
        self.spec.host_users == Some(false)
    }

    fn annotations(&mut self, annotations: &Map<'_>) {
        let allowed = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        for (key, value) in annotations.iter().filter(|(key, value)| key.starts_with(APPARMOR_ANNOTATION) && !allowed(value)) {
            let fix = format!("remove the annotation {APPARMOR_ANNOTATION}*");
            self.out.push(Finding::violated("metadata.annotations", format!("{key}={value}"), "an AppArmor profile that does not confine", fix));
        }
    }

    fn volumes(&mut self) {
        for volume in &self.spec.volumes {
            let message = match &*volume.field {
                "hostPath" => "mounts a path of the node".to_owned(),
                field if self.restricted && !VOLUMES.contains(&field) => format!("mounts a {} volume", shown(field, 40)),
                _ => continue,
            };
            let path = format!("spec.volumes[{}].{}", shown(&volume.name, 63), shown(&volume.field, 63));
            // Another path of the node is another violation.
            let fingerprint = match &volume.source {
                VolumeSource::HostPath(node) => format!("hostPath {}", &**node),
                VolumeSource::Claim(_) | VolumeSource::Ephemeral(_) | VolumeSource::ApiToken | VolumeSource::Image(_) | VolumeSource::Other => volume.field.to_string(),
            };
            self.out.push(Finding::violated(path, fingerprint, message, "use a persistentVolumeClaim, an emptyDir or a configMap"));
        }
    }

    /// What pods and containers can both set.
    fn anywhere(&mut self, place: Place<'_>, security: &SecurityContext<'_>) {
        if security.windows_options.as_ref().is_some_and(|w| w.host_process == Some(true)) {
            self.violated(place, "securityContext.windowsOptions.hostProcess", true, "runs on the Windows host itself", "set securityContext.windowsOptions.hostProcess: false");
        }
        if let Some(profile) = security.app_armor_profile.as_ref().filter(|p| !PROFILES.contains(&&*p.kind)) {
            let message = format!("AppArmor profile {}", quoted(&profile.kind));
            self.violated(place, "securityContext.appArmorProfile.type", &profile.kind, message, "set securityContext.appArmorProfile.type: RuntimeDefault");
        }
        if let Some(options) = &security.se_linux_options {
            let forbidden = [
                ("type", &options.kind, !SELINUX_TYPES.contains(&&*options.kind)),
                ("user", &options.user, !options.user.is_empty()),
                ("role", &options.role, !options.role.is_empty()),
            ];
            for (field, value, _) in forbidden.into_iter().filter(|f| f.2) {
                let message = format!("SELinux {field} {}", quoted(value));
                self.violated(place, &format!("securityContext.seLinuxOptions.{field}"), value, message, format!("remove securityContext.seLinuxOptions.{field}"));
            }
        }
        // Restricted's own check stands in for Baseline's, and lets Windows off.
        let spared = self.restricted && self.windows();
        if let Some(profile) = security.seccomp_profile.as_ref().filter(|p| !spared && !PROFILES.contains(&&*p.kind)) {
            let message = format!("seccomp profile {}", quoted(&profile.kind));
            self.violated(place, "securityContext.seccompProfile.type", &profile.kind, message, "set securityContext.seccompProfile.type: RuntimeDefault");
        }
        if self.restricted && !self.user_namespace() {
            if security.run_as_non_root == Some(false) {
                self.violated(place, "securityContext.runAsNonRoot", false, "may run as root", "set securityContext.runAsNonRoot: true");
            }
            if security.run_as_user == Some(0) {
                self.violated(place, "securityContext.runAsUser", 0, "runs as root", "set securityContext.runAsUser to a number above 0, or remove it");
            }
        }
    }

    fn container(&mut self, place: Place<'_>, container: &Container<'_>, security: &SecurityContext<'_>) {
        self.anywhere(place, security);
        if security.privileged {
            self.violated(place, "securityContext.privileged", true, "privileged container", "set securityContext.privileged: false");
        }
        self.capabilities(place, security);
        if let Some(mount) = security.proc_mount.as_ref().filter(|m| &***m != "Default" && (self.restricted || !self.user_namespace())) {
            self.violated(place, "securityContext.procMount", mount, format!("procMount {}", quoted(mount)), "set securityContext.procMount: Default");
        }
        let ports: BTreeSet<i64> = container.ports.iter().map(|p| p.host_port).filter(|p| *p != 0).collect();
        for port in ports {
            self.violated(place, "ports", port, format!("takes port {port} of the node"), "remove hostPort; a Service reaches the pod");
        }
        self.handlers(place, container);
        if self.restricted {
            self.left_unset(place, security);
        }
    }

    fn capabilities(&mut self, place: Place<'_>, security: &SecurityContext<'_>) {
        // As with seccomp: under Restricted nothing is left of Baseline's check.
        if self.restricted && self.windows() {
            return;
        }
        let addable = if self.restricted { &["NET_BIND_SERVICE"] } else { ADDABLE };
        let capabilities = security.capabilities.as_ref();
        let added: BTreeSet<&str> = capabilities.into_iter().flat_map(|c| &c.add).map(|a| &**a).filter(|a| !addable.contains(a)).collect();
        for name in added {
            let message = format!("adds capability {}", shown(name, 80));
            self.violated(place, "securityContext.capabilities.add", name, message, "remove it from securityContext.capabilities.add");
        }
        if self.restricted && !capabilities.is_some_and(|c| c.drop.iter().any(|d| &**d == "ALL")) {
            self.violated(place, "securityContext.capabilities.drop", "", "keeps capabilities", "set securityContext.capabilities.drop: [ALL]");
        }
    }

    /// Probes and hooks are sent by the kubelet: a host makes the node call on whoever it names.
    fn handlers(&mut self, place: Place<'_>, container: &Container<'_>) {
        let lifecycle = container.lifecycle.as_ref();
        let handlers: [(&str, Option<&Handler<'_>>); 5] = [
            ("livenessProbe", container.liveness_probe.as_deref()),
            ("readinessProbe", container.readiness_probe.as_deref()),
            ("startupProbe", container.startup_probe.as_deref()),
            ("lifecycle.postStart", lifecycle.and_then(|l| l.post_start.as_ref())),
            ("lifecycle.preStop", lifecycle.and_then(|l| l.pre_stop.as_ref())),
        ];
        for (name, handler) in handlers {
            let Some(handler) = handler else { continue };
            for (way, target) in [("httpGet", &handler.http_get), ("tcpSocket", &handler.tcp_socket)] {
                if let Some(target) = target.as_ref().filter(|t| !t.host.is_empty()) {
                    let message = format!("the node calls {}", shown(&target.host, 80));
                    self.violated(place, &format!("{name}.{way}.host"), &target.host, message, format!("remove {name}.{way}.host"));
                }
            }
        }
    }

    /// What Restricted wants said. Where the pod says it, even wrongly, the finding is the pod's and not each container's.
    fn left_unset(&mut self, place: Place<'_>, security: &SecurityContext<'_>) {
        let pod = self.spec.security_context.as_deref();
        if !self.user_namespace() && security.run_as_non_root.is_none() && pod.is_none_or(|p| p.run_as_non_root.is_none()) {
            self.violated(place, "securityContext.runAsNonRoot", false, "may run as root", "set securityContext.runAsNonRoot: true");
        }
        if self.windows() {
            return;
        }
        if security.seccomp_profile.is_none() && pod.is_none_or(|p| p.seccomp_profile.is_none()) {
            self.violated(place, "securityContext.seccompProfile.type", "Unconfined", "no seccomp profile", "set securityContext.seccompProfile.type: RuntimeDefault");
        }
        if security.allow_privilege_escalation != Some(false) {
            self.violated(place, "securityContext.allowPrivilegeEscalation", true, "may gain privileges", "set securityContext.allowPrivilegeEscalation: false");
        }
    }
}

/// A value in a message, where an empty one must be seen.
fn quoted(value: &str) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { shown(value, 63) }
}

#[cfg(test)]
mod tests {
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
            (
                "volumes: [{name: a, image: {reference: i}}, {name: b, persistentVolumeClaim: {claimName: c}}, {name: c, projected: {}}, {name: d, secret: {}}, {name: e}]",
                GOOD,
                &[],
            ),
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
        assert_eq!(
            at("Baseline", &pod("", spec)),
            ["Violated spec.volumes[d\\u{202e}].hostPath hostPath /", "Violated spec.containers[w\\u{1b}b].securityContext.privileged true"]
        );
    }
}
