//! `demarc check`: manifests judged as a cluster would judge them, without one.
//! Declarations, namespaces and storage are taken from among the same files; what is declared nowhere is not judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    baseline,
    cluster::{Found, Listed},
    context::{Context, LABEL, context, is_label, judged_kind},
    declared::{self, declaration},
    github::github,
    manifest::{Bad, Input, Object},
    places::Places,
    report::{Finding, Level, Report, Summary},
    sarif::sarif,
    show,
    tree::{Json, Node},
    words::Words,
};
use crate::{
    api::ownership::{Enforcement, Severity},
    api::{Declaration, GROUP},
    controls::{self, custom::Whole},
    model::{
        Outcome,
        facts::Namespace,
        subject::{Kind, Subject},
        text::shown,
    },
    policy::{
        matrix::{Matrix, Row},
        verdict::{Door, Judged, Told, evaluate, evaluate_namespace},
        waiver::waived,
    },
};

/// The most errors that are told at once.
const MAX_ERRORS: usize = 20;

const HELP: &str = "\
Examples:
  demarc check -f manifests/
  helm template shop ./chart | demarc check -f - -n shop --against platform/shop/
  demarc check -f manifests/ --context staging
  demarc check -f manifests/ -o sarif >demarc.sarif
  demarc check -f manifests/ --write-baseline demarc-baseline.json
  demarc check -f manifests/ --baseline demarc-baseline.json

Where context comes from: the same files, files of --against, and with --context a cluster, in this order. An Ownership (named \
default) declares its namespace, -n where it names none; what is declared nowhere is not judged. Namespaces, StorageClasses, \
PersistentVolumes, claims, ServiceAccounts, bindings, NetworkPolicies and Gateways are what checks look up, and of a cluster its \
version, nodes, agents and backups; what none of them shows is unknown (--show-unknown), and a cluster admits it. An object is taken \
as the child of another when its controller's uid is among the files.
A Waiver counts where it was approved: in the cluster of --context, or as --against or a file with its metadata.uid has it from one.
Without --context nothing asks a cluster; with it no Secret, ConfigMap or pod is read, and of DaemonSets only how many nodes they run on.

Exit codes: 0 nothing would be refused, 1 a cluster would refuse something, 2 the input is bad: the error says where.
What --control, --severity and --baseline leave out does not count.";

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
    pub output: Format,
    /// Files or folders that are looked up and not judged; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    pub against: Vec<String>,
    /// Look up declarations, storage, bindings and policies in the cluster of this kubeconfig context (without a name the current one)
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub context: Option<String>,
    /// Judge by this control only; may be repeated
    #[arg(long, value_name = "ID")]
    pub control: Vec<String>,
    /// Judge by controls of this severity or worse
    #[arg(long, value_enum)]
    pub severity: Option<Least>,
    /// Findings that --write-baseline wrote down do not count
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write down what does not hold now, and fail for nothing
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    pub write_baseline: Option<PathBuf>,
}

impl Args {
    fn asks(&self, control: &Row<'_>) -> bool {
        self.severity.is_none_or(|least| control.severity >= least.severity()) && (self.control.is_empty() || self.control.iter().any(|id| id == control.id))
    }
}

/// How to say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; the keys are stable.
    Json,
    /// SARIF 2.1.0, for code-scanning pages.
    Sarif,
    /// Workflow commands of GitHub Actions: annotations on the lines of a pull request.
    Github,
}

/// The least severity that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Least {
    Low,
    Medium,
    High,
    Critical,
}

impl Least {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// Asks the cluster of a context about namespaces.
pub type Ask<'a> = dyn FnMut(&str, &BTreeSet<String>) -> anyhow::Result<Found> + 'a;

/// Judges what `args` name; the exit code.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &Args, stdin: &mut dyn Read, ask: &mut Ask<'_>, out: &mut dyn Write, err: &mut dyn Write, now: Timestamp) -> anyhow::Result<u8> {
    let (input, report) = match judged(args, stdin, ask, now) {
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
        Format::Text => show::text(args, &input, &report, out)?,
        Format::Json => json(&report, out)?,
        Format::Sarif => json(&sarif(&report), out)?,
        Format::Github => github(&report, out)?,
    }
    Ok(u8::from(report.summary.denied > 0 && args.write_baseline.is_none()))
}

