//! Manifests from files, folders and stdin, taken apart into objects.
//! Whatever is read is bounded: bytes, nodes, depth and what aliases expand to.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    document::{self, Document, Span},
    texts::{Text, Texts},
    tree::{Node, Place},
    words::{Word, Words},
};
use crate::{
    api::GROUP,
    model::{estate::Version, text::shown},
};

/// The most bytes of one file.
pub const MAX_FILE: u64 = 16 << 20;
/// The most bytes of all files together.
const MAX_TOTAL: usize = 128 << 20;
/// The most nodes of all files together, after aliases are expanded.
pub(super) const MAX_NODES: usize = 1_000_000;

/// Input that cannot be judged: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    place: Option<Place>,
    sentence: String,
    excerpt: String,
}

impl Bad {
    /// At a place in a file.
    pub fn at(file: &str, place: Place, sentence: impl fmt::Display) -> Self {
        let sentence = format!("{}:{}:{}: {sentence}", shown(file, 4096), place.line, place.column);
        Self { place: Some(place), sentence, excerpt: String::new() }
    }
    /// In no place of `file`.
    pub fn file(file: &str, sentence: impl fmt::Display) -> Self {
        Self::of(format_args!("{}: {sentence}", shown(file, 4096)))
    }
    /// In no file.
    pub fn of(sentence: impl fmt::Display) -> Self {
        Self { place: None, sentence: sentence.to_string(), excerpt: String::new() }
    }
    /// With the line and what is wrong in it underlined.
    pub fn with_line(mut self, text: &str) -> Self {
        // Of what is no YAML the reader says line and column, and no byte.
        if let Some(place) = self.place.as_mut().filter(|p| p.offset == 0 && p.line > 1)
            && let Some(offset) = byte(text, *place)
        {
            (place.offset, place.length) = (offset, 1);
        }
        self.underlined(|place| excerpt(text, place))
    }
    fn underlined(mut self, excerpt: impl FnOnce(Place) -> (String, String)) -> Self {
        // A place without a span begins at byte 0, whatever its line.
        if let Some(place) = self.place.filter(|p| self.excerpt.is_empty() && (p.offset > 0 || p.line == 1)) {
            let (line, carets) = excerpt(place);
            let margin = " ".repeat(place.line.to_string().len());
            self.excerpt = format!("\n{margin} |\n{} | {line}\n{margin} | {carets}", place.line);
        }
        self
    }
}
impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sentence, self.excerpt)
    }
}

/// One file as read.
#[derive(Debug)]
pub struct File {
    /// As it was named, `stdin` for the standard input.
    pub name: String,
    text: Text,
}

impl File {
    /// The part of a line around `place` that fits a terminal, and what underlines the place in it.
    pub fn line(&self, place: Place) -> (String, String) {
        let (around, place) = self.around(place);
        excerpt(&around, place)
    }
    /// `bad`, which is in this file, with its line.
    pub fn point(&self, bad: Bad) -> Bad {
        bad.underlined(|place| self.line(place))
    }
    /// What is looked at to quote a place, and where the place is in it.
    fn around(&self, place: Place) -> (String, Place) {
        let at = (place.offset as usize).min(self.text.len());
        let before = self.text.part(at.saturating_sub(2 * BEFORE)..at);
        let around = before.clone() + &self.text.part(at..at + 2 * AFTER);
        (around, Place { offset: u32::try_from(before.len()).unwrap_or(u32::MAX), ..place })
    }
}

/// Bytes of a line that are quoted before a place, and from it on.
const BEFORE: usize = 80;
const AFTER: usize = 80;

fn excerpt(text: &str, place: Place) -> (String, String) {
    let at = boundary(text, place.offset as usize);
    let breaks = ['\n', '\r'];
    // A window only: a whole file may be one line.
    let window = boundary(text, at.saturating_sub(BEFORE));
    let begin = text[window..at].rfind(breaks).map(|i| window + i + 1);
    let end = boundary(text, at + AFTER);
    let rest = text[at..end].split(breaks).next().unwrap_or_default();
    let cut = at + rest.len() == end && end < text.len() && !text[end..].starts_with(breaks);
    let visible = |s: &str| shown(&s.replace('\t', " "), usize::MAX);
    let before = match begin {
        Some(begin) => visible(&text[begin..at]),
        None if window == 0 => visible(text[..at].trim_start_matches('\u{feff}')),
        None => format!("…{}", visible(&text[window..at])),
    };
    // A bracketed mapping may end anywhere: its bracket stands for it.
    let length = if rest.starts_with(['{', '[']) { 1 } else { place.length as usize };
    let marked: String = if length == 0 { rest.trim_end().to_owned() } else { rest.chars().take(length).collect() };
    let carets = visible(marked.trim_end()).chars().count().max(1);
    let line = format!("{before}{}{}", visible(rest.trim_end()), if cut { "…" } else { "" });
    (line, format!("{}{}", " ".repeat(before.chars().count()), "^".repeat(carets)))
}

