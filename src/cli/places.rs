//! Where the findings about one object stand in its tree: its long lists and mappings are looked through once, not once for each finding.
//! Ten thousand volumes that violate something are placed in the time that it takes to read them, a few times over.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
};

use super::tree::{Node, Place, Step, steps};

/// What is shorter is looked through as often as somebody asks.
const SHORT: usize = 16;

/// Finds places in one tree.
pub struct Places<'n> {
    root: &'n Node,
    /// Of a long list or mapping the position of each name, first come, by the address of its node.
    known: RefCell<HashMap<*const Node, HashMap<String, usize>>>,
}

impl<'n> Places<'n> {
    /// Of this tree.
    pub fn of(root: &'n Node) -> Self {
        Self { root, known: RefCell::default() }
    }

    /// As [`Node::find`].
    pub fn find(&self, path: &str) -> Place {
        self.root.along(&steps(path), |node, step| self.step(node, step))
    }

    fn step(&self, node: &'n Node, step: &Step) -> Option<(Place, &'n Node)> {
        let (Step::Key(name) | Step::Named(name)) = step else { return node.step(step) };
        if node.width() <= SHORT {
            return node.step(step);
        }
        let mut known = self.known.borrow_mut();
        let positions = match known.entry(std::ptr::from_ref(node)) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(new) => {
                let mut positions = HashMap::new();
                node.names(|name, position| {
                    positions.entry(name).or_insert(position);
                });
                new.insert(positions)
            }
        };
        node.step_to(step, positions.get(name).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_in_the_tree_itself_however_long_its_lists_are() {
        for long in [1, SHORT, SHORT + 1, 300] {
            let entries: String = (0..long).map(|i| format!("  - {{name: v{i}, x: {i}}}\n  - metadata: {{name: m{i}}}\n  - host: \"h{i}\\e\"\n")).collect();
            let keys: String = (0..long).map(|i| format!("  k{i}: {i}\n")).collect();
            let twice = format!("  - name: v0\n    x: twice\n  - name: {}\n", "l".repeat(100));
            let document = format!("list:\n{entries}{twice}map:\n{keys}none: []\n");
            let nodes: Vec<Node> = serde_saphyr::from_multiple(&document).unwrap();
            let places = Places::of(&nodes[0]);
            let last = long - 1;
            for path in [
                String::new(),
                "list".to_owned(),
                "list[v0].x".to_owned(),
                format!("list[v{last}].x"),
                format!("list[m{last}].metadata.name"),
                format!("list[h{last}\\u{{1b}}].host"),
                format!("list[{}…]", "l".repeat(60)),
                format!("list[{last}]"),
                "list[nobody].x".to_owned(),
                "list.v0".to_owned(),
                format!("map.k{last}"),
                format!("map[k{last}]"),
                "map.nothing".to_owned(),
                "none[a]".to_owned(),
            ] {
                assert_eq!(places.find(&path), nodes[0].find(&path), "{path} of {long}");
            }
        }
    }
}