fn json(value: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

fn judged(args: &Args, stdin: &mut dyn Read, ask: &mut Ask<'_>, now: Timestamp) -> Result<(Input, Report), Vec<Bad>> {
    if !is_label(&args.namespace) {
        let what = shown(&args.namespace, 100);
        return Err(vec![Bad::of(format_args!("-n \"{what}\" {LABEL}"))]);
    }
    let known = args.baseline.as_deref().map(baseline::read).transpose().map_err(|bad| vec![bad])?.unwrap_or_default();
    let mut input = Input::default();
    input.read(&args.filename, stdin, false).and_then(|()| input.read(&args.against, stdin, true)).map_err(|bad| vec![bad])?;
    if let Some(context) = &args.context {
        look_up(args, context, ask, &mut input).map_err(|bad| vec![bad])?;
    }
    let own = declared::controls(&input);
    if let Some(unknown) = args.control.iter().find(|id| controls::find(id).is_none() && !own.contains(*id)) {
        return Err(vec![Bad::of(format_args!("--control: {}", controls::nobody_knows(unknown)))]);
    }
    let report = judge(args, &input, &known, now)?;
    if let Some(path) = &args.write_baseline {
        baseline::write(path, &report.findings).map_err(|bad| vec![bad])?;
    }
    Ok((input, report))
}

/// Takes what the cluster of `context` has for the namespaces among the files.
fn look_up(args: &Args, context: &str, ask: &mut Ask<'_>, input: &mut Input) -> Result<(), Bad> {
    let at = if context.is_empty() { "the current context".to_owned() } else { format!("context {}", shown(context, 100)) };
    let of = |object: &Object| object.node.get("metadata").and_then(|m| m.get("namespace")).and_then(|n| n.text()).filter(|n| is_label(n)).map(str::to_owned);
    let namespaces = input.objects.iter().map(|object| of(object).unwrap_or_else(|| args.namespace.clone())).collect();
    let Found { server, lists } = ask(context, &namespaces).map_err(|error| Bad::of(format_args!("{at}: {error:#}")))?;
    input.server = server;
    for Listed { kind, found } in lists {
        let listed = match found {
            Ok(json) => input.take(format!("{at}, {kind}"), json, true),
            Err(reason) => {
                // One of two lists that failed leaves the whole unknown.
                input.listed.insert(kind, Err(reason));
                continue;
            }
        };
        listed?;
        input.listed.entry(kind).or_insert(Ok(()));
    }
    Ok(())
}

fn judge(args: &Args, input: &Input, known: &BTreeSet<String>, now: Timestamp) -> Result<Report, Vec<Bad>> {
    let context = context(&args.namespace, input, now)?;
    let mut report = Report {
        checked_at: now,
        findings: Vec::new(),
        summary: Summary { files: input.objects.iter().filter(|o| !o.looked_up).map(|o| o.file).collect::<BTreeSet<_>>().len(), ..Summary::default() },
        undeclared_namespaces: BTreeSet::new(),
        kinds_not_judged: BTreeSet::new(),
        words: Words::default(),
    };
    for (i, object) in input.objects.iter().enumerate().filter(|(_, object)| !object.looked_up) {
        let Some(kind) = judged_kind(object) else {
            if is_ownership(object) {
                declared(args, input, object, &context, known, now, &mut report);
            } else if !is_context(object) {
                report.summary.not_judged += 1;
                report.kinds_not_judged.insert(kind_not_judged(object));
            }
            continue;
        };
        let file = &input.files[object.file].name;
        let node = input.whole(object).map_err(|bad| vec![bad])?;
        let json = node.json();
        let subject = subject(kind, object, &json, input)?;
        let name = if subject.meta.namespace.is_empty() { args.namespace.as_str() } else { &subject.meta.namespace };
        let Some(matrix) = context.matrices.get(name) else {
            report.summary.undeclared += 1;
            report.undeclared_namespaces.insert(shown(name, 63));
            continue;
        };
        let bare = Namespace { name: name.to_owned(), ..Namespace::default() };
        let namespace = context.namespaces.get(name).unwrap_or(&bare);
        let told = match context.parents.get(&i) {
            Some(parent) => told(*parent, input, &context, namespace, matrix, now)?,
            None => Told::default(),
        };
        let judged = evaluate(&subject, namespace, matrix, &context.facts, context.parents.contains_key(&i), Door::Files(&|| Ok(whole(&json))), now).judged.into_iter();
        let own = judged.filter(|judged| args.asks(&matrix.row(judged.control)) && !told.says(&subject, judged, matrix));
        // The API server does not ask about these unless the chart is told to: drift, and no refusal.
        let ceiling = if Kind::DRIFT_ONLY.contains(&kind) { Enforcement::Audit } else { Enforcement::Deny };
        let root = match top(i, &context).map(|root| &input.objects[root]) {
            Some(root) => Some((judged_kind(root), input.whole(root).map_err(|bad| vec![bad])?.json())),
            None => None,
        };
        let (tree, mut waivers) = (Places::of(&node), BTreeMap::new());
        let placed = |judged: Judged| {
            let root = || root.as_ref().and_then(|(kind, json)| Subject::written((*kind)?, &json.text).ok());
            let mut covering = || *waivers.entry(judged.control).or_insert_with(|| waived(&matrix.waivers, judged.control, &subject, root, now));
            let waiver = (judged.finding.outcome == Outcome::Violated).then(&mut covering).flatten();
            finding(&judged, (object, &tree), (subject.display_name(), subject.full_path(&judged.finding.path)), name, file, matrix, ceiling).waived_by(waiver)
        };
        let findings = own.map(placed).collect();
        report.take(findings, known, args.show_unknown);
    }
    let stand: BTreeSet<&str> = report.findings.iter().filter(|f| f.known).map(|f| f.id.as_str()).collect();
    (report.summary.known, report.summary.gone) = (stand.len(), known.len() - stand.len());
    Ok(report)
}

/// The topmost object above the one at a position.
fn top(i: usize, context: &Context) -> Option<usize> {
    let mut root = *context.parents.get(&i)?;
    while let Some(above) = context.parents.get(&root) {
        root = *above;
    }
    Some(root)
}

fn is_ownership(object: &Object) -> bool {
    declaration(object) == Some(Declaration::Ownership)
}

/// What a declaration shows of its namespace, told at the declaration.
fn declared(args: &Args, input: &Input, object: &Object, context: &Context, known: &BTreeSet<String>, now: Timestamp, report: &mut Report) {
    let name = object.node.get("metadata").and_then(|m| m.get("namespace")).and_then(Node::text).filter(|n| !n.is_empty()).unwrap_or(&args.namespace);
    let Some(matrix) = context.matrices.get(name) else { return };
    let bare = Namespace { name: name.to_owned(), ..Namespace::default() };
    let namespace = context.namespaces.get(name).unwrap_or(&bare);
    let (object_name, file) = ("ownership/default", &input.files[object.file].name);
    let judged = evaluate_namespace(namespace, matrix, &context.facts, now).judged;
    let asked = judged.iter().filter(|judged| args.asks(&matrix.row(judged.control)));
    let places = Places::of(&object.node);
    let finding = |judged: &Judged| finding(judged, (object, &places), (object_name.to_owned(), judged.finding.path.clone()), name, file, matrix, Enforcement::Audit);
    report.take(asked.map(finding).collect(), known, args.show_unknown);
}

fn subject<'j>(kind: Kind, object: &Object, json: &'j Json, input: &Input) -> Result<Subject<'j>, Vec<Bad>> {
    let bad = |place, what: &str| {
        let file = &input.files[object.file];
        vec![file.point(Bad::at(&file.name, place, format_args!("this {} {what}, as the API server would refuse it too", kind.name())))]
    };
    let subject = Subject::written(kind, &json.text).map_err(|e| {
        let (place, what) = json.explain(&e);
        bad(place, &format!("cannot be read: {what}; mend it"))
    })?;
    // Somebody is to be told whose violation it is, and a Waiver to name it.
    if subject.meta.name.is_empty() && subject.meta.generate_name.is_empty() {
        return Err(bad(object.node.find("metadata.name"), "has no metadata.name and no generateName; name it"));
    }
    Ok(subject)
}

