//! Keeps the arrow of imports: api → model → controls → policy → admission ‖ controller → cli, run → main; traces stand between model and the two doors.
//! Also keeps clocks and I/O out of the still house, where `now` is an argument.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

const ORDER: &[(&str, &[&str])] = &[
    ("api", &["api"]),
    ("model", &["api", "model"]),
    ("controls", &["api", "model", "controls"]),
    ("policy", &["api", "model", "controls", "policy"]),
    ("traces", &["model", "traces"]),
    ("admission", &["api", "model", "controls", "policy", "traces", "admission"]),
    ("controller", &["api", "model", "controls", "policy", "traces", "controller"]),
    ("cli", &["api", "model", "controls", "policy", "admission", "controller", "cli"]),
];

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    entries.map(|e| e.unwrap().path()).flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

/// The code of a file without its tests and comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms named after `crate::`, in braces or not.
fn rooms(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 1 && (c.is_alphanumeric() || c == '_') {
                    word.push(c);
                } else if depth == 1 && (c == ':' || c == ',') && !word.is_empty() {
                    // `a::{…}` and `a::b` both begin with the room; what follows the colons is not one.
                    found.push(std::mem::take(&mut word));
                    if c == ':' {
                        word.push('~');
                    }
                } else if depth == 1 && c == ',' {
                    word.clear();
                }
                if c == ',' && depth == 1 {
                    word.clear();
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found.retain(|w| !w.starts_with('~') && !w.is_empty());
    found
}

#[test]
fn imports_run_one_way() {
    for (room, allowed) in ORDER {
        for file in files(&Path::new("src").join(room)) {
            for used in rooms(&code(&file)) {
                let is_room = ORDER.iter().any(|(r, _)| *r == used) || matches!(used.as_str(), "run" | "cli");
                assert!(!is_room || allowed.contains(&used.as_str()), "{} uses {used}; {room} may use {allowed:?}", file.display());
            }
        }
    }
}

#[test]
fn the_still_house_is_still() {
    let pure =
        ["answer.rs", "adopted.rs", "ratchet.rs", "denial.rs", "probe.rs", "review.rs", "declarations.rs", "guard.rs", "house.rs"].map(|f| Path::new("src/admission").join(f));
    let still = ["api", "model", "controls", "policy"].iter().flat_map(|room| files(&Path::new("src").join(room))).chain(pure);
    // A module of tests alone is not the house.
    for file in still.filter(|file| file.file_name().is_none_or(|name| name != "tests.rs")) {
        let code = code(&file);
        for forbidden in
            ["Timestamp::now", "SystemTime", "Instant::", "std::env", "std::fs", "tokio::", "tracing::", "crate::traces", "opentelemetry", "async fn", "println!", ".await"]
        {
            assert!(!code.contains(forbidden), "{} has {forbidden}", file.display());
        }
    }
}

#[test]
fn the_reader_of_imports_sees_rooms() {
    assert_eq!(rooms("use crate::{\n    api::{a, b::c},\n    model::subject::Kind,\n};\nuse crate::policy::book::Book; crate::run::x()"), ["api", "model", "policy", "run"]);
}
