//! The report of `demarc check` as workflow commands of GitHub Actions, which become annotations on the lines of a pull request.
//! Source: <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>.

use std::io::Write;

use super::{
    report::{Finding, Level, Report},
    show,
};

/// One command a finding, and the summary as plain text for the log.
pub fn github(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for finding in report.findings.iter().filter(|f| !f.known) {
        writeln!(out, "{}", command(finding))?;
    }
    writeln!(out, "{}", show::summary(report, ""))
}

fn command(finding: &Finding) -> String {
    let word = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let message = format!("{}: {} at {}; owed by {}; fix: {}", finding.object, finding.message, finding.path, finding.owed_by, finding.fix);
    format!("::{word} file={},line={},col={},title={}::{}", property(&finding.file), finding.line, finding.column, property(&finding.control), data(&message))
}

/// A line of output begins a command, so nothing of a manifest may begin one of its own.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{data, property};

    #[test]
    fn nothing_leaves_its_field() {
        assert_eq!(data("50%\r\n::error::x"), "50%25%0D%0A::error::x");
        assert_eq!(property("a,b:c%\n"), "a%2Cb%3Ac%25%0A");
    }
}
