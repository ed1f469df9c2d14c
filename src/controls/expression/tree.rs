//! Source → tree: parsed by the library, then lowered into the few forms that are run here, each checked for its types.
//! What is not understood is refused with its reason; nothing is left to be found out when it runs.

use kube::core::cel::cel::{
    common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators as op},
    parser::Parser,
};
use regex::Regex;

use super::{
    MAX_DEPTH, MAX_SOURCE, MAX_TREE, Refusal, Variable, eval, functions,
    functions::Function,
    pattern, scan,
    types::{Record, Type},
};

/// What is run.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Variable(Variable),
    /// A place on the stack of what macros name.
    Local(usize),
    Select {
        of: Box<Node>,
        field: Box<str>,
        optional: bool,
        test: bool,
    },
    Index {
        of: Box<Node>,
        at: Box<Node>,
        optional: bool,
    },
    Call(Vec<&'static Function>, Vec<Node>),
    Matches(Box<Node>, Box<Regex>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// True where the word is "and".
    Logic(bool, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Equal(bool, Box<Node>, Box<Node>),
    Compare(Order, Box<Node>, Box<Node>),
    Arithmetic(Sum, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Fold {
        fold: Fold,
        over: Box<Node>,
        two: bool,
        keep: Option<Box<Node>>,
        body: Box<Node>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sum {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// What a macro over a list or map makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fold {
    All,
    Exists,
    One,
    List,
    Map,
}

pub(super) type Typed = Result<(Node, Type), Refusal>;

/// Parses and checks.
pub(super) fn compile(source: &str) -> Result<(Node, Type, Vec<Variable>), Refusal> {
    if source.len() > MAX_SOURCE {
        return Err(Refusal::new(format!("longer than {MAX_SOURCE} bytes")));
    }
    scan::scanned(source)?;
    let parser = Parser::new().enable_optional_syntax(true).max_recursion_depth(2 * MAX_DEPTH);
    let parsed = parser.parse(source).map_err(|e| Refusal::new(e.errors.first().map_or_else(|| "not an expression".to_owned(), |e| e.msg.clone())))?;
    let mut lower = Lower { locals: Vec::new(), reads: Vec::new(), depth: 0, folds: 0 };
    let (node, kind) = lower.value(&parsed)?;
    Ok((node, kind, lower.reads))
}

pub(super) const VARIABLES: [&str; 5] = ["object", "oldObject", "params", "request", "namespaceObject"];

pub(super) struct Lower {
    pub locals: Vec<(String, Type)>,
    reads: Vec<Variable>,
    depth: u16,
    pub folds: u16,
}

pub(super) fn boxed(node: Node) -> Box<Node> {
    Box::new(node)
}

pub(super) fn refused<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(why))
}

impl Lower {
    /// A value that may be used as any other: not a record, of which only the fields are known.
    pub fn value(&mut self, e: &IdedExpr) -> Typed {
        match self.node(e)? {
            (_, Type::Record(_)) => refused("only single fields of request and namespaceObject can be read"),
            typed => Ok(typed),
        }
    }

    fn node(&mut self, e: &IdedExpr) -> Typed {
        self.depth += 1;
        if self.depth > MAX_TREE {
            return refused("nested too deeply");
        }
        let lowered = self.any(e);
        self.depth -= 1;
        lowered
    }

    pub fn of_type(&mut self, e: &IdedExpr, wanted: &Type) -> Result<Box<Node>, Refusal> {
        let (node, found) = self.value(e)?;
        if found.agrees(wanted) { Ok(boxed(node)) } else { refused(format!("{wanted:?} is wanted where {found:?} stands")) }
    }

    fn any(&mut self, e: &IdedExpr) -> Typed {
        match &e.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(b) => (Node::Bool(*b.inner()), Type::Bool),
                LiteralValue::Int(i) => (Node::Int(*i.inner()), Type::Int),
                LiteralValue::UInt(u) => (Node::Uint(*u.inner()), Type::Uint),
                LiteralValue::Double(d) => (Node::Double(*d.inner()), Type::Double),
                LiteralValue::String(s) => (Node::Text(s.inner().into()), Type::Text),
                LiteralValue::Null => (Node::Null, Type::Null),
                LiteralValue::Bytes(_) => return refused("bytes are not taken"),
            }),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let of = self.node(&select.operand)?;
                Self::select(of, &select.field, false, select.test)
            }
            Expr::List(list) => {
                let (mut items, mut of) = (Vec::with_capacity(list.elements.len()), None::<Type>);
                // Optional elements make the API server itself panic.
                if !list.optional_indices.is_empty() {
                    return refused("optional elements of a list are not taken");
                }
                for element in &list.elements {
                    let (node, found) = self.value(element)?;
                    of = Some(Self::alike(of, found)?);
                    items.push(node);
                }
                Ok((Node::List(items), Type::list(of.unwrap_or(Type::Dyn))))
            }
            Expr::Map(map) => {
                let (mut entries, mut keys, mut values) = (Vec::with_capacity(map.entries.len()), None, None);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return refused("messages are not taken") };
                    if entry.optional {
                        return refused("optional entries of a map are not taken");
                    }
                    let ((key, k), (value, v)) = (self.value(&entry.key)?, self.value(&entry.value)?);
                    if !matches!(k, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::Text) {
                        return refused("this cannot be a key");
                    }
                    (keys, values) = (Some(Self::alike(keys, k)?), Some(Self::alike(values, v)?));
                    entries.push((key, value));
                }
                let of = |t: Option<Type>| Box::new(t.unwrap_or(Type::Dyn));
                Ok((Node::Map(entries), Type::Map(of(keys), of(values))))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Call(call) => self.call(call),
            Expr::Struct(_) => refused("messages are not taken"),
            Expr::Unspecified => refused("not an expression"),
        }
    }

    /// The elements of one literal are of one type.
    fn alike(before: Option<Type>, now: Type) -> Result<Type, Refusal> {
        match before {
            None => Ok(now),
            Some(before) if before == now => Ok(now),
            Some(before) => refused(format!("{before:?} and {now:?} in one list or map")),
        }
    }

    fn name(&mut self, name: &str) -> Typed {
        if let Some(place) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok((Node::Local(place), self.locals[place].1.clone()));
        }
        let (variable, kind) = match name {
            "object" => (Variable::Object, Type::Dyn),
            "oldObject" => (Variable::OldObject, Type::Dyn),
            "params" => (Variable::Params, Type::Dyn),
            "request" => (Variable::Request, Type::Record(Record::Request)),
            "namespaceObject" => (Variable::Namespace, Type::Record(Record::Namespace)),
            _ => return refused(format!("nothing is called {name}")),
        };
        self.reads.push(variable);
        Ok((Node::Variable(variable), kind))
    }

    fn select((of, kind): (Node, Type), field: &str, optional: bool, test: bool) -> Typed {
        let inside = |kind: &Type| match kind {
            Type::Dyn => Some(Type::Dyn),
            Type::Map(key, value) if key.agrees(&Type::Text) => Some((**value).clone()),
            Type::Record(record) => record.field(field),
            _ => None,
        };
        let (found, wrapped) = match &kind {
            Type::Optional(inner) => (inside(inner), true),
            kind => (inside(kind), optional),
        };
        let Some(found) = found else { return refused(format!("there is no field {field} here")) };
        if matches!(found, Type::Record(_)) && wrapped {
            return refused("only single fields of request and namespaceObject can be read");
        }
        let result = match (test, wrapped) {
            (true, _) => Type::Bool,
            (false, true) => Type::Optional(Box::new(found)),
            (false, false) => found,
        };
        Ok((Node::Select { of: boxed(of), field: field.into(), optional, test }, result))
    }

    fn index(&mut self, args: &[IdedExpr], optional: bool) -> Typed {
        let ((of, kind), (at, key)) = (self.value(&args[0])?, self.value(&args[1])?);
        let inside = |kind: &Type| match kind {
            Type::Dyn => Some(Type::Dyn),
            Type::List(of) if key.agrees(&Type::Int) => Some((**of).clone()),
            Type::Map(k, v) if k.agrees(&key) => Some((**v).clone()),
            _ => None,
        };
        let (found, wrapped) = match &kind {
            Type::Optional(inner) => (inside(inner), true),
            kind => (inside(kind), optional),
        };
        let Some(found) = found else { return refused("this cannot be indexed so") };
        let result = if wrapped { Type::Optional(Box::new(found)) } else { found };
        Ok((Node::Index { of: boxed(of), at: boxed(at), optional }, result))
    }

    fn call(&mut self, call: &CallExpr) -> Typed {
        let args = &call.args;
        if let Some(target) = &call.target {
            return self.method(target, &call.func_name, args);
        }
        match (call.func_name.as_str(), args.len()) {
            (op::CONDITIONAL, 3) => {
                let condition = self.of_type(&args[0], &Type::Bool)?;
                let ((yes, a), (no, b)) = (self.value(&args[1])?, self.value(&args[2])?);
                if !a.agrees(&b) {
                    return refused(format!("{a:?} or {b:?} comes of one choice"));
                }
                Ok((Node::If(condition, boxed(yes), boxed(no)), a.join(&b)))
            }
            (word @ (op::LOGICAL_AND | op::LOGICAL_OR), 2) => {
                Ok((Node::Logic(word == op::LOGICAL_AND, self.of_type(&args[0], &Type::Bool)?, self.of_type(&args[1], &Type::Bool)?), Type::Bool))
            }
            (op::LOGICAL_NOT, 1) => Ok((Node::Not(self.of_type(&args[0], &Type::Bool)?), Type::Bool)),
            (op::NEGATE, 1) => match self.value(&args[0])? {
                (node, kind @ (Type::Int | Type::Double | Type::Dyn)) => Ok((Node::Negate(boxed(node)), kind)),
                _ => refused("only a number has a sign"),
            },
            (word @ (op::EQUALS | op::NOT_EQUALS), 2) => {
                let ((a, x), (b, y)) = (self.value(&args[0])?, self.value(&args[1])?);
                if x.agrees(&y) { Ok((Node::Equal(word == op::EQUALS, boxed(a), boxed(b)), Type::Bool)) } else { refused(format!("{x:?} never equals {y:?}")) }
            }
            (op::LESS, 2) => self.compare(Order::Less, args),
            (op::LESS_EQUALS, 2) => self.compare(Order::LessOrEqual, args),
            (op::GREATER, 2) => self.compare(Order::Greater, args),
            (op::GREATER_EQUALS, 2) => self.compare(Order::GreaterOrEqual, args),
            (op::ADD, 2) => self.arithmetic(Sum::Add, args),
            (op::SUBSTRACT, 2) => self.arithmetic(Sum::Subtract, args),
            (op::MULTIPLY, 2) => self.arithmetic(Sum::Multiply, args),
            (op::DIVIDE, 2) => self.arithmetic(Sum::Divide, args),
            (op::MODULO, 2) => self.arithmetic(Sum::Modulo, args),
            (op::IN, 2) => {
                let ((item, x), (of, y)) = (self.value(&args[0])?, self.value(&args[1])?);
                let fits = match &y {
                    Type::Dyn => true,
                    Type::List(inner) | Type::Map(inner, _) => inner.agrees(&x),
                    _ => false,
                };
                if fits { Ok((Node::In(boxed(item), boxed(of)), Type::Bool)) } else { refused(format!("{x:?} is never in {y:?}")) }
            }
            (word @ (op::INDEX | op::OPT_INDEX), 2) => self.index(args, word == op::OPT_INDEX),
            (op::OPT_SELECT, 2) => {
                let Expr::Literal(LiteralValue::String(field)) = &args[1].expr else { return refused("a field is wanted") };
                let of = self.value(&args[0])?;
                Self::select(of, field.inner(), true, false)
            }
            (name, _) => {
                let arguments = args.iter().map(|a| self.value(a)).collect::<Result<Vec<_>, _>>()?;
                Self::function(name, false, arguments)
            }
        }
    }

    fn compare(&mut self, order: Order, args: &[IdedExpr]) -> Typed {
        let ((a, x), (b, y)) = (self.value(&args[0])?, self.value(&args[1])?);
        if x.is_ordered() && y.is_ordered() && (x.agrees(&y) || x.is_number() && y.is_number()) {
            Ok((Node::Compare(order, boxed(a), boxed(b)), Type::Bool))
        } else {
            refused(format!("{x:?} and {y:?} have no order"))
        }
    }

    fn arithmetic(&mut self, sum: Sum, args: &[IdedExpr]) -> Typed {
        use Type::{Double, Duration, Int, Text, Timestamp, Uint};
        let ((a, x), (b, y)) = (self.value(&args[0])?, self.value(&args[1])?);
        let mut overloads = vec![(Int, Int, Int), (Uint, Uint, Uint)];
        if sum != Sum::Modulo {
            overloads.push((Double, Double, Double));
        }
        let lists = Type::list(Type::Dyn);
        match sum {
            Sum::Add => {
                let joined = if x.agrees(&y) && matches!((&x, &y), (Type::List(_), Type::List(_))) { x.clone().join(&y) } else { lists.clone() };
                overloads.extend([
                    (Text, Text, Text),
                    (lists.clone(), lists, joined),
                    (Timestamp, Duration, Timestamp),
                    (Duration, Timestamp, Timestamp),
                    (Duration, Duration, Duration),
                ]);
                if matches!((&x, &y), (Type::List(_), Type::List(_))) && !x.agrees(&y) {
                    return refused("lists of two types");
                }
            }
            Sum::Subtract => overloads.extend([(Timestamp, Timestamp, Duration), (Timestamp, Duration, Timestamp), (Duration, Duration, Duration)]),
            Sum::Multiply | Sum::Divide | Sum::Modulo => {}
        }
        let mut results = overloads.into_iter().filter(|(a, b, _)| a.agrees(&x) && b.agrees(&y)).map(|(.., result)| result);
        let Some(first) = results.next() else { return refused(format!("{sum:?} of {x:?} and {y:?}")) };
        let result = results.fold(first, |all, one| all.join(&one));
        Ok((Node::Arithmetic(sum, boxed(a), boxed(b)), result))
    }

    fn method(&mut self, target: &IdedExpr, name: &str, args: &[IdedExpr]) -> Typed {
        if let Expr::Ident(prefix) = &target.expr
            && !self.locals.iter().any(|(local, _)| local == prefix)
            && !VARIABLES.contains(&prefix.as_str())
        {
            let arguments = args.iter().map(|a| self.value(a)).collect::<Result<Vec<_>, _>>()?;
            return Self::function(&format!("{prefix}.{name}"), false, arguments);
        }
        match (name, args.len()) {
            ("matches", 1) => {
                let text = self.of_type(target, &Type::Text)?;
                let Expr::Literal(LiteralValue::String(written)) = &args[0].expr else { return refused("a pattern must be written out") };
                let regex = pattern::compile(written.inner()).map_err(|e| Refusal::new(format!("pattern: {e}")))?;
                Ok((Node::Matches(text, Box::new(regex)), Type::Bool))
            }
            ("all", 3) => self.fold(Fold::All, target, &args[..2], None, &args[2]),
            ("exists", 3) => self.fold(Fold::Exists, target, &args[..2], None, &args[2]),
            ("existsOne" | "exists_one", 3) => self.fold(Fold::One, target, &args[..2], None, &args[2]),
            ("transformList", 3) => self.fold(Fold::List, target, &args[..2], None, &args[2]),
            ("transformList", 4) => self.fold(Fold::List, target, &args[..2], Some(&args[2]), &args[3]),
            ("transformMap", 3) => self.fold(Fold::Map, target, &args[..2], None, &args[2]),
            ("transformMap", 4) => self.fold(Fold::Map, target, &args[..2], Some(&args[2]), &args[3]),
            _ => {
                let mut arguments = vec![self.value(target)?];
                for arg in args {
                    arguments.push(self.value(arg)?);
                }
                Self::function(name, true, arguments)
            }
        }
    }

    fn function(name: &str, on: bool, arguments: Vec<(Node, Type)>) -> Typed {
        let (nodes, types): (Vec<_>, Vec<_>) = arguments.into_iter().unzip();
        let mut named = functions::FUNCTIONS.iter().filter(|f| f.name == name && f.on == on).peekable();
        if named.peek().is_none() {
            return refused(format!("{name} is not a function that is taken"));
        }
        let fits = |f: &&Function| f.takes.len() == types.len() && f.takes.iter().enumerate().all(|(i, takes)| takes.agrees(&types, i));
        let candidates: Vec<&'static Function> = named.filter(fits).collect();
        let mut results = candidates.iter().map(|f| f.result(&types));
        let Some(first) = results.next() else { return refused(format!("{name} does not take {types:?}")) };
        let result = results.fold(first, |all, one| all.join(&one));
        let node = Node::Call(candidates, nodes);
        // What is written out is read now: a duration that is none is refused, not found out.
        if let Node::Call(_, nodes) = &node
            && !nodes.is_empty()
            && nodes.iter().all(|n| matches!(n, Node::Bool(_) | Node::Int(_) | Node::Uint(_) | Node::Double(_) | Node::Text(_)))
            && let Err(error) = eval::constant(&node)
        {
            return refused(format!("{name}: {error}"));
        }
        Ok((node, result))
    }
}