/// What is told of the parent, and not again of its child, as in drift.
fn told(parent: usize, input: &Input, context: &Context, namespace: &Namespace, matrix: &Matrix, now: Timestamp) -> Result<Told, Vec<Bad>> {
    let object = &input.objects[parent];
    let Some(kind) = judged_kind(object) else { return Ok(Told::default()) };
    let json = input.whole(object).map_err(|bad| vec![bad])?.json();
    let subject = subject(kind, object, &json, input)?;
    Ok(Told::by(&evaluate(&subject, namespace, matrix, &context.facts, context.parents.contains_key(&parent), Door::Files(&|| Ok(whole(&json))), now), matrix))
}

/// As a new object that nobody asks about.
fn whole(json: &Json) -> Whole {
    // It was read once already; null satisfies no rule.
    Whole { object: serde_json::from_str(&json.text).unwrap_or_default(), old_object: serde_json::Value::Null, request: None }
}

/// Kinds that are looked up and not judged.
fn is_context(object: &Object) -> bool {
    match &*object.group {
        "" => matches!(&*object.kind, "Namespace" | "PersistentVolume" | "ServiceAccount"),
        GROUP => declaration(object).is_some(),
        "networking.k8s.io" => object.kind == "NetworkPolicy",
        "rbac.authorization.k8s.io" => matches!(&*object.kind, "RoleBinding" | "ClusterRoleBinding"),
        "storage.k8s.io" => object.kind == "StorageClass",
        _ => false,
    }
}

