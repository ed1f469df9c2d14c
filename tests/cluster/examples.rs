//! The examples' declarations, applied as they are to a real API server: what is written there is taken, without a warning.
//! A Waiver's requester and its end are whoever's and whenever it is applied.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::{
    support::eventually,
    world::{SOON, World},
};

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            into.push(path);
        }
    }
    into.sort();
}

#[test]
fn each_example_is_taken_as_it_is() {
    let world = World::start();
    let mut all = Vec::new();
    files(Path::new("examples"), &mut all);
    assert!(all.len() > 7, "the examples are gone");
    let soon = (Timestamp::now() + SignedDuration::from_hours(24 * 30)).strftime("%FT%TZ").to_string();
    for file in &all {
        let mut text = std::fs::read_to_string(file).unwrap();
        if file.ends_with("waiver.yaml") {
            let (by, expires) = ("requestedBy: dana@aurora.example", "expires: \"2027-01-31T00:00:00Z\"");
            assert!(text.contains(by) && text.contains(expires), "{text}");
            text = text.replace(by, "requestedBy: admin").replace(expires, &format!("expires: \"{soon}\""));
        }
        let said = world.plane.kubectl(&["apply", "-f", "-"], Some(&text));
        // A replica may hear of an Ownership before it hears of the Parties beside it, and says so.
        let other = said.err.lines().find(|line| !line.starts_with("Warning: there is no Party "));
        assert!(said.ok && other.is_none(), "{}: {said:?}", file.display());
        assert!(!said.out.contains("unchanged") && !said.out.contains("configured"), "two declare the same: {said:?}");
    }
    // A customer of two providers is one Party.
    for (namespace, enrolled) in [("shop", "True"), ("billing", "True"), ("telemetry", "True"), ("harbordesk-meridian", "False")] {
        let condition = |kind: &str, field: &str| world.field(namespace, "ownership/default", &format!(".status.conditions[?(@.type==\"{kind}\")].{field}"));
        eventually(&format!("{namespace} is read, and its enforcement is {enrolled}"), SOON, || match (condition("Ready", "status").as_str(), condition("Enforcing", "status")) {
            ("True", enforcing) if enforcing == enrolled => Ok(()),
            _ => Err(world.field(namespace, "ownership/default", ".status.conditions")),
        });
        for wrong in ["UnknownControl", "BelowBaseline", "LeftBaseline", "Stalled"] {
            assert_eq!(condition(wrong, "message"), "", "{namespace}");
        }
        let verdict = world.field(namespace, "ownership/default", ".status.matrix[?(@.control==\"responsibility-declared\")].verdict");
        assert_eq!(verdict, "Satisfied", "{namespace}: {}", world.field(namespace, "ownership/default", ".status.findings"));
    }
}
