//! Manifests from files, folders and stdin as trees in which every node knows its place.
//! Whatever is read is bounded: bytes, nodes, depth and what aliases expand to.

use std::{
    collections::BTreeSet,
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::model::text::shown;

/// The most bytes of one file.
pub const MAX_FILE: u64 = 16 << 20;
/// The most bytes of all files together.
const MAX_TOTAL: usize = 128 << 20;
/// Of the thread that reads one file.
const STACK: usize = 64 << 20;
/// The most nodes of all files together, after aliases are expanded.
const MAX_NODES: usize = 1_000_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 80;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 20_000;

/// Input that cannot be judged: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad(String);

impl Bad {
    /// At a place in a file.
    pub fn at(file: &str, place: Place, sentence: impl fmt::Display) -> Self {
        Self(format!("{}:{}:{}: {sentence}", shown(file, 4096), place.line, place.column))
    }
    /// In no place of `file`.
    pub fn file(file: &str, sentence: impl fmt::Display) -> Self {
        Self(format!("{}: {sentence}", shown(file, 4096)))
    }
}
impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where something stands in a file. Lines and columns count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// The byte at which it begins.
    pub offset: u32,
    /// How many characters it takes; 0 means the rest of its line.
    pub length: u32,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: small(location.line()).max(1),
            column: small(location.column()).max(1),
            offset: small(location.span().byte_offset().unwrap_or_default()),
            length: small(location.span().len()),
        }
    }
}

/// A node of a document.
#[derive(Debug)]
pub struct Node {
    place: Place,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Place, String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self { place: place_of(spanned.referenced, spanned.defined), shape: spanned.value })
    }
}

