//! Writes one page a control, `docs/controls`, from the rows of the catalog.
//! `make docs`; a test compares the same `pages()` with what is committed.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use demarc::controls::{CATALOG, Check, Control};

const MARK: &str = "<!-- Generated from the catalog by `make docs`; not edited by hand. -->\n";

/// Each page below `docs/controls`, and its text.
pub fn pages() -> Vec<(String, String)> {
    std::iter::once(("README.md".to_owned(), index())).chain(CATALOG.iter().map(|c| (format!("{}.md", c.id), page(c)))).collect()
}

fn index() -> String {
    let mut text =
        format!("{MARK}# The controls\n\nWhat `demarc explain` lists, a page each. The owners are those of the catalog under each service model; an Ownership names others.\n\n");
    text.push_str("| control | group | severity | IaaS | PaaS | SaaS | enforcement |\n|--|--|--|--|--|--|--|\n");
    for c in CATALOG {
        let [iaas, paas, saas] = c.owners;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| [{0}]({0}.md) | {1} | {2} | {iaas} | {paas} | {saas} | {3} |", c.id, c.group, c.severity.lower(), c.enforcement);
    }
    text
}

fn page(c: &Control) -> String {
    let [iaas, paas, saas] = c.owners;
    let met = match c.check {
        Check::Object(_) => format!("{} unless the Ownership says otherwise", c.enforcement),
        Check::Existing(_) => "reported as drift, never refused: what is asked of an object can only come to be after it does".to_owned(),
        Check::Namespace(_) => "reported as drift, never refused: it is about a namespace, not about an object".to_owned(),
        Check::Requester(..) => format!("{} unless the Ownership says otherwise, and never more where policy.mfa does not say how to tell", c.enforcement),
        Check::Cluster(..) => "reported as drift, never refused: it is about the cluster. It is judged once for each Baseline, by its entry and its spec.cluster, and \
                              stands in its status; a namespace refers to that, unless it declares these settings in its policy or evidence of its own, or no Baseline holds there"
            .to_owned(),
    };
    let mut text = format!(
        "{MARK}# {}\n\n{}.\n\n{}\n\n| | |\n|--|--|\n| group | {} |\n| severity | {} |\n| a violation is | {met} |\n| judges | {} |\n| whose | {iaas} under IaaS, {paas} under PaaS, {saas} under SaaS |\n",
        c.id,
        c.title,
        c.why,
        c.group,
        c.severity.lower(),
        c.judges().join(", "),
    );
    for (title, body) in [("How it is checked", c.checked), ("When it is Unknown", c.unknown)] {
        let _ = write!(text, "\n## {title}\n\n{body}\n");
    }
    let _ = write!(text, "\n## How to fix it\n\n```text\n{}\n```\n\n## References\n\n", c.fix);
    for (framework, ids) in c.references {
        let _ = writeln!(text, "- {framework}: {}", ids.join(", "));
    }
    text
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/controls"), PathBuf::from);
    // A control that is gone leaves no page behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    pages().into_iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}
