//! `demarc check` on a folder of cases, each named as a sentence, and on nonsense, which is never judged clean.
//! `DEMARC_BLESS=1` writes the expectations anew; read the difference before it is kept.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // Its `main`.
#[path = "../../examples/docs.rs"]
mod docs;
mod examples;
mod large;
mod pipelines;
mod shells;

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
    let mut ask = |_: &str, _: &_| unreachable!("no cluster was named");
    let code = check::run(&args, &mut Cursor::new(stdin), &mut ask, &mut out, &mut err, "2026-04-01T00:00:00Z".parse().unwrap()).unwrap();
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
        assert!(said.lines().all(|l| l.chars().count() <= 320), "{}: {said}", case.display());
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

const OWNERSHIP: &str = "apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {name: default}\nspec: {serviceModel: PaaS, defaultOwner: team, parties: {customer: acme}, escalation: {levels: [{party: acme, contact: a@b.example, coverage: 24x7}, {party: acme, contact: c@b.example}]}, policy: {patch: {maxImageAge: P90D}}, controls: [{control: image-pinned-by-digest, enforcement: 'Off'}]}\n";
/// It violates one thing that is denied, and nothing that warns.
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostPID: true, containers: [{name: web, image: web}], automountServiceAccountToken: false}\n";

fn with(spec: &str) -> Vec<u8> {
    format!("apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {{name: default}}\nspec:\n  serviceModel: PaaS\n{spec}\n").into_bytes()
}

/// Bad input, at `place`, with one error that says `says` and shows its line.
fn assert_bad(cases: Vec<(&str, Vec<u8>, &str, &str)>) {
    for (what, input, place, says) in cases {
        let began = Instant::now();
        let (code, out, err) = checked(&["-f", "-"], &input);
        assert_eq!((code, out.as_str()), (2, ""), "{what}: {out}{err}");
        assert!(err.starts_with(&format!("error: {place}")), "{what}: {err}");
        assert!(err.contains(says), "{what}: {err}");
        assert!(matches!(err.lines().count(), 1 | 4), "one error, and its line: {what}: {err}");
        assert!(began.elapsed().as_secs() < 10, "{what} took {:?}", began.elapsed());
    }
}

