//! Whether a storage class or volume is encrypted, driver by driver, in three values.
//! Each driver names it in its own way; a default that the cluster cannot show is `Unknown`, never assumed.

use std::collections::BTreeMap;

use crate::model::{facts::Facts, text::shown};

/// What the cluster shows about encryption at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encrypted {
    /// Switched on, or always on with this driver.
    Yes,
    /// Switched off, or off by default with this driver.
    No(String),
    /// Not visible in the cluster, with what would settle it.
    Unknown(String),
}

enum Absent {
    ProviderEncrypts,
    Off,
    Hidden(&'static str),
}

struct Driver {
    names: &'static [&'static str],
    /// Matches a name that ends so; Rook prefixes a driver with its operator's namespace.
    suffix: &'static str,
    parameter: Option<&'static str>,
    absent: Absent,
}

/// Sources: each driver's own documentation of its StorageClass parameters, read on 2026-11-23.
const DRIVERS: &[Driver] = &[
    Driver {
        names: &["ebs.csi.aws.com", "kubernetes.io/aws-ebs"],
        suffix: "",
        parameter: Some("encrypted"),
        absent: Absent::Hidden("the AWS account may encrypt by default, which the cluster does not show: set parameter encrypted: \"true\""),
    },
    Driver { names: &["pd.csi.storage.gke.io", "kubernetes.io/gce-pd", "filestore.csi.storage.gke.io"], suffix: "", parameter: None, absent: Absent::ProviderEncrypts },
    Driver { names: &["disk.csi.azure.com", "kubernetes.io/azure-disk"], suffix: "", parameter: None, absent: Absent::ProviderEncrypts },
    Driver {
        names: &["file.csi.azure.com", "kubernetes.io/azure-file", "efs.csi.aws.com"],
        suffix: "",
        parameter: None,
        absent: Absent::Hidden("encryption belongs to the file system or account outside the cluster: record evidence"),
    },
    Driver { names: &[], suffix: "rbd.csi.ceph.com", parameter: Some("encrypted"), absent: Absent::Off },
    Driver { names: &[], suffix: "cephfs.csi.ceph.com", parameter: Some("encrypted"), absent: Absent::Off },
    Driver { names: &["pxd.portworx.com", "kubernetes.io/portworx-volume"], suffix: "", parameter: Some("secure"), absent: Absent::Off },
    Driver { names: &["driver.longhorn.io"], suffix: "", parameter: Some("encrypted"), absent: Absent::Off },
    Driver { names: &["linodebs.csi.linode.com"], suffix: "", parameter: Some("linodebs.csi.linode.com/encrypted"), absent: Absent::Off },
    Driver { names: &["csi.vsphere.vmware.com"], suffix: "", parameter: None, absent: Absent::Hidden("the vSphere storage policy decides: record evidence") },
    Driver { names: &["cinder.csi.openstack.org"], suffix: "", parameter: None, absent: Absent::Hidden("the Cinder volume type decides: record evidence") },
];

fn by_driver(what: &str, driver: &str, parameters: &BTreeMap<String, String>) -> Encrypted {
    let known =
        DRIVERS.iter().find(|d| d.names.contains(&driver) || !d.suffix.is_empty() && (driver == d.suffix || driver.strip_suffix(d.suffix).is_some_and(|p| p.ends_with('.'))));
    let Some(known) = known else {
        return Encrypted::Unknown(format!("{what} uses driver {}, whose encryption the cluster does not show: record evidence", shown(driver, 63)));
    };
    let set = known.parameter.and_then(|p| parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(p)).map(|(_, v)| v.as_str()));
    match (set, &known.absent) {
        (Some(v), _) if v.eq_ignore_ascii_case("true") => Encrypted::Yes,
        (Some(_), _) => Encrypted::No(format!("{what} switches encryption off")),
        (None, Absent::ProviderEncrypts) => Encrypted::Yes,
        (None, Absent::Off) => Encrypted::No(format!("{what} has no encryption")),
        (None, Absent::Hidden(why)) => Encrypted::Unknown(format!("{what}: {why}")),
    }
}

/// What a claim with this class and volume gets. `class: None` is the cluster's default, `Some("")` statically bound.
pub(super) fn of_claim(class: Option<&str>, volume: Option<&str>, facts: &Facts) -> Encrypted {
    if let Some(name) = volume.filter(|v| !v.is_empty()) {
        return of_volume(name, facts);
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
        Ok((name, class)) => by_driver(&format!("class \"{}\"", shown(name, 63)), &class.provisioner, &class.parameters),
        Err(why) => Encrypted::Unknown(why),
    }
}

/// What a volume is: its own attributes, else the class that it came from unless that class was made anew since.
fn of_volume(name: &str, facts: &Facts) -> Encrypted {
    let volumes = match &facts.volumes {
        Ok(volumes) => volumes,
        Err(reason) => return Encrypted::Unknown(format!("volumes cannot be read: {reason}")),
    };
    let Some(volume) = volumes.get(name) else { return Encrypted::Unknown(format!("volume \"{}\" does not exist", shown(name, 63))) };
    let own = by_driver(&format!("volume \"{}\"", shown(name, 63)), &volume.driver, &volume.attributes);
    let class = volume.class.as_deref().filter(|c| !c.is_empty());
    match (&own, class, &facts.storage_classes) {
        // A driver that encrypts nothing by default says so only in its class: the attributes of a volume may leave it out.
        (Encrypted::Yes, ..) | (_, None, _) | (_, _, Err(_)) => own,
        (Encrypted::No(_) | Encrypted::Unknown(_), Some(class), Ok(classes)) => match classes.get(class) {
            Some(c) if c.created <= volume.created => by_driver(&format!("class \"{}\"", shown(class, 63)), &c.provisioner, &c.parameters),
            Some(_) => Encrypted::Unknown(format!("class \"{}\" is newer than volume \"{}\": record evidence", shown(class, 63), shown(name, 63))),
            None => Encrypted::Unknown(format!("class \"{}\" of volume \"{}\" is gone: record evidence", shown(class, 63), shown(name, 63))),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::facts::{ClaimFact, StorageClass, Volume};

    /// Classes `sealed` (encrypted), `plain` (explicitly not), `hidden` (the account decides); volume `vol-off` of class `plain`; claim `shop/data-off`.
    pub fn facts() -> Facts {
        let class = |driver: &str, parameters: &[(&str, &str)], default| StorageClass {
            provisioner: driver.into(),
            parameters: parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            default,
            created: "2026-01-01T00:00:00Z".into(),
        };
        let ebs = "ebs.csi.aws.com";
        Facts {
            storage_classes: Ok(Arc::new(
                [("sealed", class(ebs, &[("Encrypted", "true")], false)), ("plain", class(ebs, &[("encrypted", "false")], false)), ("hidden", class(ebs, &[], true))]
                    .map(|(k, v)| (k.to_owned(), v))
                    .into(),
            )),
            volumes: Ok(Arc::new(
                [("vol-off".to_owned(), Volume { driver: ebs.into(), class: Some("plain".into()), created: "2026-02-01T00:00:00Z".into(), ..Volume::default() })].into(),
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
            ("kubernetes.io/no-provisioner", p(&[]), "Unknown"),
        ] {
            let said = format!("{:?}", by_driver("x", driver, &parameters));
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
        assert!(matches!(of_claim(Some("sealed"), None, &Facts::none("forbidden")), Encrypted::Unknown(_)));
    }
}
