//! The documents of one file, read one after another. Of what is only judged the tree goes as soon as it is read, and is read again when its turn
//! comes: ten thousand manifests are judged in the memory of their names.

use std::ops::Range;

use super::{
    manifest::{Bad, MAX_NODES},
    tree::{Node, Place},
};
use crate::model::text::shown;

/// Of the thread that reads one file.
const STACK: usize = 64 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 80;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 20_000;

/// One document.
pub struct Document {
    /// Its tree, or of what is only judged the head of it.
    pub node: Node,
    /// How many values and keys it holds.
    pub nodes: usize,
    /// Where the whole is read again.
    pub rest: Option<Span>,
}

/// A part of a text: whole lines.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    from: usize,
    to: usize,
    lines_before: u32,
    shallow: bool,
}

/// So deep is read on anybody's stack. Nearly every manifest is, and a thread for each of ten thousand would take longer than the reading.
const SHALLOW: usize = 16;

/// Collects documents as they are read.
#[derive(Default)]
struct Heads(Vec<Head>);

struct Head {
    document: Document,
    cut: bool,
    shallow: bool,
}

impl Extend<Node> for Heads {
    fn extend<I: IntoIterator<Item = Node>>(&mut self, documents: I) {
        self.0.extend(documents.into_iter().map(|mut node| {
            let (nodes, shallow, cut) = (node.count(), node.depth() <= SHALLOW, only_judged(&node));
            if cut {
                node.keep(&["apiVersion", "kind", "metadata"]);
                node.keep_in("metadata", &["name", "namespace", "uid", "ownerReferences"]);
            }
            Head { document: Document { node, nodes, rest: None }, cut, shallow }
        }));
    }
}

/// Reads every document of a file.
///
/// # Errors
/// Where it is no YAML, or more than is read at once.
pub fn read(name: &str, text: &str, nodes: usize) -> Result<Vec<Document>, Bad> {
    let Heads(mut heads) = parse(name, text, nodes)?;
    let mut to = text.len();
    // A directive holds for what follows it, and so does whatever shares a line with it.
    let mut whole = !text.lines().any(|line| line.starts_with('%'));
    for Head { document, cut, shallow } in heads.iter_mut().rev() {
        let span = lines(text, document.node.place(), to).map(|span| Span { shallow: *shallow, ..span });
        to = span.map_or(to, |span| span.from);
        whole &= span.is_some();
        if *cut {
            document.rest = span;
        }
    }
    if whole {
        return Ok(heads.into_iter().map(|head| head.document).collect());
    }
    // Written in a way of which no part can be read by itself.
    let documents: Vec<Node> = parse(name, text, nodes)?;
    Ok(documents.into_iter().map(|node| Document { nodes: node.count(), node, rest: None }).collect())
}

impl Span {
    /// Which bytes of the text they are.
    pub fn bytes(self) -> Range<usize> {
        self.from..self.to
    }
}

/// Reads a document again, of which `part` is what its span holds.
///
/// # Errors
/// It is no document by itself.
pub fn again(name: &str, part: &str, span: Span) -> Result<Node, Bad> {
    let documents: Vec<Node> = if span.shallow { parse_here(name, part, MAX_NODES)? } else { parse(name, part, MAX_NODES)? };
    let mut node = documents.into_iter().next().ok_or_else(|| Bad::file(name, format_args!("line {} cannot be read by itself; please report the file", span.lines_before + 1)))?;
    node.shift(span.lines_before, u32::try_from(span.from).unwrap_or(u32::MAX));
    Ok(node)
}

/// The lines of a document that begins there, if it begins with its line and needs nothing that stands before.
fn lines(text: &str, begins: Place, to: usize) -> Option<Span> {
    let before = text.get(..begins.offset as usize)?;
    let from = before.rfind('\n').map_or(0, |at| at + 1);
    let part = text.get(from..to)?;
    let own = before[from..].bytes().all(|b| b == b' ') && !part.contains('\r');
    own.then_some(Span { from, to, lines_before: begins.line - 1, shallow: false })
}

/// Workloads and what nothing else is judged by. Whatever others are judged by is kept.
fn only_judged(node: &Node) -> bool {
    let text = |key| node.get(key).and_then(Node::text).unwrap_or_default();
    let (group, _) = text("apiVersion").rsplit_once('/').unwrap_or_default();
    match group {
        "apps" | "batch" => !text("kind").ends_with("List"),
        "" => matches!(text("kind"), "Pod" | "PodTemplate" | "ReplicationController" | "Service" | "ConfigMap"),
        _ => false,
    }
}