#[test]
fn nonsense_is_bad_input_with_a_place_and_an_advice() {
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..12).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))))
        .collect();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let block_deep: String = (0..3000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert_bad(vec![
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
        ("two values on a line", "a: é\r\nb: ü: d\r\n".into(), "stdin:2:", "; mend the YAML\n  |\n2 | b: ü: d\n  |     ^"),
        ("JSON after JSON", format!("{{\"a\": 1}}\n{POD}").into_bytes(), "stdin:2:", "; put a line of --- between documents\n  |\n2 | apiVersion"),
        ("a second document that is broken", format!("{POD}---\nkind: [\n").into_bytes(), "stdin:", "; mend the YAML"),
        ("not UTF-8", b"kind: Pod\nmetadata: {name: \xff}\n".to_vec(), "stdin:2:18: ", "is not UTF-8; save"),
        ("nothing at all", Vec::new(), "stdin: ", "no manifest in it; look whether the command that writes to it failed"),
        ("only comments", b"# nothing\n---\n---\n".to_vec(), "stdin: ", "no manifest in it"),
        ("a separator", b"---\n".to_vec(), "stdin: ", "no manifest in it"),
        ("a byte order mark", "\u{feff}".into(), "stdin: ", "no manifest in it"),
        ("an empty list", b"apiVersion: v1\nkind: List\nitems: []\n".to_vec(), "stdin: ", "no manifest in it"),
        ("a scalar", b"hello\n".to_vec(), "stdin:1:1: ", "is not a manifest: it has no apiVersion and kind"),
        ("no kind", b"---\napiVersion: v1\n".to_vec(), "stdin:2:1: ", "is not a manifest: it has no kind; add it"),
        ("no apiVersion", b"---\nkind: Pod\n".to_vec(), "stdin:2:1: ", "is not a manifest: it has no apiVersion; add it"),
        ("a kind that is a number", b"apiVersion: v1\nkind: 1\n".to_vec(), "stdin:2:7: ", "is not a manifest: its kind is not text"),
        ("a kind that is empty", b"apiVersion: v1\nkind:\n".to_vec(), "stdin:2:1: ", "is not a manifest: its kind is not text"),
        ("items that are a mapping", b"apiVersion: v1\nkind: List\nitems: {a: b}\n".to_vec(), "stdin:3:8: ", "the items of a List must be a list"),
        (
            "a name that was never rendered",
            POD.replace("{name: p}", "{name: \"{{ .Release.Name }}\"}").into_bytes(),
            "stdin:3:18: ",
            "is a template, not a manifest; render it first (helm template)",
        ),
        ("a kind that was never rendered", b"apiVersion: v1\nkind: \"{{ .kind }}\"\n".to_vec(), "stdin:2:7: ", "is a template, not a manifest"),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0".to_vec(), "stdin:1:1: ", "; mend the YAML"),
        ("a program with bytes beyond ASCII", b"\x7fELF\x02\xfe".to_vec(), "stdin:1:6: ", "is not UTF-8; save"),
        ("UTF-16", b"\xff\xfek\0i\0".to_vec(), "stdin:1:1: ", "is not UTF-8; save"),
        ("broken JSON", b"{\"apiVersion\": \"v1\",\n  \"kind\": }\n".to_vec(), "stdin:", "is not a manifest"),
        ("an item of a list without kind", b"apiVersion: v1\nkind: List\nitems:\n  - {}\n".to_vec(), "stdin:4:5: ", "is not a manifest"),
        ("containers that are a string", POD.replace("[{name: web, image: web}]", "web").into_bytes(), "stdin:4:", "this Pod cannot be read: invalid type: string \"web\""),
        (
            "containers that are null",
            POD.replace("[{name: web, image: web}]", "null").into_bytes(),
            "stdin:4:35: ",
            "this Pod cannot be read: invalid type: null, expected a list of at least one container",
        ),
        (
            "no containers",
            POD.replace("[{name: web, image: web}]", "[]").into_bytes(),
            "stdin:4:35: ",
            "this Pod cannot be read: invalid length 0, expected a list of at least one container",
        ),
        ("containers left out", POD.replace("containers: [{name: web, image: web}], ", "").into_bytes(), "stdin:4:", "this Pod cannot be read: missing field `containers`"),
        ("init containers alone", POD.replace("containers: [{", "initContainers: [{").into_bytes(), "stdin:4:", "this Pod cannot be read: missing field `containers`"),
        (
            "a workload that runs nothing",
            b"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {jobTemplate: {spec: {template: {spec: {\n  containers: []}}}}}\n".to_vec(),
            "stdin:5:15: ",
            "this CronJob cannot be read: invalid length 0, expected a list of at least one container",
        ),
        ("a pod without a name", POD.replace("{name: p}", "{labels: {a: b}}").into_bytes(), "stdin:3:", "this Pod has no metadata.name and no generateName; name it"),
        ("a pod whose name is empty", POD.replace("{name: p}", "{name: ''}").into_bytes(), "stdin:3:", "this Pod has no metadata.name and no generateName; name it"),
        (
            "a ConfigMap without a name",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\ndata: {a: b}\n".to_vec(),
            "stdin:3:",
            "this ConfigMap has no metadata.name and no generateName; name it",
        ),
        ("a pod without a spec", b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n".to_vec(), "stdin:1:1: ", "missing field `spec`"),
        ("a workload without a template", b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\nspec:\n  replicas: 1\n".to_vec(), "stdin:", "missing field `template`"),
        (
            "a variable that is a number",
            POD.replace("image: web}", "image: web, env: [{name: A, value: a}, {name: B, value: 5}]}").into_bytes(),
            "stdin:4:104: ",
            "invalid type: integer `5`, expected a string",
        ),
        ("a variable that is true", POD.replace("image: web}", "image: web, env: [{name: A, value: yes}, {name: B, value: true}]}").into_bytes(), "stdin:4:83: ", "boolean `true`"),
        ("a variable that is text", POD.replace("image: web}", "image: web, env: [A=a]}").into_bytes(), "stdin:4:66: ", "invalid type: string \"A=a\""),
        ("a label that is a number", POD.replace("{name: p}", "{name: p, labels: {a: 1}}").into_bytes(), "stdin:3:", "invalid type: integer `1`"),
    ]);
}

/// What serde derives reads a list as an object, field by position, and of one that is too short the defaults.
#[test]
fn a_list_where_an_object_belongs_is_bad_input_as_the_api_server_refuses_it() {
    let ingress = |spec: &str| format!("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: i}}\nspec:\n  {spec}\n").into_bytes();
    let pod = |from: &str, to: &str| POD.replace(from, to).into_bytes();
    let list = "invalid type: sequence, expected ";
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: [istio, []]\n";
    assert_bad(vec![
        ("TLS for all hosts", ingress("tls: [[]]"), "stdin:5:9: ", list),
        ("TLS by position", ingress("tls: [[[a.example], cert]]"), "stdin:5:9: ", list),
        ("a backend", ingress("rules:\n    - []"), "stdin:6:7: ", list),
        ("a container", pod("{name: web, image: web}", "[web, web]"), "stdin:4:36: ", list),
        ("a security context", pod("image: web}", "image: web, securityContext: []}"), "stdin:4:", list),
        ("a variable", pod("image: web}", "image: web, env: [[PASSWORD, hunter2]]}"), "stdin:4:66: ", list),
        ("a variable of nothing", pod("image: web}", "image: web, env: [[]]}"), "stdin:4:66: ", list),
        ("the second variable", pod("image: web}", "image: web, env: [{name: A}, []]}"), "stdin:4:77: ", list),
        ("a variable's value", pod("image: web}", "image: web, env: [{name: A, value: []}]}"), "stdin:4:83: ", list),
        ("a spec", b"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: []\n".to_vec(), "stdin:4:", list),
        ("a Gateway's spec", gateway.into(), "stdin:4:", list),
        ("a Role's rule", b"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules: [[]]\n".to_vec(), "stdin:4:9: ", list),
        ("metadata", pod("{name: p}", "[]"), "stdin:3:", "its metadata is not an object; write it as one"),
        ("metadata of what is looked up", b"apiVersion: v1\nkind: Namespace\nmetadata: [shop]\n".to_vec(), "stdin:3:", "its metadata is not an object"),
        ("metadata of what is only counted", b"apiVersion: x.example/v1\nkind: Thing\nmetadata: name\n".to_vec(), "stdin:3:", "its metadata is not an object"),
    ]);
}

#[test]
fn a_mistaken_declaration_is_bad_input_at_its_line() {
    assert_bad(vec![
        (
            "an unknown control",
            with("  controls:\n    - control: encryption-decalred"),
            "stdin:7:16: spec.controls[0].control: ",
            "nobody knows \"encryption-decalred\"; the nearest is encryption-declared",
        ),
        ("a control with an escape", with("  controls:\n    - {control: \"a\\e[2J\"}"), "stdin:7:17: ", "a\\u{1b}[2J"),
        (
            "a control twice",
            with("  controls: [{control: encryption-declared}, {control: encryption-declared}]"),
            "stdin:6:56: spec.controls[1].control: ",
            "Duplicate value: \"encryption-declared\"; keep one entry",
        ),
        (
            "an owner class that does not exist",
            with("  controls:\n    - control: encryption-declared\n      owner: Nobody"),
            "stdin:8:14: ",
            "Unsupported value: \"Nobody\"; write one of Provider, Customer, SharedIndependent",
        ),
        (
            "an owner class in lower case",
            with("  controls:\n    - control: encryption-declared\n      owner: customer"),
            "stdin:8:14: ",
            "Unsupported value: \"customer\"; did you mean Customer?",
        ),
        (
            "a word that YAML reads as a boolean",
            with("  controls:\n    - control: encryption-declared\n      enforcement: Off"),
            "stdin:8:20: ",
            "Invalid value: false: must be text; put it in quotes",
        ),
        ("a misspelt field", with("  defualtOwner: me"), "stdin:6:3: spec.defualtOwner: ", "unknown field; did you mean defaultOwner?"),
        (
            "a misspelt field of a control",
            with("  controls:\n    - control: encryption-declared\n      enforcment: Audit"),
            "stdin:8:7: ",
            "unknown field; did you mean enforcement?",
        ),
        ("no service model", OWNERSHIP.replace("serviceModel: PaaS, ", "").into_bytes(), "stdin:4:1: spec.serviceModel: ", "Required value; add it, one of IaaS, PaaS, SaaS"),
        ("an Ownership of another name", OWNERSHIP.replace("default}", "other}").into_bytes(), "stdin:3:18: ", "is named default"),
        ("an Ownership without a name", OWNERSHIP.replace("{name: default}", "{}").into_bytes(), "stdin:3:1: ", "is named default"),
        ("an Ownership of another version", OWNERSHIP.replace("v1alpha1", "v9").into_bytes(), "stdin:1:13: ", "version \"v9\""),
        ("an Ownership whose metadata is null", OWNERSHIP.replace("{name: default}", "null").into_bytes(), "stdin:3:1: ", "is named default"),
        ("an Ownership whose metadata is text", OWNERSHIP.replace("{name: default}", "default").into_bytes(), "stdin:3:11: metadata: ", "must be a mapping"),
        ("an Ownership of another group", OWNERSHIP.replace("demarc.dev", "demarc.io").into_bytes(), "stdin:1:13: ", "write demarc.dev/v1alpha1"),
        ("an Ownership in lower case", OWNERSHIP.replace("kind: O", "kind: o").into_bytes(), "stdin:2:7: ", "has no kind \"ownership\" that this version knows"),
        ("an Ownership of no namespace", OWNERSHIP.replace("default}", "default, namespace: Shop}").into_bytes(), "stdin:3:38: ", "\"Shop\" names no namespace"),
        ("two Ownerships", format!("{OWNERSHIP}---\n{OWNERSHIP}").into_bytes(), "stdin:6:1: ", "declared already, at stdin:1"),
    ]);
}

/// `helm template … | demarc check -f ownership.yaml -f -`, where helm failed.
#[test]
fn a_pipe_that_brings_nothing_is_bad_input_whatever_else_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ownership.yaml").to_str().unwrap().to_owned();
    std::fs::write(&file, OWNERSHIP).unwrap();
    for (args, input) in [(["-f", &file, "-f", "-"], ""), (["-f", "-", "-f", &file], "---\n# Source: shop/templates/none.yaml\n"), (["-f", &file, "--against", "-"], "")] {
        let (code, out, err) = checked(&args, input.as_bytes());
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert_eq!(err, "error: stdin: no manifest in it; look whether the command that writes to it failed\n", "{args:?}");
    }
    assert_eq!(checked(&["-f", &file, "-f", "-"], POD.as_bytes()).0, 1);
    assert_eq!(checked(&["-f", &file, "--against", "-"], b"{apiVersion: v1, kind: List, items: []}\n").0, 0, "kubectl get, where there is none");
}

#[test]
fn files_that_cannot_be_read_are_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::File::create(at("large.yaml")).unwrap().set_len(100 << 20).unwrap();
    std::fs::create_dir_all(at("empty/below")).unwrap();
    std::fs::write(at("empty/notes.txt"), POD).unwrap();
    std::os::unix::fs::symlink("ring.yaml", at("ring.yaml")).unwrap();
    std::fs::create_dir(at("links")).unwrap();
    std::os::unix::fs::symlink("nowhere.yaml", at("links/a.yaml")).unwrap();
    std::fs::create_dir(at("chart")).unwrap();
    std::fs::write(at("chart/Chart.yaml"), "apiVersion: v2\nname: shop\n").unwrap();
    std::fs::write(at("kustomization.yaml"), "resources: [a.yaml]\n").unwrap();
    for (name, named, says) in [
        ("nowhere", "nowhere: ", "cannot be read"),
        ("large.yaml", "large.yaml: ", "is larger than 16 MiB; split it"),
        ("empty", "empty: ", "no manifest in it"),
        ("ring.yaml", "ring.yaml: ", "cannot be read"),
        ("links", "links/a.yaml: ", "cannot be read"),
        ("chart", "chart/Chart.yaml:1:1: ", "it has no kind; this looks like a Helm chart: render it first"),
        ("kustomization.yaml", "kustomization.yaml:1:1: ", "build it first (kustomize build)"),
    ] {
        let (code, out, err) = checked(&["-f", &at(name)], b"");
        assert_eq!((code, out.as_str()), (2, ""), "{name}: {err}");
        assert!(err.starts_with(&format!("error: {}", at(named))) && err.contains(says), "{name}: {err}");
    }
    // Opens, and cannot be read by anybody, root included.
    let (code, _, err) = checked(&["-f", "/proc/self/mem"], b"");
    assert!(code == 2 && err.starts_with("error: /proc/self/mem: cannot be read"), "{err}");
}

