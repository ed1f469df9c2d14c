//! `demarc check`: manifests judged as a cluster would judge them, without one.
//! Declarations, namespaces and storage are taken from among the same files; what is declared nowhere is not judged.

use std::{
    collections::{BTreeSet, HashSet},
    io::{Read, Write},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Output,
    context::{Context, LABEL, context, is_label, judged_kind},
    manifest::{self, Bad, Input, Object},
    schema::Schema,
    show,
    tree::{Json, Place},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Ownership, Severity},
    controls::CATALOG,
    model::{
        Outcome, Sameness,
        facts::Namespace,
        subject::{Kind, Subject},
        text::shown,
    },
    policy::{
        matrix::Matrix,
        verdict::{Judged, evaluate},
    },
};

/// The most errors that are told at once.
const MAX_ERRORS: usize = 20;

const HELP: &str = "\
Examples:
  demarc check -f manifests/
  helm template shop ./chart | demarc check -f ownership.yaml -f - -n shop

Where context comes from: the same files. An Ownership (named default) declares its namespace, -n where it names none; what is
declared nowhere is not judged. Namespaces, StorageClasses, PersistentVolumes and claims among the files are what checks look up;
what none of them shows is unknown (--show-unknown), and a cluster admits it. An object is taken as the child of another when its
controller's uid is among the files. Nothing asks a cluster.

Exit codes: 0 nothing would be refused, 1 a cluster would refuse something, 2 the input is bad: the error says where.";

/// Arguments of `demarc check`.
#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
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
    let (input, report) = match judged(args, stdin, &Schema::of::<Ownership>()?, now) {
        Ok(judged) => judged,
        Err(bad) => {
            for bad in bad.iter().take(MAX_ERRORS) {
                writeln!(err, "error: {bad}")?;
            }
            if bad.len() > MAX_ERRORS {
                writeln!(err, "error: and {} more", bad.len() - MAX_ERRORS)?;
            }
            return Ok(2);
        }
    };
    match args.output {
        Output::Text => show::text(args, &input, &report, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(u8::from(report.summary.denied > 0))
}

fn judged(args: &Args, stdin: &mut dyn Read, schema: &Schema, now: Timestamp) -> Result<(Input, Report), Vec<Bad>> {
    if !is_label(&args.namespace) {
        let what = shown(&args.namespace, 100);
        return Err(vec![Bad::of(format_args!("-n \"{what}\" {LABEL}"))]);
    }
    let input = manifest::read(&args.filename, stdin).map_err(|bad| vec![bad])?;
    let report = judge(args, &input, schema, now)?;
    Ok((input, report))
}

/// What `-o json` says; the keys are stable.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    checked_at: Timestamp,
    pub findings: Vec<Finding>,
    pub summary: Summary,
    /// Namespaces of objects that no Ownership among the files speaks for.
    pub undeclared_namespaces: BTreeSet<String>,
    /// Kinds among the files that no control is about and no check looks up.
    pub kinds_not_judged: BTreeSet<String>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub files: usize,
    /// Objects judged.
    pub objects: usize,
    /// Of these, without a violation.
    pub clean: usize,
    /// Of these, refused by a cluster.
    pub denied: usize,
    /// Of these, violating something that is not enforced.
    pub warned: usize,
    /// Findings that manifests cannot settle.
    pub unknown: usize,
    /// Objects not judged, because nothing is declared for their namespace.
    pub undeclared: usize,
    /// Objects not judged, because no control is about their kind.
    pub not_judged: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
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
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub level: Level,
    pub control: &'static str,
    pub severity: Severity,
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub namespace: String,
    pub object: String,
    pub path: String,
    pub message: String,
    pub fix: String,
    pub owner: OwnerClass,
    pub owed_by: String,
    pub enforcement: Enforcement,
    pub outcome: &'static str,
    #[serde(skip)]
    pub at: (usize, Place),
    #[serde(skip)]
    pub confidential: bool,
}

