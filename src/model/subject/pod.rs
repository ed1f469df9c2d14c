//! A pod, or the template of one, as far as checks read it.
//! Every list whose name ends in `Containers` is read as containers, so that one that Kubernetes adds later is judged and not passed over.

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess},
};

use super::{ClaimTemplate, Env};
use crate::model::{
    map::Map,
    read::{nullable, once},
    text::{Str, shown},
};

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
#[derive(Debug, Default)]
pub struct PodSpec<'a> {
    /// Shares the node's network.
    pub host_network: bool,
    /// Shares the node's processes.
    pub host_pid: bool,
    /// Shares the node's IPC.
    pub host_ipc: bool,
    /// `Some(false)`: in a user namespace of its own.
    pub host_users: Option<bool>,
    /// How much the cluster depends on it; empty for most.
    pub priority_class_name: Str<'a>,
    /// The ServiceAccount that it runs as; empty is `default`.
    pub service_account: Str<'a>,
    /// Whether the account's token is mounted; absent leaves it to the account.
    pub automount_token: Option<bool>,
    /// `os.name`.
    pub os: Option<Os<'a>>,
    /// Pod-level security settings.
    pub security_context: Option<Box<SecurityContext<'a>>>,
    /// Ordinary containers.
    pub containers: Vec<Container<'a>>,
    /// Init containers and native sidecars.
    pub init_containers: Vec<Container<'a>>,
    /// Debug containers.
    pub ephemeral_containers: Vec<Container<'a>>,
    /// Lists of containers that this version of Kubernetes does not have, by their names.
    pub other_containers: Vec<(Str<'a>, Vec<Container<'a>>)>,
    /// Volumes.
    pub volumes: Vec<Volume<'a>>,
}

impl<'a> PodSpec<'a> {
    /// Every container of every list, with the list's name.
    pub fn all_containers(&self) -> impl Iterator<Item = (&str, &Container<'a>)> {
        [("initContainers", &self.init_containers), ("containers", &self.containers), ("ephemeralContainers", &self.ephemeral_containers)]
            .into_iter()
            .chain(self.other_containers.iter().map(|(list, containers)| (&**list, containers)))
            .flat_map(|(list, containers)| containers.iter().map(move |c| (list, c)))
    }

    /// Every image that is pulled, for a container or as a volume.
    pub fn all_images(&self) -> impl Iterator<Item = Image<'_>> {
        let run = self.all_containers().map(|(list, c)| Image { list, name: &c.name, field: "image", reference: &c.image });
        let mounted = self.volumes.iter().filter_map(|v| match &v.source {
            VolumeSource::Image(reference) => Some(Image { list: "volumes", name: &v.name, field: "image.reference", reference }),
            VolumeSource::Claim(_) | VolumeSource::Ephemeral(_) | VolumeSource::HostPath(_) | VolumeSource::ApiToken | VolumeSource::Other => None,
        });
        run.chain(mounted)
    }
}

