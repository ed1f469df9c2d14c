//! Bytes → an expression that mostly compiles: each byte chooses what comes next, and where there are no more the simplest does.
//! Most of what grows has the type that is wanted in its place; now and then it has any other.

/// What an expression is.
#[derive(Clone, Copy)]
enum Type {
    Bool,
    Int,
    Text,
    List,
    Any,
}

struct Grower<'b> {
    bytes: std::slice::Iter<'b, u8>,
    /// What may still be made.
    room: usize,
}

/// Grows one that says true or false.
pub fn grow(bytes: &[u8]) -> String {
    Grower { bytes: bytes.iter(), room: 24 }.of(Type::Bool, 0)
}

const TEXTS: &[&str] = &["'a'", "''", "'web'", "'ü\u{202e}'", "r'^[a-z]+$'", "'1e400'", "'2026-01-01T00:00:00Z'", "'10Mi'"];
const INTS: &[&str] = &["0", "1", "3", "-1", "9223372036854775807", "object.spec.containers.size()"];
const ANYS: &[&str] = &[
    "object.metadata.name",
    "object.spec.replicas",
    "object.spec.big",
    "object.spec.ratio",
    "object.spec.on",
    "object.spec.containers[0].image",
    "object.nothing.at.all",
    "object",
    "params",
    "oldObject",
    "object.metadata.labels",
    "object.metadata.annotations",
    "object.spec.mixed[1]",
    "object.spec.mixed[9]",
    "null",
    "1.5",
    "1e400",
    "2u",
    "b'a'",
    "{'a': 1}",
];
const LISTS: &[&str] = &["[]", "['a', 'web']", "object.spec.containers", "object.spec.mixed", "object.spec.none", "object.spec.on", "object.metadata.labels"];