/// A kind that is judged in another group, or spelt otherwise, is told with its apiVersion, since it looks as if it were judged.
fn kind_not_judged(object: &Object) -> String {
    let kind = shown(&object.kind, 63);
    let looks_judged = Kind::find(&object.group, &object.kind).is_none()
        && (Declaration::ALL.iter().any(|d| d.kind().eq_ignore_ascii_case(&object.kind)) || Kind::ALL.iter().any(|k| k.name().eq_ignore_ascii_case(&object.kind)));
    let slash = if object.group.is_empty() { "" } else { "/" };
    if looks_judged { format!("{kind} of {}{slash}{}", shown(&object.group, 253), shown(&object.version, 63)) } else { kind }
}

fn finding(
    judged: &Judged,
    (object, places): (&Object, &Places<'_>),
    (name, path): (String, String),
    namespace: &str,
    file: &str,
    matrix: &Matrix,
    ceiling: Enforcement,
) -> Finding {
    let (control, entry, found) = (matrix.row(judged.control), &matrix.entries[judged.control], &judged.finding);
    let place = places.find(&path);
    let enforcement = entry.enforcement.min(ceiling);
    Finding {
        id: baseline::id(control.id, namespace, &name, &path, &found.fingerprint),
        level: Level::of(found.outcome, enforcement),
        control: control.id.to_owned().into(),
        severity: control.severity,
        file: shown(file, 4096).into(),
        line: place.line,
        column: place.column,
        namespace: shown(namespace, 63).into(),
        object: name.into(),
        path: shown(&path, 400).into(),
        message: shown(&found.message, 400).into(),
        fix: shown(&found.fix, 400).into(),
        owner: entry.owner,
        owed_by: shown(&matrix.owed_by(judged.control), 100).into(),
        enforcement,
        outcome: match found.outcome {
            Outcome::Violated => "Violated",
            Outcome::Unknown => "Unknown",
        },
        known: false,
        waiver: None,
        at: (object.file, place),
        confidential: control.confidential,
    }
}
