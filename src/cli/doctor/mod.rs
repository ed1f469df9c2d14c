//! `demarc doctor`: is Demarc installed, serving and enforcing, and what is to be done where it is not. From outside, by the user's own kubeconfig,
//! so that it has an answer also when nothing of Demarc runs.

mod judge;
mod look;

use std::io::Write;

use jiff::Timestamp;
use serde_json::json;

use self::judge::{Level, Line};
use super::{Output, connect::Where};

const HELP: &str = "\
Examples:
  demarc doctor
  demarc doctor --context production -o json | jq '.lines[] | select(.level != \"ok\")'

What it needs: to read webhook configurations, policies, custom resource definitions, namespaces, Ownerships, Baselines and two Leases. What may not \
be read is told with ?. One PodTemplate is asked for by dry run, in one enrolled namespace, which Demarc must refuse. In a pod it asks as the pod's \
service account: helm test runs it so.

Exit codes: 0 all is well, 1 something is wrong, 2 there is no cluster to ask, or nothing is wrong as far as may be seen.";

/// Arguments of `demarc doctor`.
#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
pub struct Args {
    /// Context of the kubeconfig; the current one unless said
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Looks, judges and tells; the exit code. `step` hears what is looked at.
///
/// # Errors
/// There is no cluster to ask, or the output cannot be written.
pub async fn run(args: &Args, out: &mut dyn Write, step: &mut dyn FnMut(&str), now: Timestamp) -> anyhow::Result<u8> {
    let client = Where { namespace: None, context: args.context.clone() }.connect().await?.client;
    let found = look::look(&client, step).await?;
    let lines = judge::lines(&found, now);
    let enrolled = found.enrolled.as_ref().map_or(0, Vec::len);
    match args.output {
        Output::Text => text(&lines, enrolled, out)?,
        Output::Json => {
            let problems = count(&lines, Level::Fail);
            let report =
                json!({"ok": lines.iter().all(|l| l.level == Level::Ok), "enrolled": enrolled, "problems": problems, "unseen": count(&lines, Level::Unseen), "lines": lines});
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(match lines.iter().map(|l| l.level).max() {
        Some(Level::Fail) => 1,
        Some(Level::Unseen) => 2,
        Some(Level::Ok) | None => 0,
    })
}

fn count(lines: &[Line], level: Level) -> usize {
    lines.iter().filter(|l| l.level == level).count()
}

fn text(lines: &[Line], enrolled: usize, out: &mut dyn Write) -> std::io::Result<()> {
    for line in lines {
        let word = match line.level {
            Level::Ok => "ok",
            Level::Unseen => "?",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{word:<5} {}", line.message)?;
        if let Some(action) = &line.action {
            writeln!(out, "      do: {action}")?;
        }
    }
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let unseen = count(lines, Level::Unseen);
    let unseen = if unseen == 0 { String::new() } else { format!(", {unseen} not visible") };
    writeln!(out, "{} enrolled, {}{unseen}", many(enrolled, "namespace"), many(count(lines, Level::Fail), "problem"))
}
