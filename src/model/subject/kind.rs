//! The kinds that Demarc judges, as a table: group, version, names, and where each keeps its pod template.
//! Nothing else in the program knows one kind from another.

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
            /// Whether a cluster may do without it: it comes with a CRD.
            pub const fn optional(self) -> bool { matches!(self, Self::Gateway | Self::HTTPRoute) }
            /// Whether it lives in a namespace. What does not is of the whole cluster, and is judged once, in drift, for each Baseline.
            pub const fn namespaced(self) -> bool { !matches!(self, Self::ClusterRole | Self::ClusterRoleBinding) }
            /// Checks of other objects look it up.
            pub const fn informs(self) -> bool {
                matches!(self, Self::PersistentVolumeClaim | Self::Gateway | Self::ServiceAccount | Self::NetworkPolicy | Self::RoleBinding)
            }
            /// Admission of other objects depends on its records: a child whose parent has none would be refused for ever.
            pub const fn decides(self) -> bool {
                !matches!(
                    self,
                    Self::Gateway | Self::HTTPRoute | Self::ConfigMap | Self::ServiceAccount | Self::NetworkPolicy | Self::Role | Self::RoleBinding | Self::ClusterRole | Self::ClusterRoleBinding
                )
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
    Gateway                "gateway.networking.k8s.io" "v1" "gateways"               "gateway"                "-";
    HTTPRoute              "gateway.networking.k8s.io" "v1" "httproutes"             "httproute"              "-";
    ConfigMap              ""                  "v1"    "configmaps"              "configmap"              "-";
    ServiceAccount         ""                  "v1"    "serviceaccounts"         "serviceaccount"         "-";
    NetworkPolicy          "networking.k8s.io" "v1"    "networkpolicies"         "networkpolicy"          "-";
    Role                   "rbac.authorization.k8s.io" "v1" "roles"              "role"                   "-";
    RoleBinding            "rbac.authorization.k8s.io" "v1" "rolebindings"       "rolebinding"            "-";
    ClusterRole            "rbac.authorization.k8s.io" "v1" "clusterroles"       "clusterrole"            "-";
    ClusterRoleBinding     "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "clusterrolebinding"    "-";
}

impl Kind {
    /// Kinds that are drift only unless asked for: they serve one control each and are written often.
    pub const DRIFT_ONLY: &'static [Self] = &[Self::ConfigMap, Self::ServiceAccount];

    /// What runs, or holds what that needs: what third-party controllers make for their custom resources, and may go on making.
    pub const fn runs(self) -> bool {
        match self {
            Self::Pod
            | Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::ReplicaSet
            | Self::ReplicationController
            | Self::Job
            | Self::CronJob
            | Self::PersistentVolumeClaim => true,
            Self::PodTemplate
            | Self::Service
            | Self::Ingress
            | Self::Gateway
            | Self::HTTPRoute
            | Self::ConfigMap
            | Self::ServiceAccount
            | Self::NetworkPolicy
            | Self::Role
            | Self::RoleBinding
            | Self::ClusterRole
            | Self::ClusterRoleBinding => false,
        }
    }

    /// Whether a built-in controller makes `child` for an object of this kind. Anybody may write an owner reference; only these are believed.
    pub const fn makes(self, child: Self) -> bool {
        matches!(
            (self, child),
            (Self::Deployment, Self::ReplicaSet)
                | (Self::ReplicaSet | Self::StatefulSet | Self::DaemonSet | Self::ReplicationController | Self::Job, Self::Pod)
                | (Self::CronJob, Self::Job)
                | (Self::Pod | Self::StatefulSet, Self::PersistentVolumeClaim)
        )
    }
}
