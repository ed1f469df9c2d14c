//! Whether a storage class or volume is encrypted, driver by driver, in three values.
//! Each driver names it in its own way; a default that the cluster cannot show is `Unknown`, never assumed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{facts::Facts, text::shown};

/// What the cluster shows about encryption at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encrypted {
    /// Switched on, or always on with this driver.
    Yes,
    /// Switched off, or off by default with this driver; and when the class or volume that says so was made.
    No(String, Option<Timestamp>),
    /// Not visible in the cluster, with what would settle it.
    Unknown(String),
}

impl Encrypted {
    fn made(self, since: Option<Timestamp>) -> Self {
        match self {
            Self::No(why, _) => Self::No(why, since),
            Self::Yes | Self::Unknown(_) => self,
        }
    }
}

enum Absent {
    ProviderEncrypts,
    Off,
    Hidden(&'static str),
    /// The parameter speaks of transit alone, so `true` settles nothing.
    HiddenAtRest(&'static str),
}

struct Driver {
    names: &'static [&'static str],
    /// Matches a name that ends so; Rook prefixes a driver with its operator's namespace.
    suffix: &'static str,
    parameter: Option<&'static str>,
    absent: Absent,
    /// The parameter that names a key of the customer's.
    key: Option<&'static str>,
}

impl Driver {
    const fn named(names: &'static [&'static str], parameter: Option<&'static str>, absent: Absent, key: Option<&'static str>) -> Self {
        Self { names, suffix: "", parameter, absent, key }
    }
}

/// Sources: each driver's own documentation of its StorageClass parameters, read on 2026-11-23.
const DRIVERS: &[Driver] = &[
    Driver::named(
        &["ebs.csi.aws.com", "kubernetes.io/aws-ebs"],
        Some("encrypted"),
        Absent::Hidden("the AWS account may encrypt by default, which the cluster does not show: set parameter encrypted: \"true\""),
        Some("kmsKeyId"),
    ),
    Driver::named(&["pd.csi.storage.gke.io", "kubernetes.io/gce-pd"], None, Absent::ProviderEncrypts, Some("disk-encryption-kms-key")),
    Driver::named(&["filestore.csi.storage.gke.io"], None, Absent::ProviderEncrypts, Some("instance-encryption-kms-key")),
    Driver::named(&["disk.csi.azure.com", "kubernetes.io/azure-disk"], None, Absent::ProviderEncrypts, Some("diskEncryptionSetID")),
    Driver::named(
        &["file.csi.azure.com", "kubernetes.io/azure-file"],
        None,
        Absent::Hidden("encryption belongs to the storage account outside the cluster: record evidence"),
        None,
    ),
    // In transit it is on unless switched off; at rest the file system decides.
    Driver::named(&["efs.csi.aws.com"], Some("encryptInTransit"), Absent::HiddenAtRest("encryption at rest belongs to the file system outside the cluster: record evidence"), None),
    Driver { names: &[], suffix: "rbd.csi.ceph.com", parameter: Some("encrypted"), absent: Absent::Off, key: Some("encryptionKMSID") },
    Driver { names: &[], suffix: "cephfs.csi.ceph.com", parameter: Some("encrypted"), absent: Absent::Off, key: Some("encryptionKMSID") },
    Driver::named(&["pxd.portworx.com", "kubernetes.io/portworx-volume"], Some("secure"), Absent::Off, None),
    Driver::named(&["driver.longhorn.io"], Some("encrypted"), Absent::Off, None),
    Driver::named(&["linodebs.csi.linode.com"], Some("linodebs.csi.linode.com/encrypted"), Absent::Off, None),
    Driver::named(&["csi.vsphere.vmware.com"], None, Absent::Hidden("the vSphere storage policy decides: record evidence"), None),
    Driver::named(&["cinder.csi.openstack.org"], None, Absent::Hidden("the Cinder volume type decides: record evidence"), None),
    Driver::named(
        &[
            "kubernetes.io/no-provisioner",
            "rancher.io/local-path",
            "hostpath.csi.k8s.io",
            "docker.io/hostpath",
            "k8s.io/minikube-hostpath",
            "microk8s.io/hostpath",
            "hostPath",
            "local",
            "nfs",
            "nfs.csi.k8s.io",
        ],
        None,
        Absent::Hidden("the node's disk or the file server decides: record evidence"),
        None,
    ),
];

