//! Declarations among the files: each is taken only if the API server and the webhook would take it.
//! All that is wrong with them is told at once, each at its place.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{
    context::{LABEL, is_label, value},
    manifest::{Bad, File, Input, Object},
    schema::{Schema, Violation},
    tree::{Node, steps},
};
use crate::{
    admission::declarations,
    api::{Declaration, GROUP, baseline::Baseline, control::ControlSpec, ownership::Ownership, party::PartySpec, roster::RosterSpec, waiver::Waiver},
    controls::custom::Custom,
    model::text::shown,
};

/// What the files declare.
#[derive(Default)]
pub struct Declared {
    /// By namespace.
    pub ownerships: BTreeMap<String, Ownership>,
    /// By name.
    pub baselines: BTreeMap<String, Baseline>,
    /// By name.
    pub controls: BTreeMap<String, Arc<Custom>>,
    /// By name.
    pub parties: BTreeMap<String, PartySpec>,
    /// By name.
    pub rosters: BTreeMap<String, RosterSpec>,
    /// By namespace.
    pub waivers: BTreeMap<String, Vec<Waiver>>,
    /// All that is wrong.
    pub bad: Vec<Bad>,
    /// Where each was first seen.
    seen: BTreeMap<(Declaration, String, String), String>,
    schemas: BTreeMap<Declaration, Schema>,
    /// The names of all Controls among the files, wherever they stand.
    named: BTreeSet<String>,
}

/// The kind of ours that an object is of.
pub fn declaration(object: &Object) -> Option<Declaration> {
    Declaration::find(&object.kind).filter(|_| object.group == GROUP)
}

/// The names of all Controls among the files.
pub fn controls(input: &Input) -> BTreeSet<String> {
    let controls = input.objects.iter().filter(|o| declaration(o) == Some(Declaration::Control) && !published(o));
    controls.filter_map(|o| Some(o.node.get("metadata")?.get("name")?.text()?.to_owned())).collect()
}

/// Whether it is one of the catalog as a cluster shows it: this binary has its own.
fn published(object: &Object) -> bool {
    object.looked_up && object.node.get("spec").and_then(|s| s.get("check")).and_then(Node::text) == Some("built-in")
}

impl Declared {
    /// Nothing yet, but which Controls there will be: an Ownership may stand before them.
    pub fn of(input: &Input) -> Self {
        Self { named: controls(input), ..Self::default() }
    }

    /// Whether there is such a Control of users' own among the files.
    pub fn names(&self, control: &str) -> bool {
        self.named.contains(control)
    }

    /// Takes one in. `namespace` is its own, or the one of the command line.
    pub fn take(&mut self, declaration: Declaration, object: &Object, input: &Input, name: &str, namespace: &str) {
        if declaration == Declaration::Control && published(object) {
            return;
        }
        let file = &input.files[object.file];
        if let Err(bad) = self.try_take(declaration, object, file, name, namespace) {
            self.bad.extend(bad);
        }
    }

