//! Any supported kind's JSON as the view that checks read. The only place that knows kinds and where they keep a pod template.
//! Parsing borrows from the body and is total: a field of the wrong type is an error with its place, never a default.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess},
};

use super::text::Str;

/// Labels or annotations.
pub type Map<'a> = BTreeMap<Str<'a>, Str<'a>>;

macro_rules! kinds {
    ($($kind:ident $group:literal $version:literal $plural:literal $lower:literal $template:literal;)+) => {
        /// The kinds that Demarc judges.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[allow(missing_docs)] $kind),+ }
        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];
            /// As in a manifest: `StatefulSet`.
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => stringify!($kind)),+ } }
            /// As in messages: `statefulset`.
            pub const fn lower(self) -> &'static str { match self { $(Self::$kind => $lower),+ } }
            /// The API group, empty for core.
            pub const fn group(self) -> &'static str { match self { $(Self::$kind => $group),+ } }
            /// The version that Demarc reads and registers for.
            pub const fn version(self) -> &'static str { match self { $(Self::$kind => $version),+ } }
            /// The resource in URLs and rules.
            pub const fn plural(self) -> &'static str { match self { $(Self::$kind => $plural),+ } }
            /// Where the pod template sits; empty for a Pod, which is one.
            pub const fn template_path(self) -> Option<&'static str> {
                let path = match self { $(Self::$kind => $template),+ };
                if path.len() == 1 { None } else { Some(path) }
            }
            /// The kind of that name in that group.
            pub fn find(group: &str, kind: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|k| k.name() == kind && k.group() == group)
            }
        }
    };
}

kinds! {
    // kind                group               version plural                    messages                 pod template ("-": none)
    Pod                    ""                  "v1"    "pods"                    "pod"                    "";
    Deployment             "apps"              "v1"    "deployments"             "deployment"             "spec.template";
    StatefulSet            "apps"              "v1"    "statefulsets"            "statefulset"            "spec.template";
    DaemonSet              "apps"              "v1"    "daemonsets"              "daemonset"              "spec.template";
    ReplicaSet             "apps"              "v1"    "replicasets"             "replicaset"             "spec.template";
    ReplicationController  ""                  "v1"    "replicationcontrollers"  "replicationcontroller"  "spec.template";
    Job                    "batch"             "v1"    "jobs"                    "job"                    "spec.template";
    CronJob                "batch"             "v1"    "cronjobs"                "cronjob"                "spec.jobTemplate.spec.template";
    PodTemplate            ""                  "v1"    "podtemplates"            "podtemplate"            "template";
    PersistentVolumeClaim  ""                  "v1"    "persistentvolumeclaims"  "persistentvolumeclaim"  "-";
    Service                ""                  "v1"    "services"                "service"                "-";
    Ingress                "networking.k8s.io" "v1"    "ingresses"               "ingress"                "-";
    ConfigMap              ""                  "v1"    "configmaps"              "configmap"              "-";
    ServiceAccount         ""                  "v1"    "serviceaccounts"         "serviceaccount"         "-";
    NetworkPolicy          "networking.k8s.io" "v1"    "networkpolicies"         "networkpolicy"          "-";
    Role                   "rbac.authorization.k8s.io" "v1" "roles"              "role"                   "-";
    RoleBinding            "rbac.authorization.k8s.io" "v1" "rolebindings"       "rolebinding"            "-";
}

/// One object, as checks read it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its own metadata.
    pub meta: Meta<'a>,
    /// Its pod or pod template.
    pub pod: Option<Pod<'a>>,
    /// Claims that it is or makes: itself, a StatefulSet's templates, a pod's ephemeral volumes.
    pub claims: Vec<Claim<'a>>,
    /// An Ingress's hosts and certificates.
    pub ingress: Option<IngressSpec<'a>>,
}

