//! A document as a tree in which every node knows its place in the file.
//! Serde fills it, so it reads YAML and JSON alike; findings and errors point into it by path.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::model::text::shown;

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
#[derive(Clone, Debug)]
pub struct Node {
    place: Place,
    shape: Shape,
}

#[derive(Clone, Debug)]
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

    /// The elements of its `items`, or the node itself when they are no list.
    pub fn into_items(self) -> Result<Vec<Self>, Self> {
        let mut entries = match self.shape {
            Shape::Map(entries) => entries,
            shape => return Err(Self { shape, ..self }),
        };
        match entries.iter().position(|(_, key, _)| key == "items") {
            Some(i) => match entries.swap_remove(i).2 {
                Self { shape: Shape::List(list), .. } => Ok(list),
                // `items: null` is how some programs write an empty list.
                Self { shape: Shape::Scalar(Value::Null), .. } => Ok(Vec::new()),
                other => Err(other),
            },
            None => Ok(Vec::new()),
        }
    }

    /// Drops every other key of a mapping.
    pub fn keep(&mut self, keys: &[&str]) {
        if let Shape::Map(entries) = &mut self.shape {
            entries.retain(|(_, key, _)| keys.contains(&key.as_str()));
            entries.shrink_to_fit();
        }
    }

    /// Drops every other key of the mapping under `key`.
    pub fn keep_in(&mut self, key: &str, keys: &[&str]) {
        if let Shape::Map(entries) = &mut self.shape {
            entries.iter_mut().filter(|(_, k, _)| k == key).for_each(|(_, _, node)| node.keep(keys));
        }
    }

    /// Every place further on: what was read was a part.
    pub fn shift(&mut self, lines: u32, bytes: u32) {
        let on = |place: &mut Place| (place.line, place.offset) = (place.line.saturating_add(lines), place.offset.saturating_add(bytes));
        on(&mut self.place);
        match &mut self.shape {
            Shape::Scalar(_) => {}
            Shape::List(list) => list.iter_mut().for_each(|node| node.shift(lines, bytes)),
            Shape::Map(entries) => entries.iter_mut().for_each(|(place, _, node)| {
                on(place);
                node.shift(lines, bytes);
            }),
        }
    }

    /// Whether it is the boolean `true`.
    pub fn is_true(&self) -> bool {
        matches!(&self.shape, Shape::Scalar(Value::Bool(true)))
    }

    /// Whether it has keys.
    pub fn is_map(&self) -> bool {
        matches!(&self.shape, Shape::Map(_))
    }

    /// Whether nothing is written.
    pub fn is_null(&self) -> bool {
        matches!(&self.shape, Shape::Scalar(Value::Null))
    }

    /// How many values and keys it holds, itself included.
    pub fn count(&self) -> usize {
        1 + match &self.shape {
            Shape::Scalar(_) => 0,
            Shape::List(list) => list.iter().map(Self::count).sum(),
            Shape::Map(entries) => entries.iter().map(|(_, _, node)| 1 + node.count()).sum(),
        }
    }

    /// How many levels it has, itself included.
    pub fn depth(&self) -> usize {
        1 + match &self.shape {
            Shape::Scalar(_) => 0,
            Shape::List(list) => list.iter().map(Self::depth).max().unwrap_or_default(),
            Shape::Map(entries) => entries.iter().map(|(_, _, node)| node.depth()).max().unwrap_or_default(),
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
        self.at(&steps(path))
    }

    /// The place of what `path` leads to, or of its nearest parent that is there.
    pub fn at(&self, path: &[Step]) -> Place {
        self.along(path, Self::step)
    }

    /// The same, where `take` takes each step.
    pub fn along<'n>(&'n self, path: &[Step], take: impl Fn(&'n Self, &Step) -> Option<(Place, &'n Self)>) -> Place {
        let (mut node, mut best) = (self, self.place);
        for step in path {
            let Some((place, child)) = take(node, step) else { break };
            let written = matches!(&child.shape, Shape::Scalar(v) if !v.is_null()) && child.place.length > 0;
            best = match step {
                Step::Key(_) if written => child.place,
                Step::Key(_) => place,
                // An element that is no scalar begins where its first key does: underline the line.
                Step::Named(_) | Step::Index(_) => Place { length: if matches!(child.shape, Shape::Scalar(_)) { child.place.length } else { 0 }, ..place },
            };
            node = child;
        }
        best
    }

    /// The place of the key that `path` ends with, or of the nearest parent that is there.
    pub fn key_at(&self, path: &[Step]) -> Place {
        let Some((Step::Key(key), parents)) = path.split_last() else { return self.at(path) };
        let parent = parents.iter().try_fold(self, |node, step| node.step(step).map(|(_, child)| child));
        parent.and_then(|p| p.entry(key)).map_or_else(|| self.at(path), |(place, _)| place)
    }

    /// One step into it.
    pub fn step(&self, step: &Step) -> Option<(Place, &Self)> {
        let element = match step {
            Step::Key(key) => return self.entry(key),
            // Rules of the CRD write positions where checks write names.
            Step::Named(name) => self.elements().iter().find(|e| e.is_named(name)).or_else(|| self.elements().get(name.parse::<usize>().ok()?)),
            Step::Index(i) => self.elements().get(*i),
        };
        element.map(|e| (e.place, e))
    }

    /// How many elements or keys it has.
    pub fn width(&self) -> usize {
        match &self.shape {
            Shape::Scalar(_) => 0,
            Shape::List(list) => list.len(),
            Shape::Map(entries) => entries.len(),
        }
    }

    /// What a step may call its elements or keys, and the position of each.
    pub fn names(&self, mut name: impl FnMut(String, usize)) {
        match &self.shape {
            Shape::Scalar(_) => {}
            Shape::List(list) => list.iter().enumerate().for_each(|(i, e)| e.own_names().for_each(|own| as_written(own).for_each(|text| name(text.into_owned(), i)))),
            Shape::Map(entries) => entries.iter().enumerate().for_each(|(i, (_, key, _))| name(key.clone(), i)),
        }
    }

    /// The step of that name, which [`Node::names`] has at `position`.
    pub fn step_to(&self, step: &Step, position: Option<usize>) -> Option<(Place, &Self)> {
        match (&self.shape, step) {
            (Shape::Map(entries), Step::Key(_)) => entries.get(position?).map(|(place, _, node)| (*place, node)),
            (Shape::List(list), Step::Named(name)) => list.get(position.or_else(|| name.parse().ok())?).map(|e| (e.place, e)),
            _ => None,
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.own_names().any(|own| as_written(own).any(|text| text == name))
    }

    fn own_names(&self) -> impl Iterator<Item = &str> {
        let own = [self.get("name"), self.get("host"), self.get("control"), self.get("metadata").and_then(|m| m.get("name"))];
        own.into_iter().flatten().filter_map(Self::text)
    }
}

/// Paths hold names as they are shown.
fn as_written(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    [None, Some(63), Some(253)].into_iter().map(move |most| most.map_or(Cow::Borrowed(name), |most| shown(name, most).into()))
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// To the element of that name.
    Named(String),
    /// To the element at that position.
    Index(usize),
}

/// Reads `spec.containers[web].image`.
pub fn steps(path: &str) -> Vec<Step> {
    let mut rest = path;
    std::iter::from_fn(|| {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
            rest = after;
            return Some(Step::Named(name.to_owned()));
        }
        let (key, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        rest = after;
        Some(Step::Key(key.to_owned()))
    })
    .collect()
}

/// As the API server writes it: `spec.controls[0].control`.
pub fn written(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.extend([".", key]),
            Step::Named(name) => out.extend(["[", name, "]"]),
            Step::Index(i) => out.extend(["[", &i.to_string(), "]"]),
        }
    }
    shown(&out, 400)
}
