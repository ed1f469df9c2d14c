//! What pipelines ask of `demarc check`: formats that their pages read, a baseline, filters, and context from elsewhere.
//! The SARIF schema is the standard's own, without its prose.

use std::{
    collections::BTreeSet,
    io::Cursor,
    path::{Path, PathBuf},
};

use demarc::cli::{
    check,
    cluster::{Found, Listed},
};
use serde_json::{Value, json};

use crate::{CheckCommand, OWNERSHIP, POD, checked};

/// A folder with files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }
    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

fn violators() -> String {
    format!("{OWNERSHIP}---\n{POD}---\n{}", POD.replace("name: p}", "name: q}").replace("hostPID", "hostIPC"))
}

#[test]
fn sarif_is_what_the_standard_says() {
    let mut compiler = boon::Compiler::new();
    let schema: Value = serde_json::from_str(include_str!("../data/sarif-2.1.0.json")).unwrap();
    compiler.add_resource("sarif.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("sarif.json", &mut schemas).unwrap();
    let valid = |sarif: &Value| schemas.validate(sarif, index).map_err(|e| e.to_string());
    assert!(valid(&json!({"version": "2.1.0", "runs": [{}]})).is_err(), "the schema judges nothing");
    for (input, results) in [(violators(), 2), (OWNERSHIP.to_owned(), 0)] {
        let (code, out, err) = checked(&["-f", "-", "-o", "sarif"], input.as_bytes());
        assert_eq!((code, err.as_str()), (u8::from(results > 0), ""));
        let sarif: Value = serde_json::from_str(&out).unwrap();
        valid(&sarif).unwrap();
        let run = &sarif["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), results, "{out}");
        for result in run["results"].as_array().unwrap() {
            let rule = &run["tool"]["driver"]["rules"][usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
            assert_eq!(rule["id"], result["ruleId"]);
            assert_eq!((&result["level"], &result["baselineState"]), (&json!("error"), &json!("new")));
        }
    }
    let (_, out, _) = checked(&["-f", "-", "-o", "sarif"], violators().as_bytes());
    let sarif: Value = serde_json::from_str(&out).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place, &json!({"artifactLocation": {"uri": "stdin"}, "region": {"startLine": 9, "startColumn": 17}}), "{out}");
}

#[test]
fn github_reads_each_finding_as_a_command_and_nothing_else() {
    let hostile = POD.replace("name: p}", "name: \"p\\n::error::x\"}");
    let folder = Folder::with(&[("own.yaml", OWNERSHIP), ("a,b:c%.yaml", &hostile)]);
    let (code, out, err) = checked(&["-f", &folder.at(""), "-o", "github"], b"");
    assert_eq!((code, err.as_str()), (1, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("::error file=/") && lines[0].contains("a%2Cb%3Ac%25.yaml,line=4,col=17,title=pod-security-standard::pod/p"), "{out}");
    assert!(lines[1].contains(" objects in 2 files: ") && lines[1].contains(" 1 denied, 0 warned, "), "{out}");
}

#[test]
fn a_baseline_hides_what_stood_and_nothing_that_is_new() {
    let folder = Folder::with(&[("all.yaml", &violators())]);
    let (all, baseline) = (folder.at("all.yaml"), folder.at("baseline.json"));
    let (code, out, err) = checked(&["-f", &all, "--write-baseline", &baseline], b"");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let written = std::fs::read_to_string(&baseline).unwrap();
    assert_eq!(written.matches("pod-security-standard pod/").count(), 2, "{written}");
    checked(&["-f", &all, "--write-baseline", &baseline], b"");
    assert_eq!(written, std::fs::read_to_string(&baseline).unwrap(), "two runs write the same");
    let (code, out, _) = checked(&["-f", &all, "--baseline", &baseline], b"");
    assert!(code == 0 && out.lines().count() == 1 && out.contains(" 0 denied, 0 warned, ") && out.ends_with(" (--show-unknown), 2 known\n"), "{out}");
    // Another line, and a finding more beside it.
    folder.write("all.yaml", &format!("# moved\n\n{}", violators().replace("hostIPC: true", "hostIPC: true, hostNetwork: true")));
    let (code, out, _) = checked(&["-f", &all, "--baseline", &baseline], b"");
    assert!(code == 1 && out.contains("pod/q: shares a namespace of the node") && out.contains("^^^^ spec.hostNetwork") && !out.contains("hostPID"), "{out}");
    let (_, sarif, _) = checked(&["-f", &all, "--baseline", &baseline, "-o", "sarif"], b"");
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let states: Vec<&str> = sarif["runs"][0]["results"].as_array().unwrap().iter().map(|r| r["baselineState"].as_str().unwrap()).collect();
    assert_eq!(states, ["unchanged", "new", "unchanged", "new"]);
    folder.write("all.yaml", &format!("{OWNERSHIP}---\n{POD}"));
    let (code, out, _) = checked(&["-f", &all, "--baseline", &baseline], b"");
    assert!(code == 0 && out.ends_with(", 1 known; 1 of the baseline gone, write it anew\n"), "{out}");
    for (nonsense, says) in [
        ("", "is no baseline"),
        ("[]", "is no baseline"),
        ("{\"version\": 2, \"findings\": {}}", "version 2"),
        ("{\"version\": 1, \"findings\": {}, \"x\": 1}", "is no baseline"),
        ("\u{0}", "is no baseline"),
    ] {
        folder.write("baseline.json", nonsense);
        let (code, out, err) = checked(&["-f", &all, "--baseline", &baseline], b"");
        assert!((code, out.as_str()) == (2, "") && err.contains(says) && err.contains("--write-baseline"), "{nonsense}: {err}");
    }
    for (flag, path, says) in [("--baseline", "nowhere", "cannot be read"), ("--baseline", "/", "cannot be read"), ("--write-baseline", "/nowhere/b.json", "cannot be written")] {
        let (code, _, err) = checked(&["-f", &all, flag, path], b"");
        assert!(code == 2 && err.contains(says), "{path}: {err}");
    }
}

#[test]
fn filters_leave_out_what_is_not_asked() {
    let input = violators();
    for (args, code, says) in [
        (&["--control", "workload-named-owner"][..], 0, " clean, 0 denied"),
        (&["--control", "workload-named-owner", "--control", "pod-security-standard"], 1, " clean, 2 denied"),
        (&["--severity", "critical"], 0, " clean, 0 denied"),
        (&["--severity", "high"], 1, " clean, 2 denied"),
    ] {
        let (said, out, err) = checked(&[&["-f", "-"], args].concat(), input.as_bytes());
        assert!(said == code && out.contains(says), "{args:?}: {out}{err}");
    }
    let (code, out, err) = checked(&["-f", "-", "--control", "pod-security-standart"], input.as_bytes());
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (2, "", "error: --control: nobody knows \"pod-security-standart\"; the nearest is pod-security-standard (demarc explain lists them)\n")
    );
}

#[test]
fn what_is_looked_up_is_not_judged_and_what_is_judged_speaks_louder() {
    let loose = OWNERSHIP.replace("serviceModel: PaaS", "serviceModel: PaaS, mode: Audit");
    let folder = Folder::with(&[("own.yaml", &format!("{OWNERSHIP}---\n{POD}")), ("pod.yaml", POD), ("both.yaml", &format!("{loose}---\n{POD}")), ("twice.yaml", OWNERSHIP)]);
    let (own, pod, both) = (folder.at("own.yaml"), folder.at("pod.yaml"), folder.at("both.yaml"));
    let (code, out, _) = checked(&["-f", &pod], b"");
    assert!(code == 0 && out.starts_with("note: 1 object not judged"), "{out}");
    let (code, out, _) = checked(&["-f", &pod, "--against", &own], b"");
    assert!(code == 1 && out.contains("1 object in 1 file: 0 clean, 1 denied"), "{out}");
    let (code, out, _) = checked(&["-f", &both, "--against", &own], b"");
    assert!(code == 0 && out.contains(" in 1 file: 1 clean, 0 denied, 1 warned"), "{out}");
    let (code, _, err) = checked(&["-f", &pod, "--against", &own, "--against", &folder.at("twice.yaml")], b"");
    assert!(code == 2 && err.contains("declared already"), "{err}");
    let (code, _, err) = checked(&["-f", &pod, "--against", &folder.at("nowhere")], b"");
    assert!(code == 2 && err.contains("cannot be read"), "{err}");
}

/// `check` beside a cluster that answers so.
fn beside(files: &[&str], answer: impl Fn(&str, &BTreeSet<String>) -> anyhow::Result<Found>) -> (u8, String, String) {
    let args = ["check"].iter().chain(files).chain(&["--context", "staging", "--show-unknown"]);
    let args = <CheckCommand as clap::Parser>::parse_from(args).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ask = |context: &str, namespaces: &BTreeSet<String>| answer(context, namespaces);
    let code = check::run(&args, &mut Cursor::new(POD), &mut ask, &mut out, &mut err, "2026-04-01T00:00:00Z".parse().unwrap()).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn a_cluster_says_all_that_it_has_and_why_it_does_not() {
    let list = |items: &[Value]| Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string().into_bytes());
    let own = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"}, "spec": {"serviceModel": "PaaS", "defaultOwner": "team"}});
    let (code, out, err) = beside(&["-f", "-", "-n", "shop"], |context, namespaces| {
        assert_eq!((context, namespaces.iter().map(String::as_str).collect::<Vec<_>>()), ("staging", vec!["shop"]));
        let lists = vec![
            Listed { kind: "Ownership", found: list(std::slice::from_ref(&own)) },
            Listed { kind: "NetworkPolicy", found: list(&[]) },
            Listed { kind: "RoleBinding", found: Err("rolebindings cannot be listed: no".to_owned()) },
        ];
        Ok(Found { lists, ..Found::default() })
    });
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("error[pod-security-standard]") && out.contains("network-policy-present]: pod/p: no NetworkPolicy selects it"), "{out}");
    let (code, out, err) = beside(&["-f", "-"], |_, _| anyhow::bail!("no answer"));
    assert_eq!((code, out.as_str(), err.as_str()), (2, "", "error: context staging: no answer\n"));
    let (code, _, err) = beside(&["-f", "-"], |_, _| Ok(Found { lists: vec![Listed { kind: "Ownership", found: Ok(b"[".to_vec()) }], server: None }));
    assert!(code == 2 && err.starts_with("error: context staging, Ownership:"), "{err}");
}

const WAIVER: &str = "---\napiVersion: demarc.dev/v1alpha1\nkind: Waiver\nmetadata: {name: w, namespace: default}\nspec:\n  control: pod-security-standard\n  target: {kind: Pod, name: p}\n  reason: a\n  requestedBy: jo\n  expires: '2026-05-01T00:00:00Z'\n";
const APPROVAL: &str = "  approval: {by: sam, at: '2026-03-02T00:00:00Z'}\n";

/// In Git a Waiver is asked for; whether it counts the cluster says.
#[test]
fn a_waiver_counts_where_a_cluster_approved_it_and_not_by_a_file() {
    let stored = |waiver: &str| waiver.replace("name: w,", "name: w, uid: u-1, creationTimestamp: '2026-03-01T00:00:00Z',");
    let (asked, given) = (WAIVER.to_owned(), format!("{WAIVER}{APPROVAL}"));
    let judged = format!("{OWNERSHIP}---\n{POD}");
    let checked_with = |waiver: &str, against: &str| {
        let folder = Folder::with(&[("all.yaml", &format!("{judged}{waiver}")), ("own.yaml", against)]);
        let all = folder.at("all.yaml");
        if against.is_empty() { checked(&["-f", &all], b"") } else { checked(&["-f", &all, "--against", &folder.at("own.yaml")], b"") }
    };
    for (what, waiver, against, code) in [
        ("only asked for", asked.clone(), String::new(), 1),
        ("approved in the file", given.clone(), String::new(), 2),
        ("approved, and read from a cluster", stored(&given), String::new(), 0),
        ("approved in what is looked up", String::new(), given.clone(), 0),
        ("asked for in the file and approved in the cluster", asked.clone(), stored(&given), 0),
        ("asked for in the file and in the cluster", asked.clone(), stored(&asked), 1),
        ("asked for anew in the file and not approved", asked.replace("reason: a", "reason: b"), stored(&asked), 1),
        ("changed in the file and approved before", asked.replace("reason: a", "reason: b"), stored(&given), 2),
        ("asked for by another than before", asked.replace("requestedBy: ", "requestedBy: x"), stored(&asked), 2),
        ("approved in the file and in the cluster", given.clone(), stored(&given), 0),
        (
            "for a duty, and stored",
            asked.replace("pod-security-standard", "penetration-test-current"),
            stored(&asked.replace("pod-security-standard", "penetration-test-current")),
            1,
        ),
        ("for a duty, and stored alone", String::new(), stored(&asked.replace("pod-security-standard", "penetration-test-current")), 1),
        ("longer than from now", asked.replace("05-01", "07-01"), String::new(), 2),
        ("longer than from when it was made", asked.replace("05-01", "06-15"), stored(&asked), 2),
        ("as long as from now", asked.replace("05-01", "06-15"), String::new(), 1),
        ("over, as it may stand in Git", asked.replace("05-01", "01-01"), String::new(), 1),
    ] {
        let (said, out, err) = checked_with(&waiver, &against);
        assert_eq!(said, code, "{what}: {out}{err}");
        let because = match what.split_once(' ').unwrap().0 {
            "longer" => "spec.expires: a Waiver here ends at most 90 days after it was made",
            "changed" => "spec: an approval is for what was approved: remove spec.approval with this change",
            "asked" => "spec.requestedBy: whoever asked for a Waiver stays its requester",
            _ => "spec.approval: a Waiver is approved after",
        };
        assert_eq!(err.contains(because), code == 2, "{what}: {err}");
        assert_eq!(out.contains("by waiver w"), code == 0, "{what}: {out}");
    }
    let list = |waiver: &str| {
        let waiver: Value = serde_saphyr::from_str(waiver.trim_start_matches("---\n")).unwrap();
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": [waiver]}).to_string().into_bytes())
    };
    let folder = Folder::with(&[("all.yaml", &format!("{judged}{asked}"))]);
    let (code, out, err) = beside(&["-f", &folder.at("all.yaml")], |_, _| Ok(Found { lists: vec![Listed { kind: "Waiver", found: list(&stored(&given)) }], ..Found::default() }));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("by waiver w"), "{out}");
}