impl<'a> Subject<'a> {
    /// Reads one object of `kind` from JSON.
    ///
    /// # Errors
    /// What serde says of the first field that is not as the kind has it, with line and column.
    pub fn parse(kind: Kind, json: &'a str) -> Result<Self, serde_json::Error> {
        fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
            serde_json::from_str(json)
        }
        let mut subject = match kind {
            Kind::Pod => {
                let o: PodObject<'a> = read(json)?;
                Self::new(kind, o.metadata.clone()).with_pod(o.metadata, o.spec.ok_or_else(|| de::Error::missing_field("spec"))?)
            }
            Kind::PodTemplate => {
                let o: TemplateObject<'a> = read(json)?;
                Self::new(kind, o.metadata).with_template(Some(o.template))?
            }
            Kind::CronJob => {
                let o: CronJobObject<'a> = read(json)?;
                Self::new(kind, o.metadata).with_template(o.spec.job_template.spec.template)?
            }
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::ReplicationController | Kind::Job => {
                let o: WorkloadObject<'a> = read(json)?;
                let mut subject = Self::new(kind, o.metadata).with_template(o.spec.template)?;
                subject.claims.extend(o.spec.volume_claim_templates.into_iter().map(|t| Claim {
                    path: format!("spec.volumeClaimTemplates[{}]", t.metadata.name),
                    class: t.spec.storage_class_name,
                    volume: t.spec.volume_name,
                    annotations: t.metadata.annotations,
                    name: t.metadata.name,
                    from: ClaimSource::StatefulSet,
                }));
                subject
            }
            Kind::PersistentVolumeClaim => {
                let o: ClaimTemplate<'a> = read(json)?;
                let mut subject = Self::new(kind, o.metadata.clone());
                subject.claims.push(Claim {
                    path: "spec".to_owned(),
                    name: o.metadata.name,
                    class: o.spec.storage_class_name,
                    volume: o.spec.volume_name,
                    annotations: o.metadata.annotations,
                    from: ClaimSource::Itself,
                });
                subject
            }
            Kind::Ingress => {
                let o: IngressObject<'a> = read(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.ingress = Some(o.spec);
                subject
            }
            Kind::Service | Kind::ConfigMap | Kind::ServiceAccount | Kind::NetworkPolicy | Kind::Role | Kind::RoleBinding => {
                let o: PlainObject<'a> = read(json)?;
                Self::new(kind, o.metadata)
            }
        };
        if let Some(pod) = &mut subject.pod {
            for volume in &mut pod.spec.volumes {
                if let VolumeSource::Ephemeral(template) = &mut volume.source {
                    subject.claims.push(Claim {
                        path: format!("spec.volumes[{}].ephemeral.volumeClaimTemplate.spec", volume.name),
                        name: volume.name.clone(),
                        class: template.spec.storage_class_name.clone(),
                        volume: template.spec.volume_name.clone(),
                        annotations: std::mem::take(&mut template.metadata.annotations),
                        from: ClaimSource::Ephemeral,
                    });
                }
            }
        }
        Ok(subject)
    }

    fn new(kind: Kind, meta: Meta<'a>) -> Self {
        Self { kind, meta, pod: None, claims: Vec::new(), ingress: None }
    }

    fn with_pod(mut self, meta: Meta<'a>, spec: PodSpec<'a>) -> Self {
        self.pod = Some(Pod { labels: meta.labels, annotations: meta.annotations, spec });
        self
    }

    /// A workload without a template is malformed; only a ReplicaSet and a ReplicationController may leave it out, and then make no pod that
    /// the API server would accept.
    fn with_template(self, template: Option<PodTemplate<'a>>) -> Result<Self, serde_json::Error> {
        let template = template.ok_or_else(|| de::Error::missing_field("template"))?;
        let spec = template.spec.ok_or_else(|| de::Error::missing_field("spec"))?;
        Ok(self.with_pod(template.metadata, spec))
    }

    /// `path`, relative to the pod template, as it reads in this kind: `spec.template.spec.containers[web].image`.
    pub fn full_path(&self, path: &str) -> String {
        match self.kind.template_path() {
            Some(prefix) if !prefix.is_empty() && !path.starts_with("spec.volumeClaimTemplates") && path != "metadata" => format!("{prefix}.{path}"),
            _ => path.to_owned(),
        }
    }

    /// `deployment/web`, or `pod/web-*` for one that the API server has yet to name.
    pub fn display_name(&self) -> String {
        let name = if self.meta.name.is_empty() { format!("{}*", self.meta.generate_name) } else { self.meta.name.to_string() };
        format!("{}/{}", self.kind.lower(), super::text::shown(&name, 253))
    }

    /// The owner reference with `controller: true`.
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        self.meta.owner_references.iter().find(|r| r.controller)
    }
}