    fn try_take(&mut self, declaration: Declaration, object: &Object, file: &File, name: &str, namespace: &str) -> Result<(), Vec<Bad>> {
        let schema = match self.schemas.entry(declaration) {
            Entry::Occupied(known) => &*known.into_mut(),
            Entry::Vacant(free) => &*free.insert(Schema::of(declaration).map_err(|e| vec![Bad::of(e)])?),
        };
        let stored = stored(declaration, schema, object, file)?;
        let key = (declaration, if declaration.namespaced() { namespace } else { "" }.to_owned(), name.to_owned());
        if declaration.namespaced() && !is_label(namespace) {
            let sentence = format!("metadata.namespace: \"{}\" {LABEL}", shown(namespace, 63));
            return Err(vec![file.point(Bad::at(&file.name, object.node.find("metadata.namespace"), sentence))]);
        }
        let place = object.node.place();
        if let Some(other) = self.seen.get(&key) {
            let what = match declaration {
                Declaration::Ownership => format!("namespace \"{}\" is declared already, at {other}; keep one Ownership", shown(namespace, 63)),
                Declaration::Baseline | Declaration::Control | Declaration::Party | Declaration::Roster | Declaration::Waiver => {
                    format!("{} \"{}\" is declared already, at {other}; keep one", declaration.kind(), shown(name, 63))
                }
            };
            return Err(vec![file.point(Bad::at(&file.name, place, what))]);
        }
        match declaration {
            Declaration::Ownership => {
                let ownership: Ownership = typed(declaration, stored, object, file)?;
                refused(declarations::objections(&ownership, None, None, &|id| self.names(id)), object, file)?;
                self.ownerships.insert(namespace.to_owned(), ownership);
            }
            Declaration::Control => {
                let spec: ControlSpec = typed(declaration, stored["spec"].clone(), object, file)?;
                refused(declarations::objections_to_control(name, &spec), object, file)?;
                self.controls.insert(name.to_owned(), Arc::new(Custom::new(name, spec)));
            }
            Declaration::Baseline => {
                let baseline = typed(declaration, stored, object, file)?;
                refused(declarations::objections_to_baseline(&baseline, None), object, file)?;
                self.baselines.insert(name.to_owned(), baseline);
            }
            Declaration::Party => drop(self.parties.insert(name.to_owned(), typed(declaration, stored["spec"].clone(), object, file)?)),
            Declaration::Roster => drop(self.rosters.insert(name.to_owned(), typed(declaration, stored["spec"].clone(), object, file)?)),
            Declaration::Waiver => {
                // What speaks against it depends on what is stored.
                let waiver: Waiver = typed(declaration, stored, object, file)?;
                self.waivers.entry(namespace.to_owned()).or_default().push(waiver);
            }
        }
        self.seen.insert(key, format!("{}:{}", shown(&file.name, 4096), place.line));
        Ok(())
    }
}

/// The object as it would be stored, or every reason why a cluster would refuse it, each at its place.
fn stored(declaration: Declaration, schema: &Schema, object: &Object, file: &File) -> Result<serde_json::Value, Vec<Bad>> {
    let bad = |place, sentence: String| file.point(Bad::at(&file.name, place, sentence));
    if object.version != "v1alpha1" {
        let sentence = format!("version \"{}\" of {} is not known; write {GROUP}/v1alpha1", shown(&object.version, 63), declaration.kind());
        return Err(vec![bad(object.node.find("apiVersion"), sentence)]);
    }
    let (stored, violations) = schema.judge(value(object));
    if violations.is_empty() {
        return Ok(stored);
    }
    let place = |v: &Violation| if v.key { object.node.key_at(&v.path) } else { object.node.at(&v.path) };
    let mut placed: Vec<_> = violations.iter().map(|v| (place(v), v.sentence())).collect();
    placed.sort_by_key(|(place, _)| (place.line, place.column));
    Err(placed.into_iter().map(|(place, sentence)| bad(place, sentence)).collect())
}

/// What the webhook would say, each at its place.
///
/// # Errors
/// There is something.
pub fn refused(objections: Vec<declarations::Objection>, object: &Object, file: &File) -> Result<(), Vec<Bad>> {
    let at = |o: declarations::Objection| file.point(Bad::at(&file.name, object.node.at(&steps(&o.path)), format!("{}: {}", o.path, o.what)));
    if objections.is_empty() { Ok(()) } else { Err(objections.into_iter().map(at).collect()) }
}

fn typed<K: DeserializeOwned>(declaration: Declaration, stored: serde_json::Value, object: &Object, file: &File) -> Result<K, Vec<Bad>> {
    serde_json::from_value(stored).map_err(|error| {
        let sentence = format!("this {} cannot be read: {}; mend it, nothing is judged until then", declaration.kind(), shown(&error.to_string(), 300));
        vec![file.point(Bad::at(&file.name, object.node.place(), sentence))]
    })
}
