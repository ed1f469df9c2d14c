//! `demarc explain`: what a control is, why, whose it is, how it is checked and how it is mended.
//! Everything comes from the catalog, so it says what this binary does.

use std::io::Write;

use serde_json::{Value, json};

use super::{Output, context::is_label};
use crate::{
    api::ownership::OwnerClass,
    controls::{self, CATALOG, Control},
    model::text::shown,
};

const HELP: &str = "\
Examples:
  demarc explain
  demarc explain pvc-storage-encrypted
  demarc explain -o json | jq '.[].id'

Where it comes from: the catalog in this binary, so it says what this version does. Nothing asks a cluster or a file.

Of a control of your own: kubectl get control NAME -o yaml. kubectl get controls lists both.

Exit codes: 0 explained, 2 the catalog has no such control: the error names the nearest that is much like it.";

/// Arguments of `demarc explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
pub struct Args {
    /// The control's id; without one, all of them in a table
    pub control: Option<String>,
    /// How to say it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Explains one control or lists them all; the exit code.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let Some(id) = &args.control else {
        match args.output {
            Output::Text => table(out)?,
            Output::Json => write_json(out, &CATALOG.iter().map(as_json).collect())?,
        }
        return Ok(0);
    };
    let Some(control) = controls::find(id).map(|i| &CATALOG[i]) else {
        let meant = controls::nearest(id).map_or_else(String::new, |nearest| format!(" did you mean {nearest}?"));
        writeln!(err, "error: control \"{}\" is not one of the catalog;{meant} demarc explain lists them", shown(id, 100))?;
        // One of people's own stands in a cluster or in a file, and says the same of itself.
        if is_label(id) {
            writeln!(err, "if it is one of your own: kubectl get control {id} -o yaml")?;
        }
        return Ok(2);
    };
    match args.output {
        Output::Text => page(control, out)?,
        Output::Json => write_json(out, &as_json(control))?,
    }
    Ok(0)
}

fn write_json(out: &mut dyn Write, value: &Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

fn as_json(c: &Control) -> Value {
    let [iaas, paas, saas] = c.owners;
    json!({
        "id": c.id,
        "title": c.title,
        "group": c.group,
        "severity": c.severity.lower(),
        "enforcement": c.enforcement,
        "owners": { "IaaS": iaas, "PaaS": paas, "SaaS": saas },
        "kinds": c.judges(),
        "why": c.why,
        "checked": c.checked,
        "unknown": c.unknown,
        "fix": c.fix,
        "references": c.references.iter().map(|(framework, ids)| json!({ "framework": framework, "ids": ids })).collect::<Vec<_>>(),
    })
}

fn table(out: &mut dyn Write) -> std::io::Result<()> {
    let header = ["CONTROL", "GROUP", "SEVERITY", "IAAS", "PAAS", "SAAS", "ENFORCED"];
    let rows: Vec<[&str; 7]> = std::iter::once(header)
        .chain(CATALOG.iter().map(|c| {
            let [iaas, paas, saas] = c.owners.map(OwnerClass::as_str);
            [c.id, c.group, c.severity.lower(), iaas, paas, saas, c.enforcement.as_str()]
        }))
        .collect();
    let widths: [usize; 7] = std::array::from_fn(|i| rows.iter().map(|r| r[i].len()).max().unwrap_or_default());
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    writeln!(out, "\n{} controls; one of them: demarc explain <control>", CATALOG.len())
}

fn page(c: &Control, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}: {}", c.id, c.title)?;
    writeln!(out, "  {}, {} severity, {} unless the Ownership says otherwise\n", c.group, c.severity.lower(), c.enforcement)?;
    let [iaas, paas, saas] = c.owners;
    let references: Vec<String> = c.references.iter().map(|(framework, ids)| format!("{framework}: {}", ids.join(", "))).collect();
    for (label, text) in [
        ("why", c.why.to_owned()),
        ("whose", format!("{iaas} under IaaS, {paas} under PaaS, {saas} under SaaS")),
        ("judges", c.judges().join(", ")),
        ("checked", c.checked.to_owned()),
        ("unknown", c.unknown.to_owned()),
        ("fix", c.fix.to_owned()),
        ("references", references.join("; ")),
    ] {
        let mut line = format!("{label:<12}");
        for word in text.split_whitespace() {
            if line.len() + word.len() > 100 {
                writeln!(out, "{}", line.trim_end())?;
                line = " ".repeat(12);
            }
            line.push_str(word);
            line.push(' ');
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