impl Grower<'_> {
    fn next(&mut self, of: usize) -> usize {
        self.bytes.next().map_or(0, |byte| usize::from(*byte)) % of
    }

    fn one(&mut self, from: &[&str]) -> String {
        from[self.next(from.len())].to_owned()
    }

    fn of(&mut self, wanted: Type, depth: usize) -> String {
        self.room = self.room.saturating_sub(1);
        let leaf = depth > 7 || self.room == 0 || self.bytes.len() == 0;
        // Now and then of another type.
        let wanted = match self.next(24) {
            23 => [Type::Bool, Type::Int, Type::Text, Type::List, Type::Any][self.next(5)],
            _ => wanted,
        };
        match wanted {
            Type::Bool => self.condition(leaf, depth + 1),
            Type::Int => self.int(leaf, depth + 1),
            Type::Text => self.text(leaf, depth + 1),
            Type::List => self.list(leaf, depth + 1),
            Type::Any => self.any(leaf, depth + 1),
        }
    }

    fn condition(&mut self, leaf: bool, d: usize) -> String {
        use Type::{Any, Bool, Int, List, Text};
        if leaf {
            return self.one(&["true", "false", "object.spec.on == true", "has(object.spec.none)", "object.nothing == 1", "1/0 == 1"]);
        }
        match self.next(14) {
            0 => format!("({} && {})", self.of(Bool, d), self.of(Bool, d)),
            1 => format!("({} || {})", self.of(Bool, d), self.of(Bool, d)),
            2 => format!("!{}", self.of(Bool, d)),
            3 => format!("({} ? {} : {})", self.of(Bool, d), self.of(Bool, d), self.of(Bool, d)),
            4 => {
                let op = self.one(&["==", "!=", "<", "<=", ">", ">="]);
                format!("({} {op} {})", self.of(Int, d), self.of(Int, d))
            }
            5 => {
                let op = self.one(&["==", "!=", "<", ">"]);
                format!("({} {op} {})", self.of(Text, d), self.of(Text, d))
            }
            6 => {
                let op = self.one(&["==", "!=", "in"]);
                format!("({} {op} {})", self.of(Any, d), self.of(Any, d))
            }
            7 => format!("({} in {})", self.of(Text, d), self.of(List, d)),
            8 => {
                let f = self.one(&["startsWith", "endsWith", "contains", "matches"]);
                format!("{}.{f}({})", self.of(Text, d), self.of(Text, d))
            }
            9 | 10 => {
                let f = self.one(&["all", "exists", "exists_one"]);
                let name = self.one(&["i", "j"]);
                let body = match self.next(4) {
                    0 => format!("{name} == {}", self.of(Any, d)),
                    1 => self.of(Bool, d),
                    2 => format!("{name}.name == {}", self.of(Text, d)),
                    _ => format!("has({name}.name)"),
                };
                format!("{}.{f}({name}, {body})", self.of(List, d))
            }
            11 => self.one(&["has(object.metadata.labels.app)", "has(object.nothing.at)", "object.?spec.?nothing.hasValue()", "object.spec.?replicas.orValue(1) == 3"]),
            12 => format!("({} == {})", self.of(List, d), self.of(List, d)),
            _ => {
                let f = self.one(&["isSorted", "size() == 0 && [1].isSorted"]);
                format!("{}.{f}()", self.of(List, d))
            }
        }
    }

    fn int(&mut self, leaf: bool, d: usize) -> String {
        use Type::{Any, Bool, Int, List, Text};
        if leaf {
            return self.one(INTS);
        }
        match self.next(7) {
            0 => self.one(INTS),
            1 | 2 => {
                let op = self.one(&["+", "-", "*", "/", "%"]);
                format!("({} {op} {})", self.of(Int, d), self.of(Int, d))
            }
            3 => format!("size({})", self.of(Text, d)),
            4 => format!("size({})", self.of(List, d)),
            5 => format!("int({})", self.of(Any, d)),
            _ => format!("({} ? {} : {})", self.of(Bool, d), self.of(Int, d), self.of(Int, d)),
        }
    }

    fn text(&mut self, leaf: bool, d: usize) -> String {
        use Type::{Any, Int, List, Text};
        if leaf {
            return self.one(TEXTS);
        }
        match self.next(9) {
            0 => self.one(TEXTS),
            1 => format!("({} + {})", self.of(Text, d), self.of(Text, d)),
            2 => format!("string({})", self.of(Any, d)),
            3 => {
                let f = self.one(&["lowerAscii", "upperAscii", "trim"]);
                format!("{}.{f}()", self.of(Text, d))
            }
            4 => format!("{}.replace({}, {})", self.of(Text, d), self.of(Text, d), self.of(Text, d)),
            5 => format!("{}.substring({}, {})", self.of(Text, d), self.of(Int, d), self.of(Int, d)),
            6 => format!("{}.join({})", self.of(List, d), self.of(Text, d)),
            7 => format!("{}.charAt({})", self.of(Text, d), self.of(Int, d)),
            _ => format!("{}.find({})", self.of(Text, d), self.of(Text, d)),
        }
    }

    fn list(&mut self, leaf: bool, d: usize) -> String {
        use Type::{Any, Bool, Int, List, Text};
        if leaf {
            return self.one(LISTS);
        }
        match self.next(7) {
            0 => self.one(LISTS),
            1 => format!("[{}, {}]", self.of(Text, d), self.of(Text, d)),
            2 => format!("{}.map(i, {})", self.of(List, d), self.of(Any, d)),
            3 => format!("{}.filter(i, {})", self.of(List, d), self.of(Bool, d)),
            4 => format!("{}.split({})", self.of(Text, d), self.of(Text, d)),
            5 => format!("({} + {})", self.of(List, d), self.of(List, d)),
            _ => format!("[{}, {}]", self.of(Int, d), self.of(Int, d)),
        }
    }

    fn any(&mut self, leaf: bool, d: usize) -> String {
        if leaf {
            return self.one(ANYS);
        }
        match self.next(8) {
            0 => self.of(Type::Bool, d),
            1 => self.of(Type::Int, d),
            2 => self.of(Type::Text, d),
            3 => self.of(Type::List, d),
            4 => format!("{}[{}]", self.of(Type::List, d), self.of(Type::Int, d)),
            5 => self.one(&["i", "j", "i.name"]),
            _ => self.one(ANYS),
        }
    }
}