#[test]
fn a_pipe_in_a_folder_is_not_waited_for_and_a_file_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe.yaml")).status().unwrap().success());
    std::fs::create_dir(dir.path().join("..2026")).unwrap();
    std::fs::write(dir.path().join("..2026/own.yaml"), format!("{OWNERSHIP}---\n{POD}")).unwrap();
    // As a mounted ConfigMap lies.
    std::os::unix::fs::symlink("..2026", dir.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/own.yaml", dir.path().join("own.yaml")).unwrap();
    let (code, out, err) = checked(&["-f", root], b"");
    assert!(code == 1 && err.is_empty() && out.contains("2 objects in 1 file: 1 clean, 1 denied, 0 warned, "), "{out}{err}");
}

struct Broken;
impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}
impl std::io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_is_never_a_clean_verdict() {
    let args = <CheckCommand as clap::Parser>::parse_from(["check", "-f", "-"]).args;
    let now = "2026-04-01T00:00:00Z".parse().unwrap();
    let mut err = Vec::new();
    let mut ask = |_: &str, _: &_| unreachable!("no cluster was named");
    assert_eq!(check::run(&args, &mut Broken, &mut ask, &mut Vec::new(), &mut err, now).unwrap(), 2);
    let err = String::from_utf8(err).unwrap();
    assert!(err.starts_with("error: stdin: cannot be read (broken pipe)"), "{err}");
    let clean = check::run(&args, &mut Cursor::new(OWNERSHIP), &mut ask, &mut Broken, &mut Vec::new(), now);
    assert!(clean.is_err(), "nobody has read the verdict");
}

