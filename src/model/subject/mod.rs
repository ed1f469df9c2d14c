//! Any supported kind's JSON as the view that checks read. The only place that knows kinds and where they keep a pod template.
//! Parsing borrows from the body and is total: a field of the wrong type is an error with its place, never a default.

mod env;
mod gateway;
mod kind;
mod network;
mod pod;
mod rbac;
mod slim;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed},
};

pub use self::{
    env::{Data, Env, Plain},
    gateway::{Gateway, Listener, ParentRef, Route, RouteFilter, RouteRule},
    kind::Kind,
    network::{IngressHttp, IngressPath, IngressRule, IngressSpec, IngressTls, ServiceSpec},
    pod::{Capabilities, Container, Handler, Image, Lifecycle, Os, Pod, PodSpec, Port, Profile, SeLinux, SecurityContext, Sysctl, Target, Volume, VolumeSource, Windows},
    rbac::{Binding, Grantee, RoleRef, Rule},
    slim::slim,
};
use super::{facts::class_of, map::Map, read::nullable, strict::Strict, text::Str};

/// One object, as checks read it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its own metadata.
    pub meta: Meta<'a>,
    /// How many it is to run, where it says so.
    pub replicas: Option<i64>,
    /// Its pod or pod template.
    pub pod: Option<Pod<'a>>,
    /// Claims that it is or makes: itself, a StatefulSet's templates, a pod's ephemeral volumes.
    pub claims: Vec<Claim<'a>>,
    /// An Ingress's hosts and certificates.
    pub ingress: Option<IngressSpec<'a>>,
    /// Where a Gateway listens. It and a route are rare: boxed, so that they cost the others nothing.
    pub gateway: Option<Box<Gateway>>,
    /// What an HTTPRoute serves.
    pub route: Option<Box<Route<'a>>>,
    /// A Service's ways in.
    pub service: Option<ServiceSpec<'a>>,
    /// What looks like a credential in a ConfigMap's data.
    pub data: Vec<Plain<'a>>,
    /// A Role's rules.
    pub rules: Vec<Rule<'a>>,
    /// What a RoleBinding gives.
    pub binding: Option<Binding<'a>>,
}

/// Reads one object of this kind; `null` is no object.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Option<Subject<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        struct Visitor(Kind);
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Option<Subject<'de>>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a {}", self.0.lower())
            }
            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                Subject::read(self.0, deserializer).map(Some)
            }
        }
        deserializer.deserialize_option(Visitor(self))
    }
}

impl<'a> Subject<'a> {
    /// Reads one object of `kind` from JSON.
    ///
    /// # Errors
    /// What serde says of the first field that is not as the kind has it, with line and column.
    pub fn parse(kind: Kind, json: &'a str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let subject = Self::read(kind, &mut deserializer)?;
        deserializer.end()?;
        Ok(subject)
    }

    /// The same of what no API server has read yet: there a list is no object, wherever it stands.
    ///
    /// # Errors
    /// As [`Subject::parse`].
    pub fn written(kind: Kind, json: &'a str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let subject = Self::read(kind, Strict(&mut deserializer))?;
        deserializer.end()?;
        Ok(subject)
    }