/// The byte at a line and a column.
fn byte(text: &str, place: Place) -> Option<u32> {
    let mut rest = text;
    for _ in 1..place.line {
        let end = rest.find(['\n', '\r'])?;
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    let column = line.char_indices().map(|(at, _)| at).nth(place.column as usize - 1).unwrap_or(line.len());
    u32::try_from(text.len() - rest.len() + column).ok()
}

/// The last character boundary up to `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or_default()
}

/// One object and the file that it stands in.
#[derive(Debug)]
pub struct Object {
    /// The position of its file in [`Input::files`].
    pub file: usize,
    /// The group of its `apiVersion`, empty for core.
    pub group: Word,
    /// The version of its `apiVersion`.
    pub version: Word,
    /// Its `kind`.
    pub kind: Word,
    /// The object itself; of what is only judged no more than what names it. [`Input::whole`] has the rest.
    pub node: Node,
    rest: Option<Span>,
    /// Looked up, and not judged itself.
    pub looked_up: bool,
}

/// Everything that was named on the command line.
#[derive(Default)]
pub struct Input {
    /// The files, in the order given, folders sorted.
    pub files: Vec<File>,
    /// Their objects, lists flattened.
    pub objects: Vec<Object>,
    /// Kinds that were read from a cluster as a whole, or why they could not be.
    pub listed: BTreeMap<&'static str, Result<(), String>>,
    /// The version of the cluster's API server.
    pub server: Option<Version>,
    seen: BTreeSet<PathBuf>,
    words: Words,
    texts: Texts,
    /// Documents that say something.
    documents: usize,
    bytes: usize,
    nodes: usize,
}