fn judge(args: &Args, input: &Input, schema: &Schema, now: Timestamp) -> Result<Report, Vec<Bad>> {
    let context = context(&args.namespace, input, schema)?;
    let mut report = Report {
        checked_at: now,
        findings: Vec::new(),
        summary: Summary { files: input.files.len(), ..Summary::default() },
        undeclared_namespaces: BTreeSet::new(),
        kinds_not_judged: BTreeSet::new(),
    };
    for (i, object) in input.objects.iter().enumerate() {
        let Some(kind) = judged_kind(object) else {
            if !is_context(object) {
                report.summary.not_judged += 1;
                report.kinds_not_judged.insert(kind_not_judged(object));
            }
            continue;
        };
        let file = &input.files[object.file].name;
        let json = object.node.json();
        let subject = subject(kind, object, &json, input)?;
        let name = if subject.meta.namespace.is_empty() { args.namespace.as_str() } else { &subject.meta.namespace };
        let Some(matrix) = context.matrices.get(name) else {
            report.summary.undeclared += 1;
            report.undeclared_namespaces.insert(shown(name, 63));
            continue;
        };
        let bare = Namespace { name: name.to_owned(), ..Namespace::default() };
        let namespace = context.namespaces.get(name).unwrap_or(&bare);
        let inherited = match context.parents.get(&i) {
            Some(parent) => inherited(*parent, input, &context, namespace, matrix, now)?,
            None => HashSet::new(),
        };
        let levels: Vec<Level> = evaluate(&subject, namespace, matrix, &context.facts, context.parents.contains_key(&i), now)
            .judged
            .into_iter()
            .filter(|judged| !inherited.contains(&judged.sameness()))
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

fn subject<'j>(kind: Kind, object: &Object, json: &'j Json, input: &Input) -> Result<Subject<'j>, Vec<Bad>> {
    Subject::parse(kind, &json.text).map_err(|e| {
        let (place, what) = json.explain(&e);
        let file = &input.files[object.file];
        vec![file.point(Bad::at(&file.name, place, format_args!("this {} cannot be read: {what}; mend it, as the API server would refuse it too", kind.name())))]
    })
}

/// What the parent does not hold is told there, and not again of its child, as in drift.
fn inherited(parent: usize, input: &Input, context: &Context, namespace: &Namespace, matrix: &Matrix, now: Timestamp) -> Result<HashSet<Sameness>, Vec<Bad>> {
    let object = &input.objects[parent];
    let Some(kind) = judged_kind(object) else { return Ok(HashSet::new()) };
    let json = object.node.json();
    let subject = subject(kind, object, &json, input)?;
    Ok(evaluate(&subject, namespace, matrix, &context.facts, context.parents.contains_key(&parent), now).judged.iter().map(Judged::sameness).collect())
}

/// Kinds that are looked up and not judged.
fn is_context(object: &Object) -> bool {
    match object.group.as_str() {
        "" => matches!(object.kind.as_str(), "Namespace" | "PersistentVolume" | "ServiceAccount"),
        "demarc.dev" => object.kind == "Ownership",
        "networking.k8s.io" => object.kind == "NetworkPolicy",
        "rbac.authorization.k8s.io" => matches!(object.kind.as_str(), "RoleBinding" | "ClusterRoleBinding"),
        "storage.k8s.io" => object.kind == "StorageClass",
        _ => false,
    }
}

/// A kind that is judged in another group, or spelt otherwise, is told with its apiVersion, since it looks as if it were judged.
fn kind_not_judged(object: &Object) -> String {
    let kind = shown(&object.kind, 63);
    let looks_judged = Kind::find(&object.group, &object.kind).is_none()
        && (object.kind.eq_ignore_ascii_case("Ownership") || Kind::ALL.iter().any(|k| k.name().eq_ignore_ascii_case(&object.kind)));
    let slash = if object.group.is_empty() { "" } else { "/" };
    if looks_judged { format!("{kind} of {}{slash}{}", shown(&object.group, 253), shown(&object.version, 63)) } else { kind }
}

fn finding(judged: &Judged, object: &Object, subject: &Subject<'_>, namespace: &str, file: &str, matrix: &Matrix) -> Finding {
    let (control, entry, found) = (&CATALOG[judged.control], &matrix.entries[judged.control], &judged.finding);
    let path = subject.full_path(&found.path);
    let place = object.node.find(&path);
    // The API server does not ask about these unless the chart is told to: drift, and no refusal.
    let enforcement = if Kind::DRIFT_ONLY.contains(&subject.kind) { entry.enforcement.min(Enforcement::Audit) } else { entry.enforcement };
    Finding {
        level: Level::of(found.outcome, enforcement),
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
        enforcement,
        outcome: match found.outcome {
            Outcome::Violated => "Violated",
            Outcome::Unknown => "Unknown",
        },
        at: (object.file, place),
        confidential: control.confidential,
    }
}