/// The agent's own manifest is judged beside it, which says nothing of how it runs.
#[test]
fn nodes_and_agents_of_a_cluster_are_looked_up_and_not_guessed_from_files() {
    let own = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"}, "spec": {"serviceModel": "PaaS",
        "policy": {"platform": {"minKubelet": "1.36"}, "tooling": {"runtimeDetection": "shop/watcher"}}}});
    let manifest = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "watcher", "namespace": "shop"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}});
    let folder = tempfile::tempdir().unwrap();
    for (name, object) in [("own.json", &own), ("watcher.json", &manifest)] {
        std::fs::write(folder.path().join(name), object.to_string()).unwrap();
    }
    let files = ["-f", folder.path().to_str().unwrap(), "--control", "node-version-supported", "--control", "runtime-detection-present"];
    let list = |items: &[serde_json::Value]| Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string().into_bytes());
    let node = |kubelet: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}});
    let agent = |ready: u8| json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "watcher", "namespace": "shop"}, "status": {"desiredNumberScheduled": 1, "numberReady": ready}});
    let lists = |kubelet: &str, ready: u8| vec![Listed { kind: "Node", found: list(&[node(kubelet)]) }, Listed { kind: "DaemonSet", found: list(&[agent(ready)]) }];
    let server = demarc::model::estate::Version::parse("1.37");
    let (_, out, err) = beside(&files, |_, _| Ok(Found { server, lists: lists("v1.37.1", 1) }));
    assert!(err.is_empty() && !out.contains("node-version-supported]") && !out.contains("runtime-detection-present]"), "{out}{err}");
    let (_, out, _) = beside(&files, |_, _| Ok(Found { server, lists: lists("v1.35.1", 0) }));
    assert!(out.contains("nodes run a kubelet older than 1.36: n1") && out.contains("DaemonSet shop/watcher is not ready on every node"), "{out}");
    let (_, out, _) = beside(&files, |_, _| Ok(Found { server: None, lists: lists("v1.37.1", 1) }));
    assert!(out.contains("the API server's own version is not seen"), "{out}");
    let why = || Err("nodes cannot be listed: no".to_owned());
    let (_, out, _) = beside(&files, |_, _| Ok(Found { server, lists: vec![Listed { kind: "Node", found: why() }] }));
    assert!(out.contains("nodes are not seen: nodes cannot be listed: no") && out.contains("DaemonSets are not seen: files do not show them"), "{out}");
}