#[test]
fn the_namespace_of_n_is_one_that_can_be() {
    let longest = "a".repeat(63);
    for (name, taken) in [
        ("shop", true),
        ("0-9", true),
        (&longest, true),
        (&format!("{longest}a"), false),
        ("Shop", false),
        ("-a", false),
        ("a-", false),
        ("a.b", false),
        ("", false),
        ("sh\u{1b}op", false),
    ] {
        let (code, out, err) = checked(&[&format!("--namespace={name}"), "-f", "-"], OWNERSHIP.as_bytes());
        assert_eq!((code, err.is_empty()), if taken { (0, true) } else { (2, false) }, "{name}: {out}{err}");
        assert!(taken || err.contains("names no namespace") && !err.contains('\u{1b}'), "{name}: {err}");
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Declarations {
    refused: Vec<Declaration>,
    taken: Vec<Declaration>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    what: String,
    #[serde(default = "default_name")]
    name: String,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
    spec: serde_json::Value,
    #[serde(default)]
    path: String,
    #[serde(default)]
    because: String,
    #[serde(default = "default_kind")]
    kind: String,
}

fn default_kind() -> String {
    "Ownership".to_owned()
}

fn default_name() -> String {
    "default".to_owned()
}

impl Declaration {
    /// As a file in which every value stands on a line of its own.
    fn file(&self) -> String {
        let mut metadata = self.metadata.clone();
        metadata.insert("name".to_owned(), self.name.as_str().into());
        let object = serde_json::json!({"apiVersion": "demarc.dev/v1alpha1", "kind": self.kind, "metadata": metadata, "spec": self.spec});
        serde_json::to_string_pretty(&object).unwrap()
    }
}

#[test]
fn a_declaration_is_refused_as_the_api_server_refuses_it() {
    let text = std::fs::read_to_string("tests/data/declarations.yaml").unwrap();
    let Declarations { refused, taken } = serde_saphyr::from_str(&text).unwrap();
    assert!(refused.len() > 20 && taken.len() > 4, "the list is gone");
    for declaration in taken {
        let (code, out, err) = checked(&["-f", "-"], declaration.file().as_bytes());
        assert_eq!((code, err.as_str()), (0, ""), "{}: {out}", declaration.what);
    }
    for declaration in refused {
        let file = declaration.file();
        let (code, out, err) = checked(&["-f", "-"], file.as_bytes());
        let what = &declaration.what;
        assert_eq!((code, out.as_str()), (2, ""), "{what} was taken: {err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 4, "one error, with its line: {what}: {err}");
        let sentence = lines[0].splitn(4, ':').last().unwrap();
        assert!(lines[0].contains(&declaration.because), "{what}: {err}");
        let rule = declaration.because == "named default";
        assert!(rule || sentence.splitn(2, ": ").last().unwrap().starts_with(&format!("{}: ", declaration.path)), "{what}: {err}");
        // The caret stands at the last key of the path that is written, or at its value.
        let at: usize = lines[0].split(':').nth(2).unwrap().parse().unwrap();
        let shown = file.lines().nth(at - 1).unwrap();
        assert!(lines[2].ends_with(shown), "{what}: {err}");
        let keys: Vec<&str> = declaration.path.split(['.', '[']).filter(|k| !k.ends_with(']')).collect();
        let key = keys.iter().rev().find(|k| file.contains(&format!("\"{k}\":"))).unwrap();
        // Of an element there is no key to show, and of what is missing there only its parent is.
        let element = declaration.path.ends_with(']') || shown.trim() == "{" && declaration.path.contains("].");
        assert!(element || shown.contains(&format!("\"{key}\":")), "{what}: not at {key}: {err}");
        assert!(lines[3].trim_start().trim_start_matches('|').trim().starts_with('^'), "{what}: {err}");
    }
}

#[test]
fn every_violation_of_every_declaration_is_told() {
    let broken = "apiVersion: demarc.dev/v1alpha1\nkind: Ownership\nmetadata: {name: default, namespace: NS}\nspec:\n  mode: enforce\n  parties: {customer: Acme}\n  nonsense: 1\n";
    let both = format!("{}---\n{}", broken.replace("NS", "a"), broken.replace("NS", "b"));
    let (code, out, err) = checked(&["-f", "-"], both.as_bytes());
    assert_eq!((code, out.as_str()), (2, ""));
    let mut places: Vec<&str> = err.lines().filter_map(|l| l.strip_prefix("error: stdin:")).filter_map(|l| l.split_once(": ").map(|(place, _)| place)).collect();
    places.sort_unstable();
    assert_eq!(places, ["12:1", "13:9", "14:23", "15:3", "4:1", "5:9", "6:23", "7:3"], "{err}");
    assert!(err.contains("\n  |\n5 |   mode: enforce\n  |         ^^^^^^^\n"), "{err}");
    let many: String = (0..30).map(|i| format!("{}---\n", broken.replace("NS", &format!("n{i}")))).collect();
    let (_, _, err) = checked(&["-f", "-"], many.as_bytes());
    assert!(err.ends_with("error: and 100 more\n") && err.matches("error: ").count() == 21, "{err}");
}

#[test]
fn what_is_not_judged_is_counted() {
    let other = |api: &str, kind: &str| format!("---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n");
    let files = [
        OWNERSHIP.to_owned(),
        other("v1", "ConfigMap"),
        other("example.com/v1", "Widget"),
        other("v1", "ConfigMap"),
        other("networking.k8s.io/v1", "NetworkPolicy"),
        other("v1", "Namespace"),
        other("v1", "Deployment"),
        other("extensions/v1beta1", "Ingress"),
        other("apps/v1", "deployment"),
        other("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ];
    let (code, out, err) = checked(&["-f", "-"], files.concat().as_bytes());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let rest = "5 not judged: CustomResourceDefinition, Deployment of v1, Ingress of extensions/v1beta1, Widget, deployment of apps/v1";
    assert!(out.starts_with("3 objects in 1 file: 3 clean, 0 denied, 0 warned, ") && out.ends_with(&format!("; {rest}\n")), "{out}");
    let (_, json, _) = checked(&["-o", "json", "-f", "-"], files.concat().as_bytes());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["summary"]["notJudged"].as_u64(), json["kindsNotJudged"][0].as_str()), (Some(5), Some("CustomResourceDefinition")));
}

#[test]
fn help_teaches() {
    use clap::CommandFactory;
    let check = CheckCommand::command().render_long_help().to_string();
    let explain = ExplainCommand::command().render_long_help().to_string();
    for (help, words) in [
        (check, ["helm template", "Where context comes from", "Exit codes: 0 ", "1 a cluster would refuse"]),
        (explain, ["demarc explain pvc-storage-encrypted", "-o json", "Exit codes: 0 ", "the nearest"]),
    ] {
        for word in words {
            assert!(help.contains(word), "{word} in {help}");
        }
        assert!(help.lines().all(|l| l.chars().count() <= 140), "{help}");
    }
}

#[test]
fn folders_are_searched_and_stand_together() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir_all(dir.path().join("b/c")).unwrap();
    write("b/c/pod.yml", POD);
    write("z-own.yaml", &format!("\u{feff}{}", OWNERSHIP.replace('\n', "\r\n")));
    write(
        "a.json",
        "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"j\\u0061\"},\n\t\"spec\": {\"hostPID\": true, \"containers\": [{\"name\": \"c\"}]}\n}\n",
    );
    write("notes.txt", "not: [yaml");
    std::os::unix::fs::symlink(dir.path(), dir.path().join("b/loop")).unwrap();
    let root = dir.path().to_str().unwrap();
    let (code, out, err) = checked(&["-f", root, "-f", root], b"");
    let places: Vec<&str> = out.lines().filter_map(|l| l.split_once("--> ")).map(|(_, place)| place.strip_prefix(root).unwrap()).collect();
    assert_eq!((code, err.as_str(), places), (1, "", vec!["/a.json:4:22", "/b/c/pod.yml:4:17"]), "{out}");
    assert!(out.contains("3 objects in 3 files: 1 clean, 2 denied, 0 warned, "), "{out}");
    assert!(
        out.contains("\n  | ") && out.contains("\n4 |  \"spec\": {\"hostPID\": true, \"containers\": [{\"name\": \"c\"}]}\n  |                      ^^^^ spec.hostPID\n"),
        "{out}"
    );
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
    assert!(code == 1 && out.contains("\n3001 objects in 1 file: 1 clean, 3000 denied, 0 warned, 60"), "{err}");
    let (code, _, err) = checked(&["-f", "-"], wide.as_bytes());
    assert_eq!(code, 2, "{err}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn the_pages_are_what_the_catalog_says() {
    let folder = std::path::Path::new("docs/controls");
    let pages = docs::pages();
    for (name, text) in &pages {
        assert!(std::fs::read_to_string(folder.join(name)).unwrap_or_default() == *text, "docs/controls/{name}: make docs");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), pages.len(), "a page of no control: make docs");
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
    assert_eq!(err, "error: control \"encryption-decalred\\u{1b}\" is not one of the catalog; did you mean encryption-declared? demarc explain lists them\n");
    let (_, _, err) = explained(&["two-replicas"]);
    // Nothing is like it, so nothing is guessed.
    assert_eq!(err, "error: control \"two-replicas\" is not one of the catalog; demarc explain lists them\nif it is one of your own: kubectl get control two-replicas -o yaml\n");
    let (_, all, _) = explained(&["-o", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&all).unwrap().as_array().unwrap().len(), demarc::controls::CATALOG.len());
}
