//! `demarc check` on 1,000 and on 10,000 manifests, in one file and in a folder of files: how long, and how much memory.
//! Memory is flat when ten times as many manifests take hardly more.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    common::{deployment, figure},
    process::peak,
    world::binary,
};

const OWNERSHIP: &str = "apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {name: default, namespace: shop}\nspec:\n  serviceModel: PaaS\n  policy: {images: {allowedPrefixes: [ghcr.io/acme]}}\n";

/// As people write them: a kilobyte, in lines.
fn manifest(i: usize) -> String {
    let mut object: Value = deployment("shop", &format!("payments-{i}"), 2);
    for key in ["uid", "creationTimestamp"] {
        object["metadata"].as_object_mut().unwrap().remove(key);
    }
    object["spec"]["template"]["spec"]["volumes"] = json!([]);
    serde_saphyr::to_string(&object).unwrap()
}

/// Seconds, and MiB at most.
fn checked(files: &Path) -> (f64, f64) {
    let began = Instant::now();
    let mut child = Command::new(binary()).arg("check").arg("-f").arg(files).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut highest: f64 = 0.0;
    let status = loop {
        highest = highest.max(peak(child.id()).unwrap_or_default());
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert!(status.code().is_some_and(|code| code < 2), "{}: {said:.500}", files.display());
    (seconds, highest)
}

pub fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let mut figures = Vec::new();
    for number in [1_000, 10_000] {
        eprintln!("check: {number} manifests, in one file and in as many");
        let manifests: Vec<String> = (0..number).map(manifest).collect();
        let one = dir.path().join(format!("{number}.yaml"));
        std::fs::write(&one, format!("{OWNERSHIP}---\n{}", manifests.join("---\n"))).unwrap();
        let folder = dir.path().join(format!("{number}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ownership.yaml"), OWNERSHIP).unwrap();
        for (i, manifest) in manifests.iter().enumerate() {
            std::fs::write(folder.join(format!("payments-{i}.yaml")), manifest).unwrap();
        }
        figures.push([checked(&one), checked(&folder)]);
    }
    for (i, what) in ["one file", "a folder of files"].into_iter().enumerate() {
        let ((thousand, little), (seconds, much)) = (figures[0][i], figures[1][i]);
        let rest = format!("seconds, and memory flat; 1000 take {thousand:.2} s; at most {little:.1} MiB for 1000, {much:.1} MiB for 10000");
        let id = format!("check 10000 in {what}");
        figure(&id, &format!("{seconds:.2} s, memory x {:.2}", much / little), "<= 10 s, x <= 2", seconds <= 10.0 && much <= 2.0 * little, &rest);
    }
}