/// Reads `null` as absent: Go clients send both.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Object metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta<'a> {
    /// Empty while `generateName` waits for the API server.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Str<'a>,
    /// The prefix that the API server completes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub generate_name: Str<'a>,
    /// Empty in a manifest that names none.
    #[serde(borrow, deserialize_with = "nullable")]
    pub namespace: Str<'a>,
    /// The API server's identity for it.
    #[serde(borrow, deserialize_with = "nullable")]
    pub uid: Str<'a>,
    /// RFC 3339.
    #[serde(borrow, deserialize_with = "nullable")]
    pub creation_timestamp: Str<'a>,
    /// Its labels.
    #[serde(borrow, deserialize_with = "nullable")]
    pub labels: Map<'a>,
    /// Its annotations.
    #[serde(borrow, deserialize_with = "nullable")]
    pub annotations: Map<'a>,
    /// Whom it belongs to.
    #[serde(borrow, deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference<'a>>,
}

/// Whom an object belongs to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    /// The owner's kind.
    #[serde(borrow)]
    pub kind: Str<'a>,
    /// The owner's name.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// The owner's uid.
    #[serde(borrow)]
    pub uid: Str<'a>,
    /// Whether the owner manages it.
    #[serde(deserialize_with = "nullable")]
    pub controller: bool,
}

#[derive(Deserialize)]
struct PlainObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
}
#[derive(Deserialize)]
struct PodObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Option<PodSpec<'a>>,
}
#[derive(Deserialize)]
struct TemplateObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    template: PodTemplate<'a>,
}
#[derive(Deserialize)]
struct WorkloadObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: WorkloadSpec<'a>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadSpec<'a> {
    #[serde(borrow)]
    template: Option<PodTemplate<'a>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    volume_claim_templates: Vec<ClaimTemplate<'a>>,
}
#[derive(Deserialize)]
struct CronJobObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: CronJobSpec<'a>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CronJobSpec<'a> {
    #[serde(borrow)]
    job_template: JobTemplate<'a>,
}
#[derive(Deserialize)]
struct JobTemplate<'a> {
    #[serde(borrow)]
    spec: WorkloadSpec<'a>,
}
#[derive(Deserialize)]
struct PodTemplate<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Option<PodSpec<'a>>,
}
#[derive(Deserialize)]
struct IngressObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: IngressSpec<'a>,
}

/// A claim inside a StatefulSet or an ephemeral volume, or a PersistentVolumeClaim itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimTemplate<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: ClaimSpec<'a>,
}
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Str<'a>>,
    #[serde(borrow)]
    volume_name: Option<Str<'a>>,
}

/// A claim on storage that the subject is or makes.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Relative to the pod template where it sits in one, else to the object.
    pub path: String,
    /// The claim's, template's or volume's name.
    pub name: Str<'a>,
    /// `None`: the cluster's default class. `Some("")`: statically bound.
    pub class: Option<Str<'a>>,
    /// The volume that it asks for or is bound to.
    pub volume: Option<Str<'a>>,
    /// Annotations on the claim.
    pub annotations: Map<'a>,
    /// Where it comes from.
    pub from: ClaimSource,
}

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimSource {
    /// The subject is the claim.
    Itself,
    /// `volumeClaimTemplates` of a StatefulSet.
    StatefulSet,
    /// A generic ephemeral volume.
    Ephemeral,
}

/// A pod, or the template of one.
#[derive(Debug)]
pub struct Pod<'a> {
    /// The template's labels (a Pod's own).
    pub labels: Map<'a>,
    /// The template's annotations (a Pod's own).
    pub annotations: Map<'a>,
    /// Its spec.
    pub spec: PodSpec<'a>,
}

