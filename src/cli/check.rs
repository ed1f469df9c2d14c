//! `demarc check`: manifests judged as a cluster would judge them, without one.
//! Declarations, namespaces and storage are taken from among the same files; what is declared nowhere is not judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    Output,
    manifest::{self, Bad, Input, Object, Place},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Ownership, Severity},
    controls::{self, CATALOG},
    model::{
        Outcome,
        facts::{ClaimFact, Facts, Namespace, StorageClass, Store, Volume},
        subject::{Kind, Subject},
        text::shown,
    },
    policy::{
        matrix::Matrix,
        verdict::{Judged, evaluate},
    },
};

/// Arguments of `demarc check`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A manifest, a folder of them (searched below, too), or - for the standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    pub filename: Vec<String>,
    /// The namespace of manifests that name none
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Also show what manifests cannot show
    #[arg(long)]
    pub show_unknown: bool,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Judges what `args` name; the exit code.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &Args, stdin: &mut dyn Read, out: &mut dyn Write, err: &mut dyn Write, now: Timestamp) -> anyhow::Result<u8> {
    let judged = manifest::read(&args.filename, stdin).and_then(|input| {
        let report = judge(args, &input, now)?;
        Ok((input, report))
    });
    let (input, report) = match judged {
        Ok(judged) => judged,
        Err(bad) => {
            writeln!(err, "error: {bad}")?;
            return Ok(2);
        }
    };
    match args.output {
        Output::Text => text(args, &input, &report, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(u8::from(report.summary.denied > 0))
}

/// What `-o json` says; the keys are stable.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    checked_at: Timestamp,
    findings: Vec<Finding>,
    summary: Summary,
    /// Namespaces of objects that no Ownership among the files speaks for.
    undeclared_namespaces: BTreeSet<String>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    files: usize,
    /// Objects judged.
    objects: usize,
    /// Of these, without a violation.
    clean: usize,
    /// Of these, refused by a cluster.
    denied: usize,
    /// Of these, violating something that is not enforced.
    warned: usize,
    /// Findings that manifests cannot settle.
    unknown: usize,
    /// Objects not judged, because nothing is declared for their namespace.
    undeclared: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warning,
    Note,
}

impl Level {
    fn of(outcome: Outcome, enforcement: Enforcement) -> Self {
        match (outcome, enforcement) {
            (Outcome::Unknown, _) => Self::Note,
            // Whatever is in a file is new, so nothing is grandfathered.
            (Outcome::Violated, Enforcement::Deny) => Self::Error,
            (Outcome::Violated, Enforcement::Off | Enforcement::Audit | Enforcement::Warn) => Self::Warning,
        }
    }
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    level: Level,
    control: &'static str,
    severity: Severity,
    file: String,
    line: u32,
    column: u32,
    namespace: String,
    object: String,
    path: String,
    message: String,
    fix: String,
    owner: OwnerClass,
    owed_by: String,
    enforcement: Enforcement,
    outcome: &'static str,
    #[serde(skip)]
    at: (usize, Place),
}

/// What the files say beside what is judged.
struct Context {
    matrices: BTreeMap<String, Matrix>,
    namespaces: BTreeMap<String, Namespace>,
    facts: Facts,
}

fn judge(args: &Args, input: &Input, now: Timestamp) -> Result<Report, Bad> {
    let context = context(args, input)?;
    let mut report = Report { checked_at: now, findings: Vec::new(), summary: Summary { files: input.files.len(), ..Summary::default() }, undeclared_namespaces: BTreeSet::new() };
    for object in &input.objects {
        let Some(kind) = Kind::find(&object.group, &object.kind) else { continue };
        let file = &input.files[object.file].name;
        let json = object.node.json();
        let subject = Subject::parse(kind, &json.text).map_err(|e| {
            let (place, what) = json.explain(&e);
            Bad::at(file, place, format_args!("this {} cannot be read: {what}; mend it, as the API server would refuse it too", kind.name()))
        })?;
        let name = if subject.meta.namespace.is_empty() { args.namespace.as_str() } else { &subject.meta.namespace };
        let Some(matrix) = context.matrices.get(name) else {
            report.summary.undeclared += 1;
            report.undeclared_namespaces.insert(shown(name, 63));
            continue;
        };
        let bare = Namespace { name: name.to_owned(), ..Namespace::default() };
        let namespace = context.namespaces.get(name).unwrap_or(&bare);
        let levels: Vec<Level> = evaluate(&subject, namespace, matrix, &context.facts, false)
            .judged
            .into_iter()
            .map(|judged| {
                let finding = finding(&judged, object, &subject, name, file, matrix);
                let level = finding.level;
                if level != Level::Note || args.show_unknown {
                    report.findings.push(finding);
                }
                level
            })
            .collect();
        let summary = &mut report.summary;
        summary.objects += 1;
        summary.unknown += levels.iter().filter(|l| **l == Level::Note).count();
        if levels.contains(&Level::Error) {
            summary.denied += 1;
        } else if levels.contains(&Level::Warning) {
            summary.warned += 1;
        } else {
            summary.clean += 1;
        }
    }
    Ok(report)
}

fn finding(judged: &Judged, object: &Object, subject: &Subject<'_>, namespace: &str, file: &str, matrix: &Matrix) -> Finding {
    let (control, entry, found) = (&CATALOG[judged.control], &matrix.entries[judged.control], &judged.finding);
    let path = subject.full_path(&found.path);
    let place = object.node.find(&path);
    Finding {
        level: Level::of(found.outcome, entry.enforcement),
        control: control.id,
        severity: control.severity,
        file: shown(file, 4096),
        line: place.line,
        column: place.column,
        namespace: shown(namespace, 63),
        object: subject.display_name(),
        path: shown(&path, 400),
        message: shown(&found.message, 400),
        fix: shown(&found.fix, 400),
        owner: entry.owner,
        owed_by: shown(&matrix.owed_by(judged.control), 100),
        enforcement: entry.enforcement,
        outcome: match found.outcome {
            Outcome::Violated => "Violated",
            Outcome::Unknown => "Unknown",
        },
        at: (object.file, place),
    }
}

fn context(args: &Args, input: &Input) -> Result<Context, Bad> {
    let mut matrices: BTreeMap<String, Matrix> = BTreeMap::new();
    let mut declared: BTreeMap<String, String> = BTreeMap::new();
    let mut namespaces = BTreeMap::new();
    let (mut classes, mut volumes, mut claims) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for object in &input.objects {
        let file = &input.files[object.file].name;
        let meta = |key: &str| object.node.get("metadata").and_then(|m| m.get(key)).and_then(manifest::Node::text).filter(|t| !t.is_empty());
        let name = meta("name").unwrap_or_default().to_owned();
        let namespace = meta("namespace").unwrap_or(&args.namespace).to_owned();
        match (object.group.as_str(), object.kind.as_str()) {
            ("demarc.dev", "Ownership") => {
                let place = object.node.place();
                if let Some(other) = declared.insert(namespace.clone(), format!("{}:{}", shown(file, 4096), place.line)) {
                    return Err(Bad::at(file, place, format_args!("namespace \"{}\" is declared already, at {other}; keep one Ownership", shown(&namespace, 63))));
                }
                matrices.insert(namespace, Matrix::resolve(&ownership(object, file)?));
            }
            ("", "Namespace") => {
                let value = value(object);
                let (labels, annotations) = (strings(&value["metadata"]["labels"]), strings(&value["metadata"]["annotations"]));
                namespaces.insert(name.clone(), Namespace { name, labels, annotations });
            }
            ("storage.k8s.io", "StorageClass") => {
                let value = value(object);
                let class = StorageClass {
                    provisioner: text_of(&value["provisioner"]).unwrap_or_default(),
                    parameters: strings(&value["parameters"]),
                    default: value["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true",
                    created: text_of(&value["metadata"]["creationTimestamp"]).unwrap_or_default(),
                };
                classes.insert(name, class);
            }
            ("", "PersistentVolume") => {
                let value = value(object);
                let spec = &value["spec"];
                let in_tree = || ["hostPath", "local", "nfs"].into_iter().find(|source| spec[*source].is_object()).map(str::to_owned);
                let volume = Volume {
                    driver: text_of(&spec["csi"]["driver"]).or_else(in_tree).unwrap_or_default(),
                    attributes: strings(&spec["csi"]["volumeAttributes"]),
                    class: text_of(&spec["storageClassName"]),
                    created: text_of(&value["metadata"]["creationTimestamp"]).unwrap_or_default(),
                };
                volumes.insert(name, volume);
            }
            ("", "PersistentVolumeClaim") => {
                let value = value(object);
                let claim = ClaimFact { class: text_of(&value["spec"]["storageClassName"]), volume: text_of(&value["spec"]["volumeName"]) };
                claims.insert(format!("{namespace}/{name}"), claim);
            }
            _ => {}
        }
    }
    let facts = Facts { storage_classes: store(classes, "StorageClass"), volumes: store(volumes, "PersistentVolume"), claims: store(claims, "PersistentVolumeClaim") };
    Ok(Context { matrices, namespaces, facts })
}

/// Files that hold none of a kind say nothing about it; files that hold some are taken to hold all.
fn store<T>(found: BTreeMap<String, T>, kind: &str) -> Store<T> {
    if found.is_empty() { Err(format!("there is no {kind} among the files")) } else { Ok(Arc::new(found)) }
}

fn ownership(object: &Object, file: &str) -> Result<Ownership, Bad> {
    let place = |path: &str| object.node.find(path);
    if object.version != "v1alpha1" {
        return Err(Bad::at(file, place("apiVersion"), format_args!("version \"{}\" of Ownership is not known; write demarc.dev/v1alpha1", shown(&object.version, 63))));
    }
    let json = object.node.json();
    let ownership: Ownership = serde_json::from_str(&json.text).map_err(|e| {
        let (place, what) = json.explain(&e);
        Bad::at(file, place, format_args!("this Ownership cannot be read: {what}; mend it, nothing is judged until then"))
    })?;
    if ownership.metadata.name.as_deref() != Some("default") {
        return Err(Bad::at(file, place("metadata.name"), "the one Ownership of a namespace is named default; rename it"));
    }
    // What serde skipped would be a setting that silently does nothing.
    let kept = serde_json::to_value(&ownership.spec).unwrap_or_default();
    if let Some((at, field)) = object.node.get("spec").and_then(|spec| spec.key_beyond(&kept)) {
        return Err(Bad::at(file, at, format_args!("an Ownership has no field \"{}\" here; correct its name or remove it", shown(field, 63))));
    }
    let mut seen = BTreeSet::new();
    for (i, entry) in ownership.spec.controls.iter().enumerate() {
        let at = || object.node.get("spec").and_then(|s| s.get("controls")).and_then(|c| c.elements().get(i)).map_or_else(|| object.node.place(), |e| e.find("control"));
        if controls::find(&entry.control).is_none() {
            return Err(Bad::at(file, at(), format_args!("control \"{}\" is not known; did you mean {}?", shown(&entry.control, 63), controls::nearest(&entry.control))));
        }
        if !seen.insert(&entry.control) {
            return Err(Bad::at(file, at(), format_args!("control \"{}\" stands in the list twice; keep one entry", shown(&entry.control, 63))));
        }
    }
    Ok(ownership)
}

fn value(object: &Object) -> Value {
    // It was read once already; a failure here leaves the fact out, which makes its controls Unknown.
    serde_json::from_str(&object.node.json().text).unwrap_or_default()
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn text(args: &Args, input: &Input, report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for finding in &report.findings {
        let (file, place) = finding.at;
        let (line, carets) = input.files[file].line(place);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(out, "{}[{}]: {}: {}", finding.level.word(), finding.control, finding.object, finding.message)?;
        writeln!(out, "{margin}--> {}:{}:{}", finding.file, finding.line, finding.column)?;
        writeln!(out, "{margin} |")?;
        writeln!(out, "{number} | {line}")?;
        writeln!(out, "{margin} | {carets} {}", finding.path)?;
        writeln!(out, "{margin} = owed by {}, {}", finding.owed_by, consequence(finding))?;
        writeln!(out, "{margin} = fix: {}", finding.fix)?;
        writeln!(out, "{margin} = more: demarc explain {}\n", finding.control)?;
    }
    let s = &report.summary;
    if s.undeclared > 0 {
        let names: Vec<&str> = report.undeclared_namespaces.iter().take(5).map(String::as_str).collect();
        let more = report.undeclared_namespaces.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (objects, plural) = (many(s.undeclared, "object"), if report.undeclared_namespaces.len() == 1 { "" } else { "s" });
        writeln!(out, "note: {objects} not judged: no Ownership among the files for namespace{plural} {}{more}", names.join(", "))?;
    }
    let hint = if s.unknown > 0 && !args.show_unknown { " (--show-unknown)" } else { "" };
    let (objects, files) = (many(s.objects, "object"), many(s.files, "file"));
    writeln!(out, "{objects} in {files}: {} clean, {} denied, {} warned, {} unknown{hint}", s.clean, s.denied, s.warned, s.unknown)
}

fn consequence(finding: &Finding) -> String {
    let ns = &finding.namespace;
    match (finding.level, finding.enforcement) {
        (Level::Note, _) => format!("not visible in the files for namespace {ns}: a cluster would admit this"),
        (Level::Error, _) => format!("enforced in namespace {ns}: a cluster would refuse this"),
        (Level::Warning, Enforcement::Warn) => format!("not enforced in namespace {ns}: a cluster would admit this with a warning"),
        (Level::Warning, Enforcement::Off | Enforcement::Audit | Enforcement::Deny) => format!("audited in namespace {ns}: a cluster would admit this and report it as drift"),
    }
}

fn many(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