/// On a stack of its own: each level of nesting takes many frames, and the depth allowed must not depend on who calls.
fn parse<C: Default + Extend<Node> + Send>(name: &str, text: &str, nodes: usize) -> Result<C, Bad> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse_here(name, text, nodes));
        let reader = reader.map_err(|e| Bad::file(name, format_args!("cannot be read now ({e}); try again")))?;
        reader.join().unwrap_or_else(|_| Err(Bad::file(name, "cannot be read (the YAML reader failed); please report the file")))
    })
}

fn parse_here<C: Default + Extend<Node>>(name: &str, text: &str, nodes: usize) -> Result<C, Bad> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: nodes,
            max_events: 2 * MAX_NODES + 1,
            max_documents: MAX_DOCUMENTS,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        // As kubectl's reader has it: `0644` is a file mode.
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_multiple_with_options::<Node, C>(text, options).map_err(|error| {
        let place = error.location().map_or(Place { line: 1, column: 1, offset: 0, length: 0 }, Place::from);
        if let Some(why) = beyond_bounds(&error) {
            return Bad::at(name, place, format_args!("{why}; simplify or split the file"));
        }
        let formatter = serde_saphyr::UserMessageFormatter;
        let what = error.render_with_options(serde_saphyr::render_options! { formatter: &formatter, snippets: serde_saphyr::SnippetMode::Off });
        let what = what.split(" at line ").next().unwrap_or_default();
        let what = what.rsplit_once(": line ").map_or(what, |(what, _)| what);
        let what = shown(what.lines().next().unwrap_or_default().trim_end_matches(['.', ';']), 300);
        let advice = if text.contains("{{") {
            "render the template first (helm template)"
        } else if what.contains("<document start>") {
            "put a line of --- between documents"
        } else {
            "mend the YAML"
        };
        Bad::at(name, place, format_args!("{what}; {advice}"))
    })
}

/// Whether the file is refused for its size, and which.
fn beyond_bounds(error: &serde_saphyr::Error) -> Option<String> {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error {
        Error::AliasError { error, .. } => beyond_bounds(error),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => Some(format!("nests deeper than {MAX_DEPTH} levels")),
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => Some(format!("holds more than {MAX_DOCUMENTS} documents")),
        Error::Budget { .. } => Some("holds too many values or anchors".to_owned()),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => {
            Some("its aliases stand for too much".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_read_again_as_it_was_place_for_place() {
        let deployment =
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: wéb\n  labels: {a: b}\nspec: # one\n  replicas: &n 2\n  text: |\n    one\n    ---x\n  again: *n\n";
        let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n";
        for text in [
            deployment.to_owned(),
            format!("# a comment\n---\n{deployment}---\n# another\n{deployment}...\n---\n{claim}---\n{deployment}"),
            format!("\n\n---\n{claim}---\n{}", deployment.lines().map(|l| format!("  {l}\n")).collect::<String>()),
            "{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\", \"metadata\": {\"name\": \"x\"}, \"spec\": [1, {}]}".to_owned(),
        ] {
            let whole: Vec<Node> = parse("file", &text, MAX_NODES).unwrap();
            let read = read("file", &text, MAX_NODES).unwrap();
            assert_eq!(read.len(), whole.len());
            assert!(read.iter().any(|document| document.rest.is_some()));
            for (document, whole) in read.into_iter().zip(whole) {
                assert_eq!(document.nodes, whole.count());
                let node = document.rest.map_or(document.node, |span| again("file", &text[span.bytes()], span).unwrap());
                assert_eq!(format!("{node:?}"), format!("{whole:?}"), "{text}");
            }
        }
    }

    #[test]
    fn what_does_not_begin_with_a_line_of_its_own_is_kept() {
        for text in [
            "--- {apiVersion: v1, kind: Pod}\n",
            "%TAG !e! tag:example.com,2000:\n---\napiVersion: v1\nkind: Pod\n...\n%YAML 1.2\n---\na: 1\n",
            "apiVersion: v1\r\nkind: Pod\r\n",
            "%TAG !e! tag:example.com,2000:\n---\napiVersion: v1\nkind: Pod\nspec: !e!x {}\n",
            "apiVersion: v1\nkind: Pod\n--- {apiVersion: x/v1, kind: Y}\n",
        ] {
            assert!(read("file", text, MAX_NODES).unwrap().iter().all(|document| document.rest.is_none()), "{text}");
        }
    }
}