impl Input {
    /// Reads all that `names` stand for; `-` is `stdin`. What is named a second time is what it was the first time.
    ///
    /// # Errors
    /// What cannot be read, or holds no manifest at all.
    pub fn read(&mut self, names: &[String], stdin: &mut dyn Read, looked_up: bool) -> Result<(), Bad> {
        let had = self.objects.len();
        for name in names {
            let paths = if name == "-" { vec![PathBuf::from("-")] } else { files(Path::new(name))? };
            for path in paths {
                // By where it really lies: a mounted ConfigMap shows each file twice, once through a link.
                if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                    continue;
                }
                let (name, content) = if path == Path::new("-") {
                    ("stdin".to_owned(), slurp("stdin", stdin)?)
                } else {
                    let name = path.to_string_lossy().into_owned();
                    let mut file = std::fs::File::open(&path).map_err(|e| cannot_read(&name, &e))?;
                    let content = slurp(&name, &mut file)?;
                    (name, content)
                };
                let before = self.documents;
                self.take(name, content, looked_up)?;
                // Whatever writes to the pipe failed, most likely: what it was to say is not clean. An empty list is said.
                if path == Path::new("-") && self.documents == before {
                    return Err(Bad::file("stdin", "no manifest in it; look whether the command that writes to it failed"));
                }
            }
        }
        if self.objects.len() == had && !looked_up {
            let names: Vec<String> = names.iter().map(|n| if n == "-" { "stdin".to_owned() } else { shown(n, 200) }).collect();
            return Err(Bad::file(&names.join(", "), "no manifest in it; name a file or a folder with .yaml, .yml or .json files"));
        }
        Ok(())
    }

    /// Takes one file, by whatever way it came.
    ///
    /// # Errors
    /// Where it is no manifest, or more than is read at once.
    pub fn take(&mut self, name: String, content: Vec<u8>, looked_up: bool) -> Result<(), Bad> {
        self.bytes += content.len();
        if self.bytes > MAX_TOTAL {
            return Err(Bad::file(&name, format_args!("with it the files are larger than {} MiB together; check fewer at a time", MAX_TOTAL >> 20)));
        }
        let text = String::from_utf8(content).map_err(|e| not_utf8(&name, &e))?;
        let documents = document::read(&name, &text, MAX_NODES - self.nodes).map_err(|bad| bad.with_line(&text))?;
        self.nodes += documents.iter().map(|document| document.nodes).sum::<usize>();
        if self.nodes > MAX_NODES {
            return Err(Bad::file(&name, "with it the files hold too many values together; check fewer at a time"));
        }
        self.documents += documents.iter().filter(|document| !document.node.is_null()).count();
        let from = self.objects.len();
        for Document { node, rest, .. } in documents {
            let had = self.objects.len();
            take(node, None, &name, self.files.len(), &mut self.objects).map_err(|bad| bad.with_line(&text))?;
            // What has a rest is no list, so it is one object.
            for object in &mut self.objects[had..] {
                object.rest = rest;
                if rest.is_some() {
                    object.node.keep(&["metadata"]);
                }
                for word in [&mut object.group, &mut object.version, &mut object.kind] {
                    *word = self.words.once(word.clone());
                }
            }
        }
        self.objects[from..].iter_mut().for_each(|object| object.looked_up = looked_up);
        self.files.push(File { name, text: self.texts.keep(&text) });
        Ok(())
    }

    /// All of an object, as it stands in its file.
    ///
    /// # Errors
    /// It cannot be read a second time.
    pub fn whole<'i>(&'i self, object: &'i Object) -> Result<Cow<'i, Node>, Bad> {
        let File { name, text } = &self.files[object.file];
        object.rest.map_or(Ok(Cow::Borrowed(&object.node)), |rest| document::again(name, &text.part(rest.bytes()), rest).map(Cow::Owned))
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> Bad {
    Bad::file(name, format_args!("cannot be read ({}); name a file or a folder that is there and readable", shown(&error.to_string(), 200)))
}

/// A file, or the manifests below a folder, sorted. Links to folders are not followed, so that no ring of them is.
fn files(path: &Path) -> Result<Vec<PathBuf>, Bad> {
    let failed = |e: std::io::Error| cannot_read(&path.to_string_lossy(), &e);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known))) {
            // A link to a folder is left out, and so is a pipe, which would be waited for. A link to nowhere is told when it is read.
            if std::fs::metadata(&path).map_or(true, |m| m.is_file()) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn slurp(name: &str, from: &mut dyn Read) -> Result<Vec<u8>, Bad> {
    let mut content = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|e| cannot_read(name, &e))?;
    if content.len() as u64 > MAX_FILE {
        return Err(Bad::file(name, format_args!("is larger than {} MiB; split it", MAX_FILE >> 20)));
    }
    // It grew by doubling, and is kept to the end.
    content.shrink_to_fit();
    Ok(content)
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Bad {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let good = String::from_utf8_lossy(good);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let last = good.rsplit('\n').next().unwrap_or_default();
    let place = Place { line: count(good.matches('\n').count() + 1), column: count(last.chars().count() + 1), offset: 0, length: 0 };
    Bad::at(name, place, "is not UTF-8; save the file as UTF-8")
}

/// Adds an object, or the items of a list; `of` is what the items of a typed list are when they do not say it.
fn take(node: Node, of: Option<(&str, &str)>, name: &str, file: usize, objects: &mut Vec<Object>) -> Result<(), Bad> {
    if node.is_null() {
        return Ok(());
    }
    let field = |key: &str| match node.get(key) {
        None => Ok(None),
        Some(value) => match value.text().filter(|t| !t.is_empty()) {
            Some(text) if text.contains("{{") => Err(Bad::at(name, value.place(), TEMPLATE)),
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Bad::at(name, node.find(key), format_args!("is not a manifest: its {key} is not text; write it as text or leave the file out"))),
        },
    };
    let api_version = field("apiVersion")?.or_else(|| of.map(|(v, _)| v.to_owned()));
    let kind = field("kind")?.or_else(|| of.map(|(_, k)| k.to_owned()));
    let (api_version, kind) = match (api_version, kind) {
        (Some(api_version), Some(kind)) => (api_version, kind),
        (None, Some(_)) => return Err(missing("apiVersion", &node, name)),
        (Some(_), None) => return Err(missing("kind", &node, name)),
        (None, None) => return Err(missing("apiVersion and kind", &node, name)),
    };
    if let Some(of) = kind.strip_suffix("List").filter(|of| of.is_empty() || node.get("items").is_some()) {
        let of = (!of.is_empty()).then_some((api_version.as_str(), of));
        let items = node.into_items().map_err(|node| Bad::at(name, node.place(), format_args!("the items of a {} must be a list; mend them", shown(&kind, 63))))?;
        for item in items {
            take(item, of, name, file, objects)?;
        }
        return Ok(());
    }
    for key in ["name", "namespace"] {
        // Neither can hold a brace, so this was never rendered; elsewhere braces may be meant.
        if let Some(value) = node.get("metadata").and_then(|m| m.get(key)).filter(|v| v.text().is_some_and(|t| t.contains("{{"))) {
            return Err(Bad::at(name, value.place(), TEMPLATE));
        }
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    // It names every object, also those that are only looked up or counted. Declarations meet their schema.
    if group != GROUP && node.get("metadata").is_some_and(|m| !m.is_map() && !m.is_null()) {
        return Err(Bad::at(name, node.find("metadata"), "is not a manifest: its metadata is not an object; write it as one or leave the file out"));
    }
    objects.push(Object { file, group: group.to_owned().into(), version: version.to_owned().into(), kind: kind.into(), node, rest: None, looked_up: false });
    Ok(())
}

const TEMPLATE: &str = "is a template, not a manifest; render it first (helm template)";

fn missing(what: &str, node: &Node, name: &str) -> Bad {
    let advice = match Path::new(name).file_stem().and_then(std::ffi::OsStr::to_str).unwrap_or_default() {
        "Chart" | "values" => "this looks like a Helm chart: render it first (helm template)",
        "kustomization" => "this looks like a kustomization: build it first (kustomize build)",
        _ => "add it or leave the file out",
    };
    Bad::at(name, node.place(), format_args!("is not a manifest: it has no {what}; {advice}"))
}
