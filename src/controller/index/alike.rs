//! What is the same of many namespaces, kept once: what they are asked (P10), and the floors that their Baselines make.
//! Nothing that is shared is ever changed: whoever is asked another thing gets another.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use crate::{
    api::{baseline::Baseline, ownership::OwnershipSpec},
    policy::{
        floor::Floor,
        matrix::{Matrix, Terms},
    },
};

#[derive(Debug, Default)]
pub(super) struct Alike {
    /// What is asked, by a digest of what asks it. Of two with the same digest one is not shared.
    terms: HashMap<u64, Weak<Terms>>,
    /// By the Baselines that hold, and those among them that the namespace has left.
    floors: HashMap<(Vec<String>, Vec<String>), Weak<Floor>>,
}

impl Alike {
    /// Lets a matrix share its terms with others of the same declaration over the same floor.
    pub fn share(&mut self, matrix: &mut Matrix, spec: &OwnershipSpec) {
        let mut hasher = DefaultHasher::new();
        // Plain data always serializes; were it not to, less were shared.
        serde_json::to_vec(spec).unwrap_or_default().hash(&mut hasher);
        (&matrix.baselines, &matrix.left).hash(&mut hasher);
        matrix.share(self.terms.entry(hasher.finish()).or_default());
    }

    /// The floor that these Baselines make.
    pub fn floor(&mut self, holding: &[&Baseline], left: Vec<String>, make: impl FnOnce(Vec<String>) -> Option<Floor>) -> Option<Arc<Floor>> {
        let names = holding.iter().map(|b| b.metadata.name.clone().unwrap_or_default()).collect();
        let known = self.floors.entry((names, left.clone())).or_default();
        known.upgrade().or_else(|| {
            let floor = Arc::new(make(left)?);
            *known = Arc::downgrade(&floor);
            Some(floor)
        })
    }

    /// The Baselines have changed, or what they may ask for.
    pub fn forget_floors(&mut self) {
        self.floors.clear();
    }

    /// Forgets what nobody is asked any more.
    pub fn sweep(&mut self) {
        self.terms.retain(|_, terms| terms.strong_count() > 0);
        self.floors.retain(|_, floor| floor.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        api::{Declaration, ownership::Enforcement},
        controller::{
            index::{Index, Source},
            watch::Change,
        },
        controls::find,
        policy::{
            book::{Book, Promise},
            matrix::{Matrix, Terms},
        },
    };

    const ID: &str = "image-registry-allowed";

    fn take(index: &Index, source: Source, object: Value) {
        index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    }

    fn namespace(index: &Index, name: &str, labels: &Value) {
        take(index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name, "labels": labels}}));
    }

    fn declare(index: &Index, namespace: &str, since: Option<&str>, mode: &str) {
        let meta = json!({"name": "default", "namespace": namespace, "uid": format!("{namespace}-own"), "generation": namespace.len()});
        let mut object =
            json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": meta, "spec": {"serviceModel": "PaaS", "mode": mode, "parties": {"customer": "acme"}}});
        if let Some(since) = since {
            let matrix = Matrix::resolve(&serde_json::from_value(object.clone()).unwrap());
            object["status"] = json!({"matrix": [{"control": ID, "owner": "Customer", "enforcement": "Deny", "verdict": "Satisfied", "asks": matrix.told(find(ID).unwrap()), "forbiddenSince": since}]});
        }
        take(index, Source::Declared(Declaration::Ownership), object);
    }

    fn matrix<'b>(book: &'b Book, namespace: &str) -> &'b Matrix {
        match &book.promises[namespace] {
            Promise::Declared(matrix) => matrix,
            Promise::Broken { .. } => panic!("{namespace} cannot be read"),
        }
    }

    fn terms(matrix: &Matrix) -> *const Terms {
        std::ptr::from_ref::<Terms>(matrix)
    }

    #[test]
    fn namespaces_that_are_asked_the_same_share_it_and_each_keeps_its_own_line() {
        let (index, control) = (Index::default(), find(ID).unwrap());
        for (name, since) in [("a", Some("2026-01-01T00:00:00Z")), ("bb", Some("2026-02-01T00:00:00Z")), ("ccc", None)] {
            namespace(&index, name, &json!({}));
            declare(&index, name, since, "Enforce");
        }
        index.settle();
        let before = index.shared.book.load_full();
        let [a, b, c] = ["a", "bb", "ccc"].map(|name| matrix(&before, name));
        assert!(terms(a) == terms(b) && terms(b) == terms(c));
        assert_eq!([a, b, c].map(|m| m.forbidden_since(control).map(|t| t.to_string())), [Some("2026-01-01T00:00:00Z".to_owned()), Some("2026-02-01T00:00:00Z".to_owned()), None]);
        assert_eq!([a, b, c].map(|m| m.generation), [1, 2, 3]);
        declare(&index, "bb", None, "Warn");
        index.settle();
        let after = index.shared.book.load_full();
        let enforced = |name| matrix(&after, name).entries[control].enforcement;
        assert_eq!(["a", "bb", "ccc"].map(enforced), [Enforcement::Deny, Enforcement::Warn, Enforcement::Deny], "one that is changed changes no other");
        assert_eq!(b.entries[control].enforcement, Enforcement::Deny, "nor a book that is still read");
    }

    #[test]
    fn a_floor_is_made_once_for_all_that_are_on_it_and_anew_when_a_baseline_changes() {
        let index = Index::default();
        let baseline = |enforcement: &str| {
            let spec = json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "controls": [{"control": "image-pinned-by-digest", "enforcement": enforcement}], "undeclared": "Deny"});
            let meta = json!({"name": "gold", "uid": "gold", "generation": if enforcement == "Deny" { 1 } else { 2 }});
            take(&index, Source::Declared(Declaration::Baseline), json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": meta, "spec": spec}));
            index.settle();
        };
        for (name, labels) in [("a", json!({"tier": "gold"})), ("bb", json!({"tier": "gold"})), ("left", json!({"baseline.demarc.dev/gold": "member"})), ("none", json!({}))] {
            namespace(&index, name, &labels);
        }
        declare(&index, "bb", None, "Enforce");
        baseline("Deny");
        let control = find("image-pinned-by-digest").unwrap();
        let book = index.shared.book.load_full();
        let floor = |book: &Book, name: &str| book.floors.get(name).map(std::sync::Arc::as_ptr);
        assert!(floor(&book, "a").is_some() && floor(&book, "a") == floor(&book, "bb") && floor(&book, "left") != floor(&book, "a"));
        assert_eq!((floor(&book, "none"), &*matrix(&book, "left").left, &*matrix(&book, "a").left), (None, &["gold".to_owned()][..], &[][..]));
        assert_eq!(["a", "bb", "left"].map(|name| matrix(&book, name).entries[control].enforcement), [Enforcement::Deny; 3]);
        baseline("Warn");
        let book = index.shared.book.load_full();
        assert_eq!(["a", "bb", "left"].map(|name| matrix(&book, name).entries[control].enforcement), [Enforcement::Warn; 3]);
    }
}