fn place_of(referenced: Location, defined: Location) -> Place {
    // Where an alias is used is where its reader looks.
    if referenced.line() == 0 { defined.into() } else { referenced.into() }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Scalar(Value::Null))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Shape, E> {
                Err(E::custom("a number beyond 64 bits"))
            }
            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Shape, E> {
                Err(E::custom("a number beyond 64 bits"))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_string<E>(self, v: String) -> Result<Shape, E> {
                Ok(Shape::Scalar(v.into()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut list = Vec::new();
                while let Some(node) = seq.next_element()? {
                    list.push(node);
                }
                Ok(Shape::List(list))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    entries.push((place_of(key.referenced, key.defined), key.value, map.next_value()?));
                }
                Ok(Shape::Map(entries))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A document as JSON, and the place of whatever stands on each of its lines.
pub struct Json {
    /// One node a line.
    pub text: String,
    places: Vec<Place>,
}

impl Json {
    /// Where `error` is in the file, and what it says without a place of its own.
    pub fn explain(&self, error: &serde_json::Error) -> (Place, String) {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
        // An error without a line is about the whole.
        let place = self.places[error.line().saturating_sub(1).min(self.places.len() - 1)];
        (place, shown(text, 300))
    }
}

impl Node {
    /// Where it begins.
    pub fn place(&self) -> Place {
        self.place
    }

    fn entry(&self, key: &str) -> Option<(Place, &Self)> {
        match &self.shape {
            Shape::Map(entries) => entries.iter().find(|(_, k, _)| k == key).map(|(place, _, node)| (*place, node)),
            Shape::Scalar(_) | Shape::List(_) => None,
        }
    }

    /// The value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, node)| node)
    }

    /// Its text, when it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar(value) => value.as_str(),
            Shape::List(_) | Shape::Map(_) => None,
        }
    }

    /// Its elements; none when it is not a list.
    pub fn elements(&self) -> &[Self] {
        match &self.shape {
            Shape::List(list) => list,
            Shape::Scalar(_) | Shape::Map(_) => &[],
        }
    }

    fn into_items(self) -> Vec<Self> {
        let Shape::Map(entries) = self.shape else { return Vec::new() };
        match entries.into_iter().find(|(_, key, _)| key == "items").map(|(_, _, node)| node.shape) {
            Some(Shape::List(list)) => list,
            Some(Shape::Scalar(_) | Shape::Map(_)) | None => Vec::new(),
        }
    }

    fn count(&self) -> usize {
        1 + match &self.shape {
            Shape::Scalar(_) => 0,
            Shape::List(list) => list.iter().map(Self::count).sum(),
            Shape::Map(entries) => entries.iter().map(|(_, _, node)| 1 + node.count()).sum(),
        }
    }

    /// The first key with a value that `kept`, which was read from this node, does not have.
    pub fn key_beyond(&self, kept: &Value) -> Option<(Place, &str)> {
        match &self.shape {
            Shape::Scalar(_) => None,
            Shape::List(list) => list.iter().zip(kept.as_array()?).find_map(|(node, kept)| node.key_beyond(kept)),
            Shape::Map(entries) => entries.iter().filter(|(_, _, node)| !node.is_hollow()).find_map(|(place, key, node)| match kept.get(key) {
                Some(kept) => node.key_beyond(kept),
                None => Some((*place, key.as_str())),
            }),
        }
    }

    /// Null, or a list or mapping without anything: what reading and writing may drop.
    fn is_hollow(&self) -> bool {
        match &self.shape {
            Shape::Scalar(value) => value.is_null(),
            Shape::List(list) => list.is_empty(),
            Shape::Map(entries) => entries.is_empty(),
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> Json {
        let mut json = Json { text: String::new(), places: vec![self.place] };
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut Json) {
        fn line(json: &mut Json, place: Place) {
            json.text.push('\n');
            json.places.push(place);
        }
        match &self.shape {
            Shape::Scalar(value) => json.text.push_str(&value.to_string()),
            Shape::List(list) => {
                json.text.push('[');
                for (i, node) in list.iter().enumerate() {
                    if i > 0 {
                        json.text.push(',');
                    }
                    line(json, node.place);
                    node.write(json);
                }
                line(json, self.place);
                json.text.push(']');
            }
            Shape::Map(entries) => {
                json.text.push('{');
                for (i, (place, key, node)) in entries.iter().enumerate() {
                    if i > 0 {
                        json.text.push(',');
                    }
                    line(json, *place);
                    json.text.push_str(&Value::from(key.as_str()).to_string());
                    json.text.push(':');
                    line(json, if matches!(node.shape, Shape::Scalar(_)) { node.place } else { *place });
                    node.write(json);
                }
                line(json, self.place);
                json.text.push('}');
            }
        }
    }

    /// The place of `spec.containers[web].image`, or of its nearest parent that is there.
    pub fn find(&self, path: &str) -> Place {
        let (mut node, mut best) = (self, self.place);
        for step in steps(path) {
            let found = match step {
                Step::Key(key) => node.entry(key).map(|(place, child)| {
                    let written = matches!(&child.shape, Shape::Scalar(v) if !v.is_null()) && child.place.length > 0;
                    (if written { child.place } else { place }, child)
                }),
                Step::Named(name) => node.elements().iter().find(|e| e.is_named(name)).map(|e| {
                    let length = if matches!(e.shape, Shape::Scalar(_)) { e.place.length } else { 0 };
                    (Place { length, ..e.place }, e)
                }),
            };
            let Some((place, child)) = found else { break };
            (best, node) = (place, child);
        }
        best
    }

    fn is_named(&self, name: &str) -> bool {
        let own = [self.get("name"), self.get("host"), self.get("metadata").and_then(|m| m.get("name"))];
        // Paths hold names as they are shown.
        own.into_iter().flatten().filter_map(Self::text).any(|text| text == name || shown(text, 63) == name || shown(text, 253) == name)
    }
}

enum Step<'p> {
    Key(&'p str),
    Named(&'p str),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
            rest = after;
            return Some(Step::Named(name));
        }
        let (key, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        rest = after;
        Some(Step::Key(key))
    })
}

/// One file as read.
#[derive(Debug)]
pub struct File {
    /// As it was named, `stdin` for the standard input.
    pub name: String,
    text: String,
}

impl File {
    /// The part of a line around `place` that fits a terminal, and what underlines the place in it.
    pub fn line(&self, place: Place) -> (String, String) {
        const BEFORE: usize = 80;
        const AFTER: usize = 80;
        let text = self.text.as_str();
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
    pub group: String,
    /// The version of its `apiVersion`.
    pub version: String,
    /// Its `kind`.
    pub kind: String,
    /// The object itself.
    pub node: Node,
}

/// Everything that was named on the command line.
#[derive(Debug, Default)]
pub struct Input {
    /// The files, in the order given, folders sorted.
    pub files: Vec<File>,
    /// Their objects, lists flattened.
    pub objects: Vec<Object>,
}

/// Reads all that `names` stand for; `-` is `stdin`.
pub fn read(names: &[String], stdin: &mut dyn Read) -> Result<Input, Bad> {
    let mut input = Input::default();
    let (mut seen, mut bytes, mut nodes) = (BTreeSet::new(), 0, 0);
    for name in names {
        let paths = if name == "-" { vec![PathBuf::from("-")] } else { files(Path::new(name))? };
        for path in paths {
            if !seen.insert(path.clone()) {
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
            bytes += content.len();
            if bytes > MAX_TOTAL {
                return Err(Bad::file(&name, format_args!("with it the files are larger than {} MiB together; check fewer at a time", MAX_TOTAL >> 20)));
            }
            let text = String::from_utf8(content).map_err(|e| not_utf8(&name, &e))?;
            let documents = parse(&name, &text, MAX_NODES - nodes)?;
            nodes += documents.iter().map(Node::count).sum::<usize>();
            if nodes > MAX_NODES {
                return Err(Bad::file(&name, "with it the files hold too many values together; check fewer at a time"));
            }
            for document in documents {
                take(document, None, &name, input.files.len(), &mut input.objects)?;
            }
            input.files.push(File { name, text });
        }
    }
    if input.objects.is_empty() {
        let names: Vec<String> = names.iter().map(|n| shown(n, 200)).collect();
        return Err(Bad::file(&names.join(", "), "no manifest in it; name a file or a folder with .yaml, .yml or .json files"));
    }
    Ok(input)
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
        } else if path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known))) && !path.is_dir() {
            found.push(path);
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

/// On a stack of its own: each level of nesting takes many frames, and the depth allowed must not depend on who calls.
fn parse(name: &str, text: &str, nodes: usize) -> Result<Vec<Node>, Bad> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse_here(name, text, nodes));
        let reader = reader.map_err(|e| cannot_read(name, &e))?;
        reader.join().unwrap_or_else(|_| Err(Bad::file(name, "cannot be read (the YAML reader failed); please report the file")))
    })
}

