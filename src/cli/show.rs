//! The report of `demarc check` for people, in the manners of a compiler.
//! Every finding says what, where, whose it is, what a cluster would do and how to mend it.

use std::io::Write;

use super::{
    check::Args,
    manifest::Input,
    report::{Finding, Level, Report, Waived},
};
use crate::{api::ownership::Enforcement, controls};

/// Writes the report for people.
pub fn text(args: &Args, input: &Input, report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for finding in report.findings.iter().filter(|f| !f.known) {
        let (file, place) = finding.at;
        let (line, carets) = input.files[file].line(place);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(out, "{}[{}]: {}: {}", finding.level.word(), finding.control, finding.object, finding.message)?;
        writeln!(out, "{margin}--> {}:{}:{}", finding.file, finding.line, finding.column)?;
        writeln!(out, "{margin} |")?;
        if finding.confidential {
            // The line may hold what must not be shown again, in a build log least of all.
            writeln!(out, "{number} | (not quoted) {}", finding.path)?;
        } else {
            writeln!(out, "{number} | {line}")?;
            writeln!(out, "{margin} | {carets} {}", finding.path)?;
        }
        writeln!(out, "{margin} = owed by {}, {}", finding.owed_by, consequence(finding))?;
        writeln!(out, "{margin} = fix: {}", finding.fix)?;
        // Of a control of users' own the catalog says nothing.
        let more = if controls::find(&finding.control).is_some() { "demarc explain" } else { "kubectl get control -o yaml" };
        writeln!(out, "{margin} = more: {more} {}\n", finding.control)?;
    }
    let s = &report.summary;
    if s.undeclared > 0 {
        let names: Vec<&str> = report.undeclared_namespaces.iter().take(5).map(String::as_str).collect();
        let more = report.undeclared_namespaces.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (objects, plural) = (many(s.undeclared, "object"), if report.undeclared_namespaces.len() == 1 { "" } else { "s" });
        writeln!(out, "note: {objects} not judged: no Ownership among the files for namespace{plural} {}{more}", names.join(", "))?;
    }
    writeln!(out, "{}", summary(report, if s.unknown > 0 && !args.show_unknown { " (--show-unknown)" } else { "" }))
}

/// The last line: how many of each, with what shows the unknown.
pub fn summary(report: &Report, hint: &str) -> String {
    let s = &report.summary;
    let (objects, files) = (many(s.objects, "object"), many(s.files, "file"));
    let known = if s.known > 0 { format!(", {} known", s.known) } else { String::new() };
    let gone = if s.gone > 0 { format!("; {} of the baseline gone, write it anew", s.gone) } else { String::new() };
    format!("{objects} in {files}: {} clean, {} denied, {} warned, {} unknown{hint}{known}{}{gone}", s.clean, s.denied, s.warned, s.unknown, not_judged(report))
}

/// What Demarc has no control for, so that nobody takes it for judged.
fn not_judged(report: &Report) -> String {
    if report.summary.not_judged == 0 {
        return String::new();
    }
    let kinds: Vec<&str> = report.kinds_not_judged.iter().take(8).map(String::as_str).collect();
    let more = report.kinds_not_judged.len() - kinds.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; {} not judged: {}{more}", report.summary.not_judged, kinds.join(", "))
}

fn consequence(finding: &Finding) -> String {
    let ns = &finding.namespace;
    if let Some(Waived { name, last_day }) = &finding.waiver {
        return format!("waived in namespace {ns} until {last_day} by waiver {name}: a cluster would admit this");
    }
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