/// The fields of a pod's spec that checks read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec<'a> {
    /// Shares the node's network.
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    /// Shares the node's processes.
    #[serde(rename = "hostPID", deserialize_with = "nullable")]
    pub host_pid: bool,
    /// Shares the node's IPC.
    #[serde(rename = "hostIPC", deserialize_with = "nullable")]
    pub host_ipc: bool,
    /// `Some(false)`: in a user namespace of its own.
    pub host_users: Option<bool>,
    /// `os.name`.
    #[serde(borrow)]
    pub os: Option<Os<'a>>,
    /// Pod-level security settings.
    #[serde(borrow)]
    pub security_context: Option<SecurityContext<'a>>,
    /// Ordinary containers.
    #[serde(borrow, deserialize_with = "nullable")]
    pub containers: Vec<Container<'a>>,
    /// Init containers and native sidecars.
    #[serde(borrow, deserialize_with = "nullable")]
    pub init_containers: Vec<Container<'a>>,
    /// Debug containers.
    #[serde(borrow, deserialize_with = "nullable")]
    pub ephemeral_containers: Vec<Container<'a>>,
    /// Volumes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub volumes: Vec<Volume<'a>>,
}

impl<'a> PodSpec<'a> {
    /// Every container of every list, with the list's name.
    pub fn all_containers(&self) -> impl Iterator<Item = (&'static str, &Container<'a>)> {
        self.init_containers
            .iter()
            .map(|c| ("initContainers", c))
            .chain(self.containers.iter().map(|c| ("containers", c)))
            .chain(self.ephemeral_containers.iter().map(|c| ("ephemeralContainers", c)))
    }
}

/// The operating system of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    /// `linux` or `windows`.
    #[serde(borrow)]
    pub name: Str<'a>,
}

/// One container of any list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// The image reference as written.
    #[serde(borrow, deserialize_with = "nullable")]
    pub image: Str<'a>,
    /// Its ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<Port>,
    /// Its security settings.
    #[serde(borrow)]
    pub security_context: Option<SecurityContext<'a>>,
    /// Is it alive?
    #[serde(borrow)]
    pub liveness_probe: Option<Handler<'a>>,
    /// Is it ready?
    #[serde(borrow)]
    pub readiness_probe: Option<Handler<'a>>,
    /// Has it started?
    #[serde(borrow)]
    pub startup_probe: Option<Handler<'a>>,
    /// Hooks.
    #[serde(borrow)]
    pub lifecycle: Option<Lifecycle<'a>>,
}

/// A container's port.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The node's port; 0 is none.
    #[serde(deserialize_with = "nullable")]
    pub host_port: i64,
}

/// Lifecycle hooks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle<'a> {
    /// After start.
    #[serde(borrow)]
    pub post_start: Option<Handler<'a>>,
    /// Before stop.
    #[serde(borrow)]
    pub pre_stop: Option<Handler<'a>>,
}

/// A probe or a hook, as far as it may reach another host.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Handler<'a> {
    /// HTTP.
    #[serde(borrow)]
    pub http_get: Option<Target<'a>>,
    /// TCP.
    #[serde(borrow)]
    pub tcp_socket: Option<Target<'a>>,
}

/// Where a probe or a hook reaches.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Target<'a> {
    /// Empty: the pod itself.
    #[serde(borrow, deserialize_with = "nullable")]
    pub host: Str<'a>,
}