fn parse_here(name: &str, text: &str, nodes: usize) -> Result<Vec<Node>, Bad> {
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
    serde_saphyr::from_multiple_with_options::<Node>(text, options).map_err(|error| {
        let place = error.location().map_or(Place { line: 1, column: 1, offset: 0, length: 0 }, Place::from);
        if let Some(why) = beyond_bounds(&error) {
            return Bad::at(name, place, format_args!("{why}; simplify or split the file"));
        }
        let formatter = serde_saphyr::UserMessageFormatter;
        let what = error.render_with_options(serde_saphyr::render_options! { formatter: &formatter, snippets: serde_saphyr::SnippetMode::Off });
        let what = what.split(" at line ").next().unwrap_or_default();
        let what = what.rsplit_once(": line ").map_or(what, |(what, _)| what);
        let what = shown(what.lines().next().unwrap_or_default().trim_end_matches(['.', ';']), 300);
        let advice = if text.contains("{{") { "render the template first (helm template)" } else { "mend the YAML" };
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

/// Adds an object, or the items of a list; `of` is what the items of a typed list are when they do not say it.
fn take(node: Node, of: Option<(&str, &str)>, name: &str, file: usize, objects: &mut Vec<Object>) -> Result<(), Bad> {
    if matches!(node.shape, Shape::Scalar(Value::Null)) {
        return Ok(());
    }
    let field = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let api_version = field("apiVersion").or_else(|| of.map(|(v, _)| v.to_owned()));
    let kind = field("kind").or_else(|| of.map(|(_, k)| k.to_owned()));
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        return Err(Bad::at(name, node.place, "is not a manifest: it needs an apiVersion and a kind, both text; add them or leave the file out"));
    };
    if let Some(of) = kind.strip_suffix("List").filter(|_| node.get("items").is_some()) {
        let of = (!of.is_empty()).then_some((api_version.as_str(), of));
        for item in node.into_items() {
            take(item, of, name, file, objects)?;
        }
        return Ok(());
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    objects.push(Object { file, group: group.to_owned(), version: version.to_owned(), kind, node });
    Ok(())
}
