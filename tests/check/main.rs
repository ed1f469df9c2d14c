//! `demarc check` on a folder of cases, each named as a sentence, and on nonsense, which is never judged clean.
//! `DEMARC_BLESS=1` writes the expectations anew; read the difference before it is kept.

#![allow(clippy::unwrap_used)]

use std::{io::Cursor, time::Instant};

use demarc::cli::{check, explain};

#[derive(clap::Parser)]
struct CheckCommand {
    #[command(flatten)]
    args: check::Args,
}

#[derive(clap::Parser)]
struct ExplainCommand {
    #[command(flatten)]
    args: explain::Args,
}

fn checked(args: &[&str], stdin: &[u8]) -> (u8, String, String) {
    let args = <CheckCommand as clap::Parser>::parse_from(std::iter::once("check").chain(args.iter().copied())).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check::run(&args, &mut Cursor::new(stdin), &mut out, &mut err, "2026-04-01T00:00:00Z".parse().unwrap()).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn explained(args: &[&str]) -> (u8, String, String) {
    let args = <ExplainCommand as clap::Parser>::parse_from(std::iter::once("explain").chain(args.iter().copied())).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = explain::run(&args, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn each_case_is_judged_as_its_sentence_says() {
    let mut cases: Vec<_> = std::fs::read_dir("tests/data/check").unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 8, "the cases are gone");
    let bless = std::env::var_os("DEMARC_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases {
        let input = case.join("input.yaml");
        let mut args = vec!["-f", input.to_str().unwrap()];
        let extra = std::fs::read_to_string(case.join("args")).unwrap_or_default();
        args.extend(extra.split_whitespace());
        let (code, out, err) = checked(&args, b"");
        let said = format!("{out}{err}").replace(case.to_str().unwrap(), "CASE");
        if bless {
            std::fs::write(case.join("expect.txt"), &said).unwrap();
            std::fs::write(case.join("code"), format!("{code}\n")).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(case.join("expect.txt")).unwrap();
        let expected_code = std::fs::read_to_string(case.join("code")).unwrap();
        if said != expected || code.to_string() != expected_code.trim() {
            wrong.push(format!("{}: {code}\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OWNERSHIP: &str = "apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {name: default}\nspec: {serviceModel: PaaS, defaultOwner: team}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: true, containers: [{name: web, image: web}]}\n";

fn with(spec: &str) -> Vec<u8> {
    format!("apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {{name: default}}\nspec:\n  serviceModel: PaaS\n{spec}\n").into_bytes()
}

#[test]
fn nonsense_is_bad_input_with_a_place_and_an_advice() {
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..12).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))))
        .collect();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let block_deep: String = (0..3000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    for (what, input, place, says) in [
        ("a duplicate key", b"kind: Pod\nkind: Pod\n".to_vec(), "stdin:2:1: ", "duplicate"),
        ("a duplicate key deep inside", POD.replace("{name: p}", "\n  name: p\n  name: q").into_bytes(), "stdin:5:3: ", "duplicate"),
        ("a bomb of aliases", bomb.into_bytes(), "stdin:6:10: ", "its aliases stand for too much; simplify"),
        ("a duplicate key under an alias", b"kind: X\napiVersion: v1\na: &a {b: 1}\nc: [*a, {d: *a, d: 1}]\n".to_vec(), "stdin:4:17: ", "duplicate"),
        ("flow nesting", deep.into_bytes(), "stdin:1:", "; mend the YAML"),
        ("block nesting", block_deep.into_bytes(), "stdin:", "nests deeper than 80 levels; simplify"),
        ("an alias to nothing", b"a: *nowhere\n".to_vec(), "stdin:1:4: ", "; mend the YAML"),
        ("an unclosed quote", b"a: b\nc: 'd\n".to_vec(), "stdin:", "; mend the YAML"),
        ("a Helm template", b"kind: {{ .Values.kind }}\n".to_vec(), "stdin:1:", "; render the template first"),
        ("a tab for indentation", b"a:\n\tb: c\n".to_vec(), "stdin:2:", "; mend the YAML"),
        ("a second document that is broken", format!("{POD}---\nkind: [\n").into_bytes(), "stdin:", "; mend the YAML"),
        ("not UTF-8", b"kind: Pod\nmetadata: {name: \xff}\n".to_vec(), "stdin:2:18: ", "is not UTF-8; save"),
        ("nothing at all", Vec::new(), "-: ", "no manifest in it; name"),
        ("only comments", b"# nothing\n---\n---\n".to_vec(), "-: ", "no manifest in it"),
        ("a scalar", b"hello\n".to_vec(), "stdin:1:1: ", "is not a manifest"),
        ("no kind", b"---\napiVersion: v1\n".to_vec(), "stdin:2:1: ", "is not a manifest"),
        ("a kind that is a number", b"apiVersion: v1\nkind: 1\n".to_vec(), "stdin:1:1: ", "is not a manifest"),
        ("an item of a list without kind", b"apiVersion: v1\nkind: List\nitems:\n  - {}\n".to_vec(), "stdin:4:5: ", "is not a manifest"),
        ("containers that are a string", POD.replace("[{name: web, image: web}]", "web").into_bytes(), "stdin:4:", "this Pod cannot be read: invalid type: string \"web\""),
        ("a pod without a spec", b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n".to_vec(), "stdin:1:1: ", "missing field `spec`"),
        ("a workload without a template", b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\nspec:\n  replicas: 1\n".to_vec(), "stdin:", "missing field `template`"),
        ("a label that is a number", POD.replace("{name: p}", "{name: p, labels: {a: 1}}").into_bytes(), "stdin:3:", "invalid type: integer `1`"),
        ("an unknown control", with("  controls:\n    - control: encryption-decalred"), "stdin:7:16: ", "\"encryption-decalred\" is not known; did you mean encryption-declared?"),
        ("a control with an escape", with("  controls:\n    - {control: \"a\\e[2J\"}"), "stdin:7:17: ", "a\\u{1b}[2J"),
        ("a control twice", with("  controls: [{control: encryption-declared}, {control: encryption-declared}]"), "stdin:6:", "twice"),
        ("an owner class that does not exist", with("  controls:\n    - control: encryption-declared\n      owner: Nobody"), "stdin:8:14: ", "unknown variant `Nobody`"),
        ("a misspelt field", with("  defualtOwner: me"), "stdin:6:3: ", "no field \"defualtOwner\""),
        ("a misspelt field of a control", with("  controls:\n    - control: encryption-declared\n      enforcment: Audit"), "stdin:8:7: ", "no field \"enforcment\""),
        ("no service model", OWNERSHIP.replace("serviceModel: PaaS, ", "").into_bytes(), "stdin:4:", "missing field `serviceModel`"),
        ("an Ownership of another name", OWNERSHIP.replace("default}", "other}").into_bytes(), "stdin:3:18: ", "is named default"),
        ("an Ownership without a name", OWNERSHIP.replace("{name: default}", "{}").into_bytes(), "stdin:3:1: ", "is named default"),
        ("an Ownership of another version", OWNERSHIP.replace("v1alpha1", "v9").into_bytes(), "stdin:1:13: ", "version \"v9\""),
        ("two Ownerships", format!("{OWNERSHIP}---\n{OWNERSHIP}").into_bytes(), "stdin:6:1: ", "declared already, at stdin:1"),
    ] {
        let began = Instant::now();
        let (code, out, err) = checked(&["-f", "-"], &input);
        assert_eq!((code, out.as_str()), (2, ""), "{what}: {out}{err}");
        assert!(err.starts_with(&format!("error: {place}")), "{what}: {err}");
        assert!(err.contains(says), "{what}: {err}");
        assert_eq!(err.lines().count(), 1, "{what}: {err}");
        assert!(began.elapsed().as_secs() < 10, "{what} took {:?}", began.elapsed());
    }
}

#[test]
fn files_that_cannot_be_read_are_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("large.yaml"), vec![b'#'; (16 << 20) + 1]).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    for (name, says) in [("nowhere", "cannot be read"), ("large.yaml", "is larger than 16 MiB; split it"), ("empty", "no manifest in it")] {
        let (code, out, err) = checked(&["-f", &at(name)], b"");
        assert_eq!((code, out.as_str()), (2, ""), "{name}: {err}");
        assert!(err.starts_with(&format!("error: {}: ", at(name))) && err.contains(says), "{name}: {err}");
    }
}

#[test]
fn folders_are_searched_and_stand_together() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir_all(dir.path().join("b/c")).unwrap();
    write("b/c/pod.yml", POD);
    write("z-own.yaml", &format!("\u{feff}{}", OWNERSHIP.replace('\n', "\r\n")));
    write("a.json", "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"j\\u0061\"},\n\t\"spec\": {\"hostPID\": true, \"containers\": []}\n}\n");
    write("notes.txt", "not: [yaml");
    std::os::unix::fs::symlink(dir.path(), dir.path().join("b/loop")).unwrap();
    let root = dir.path().to_str().unwrap();
    let (code, out, err) = checked(&["-f", root, "-f", root], b"");
    let places: Vec<&str> = out.lines().filter_map(|l| l.split_once("--> ")).map(|(_, place)| place.strip_prefix(root).unwrap()).collect();
    assert_eq!((code, err.as_str(), places), (1, "", vec!["/a.json:4:22", "/b/c/pod.yml:4:21"]), "{out}");
    assert!(out.contains("2 objects in 3 files: 0 clean, 2 denied, 0 warned, 0 unknown"), "{out}");
    assert!(out.contains("\n  | ") && out.contains("\n4 |  \"spec\": {\"hostPID\": true, \"containers\": []}\n  |                      ^^^^ spec.hostPID\n"), "{out}");
}

#[test]
fn a_long_line_is_shown_around_its_finding() {
    let images: Vec<String> = (0..2000).map(|i| format!("{{\"name\":\"c{i}\",\"image\":\"web\",\"securityContext\":{{\"privileged\":{}}}}}", i == 1000)).collect();
    let pod = format!("{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p\"}},\"spec\":{{\"containers\":[{}]}}}}", images.join(","));
    let (code, out, err) = checked(&["-f", "-"], format!("{OWNERSHIP}---\n{pod}").as_bytes());
    assert_eq!((code, err.as_str()), (1, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.iter().all(|l| l.chars().count() < 260), "{out}");
    let caret = lines[4].find('^').unwrap();
    let under: String = lines[3].chars().skip(caret).take(4).collect();
    assert_eq!(under, "true", "{out}");
}

#[test]
fn large_input_ends_soon() {
    let many = format!("{OWNERSHIP}{}", format!("---\n{POD}").repeat(3000));
    let wide = format!("{OWNERSHIP}---\nkind: A\napiVersion: v1\nx: [{}]\n", "a,".repeat(5_000_000));
    let began = Instant::now();
    let (code, out, err) = checked(&["-f", "-"], many.as_bytes());
    assert!(code == 1 && out.ends_with("3000 objects in 1 file: 0 clean, 3000 denied, 0 warned, 0 unknown\n"), "{err}");
    let (code, _, err) = checked(&["-f", "-"], wide.as_bytes());
    assert_eq!(code, 2, "{err}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn explain_lists_and_explains() {
    let (code, out, _) = explained(&[]);
    assert_eq!(code, 0);
    assert!(out.starts_with("CONTROL ") && out.ends_with("demarc explain <control>\n"), "{out}");
    for control in demarc::controls::CATALOG {
        assert!(out.lines().any(|l| l.starts_with(control.id) && l.contains(control.severity.lower())), "{out}");
        let (code, page, err) = explained(&[control.id]);
        assert_eq!((code, err.as_str()), (0, ""));
        for word in ["why ", "whose ", "checked ", "unknown ", "fix ", "references "] {
            assert!(page.lines().any(|l| l.starts_with(word)), "{word} in {page}");
        }
        let (code, json, _) = explained(&[control.id, "-o", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, json["id"].as_str()), (0, Some(control.id)));
    }
    let (code, out, err) = explained(&["encryption-decalred\u{1b}"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err, "error: control \"encryption-decalred\\u{1b}\" is not known; did you mean encryption-declared? demarc explain lists them\n");
    let (_, all, _) = explained(&["-o", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&all).unwrap().as_array().unwrap().len(), demarc::controls::CATALOG.len());
}