fn value<'p>(parameters: &'p BTreeMap<String, String>, name: Option<&str>) -> Option<&'p str> {
    name.and_then(|name| parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()))
}

fn known(driver: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|d| d.names.contains(&driver) || !d.suffix.is_empty() && (driver == d.suffix || driver.strip_suffix(d.suffix).is_some_and(|p| p.ends_with('.'))))
}

fn by_driver(what: What<'_>, driver: &str, parameters: &BTreeMap<String, String>) -> Encrypted {
    let Some(known) = known(driver) else {
        return Encrypted::Unknown(format!("{} uses driver {}, whose encryption the cluster does not show: record evidence", what(), shown(driver, 63)));
    };
    match (value(parameters, known.parameter), &known.absent) {
        (Some(v), Absent::HiddenAtRest(why)) if v.eq_ignore_ascii_case("true") => Encrypted::Unknown(format!("{}: {why}", what())),
        (Some(v), _) if v.eq_ignore_ascii_case("true") => Encrypted::Yes,
        (Some(_), _) => Encrypted::No(format!("{} switches encryption off", what()), None),
        (None, Absent::ProviderEncrypts) => Encrypted::Yes,
        (None, Absent::Off) => Encrypted::No(format!("{} has no encryption", what()), None),
        (None, Absent::Hidden(why) | Absent::HiddenAtRest(why)) => Encrypted::Unknown(format!("{}: {why}", what())),
    }
}

/// Whether it is encrypted by a key that its parameters name.
fn key_by_driver(what: What<'_>, driver: &str, parameters: &BTreeMap<String, String>) -> Encrypted {
    let named = value(parameters, known(driver).and_then(|d| d.key)).is_some_and(|v| !v.trim().is_empty());
    match (by_driver(what, driver, parameters), known(driver).and_then(|d| d.key)) {
        (Encrypted::Yes, Some(_)) if named => Encrypted::Yes,
        (Encrypted::Yes, Some(key)) => Encrypted::No(format!("{} names none ({key})", what()), None),
        (Encrypted::Yes, None) => Encrypted::Unknown(format!("{} uses driver {}, which names no key: record evidence", what(), shown(driver, 63))),
        (other @ (Encrypted::No(..) | Encrypted::Unknown(_)), _) => other,
    }
}