    fn read<D: Deserializer<'a>>(kind: Kind, json: D) -> Result<Self, D::Error> {
        let mut subject = match kind {
            Kind::Pod => {
                let o = PodObject::deserialize(json)?;
                Self::new(kind, o.metadata.clone()).with_pod(o.metadata, o.spec.ok_or_else(|| de::Error::missing_field("spec"))?)
            }
            Kind::PodTemplate => {
                let o = TemplateObject::deserialize(json)?;
                Self::new(kind, o.metadata).with_template(Some(o.template))?
            }
            Kind::CronJob => {
                let o = CronJobObject::deserialize(json)?;
                Self::new(kind, o.metadata).with_template(o.spec.job_template.spec.template)?
            }
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::ReplicationController | Kind::Job => {
                let o = WorkloadObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata).with_template(o.spec.template)?;
                subject.replicas = o.spec.replicas;
                subject.claims.extend(
                    o.spec.volume_claim_templates.iter().map(|t| t.claim(ClaimSource::StatefulSet, format!("spec.volumeClaimTemplates[{}]", t.metadata.name), &t.metadata.name)),
                );
                subject
            }
            Kind::PersistentVolumeClaim => {
                let o = ClaimTemplate::deserialize(json)?;
                let claim = o.claim(ClaimSource::Itself, "spec".to_owned(), &o.metadata.name);
                let mut subject = Self::new(kind, o.metadata);
                subject.claims.push(claim);
                subject
            }
            Kind::Ingress => {
                let o = IngressObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.ingress = Some(o.spec);
                subject
            }
            Kind::Gateway => {
                let o = GatewayObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.gateway = Some(Box::new(o.spec));
                subject
            }
            Kind::HTTPRoute => {
                let o = RouteObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.route = Some(Box::new(o.spec));
                subject
            }
            Kind::Service => {
                let o = ServiceObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.service = Some(o.spec);
                subject
            }
            Kind::ConfigMap => {
                let o = ConfigMapObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.data = o.data.0;
                subject
            }
            Kind::Role | Kind::ClusterRole => {
                let o = RoleObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.rules = o.rules;
                subject
            }
            Kind::RoleBinding | Kind::ClusterRoleBinding => {
                let o = BindingObject::deserialize(json)?;
                let mut subject = Self::new(kind, o.metadata);
                subject.binding = Some(Binding { role_ref: o.role_ref, subjects: o.subjects });
                subject
            }
            Kind::ServiceAccount | Kind::NetworkPolicy => Self::new(kind, PlainObject::deserialize(json)?.metadata),
        };
        if let Some(pod) = &subject.pod {
            for volume in &pod.spec.volumes {
                if let VolumeSource::Ephemeral(template) = &volume.source {
                    let path = format!("spec.volumes[{}].ephemeral.volumeClaimTemplate.spec", volume.name);
                    subject.claims.push(template.claim(ClaimSource::Ephemeral, path, &volume.name));
                }
            }
        }
        Ok(subject)
    }

    fn new(kind: Kind, meta: Meta<'a>) -> Self {
        Self {
            kind,
            meta,
            replicas: None,
            pod: None,
            claims: Vec::new(),
            ingress: None,
            gateway: None,
            route: None,
            service: None,
            data: Vec::new(),
            rules: Vec::new(),
            binding: None,
        }
    }

    fn with_pod(mut self, meta: Meta<'a>, spec: PodSpec<'a>) -> Self {
        self.pod = Some(Pod { labels: meta.labels, annotations: meta.annotations, spec });
        self
    }

    /// A workload without a template is malformed; only a ReplicaSet and a ReplicationController may leave it out, and then make no pod that
    /// the API server would accept.
    fn with_template<E: de::Error>(self, template: Option<PodTemplate<'a>>) -> Result<Self, E> {
        let template = template.ok_or_else(|| de::Error::missing_field("template"))?;
        let spec = template.spec.ok_or_else(|| de::Error::missing_field("spec"))?;
        Ok(self.with_pod(template.metadata, spec))
    }

    /// `path`, relative to the pod template, as it reads in this kind: `spec.template.spec.containers[web].image`.
    pub fn full_path(&self, path: &str) -> String {
        match self.kind.template_path() {
            Some(prefix) if !prefix.is_empty() && !path.starts_with("spec.volumeClaimTemplates") && path != "metadata" && !path.starts_with("request.") => {
                format!("{prefix}.{path}")
            }
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
    /// The owner's group and version.
    #[serde(borrow, rename = "apiVersion")]
    pub api_version: Str<'a>,
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
    #[serde(default)]
    replicas: Option<i64>,
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

#[derive(Deserialize)]
struct ConfigMapObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    data: Data<'a>,
}
#[derive(Deserialize)]
struct RoleObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    rules: Vec<Rule<'a>>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BindingObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    role_ref: RoleRef<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    subjects: Vec<Grantee<'a>>,
}
#[derive(Deserialize)]
struct ServiceObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    // A Service without a spec is ClusterIP, and the API server refuses it for its ports.
    #[serde(borrow, default, deserialize_with = "nullable")]
    spec: ServiceSpec<'a>,
}

#[derive(Deserialize)]
struct GatewayObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    spec: Gateway,
}
#[derive(Deserialize)]
struct RouteObject<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: Route<'a>,
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
impl<'a> ClaimTemplate<'a> {
    fn claim(&self, from: ClaimSource, path: String, name: &Str<'a>) -> Claim<'a> {
        let annotated = |key: &str| self.metadata.annotations.get(key).map(|v| Str(v.to_owned().into()));
        Claim { path, name: name.clone(), class: class_of(annotated, self.spec.storage_class_name.clone()), volume: self.spec.volume_name.clone(), from }
    }
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