#[test]
fn the_examples_of_the_docs_are_commands_that_work() {
    let docs = std::fs::read_to_string("docs/check.md").unwrap();
    let commands: Vec<&str> = docs.lines().filter_map(|l| l.trim().trim_start_matches("- run: ").trim_start_matches("- ").strip_prefix("demarc check ")).collect();
    assert!(commands.len() > 4, "the examples are gone");
    for command in commands {
        let words = command.split(['>', '|']).next().unwrap().split_whitespace();
        <CheckCommand as clap::Parser>::try_parse_from(std::iter::once("check").chain(words)).unwrap_or_else(|e| panic!("{command}: {e}"));
    }
    assert!(Path::new("docs/check.md").is_file() && PathBuf::from("README.md").is_file());
}

#[test]
fn every_key_of_the_json_is_named_in_the_docs() {
    fn keys(value: &Value, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                all.insert(key.clone());
                keys(value, all);
            }),
            Value::Array(list) => list.iter().for_each(|value| keys(value, all)),
            _ => {}
        }
    }
    let waiver = "apiVersion: demarc.dev/v1alpha1\nkind: Waiver\nmetadata: {name: known, uid: w-1, creationTimestamp: '2026-02-25T00:00:00Z'}\nspec: {control: pod-security-standard, target: {kind: Pod, name: p}, reason: known to all of us,\
        ticket: T-1, requestedBy: ann, expires: '2026-05-01T00:00:00Z', approval: {by: bea, at: '2026-03-01T00:00:00Z'}}\n";
    let (code, out, err) = checked(&["-f", "-", "-o", "json"], format!("{}---\n{waiver}", violators()).as_bytes());
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let mut all = BTreeSet::new();
    keys(&serde_json::from_str(&out).unwrap(), &mut all);
    assert!(all.contains("lastDay") && all.contains("gone"), "the report shows all that there is: {out}");
    let docs = std::fs::read_to_string("docs/check.md").unwrap();
    let (_, section) = docs.split_once("## The keys of -o json").unwrap();
    let unnamed: Vec<&String> = all.iter().filter(|key| !section.contains(&format!("`{key}`")) && !section.contains(&format!("`{key}[]`"))).collect();
    assert!(unnamed.is_empty(), "docs/check.md does not name {unnamed:?}");
}