/// What a pod runs. One that runs nothing is malformed: the API server takes none, and every check of containers would call it clean.
struct Running<'a>(Vec<Container<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Running<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Running<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of at least one container")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let containers = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                if containers.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(Running(containers)) }
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for PodSpec<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PodSpec<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a pod's spec")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut network, mut pid, mut ipc, mut users, mut priority, mut os, mut security) = (None, None, None, None, None, None, None);
                let (mut account, mut old_account, mut automount) = (None::<Option<Str<'de>>>, None::<Option<Str<'de>>>, None);
                let (mut containers, mut init, mut ephemeral, mut volumes) = (None, None, None, None);
                let mut other_containers: Vec<(Str<'de>, Vec<Container<'de>>)> = Vec::new();
                while let Some(key) = map.next_key::<Str<'de>>()? {
                    match &*key {
                        "hostNetwork" => once(&mut network, &mut map, "hostNetwork")?,
                        "hostPID" => once(&mut pid, &mut map, "hostPID")?,
                        "hostIPC" => once(&mut ipc, &mut map, "hostIPC")?,
                        "hostUsers" => once(&mut users, &mut map, "hostUsers")?,
                        "priorityClassName" => once(&mut priority, &mut map, "priorityClassName")?,
                        "serviceAccountName" => once(&mut account, &mut map, "serviceAccountName")?,
                        // What it was called once; the API server still takes it, and writes both.
                        "serviceAccount" => once(&mut old_account, &mut map, "serviceAccount")?,
                        "automountServiceAccountToken" => once(&mut automount, &mut map, "automountServiceAccountToken")?,
                        "os" => once(&mut os, &mut map, "os")?,
                        "securityContext" => once(&mut security, &mut map, "securityContext")?,
                        "containers" => once(&mut containers, &mut map, "containers")?,
                        "initContainers" => once(&mut init, &mut map, "initContainers")?,
                        "ephemeralContainers" => once(&mut ephemeral, &mut map, "ephemeralContainers")?,
                        "volumes" => once(&mut volumes, &mut map, "volumes")?,
                        list if list.ends_with("Containers") => {
                            let containers = map.next_value::<Option<_>>()?.unwrap_or_default();
                            other_containers.push((key, containers));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let Running(containers) = containers.ok_or_else(|| de::Error::missing_field("containers"))?;
                Ok(PodSpec {
                    host_network: network.flatten().unwrap_or_default(),
                    host_pid: pid.flatten().unwrap_or_default(),
                    host_ipc: ipc.flatten().unwrap_or_default(),
                    host_users: users.flatten(),
                    priority_class_name: priority.flatten().unwrap_or_default(),
                    service_account: account.flatten().filter(|a| !a.is_empty()).or(old_account.flatten()).unwrap_or_default(),
                    automount_token: automount.flatten(),
                    os: os.flatten(),
                    security_context: security.flatten(),
                    containers,
                    init_containers: init.flatten().unwrap_or_default(),
                    ephemeral_containers: ephemeral.flatten().unwrap_or_default(),
                    other_containers,
                    volumes: volumes.flatten().unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// An image that is pulled.
#[derive(Clone, Copy, Debug)]
pub struct Image<'i> {
    list: &'i str,
    name: &'i str,
    field: &'static str,
    /// As written.
    pub reference: &'i str,
}

impl Image<'_> {
    /// Where it stands: `spec.containers[web].image`, `spec.volumes[model].image.reference`.
    pub fn path(&self) -> String {
        format!("spec.{}[{}].{}", self.list, shown(self.name, 63), self.field)
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
    /// What looks like a credential among its variables.
    #[serde(borrow, deserialize_with = "nullable")]
    pub env: Env<'a>,
    /// Its ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<Port>,
    /// Its security settings.
    #[serde(borrow)]
    pub security_context: Option<Box<SecurityContext<'a>>>,
    /// Is it alive?
    #[serde(borrow)]
    pub liveness_probe: Option<Box<Handler<'a>>>,
    /// Is it ready?
    #[serde(borrow)]
    pub readiness_probe: Option<Box<Handler<'a>>>,
    /// Has it started?
    #[serde(borrow)]
    pub startup_probe: Option<Box<Handler<'a>>>,
    /// Hooks.
    #[serde(borrow)]
    pub lifecycle: Option<Box<Lifecycle<'a>>>,
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
    /// A projected token that the API server takes: one for no other audience.
    ApiToken,
    /// An image or artifact of a registry, by its reference as written.
    Image(Str<'a>),
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
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Image<'a> {
            #[serde(borrow, deserialize_with = "nullable")]
            reference: Str<'a>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Projected<'a> {
            #[serde(borrow, deserialize_with = "nullable")]
            sources: Vec<Projection<'a>>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Projection<'a> {
            #[serde(borrow)]
            service_account_token: Option<Token<'a>>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Token<'a> {
            #[serde(borrow, deserialize_with = "nullable")]
            audience: Str<'a>,
        }
        impl Projected<'_> {
            fn has_api_token(&self) -> bool {
                self.sources.iter().any(|s| s.service_account_token.as_ref().is_some_and(|t| t.audience.is_empty()))
            }
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
                        "image" => map.next_value::<Option<Image<'de>>>()?.map(|i| volume.source = VolumeSource::Image(i.reference)).is_some(),
                        "projected" => {
                            let projected = map.next_value::<Option<Projected<'de>>>()?;
                            if projected.as_ref().is_some_and(Projected::has_api_token) {
                                volume.source = VolumeSource::ApiToken;
                            }
                            projected.is_some()
                        }
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