/// The class or volume that is judged, in words; asked for only where there is something to say of it.
type What<'w> = &'w dyn Fn() -> String;
/// What the class of a claim is judged by.
type Judge = fn(What<'_>, &str, &BTreeMap<String, String>) -> Encrypted;

/// What a claim with this class and volume gets. `class: None` is the cluster's default, `Some("")` statically bound.
pub(super) fn of_claim(class: Option<&str>, volume: Option<&str>, facts: &Facts) -> Encrypted {
    judged(class, volume, facts, by_driver)
}

/// Whether a claim with this class and volume gets a key of the customer's.
pub(super) fn key_of_claim(class: Option<&str>, volume: Option<&str>, facts: &Facts) -> Encrypted {
    judged(class, volume, facts, key_by_driver)
}

fn judged(class: Option<&str>, volume: Option<&str>, facts: &Facts, judge: Judge) -> Encrypted {
    if let Some(name) = volume.filter(|v| !v.is_empty()) {
        return of_volume(name, facts, judge);
    }
    let classes = match &facts.storage_classes {
        Ok(classes) => classes,
        Err(reason) => return Encrypted::Unknown(format!("storage classes cannot be read: {reason}")),
    };
    let found = match class {
        Some("") => return Encrypted::Unknown("bound by hand to no volume yet: name the volume".to_owned()),
        Some(name) => classes.get_key_value(name).ok_or_else(|| format!("storage class \"{}\" does not exist", shown(name, 63))),
        None => {
            classes.iter().filter(|(_, c)| c.default).max_by(|a, b| a.1.created.cmp(&b.1.created).then(b.0.cmp(a.0))).ok_or_else(|| "no default storage class: name one".to_owned())
        }
    };
    match found {
        Ok((name, class)) => judge(&|| format!("class \"{}\"", shown(name, 63)), &class.provisioner, &class.parameters).made(class.created),
        Err(why) => Encrypted::Unknown(why),
    }
}

/// What a volume is: its own attributes, else the class that it came from unless that class was made anew since.
fn of_volume(name: &str, facts: &Facts, judge: Judge) -> Encrypted {
    let volumes = match &facts.volumes {
        Ok(volumes) => volumes,
        Err(reason) => return Encrypted::Unknown(format!("volumes cannot be read: {reason}")),
    };
    let Some(volume) = volumes.get(name) else { return Encrypted::Unknown(format!("volume \"{}\" does not exist", shown(name, 63))) };
    let own = judge(&|| format!("volume \"{}\"", shown(name, 63)), &volume.driver, &volume.attributes).made(volume.created);
    let class = volume.class.as_deref().filter(|c| !c.is_empty());
    match (&own, class, &facts.storage_classes) {
        // A driver that encrypts nothing by default says so only in its class: the attributes of a volume may leave it out.
        (Encrypted::Yes, ..) | (_, None, _) | (_, _, Err(_)) => own,
        (Encrypted::No(..) | Encrypted::Unknown(_), Some(class), Ok(classes)) => match classes.get(class) {
            Some(c) if c.created <= volume.created => judge(&|| format!("class \"{}\"", shown(class, 63)), &c.provisioner, &c.parameters).made(c.created),
            Some(_) => Encrypted::Unknown(format!("class \"{}\" is newer than volume \"{}\": record evidence", shown(class, 63), shown(name, 63))),
            None => Encrypted::Unknown(format!("class \"{}\" of volume \"{}\" is gone: record evidence", shown(class, 63), shown(name, 63))),
        },
    }
}

/// What of a claim offends: moving to another class that does is a new violation.
pub(super) fn offending<'c>(class: Option<&'c str>, volume: Option<&'c str>) -> &'c str {
    class.or(volume).unwrap_or("(default)")
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::facts::{ClaimFact, StorageClass, Volume};

    /// Classes `sealed` (encrypted), `keyed` (by a key that it names), `plain` (explicitly not), `hidden` (the account decides); volumes `vol-off` of class `plain` and `vol-own` (off by its own attribute); claim `shop/data-off`.
    pub fn facts() -> Facts {
        let class = |driver: &str, parameters: &[(&str, &str)], default| StorageClass {
            provisioner: driver.into(),
            parameters: parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            default,
            created: "2026-01-01T00:00:00Z".parse().ok(),
        };
        let ebs = "ebs.csi.aws.com";
        Facts {
            storage_classes: Ok(Arc::new(
                [
                    ("sealed", class(ebs, &[("Encrypted", "true")], false)),
                    ("keyed", class(ebs, &[("encrypted", "true"), ("kmskeyid", "alias/a")], false)),
                    ("plain", class(ebs, &[("encrypted", "false")], false)),
                    ("hidden", class(ebs, &[], true)),
                ]
                .map(|(k, v)| (k.to_owned(), v))
                .into(),
            )),
            volumes: Ok(Arc::new(
                [
                    ("vol-off".to_owned(), Volume { driver: ebs.into(), class: Some("plain".into()), created: "2026-02-01T00:00:00Z".parse().ok(), ..Volume::default() }),
                    (
                        "vol-own".to_owned(),
                        Volume { driver: ebs.into(), attributes: [("encrypted".into(), "false".into())].into(), class: None, created: "2026-02-01T00:00:00Z".parse().ok() },
                    ),
                ]
                .into(),
            )),
            claims: Ok(Arc::new([("shop/data-off".to_owned(), ClaimFact { class: Some("plain".into()), volume: None })].into())),
            ..Facts::empty()
        }
    }

    #[test]
    fn each_driver_says_it_in_its_own_way() {
        let p = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for (driver, parameters, word) in [
            ("ebs.csi.aws.com", p(&[("encrypted", "true")]), "Yes"),
            ("ebs.csi.aws.com", p(&[("ENCRYPTED", "true")]), "Yes"),
            ("ebs.csi.aws.com", p(&[("encrypted", "false")]), "No"),
            ("ebs.csi.aws.com", p(&[]), "Unknown"),
            ("pd.csi.storage.gke.io", p(&[]), "Yes"),
            ("disk.csi.azure.com", p(&[]), "Yes"),
            ("file.csi.azure.com", p(&[]), "Unknown"),
            ("rook-ceph.rbd.csi.ceph.com", p(&[]), "No"),
            ("rook-ceph.rbd.csi.ceph.com", p(&[("encrypted", "true")]), "Yes"),
            ("evilrbd.csi.ceph.com", p(&[]), "Unknown"),
            ("driver.longhorn.io", p(&[]), "No"),
            ("linodebs.csi.linode.com", p(&[("linodebs.csi.linode.com/encrypted", "true")]), "Yes"),
            ("kubernetes.io/no-provisioner", p(&[]), "Unknown(\"x: the node's disk"),
            ("hostPath", p(&[]), "Unknown(\"x: the node's disk"),
            ("nfs", p(&[("encrypted", "true")]), "Unknown"),
            ("filestore.csi.storage.gke.io", p(&[]), "Yes"),
            ("efs.csi.aws.com", p(&[]), "Unknown(\"x: encryption at rest belongs"),
            ("efs.csi.aws.com", p(&[("encryptInTransit", "true")]), "Unknown"),
            ("efs.csi.aws.com", p(&[("encryptInTransit", "false")]), "No"),
            ("cephfs.csi.ceph.com", p(&[]), "No"),
            ("pxd.portworx.com", p(&[("secure", "true")]), "Yes"),
            ("csi.vsphere.vmware.com", p(&[]), "Unknown"),
            ("cinder.csi.openstack.org", p(&[]), "Unknown"),
            ("", p(&[]), "Unknown"),
        ] {
            let said = format!("{:?}", by_driver(&|| "x".to_owned(), driver, &parameters));
            assert!(said.starts_with(word), "{driver} {parameters:?}: {said}");
        }
    }

    #[test]
    fn each_driver_names_a_key_in_its_own_way() {
        let p = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for (driver, parameters, word) in [
            ("ebs.csi.aws.com", p(&[("encrypted", "true"), ("kmsKeyId", "k")]), "Yes"),
            ("ebs.csi.aws.com", p(&[("encrypted", "true"), ("kmsKeyId", " ")]), "No"),
            ("ebs.csi.aws.com", p(&[("encrypted", "false"), ("kmsKeyId", "k")]), "No"),
            ("ebs.csi.aws.com", p(&[("kmsKeyId", "k")]), "Unknown"),
            ("pd.csi.storage.gke.io", p(&[("disk-encryption-kms-key", "k")]), "Yes"),
            ("pd.csi.storage.gke.io", p(&[]), "No"),
            ("filestore.csi.storage.gke.io", p(&[("instance-encryption-kms-key", "k")]), "Yes"),
            ("disk.csi.azure.com", p(&[("diskEncryptionSetID", "k")]), "Yes"),
            ("disk.csi.azure.com", p(&[]), "No"),
            ("rook-ceph.rbd.csi.ceph.com", p(&[("encrypted", "true"), ("encryptionKMSID", "k")]), "Yes"),
            ("rook-ceph.rbd.csi.ceph.com", p(&[("encryptionKMSID", "k")]), "No"),
            ("driver.longhorn.io", p(&[("encrypted", "true")]), "Unknown"),
            ("elsewhere.example", p(&[("kmsKeyId", "k")]), "Unknown"),
        ] {
            let said = format!("{:?}", key_by_driver(&|| "x".to_owned(), driver, &parameters));
            assert!(said.starts_with(word), "{driver} {parameters:?}: {said}");
        }
    }

    #[test]
    fn a_claim_resolves_to_its_class_or_volume() {
        let facts = facts();
        for (class, volume, word) in [
            (Some("sealed"), None, "Yes"),
            (Some("plain"), None, "No"),
            (None, None, "Unknown"),
            (Some(""), None, "Unknown"),
            (Some("missing"), None, "Unknown"),
            (Some(""), Some("vol-off"), "No"),
            (Some("sealed"), Some("missing"), "Unknown"),
        ] {
            let said = format!("{:?}", of_claim(class, volume, &facts));
            assert!(said.starts_with(word), "{class:?} {volume:?}: {said}");
        }
        let made = |class, volume| match of_claim(class, volume, &facts) {
            Encrypted::No(_, since) => since.map(|t| t.to_string()),
            Encrypted::Yes | Encrypted::Unknown(_) => None,
        };
        assert_eq!(made(Some("plain"), None).as_deref(), Some("2026-01-01T00:00:00Z"), "the class's");
        assert_eq!(made(None, Some("vol-off")).as_deref(), Some("2026-01-01T00:00:00Z"), "the class's, of which the volume is");
        assert_eq!(made(None, Some("vol-own")).as_deref(), Some("2026-02-01T00:00:00Z"), "the volume's own");
        assert!(matches!(of_claim(Some("sealed"), None, &Facts::none("forbidden")), Encrypted::Unknown(_)));
    }
}