/// Security settings of a pod or of a container: the union of both types' fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_excessive_bools)]
pub struct SecurityContext<'a> {
    /// All of the node's devices and capabilities.
    #[serde(deserialize_with = "nullable")]
    pub privileged: bool,
    /// Absent is not false.
    pub allow_privilege_escalation: Option<bool>,
    /// Absent at the container means the pod's.
    pub run_as_non_root: Option<bool>,
    /// 0 is root.
    pub run_as_user: Option<i64>,
    /// `Default` or `Unmasked`.
    #[serde(borrow)]
    pub proc_mount: Option<Str<'a>>,
    /// Linux capabilities.
    #[serde(borrow)]
    pub capabilities: Option<Capabilities<'a>>,
    /// Seccomp profile.
    #[serde(borrow)]
    pub seccomp_profile: Option<Profile<'a>>,
    /// AppArmor profile.
    #[serde(borrow)]
    pub app_armor_profile: Option<Profile<'a>>,
    /// SELinux options.
    #[serde(borrow)]
    pub se_linux_options: Option<SeLinux<'a>>,
    /// Windows options.
    pub windows_options: Option<Windows>,
    /// Kernel parameters (pod only).
    #[serde(borrow, deserialize_with = "nullable")]
    pub sysctls: Vec<Sysctl<'a>>,
}

/// Linux capabilities.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    /// Added.
    #[serde(borrow, deserialize_with = "nullable")]
    pub add: Vec<Str<'a>>,
    /// Dropped.
    #[serde(borrow, deserialize_with = "nullable")]
    pub drop: Vec<Str<'a>>,
}

/// A seccomp or AppArmor profile.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile<'a> {
    /// `RuntimeDefault`, `Localhost` or `Unconfined`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
}

/// SELinux options.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SeLinux<'a> {
    /// The type.
    #[serde(borrow, rename = "type", deserialize_with = "nullable")]
    pub kind: Str<'a>,
    /// The user.
    #[serde(borrow, deserialize_with = "nullable")]
    pub user: Str<'a>,
    /// The role.
    #[serde(borrow, deserialize_with = "nullable")]
    pub role: Str<'a>,
}

/// Windows options.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Windows {
    /// Runs on the host itself.
    pub host_process: Option<bool>,
}

/// A kernel parameter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sysctl<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Str<'a>,
}

/// A volume: its name, the field that says what it is, and what checks read of it.
#[derive(Debug)]
pub struct Volume<'a> {
    /// Its name.
    pub name: Str<'a>,
    /// The field: `emptyDir`, `hostPath`, `persistentVolumeClaim` …; empty when there is none (the API server reads that as `emptyDir`).
    pub field: Str<'a>,
    /// What checks read of it.
    pub source: VolumeSource<'a>,
}

