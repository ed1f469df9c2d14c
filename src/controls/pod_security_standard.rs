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
mod tests;