/// What checks read of a volume.
#[derive(Debug)]
pub enum VolumeSource<'a> {
    /// A claim by name.
    Claim(Str<'a>),
    /// A claim made with the pod.
    Ephemeral(Box<ClaimTemplate<'a>>),
    /// A path of the node.
    HostPath(Str<'a>),
    /// Anything else.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct ByName<'a> {
            #[serde(borrow, rename = "claimName")]
            name: Str<'a>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Ephemeral<'a> {
            #[serde(borrow)]
            volume_claim_template: ClaimTemplate<'a>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct HostPath<'a> {
            #[serde(borrow, deserialize_with = "nullable")]
            path: Str<'a>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Volume<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a volume")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut volume = Volume { name: Str::default(), field: Str::default(), source: VolumeSource::Other };
                while let Some(key) = map.next_key::<Str<'de>>()? {
                    let present = match &*key {
                        "name" => {
                            volume.name = map.next_value()?;
                            false
                        }
                        "persistentVolumeClaim" => map.next_value::<Option<ByName<'de>>>()?.map(|c| volume.source = VolumeSource::Claim(c.name)).is_some(),
                        "ephemeral" => map.next_value::<Option<Ephemeral<'de>>>()?.map(|e| volume.source = VolumeSource::Ephemeral(Box::new(e.volume_claim_template))).is_some(),
                        "hostPath" => map.next_value::<Option<HostPath<'de>>>()?.map(|h| volume.source = VolumeSource::HostPath(h.path)).is_some(),
                        _ => map.next_value::<Option<IgnoredAny>>()?.is_some(),
                    };
                    if present {
                        if !volume.field.is_empty() {
                            return Err(de::Error::custom("a volume with two sources"));
                        }
                        volume.field = key;
                    }
                }
                Ok(volume)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// An Ingress's spec as far as TLS can be read from it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec<'a> {
    /// Certificates.
    #[serde(borrow, deserialize_with = "nullable")]
    pub tls: Vec<IngressTls<'a>>,
    /// Hosts.
    #[serde(borrow, deserialize_with = "nullable")]
    pub rules: Vec<IngressRule<'a>>,
    /// Where unmatched requests go; present or not.
    pub default_backend: Option<IgnoredAny>,
}

/// A certificate and the hosts that it is for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls<'a> {
    /// Empty: every host.
    #[serde(borrow, deserialize_with = "nullable")]
    pub hosts: Vec<Str<'a>>,
    /// Empty: the ingress controller's own certificate.
    #[serde(borrow, deserialize_with = "nullable")]
    pub secret_name: Str<'a>,
}

/// A host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressRule<'a> {
    /// Empty: every host.
    #[serde(borrow, deserialize_with = "nullable")]
    pub host: Str<'a>,
}

/// Drops from an object whatever `Subject` does not read, so that a record stays small and holds no environment value or argument.
pub fn slim(object: &mut serde_json::Value) {
    let Some(root) = object.as_object_mut() else { return };
    for key in ["status", "data", "binaryData", "stringData", "apiVersion", "kind"] {
        root.remove(key);
    }
    if let Some(meta) = root.get_mut("metadata").and_then(|m| m.as_object_mut()) {
        for key in ["managedFields", "resourceVersion", "generation", "selfLink", "finalizers"] {
            meta.remove(key);
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(|a| a.as_object_mut()) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    for key in ["spec", "template"] {
        if let Some(value) = root.get_mut(key) {
            prune(value);
        }
    }
}

/// Drops, at any depth of a spec, the fields that no check reads.
fn prune(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for key in [
                "env",
                "envFrom",
                "command",
                "args",
                "resources",
                "volumeMounts",
                "volumeDevices",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "imagePullPolicy",
                "imagePullSecrets",
                "affinity",
                "tolerations",
                "topologySpreadConstraints",
                "selector",
                "strategy",
                "updateStrategy",
                "schedulerName",
                "dnsPolicy",
                "restartPolicy",
                "nodeSelector",
                "hostAliases",
                "exec",
                "httpHeaders",
                "items",
                "sources",
                "accessModes",
            ] {
                map.remove(key);
            }
            // Labels and annotations are the author's own words: a label may be called `env`.
            map.iter_mut().filter(|(key, _)| *key != "metadata").for_each(|(_, value)| prune(value));
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_what_checks_read_and_no_value_of_the_environment() {
        let mut object = serde_json::json!({
            "metadata": {"name": "web", "labels": {"env": "prod"}, "managedFields": [{}], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "owner": "shop"}},
            "spec": {"template": {"metadata": {"labels": {"env": "prod"}}, "spec": {
                "containers": [{"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": "hunter2"}], "args": ["hunter2"], "securityContext": {"privileged": true}}],
                "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]}}},
            "status": {"replicas": 1},
        });
        let whole = object.to_string();
        slim(&mut object);
        let kept = object.to_string();
        assert!(!kept.contains("hunter2") && !kept.contains("managedFields"), "{kept}");
        let (before, after) = (Subject::parse(Kind::Deployment, &whole).unwrap(), Subject::parse(Kind::Deployment, &kept).unwrap());
        assert_eq!(format!("{:?}", before.pod), format!("{:?}", after.pod), "the checks see the same");
        assert_eq!(before.meta.labels, after.meta.labels);
    }

    #[test]
    fn every_kind_reads_null_and_wrong_types_without_a_panic() {
        for kind in Kind::ALL {
            for json in [
                "null",
                "[]",
                "{}",
                "1",
                "{\"metadata\":null}",
                "{\"metadata\":{},\"spec\":null}",
                "{\"metadata\":{\"labels\":[]},\"spec\":{}}",
                "{\"metadata\":{},\"spec\":{\"template\":null}}",
            ] {
                let said = Subject::parse(*kind, json);
                assert!(said.is_err() || said.is_ok_and(|s| s.pod.is_none() || *kind == Kind::Pod), "{kind:?} {json}");
            }
        }
    }
}
