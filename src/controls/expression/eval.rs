//! Runs a tree over the values of one review. Every step is paid for, and what cannot be paid ends the whole.
//! An error is never turned into a value: `||` and `&&` pass over one only where the other side decides alone, as cel-go does.

use super::{
    Budget, Fail, Inputs, Variable,
    bodies::member,
    functions::Function,
    tree::{Fold, Node, Order, Sum},
    value::{Text, Val},
};
use kube::core::cel::cel::Value as Library;

type Ran<'a> = Result<Val<'a>, Fail>;

/// What is kept of a list that is made, in bytes.
const ELEMENT: usize = 96;

pub(super) struct Run<'a, 'b> {
    pub inputs: Inputs<'a>,
    pub locals: Vec<Val<'a>>,
    pub budget: &'b mut Budget,
}

/// Runs what reads nothing.
pub(super) fn constant(node: &Node) -> Result<(), Fail> {
    let null = &serde_json::Value::Null;
    let inputs = Inputs { object: null, old_object: null, request: null, namespace: null, params: null };
    Run { inputs, locals: Vec::new(), budget: &mut Budget::default() }.run(node).map(|_| ())
}

impl<'a> Run<'a, '_> {
    pub fn run(&mut self, node: &'a Node) -> Ran<'a> {
        self.budget.spend(1)?;
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(b) => Ok(Val::Bool(*b)),
            Node::Int(i) => Ok(Val::Int(*i)),
            Node::Uint(u) => Ok(Val::Uint(*u)),
            Node::Double(d) => Ok(Val::Double(*d)),
            Node::Text(text) => Ok(Val::Text(Text::Lent(text))),
            Node::Variable(variable) => Ok(Val::of(match variable {
                Variable::Object => self.inputs.object,
                Variable::OldObject => self.inputs.old_object,
                Variable::Params => self.inputs.params,
                Variable::Request => self.inputs.request,
                Variable::Namespace => self.inputs.namespace,
            })),
            Node::Local(place) => self.locals.get(*place).cloned().ok_or(Fail::error("no such variable")),
            Node::Select { of, field, optional, test } => self.select(of, field, *optional, *test),
            Node::Index { of, at, optional } => self.index(of, at, *optional),
            Node::Call(candidates, arguments) => self.call(candidates, arguments),
            Node::Matches(text, regex) => match self.run(text)? {
                Val::Text(text) => {
                    // Linear in the text, by a factor that grows with the pattern.
                    self.budget.read(text.len().saturating_mul(2 + regex.as_str().len()))?;
                    Ok(Val::Bool(regex.is_match(&text)))
                }
                _ => Err(Fail::error("only text matches a pattern")),
            },
            Node::Not(inner) => Ok(Val::Bool(!self.bool(inner)?)),
            Node::Negate(inner) => match self.run(inner)? {
                Val::Int(i) => i.checked_neg().map(Val::Int).ok_or(Fail::error("overflow")),
                Val::Double(d) => Ok(Val::Double(-d)),
                _ => Err(Fail::error("only a number has a sign")),
            },
            Node::Logic(and, left, right) => {
                let left = match self.bool(left) {
                    Err(Fail::Spent) => return Err(Fail::Spent),
                    Ok(decides) if decides != *and => return Ok(Val::Bool(decides)),
                    left => left,
                };
                match self.bool(right) {
                    Ok(decides) if decides != *and => Ok(Val::Bool(decides)),
                    right => Ok(Val::Bool(right.and(left)?)),
                }
            }
            Node::If(condition, yes, no) => {
                if self.bool(condition)? {
                    self.run(yes)
                } else {
                    self.run(no)
                }
            }
            Node::Equal(equal, a, b) => {
                let (a, b) = (self.run(a)?, self.run(b)?);
                Ok(Val::Bool(a.equals(&b, self.budget)? == *equal))
            }
            Node::Compare(order, a, b) => {
                let (a, b) = (self.run(a)?, self.run(b)?);
                let found = a.compare(&b, self.budget)?;
                Ok(Val::Bool(match order {
                    Order::Less => found.is_lt(),
                    Order::LessOrEqual => found.is_le(),
                    Order::Greater => found.is_gt(),
                    Order::GreaterOrEqual => found.is_ge(),
                }))
            }
            Node::Arithmetic(sum, a, b) => {
                let (a, b) = (self.run(a)?, self.run(b)?);
                self.arithmetic(*sum, &a, &b)
            }
            Node::In(item, of) => {
                let (item, of) = (self.run(item)?, self.run(of)?);
                if let Some(items) = of.items() {
                    return Ok(Val::Bool(member(&item, &items, self.budget)?));
                }
                if of.entries().is_none() {
                    return Err(Fail::error("nothing is in this"));
                }
                Ok(Val::Bool(of.at(&item, self.budget)?.is_some()))
            }
            Node::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    self.budget.make(ELEMENT)?;
                    list.push(self.run(item)?);
                }
                Ok(Val::List(list.into()))
            }
            Node::Map(entries) => {
                let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let (key, value) = (self.run(key)?, self.run(value)?);
                    self.enter(&mut map, key, value)?;
                }
                Ok(Val::Map(map.into()))
            }
            Node::Fold { fold, over, two, keep, body } => self.fold(*fold, over, *two, keep.as_deref(), body),
        }
    }

    fn enter(&mut self, map: &mut Vec<(Val<'a>, Val<'a>)>, key: Val<'a>, value: Val<'a>) -> Result<(), Fail> {
        self.budget.make(2 * ELEMENT)?;
        if !matches!(key, Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Text(_)) {
            return Err(Fail::error("this cannot be a key"));
        }
        for (known, _) in map.iter() {
            if known.equals(&key, self.budget)? {
                return Err(Fail::error("one key twice"));
            }
        }
        map.push((key, value));
        Ok(())
    }

    pub fn bool(&mut self, node: &'a Node) -> Result<bool, Fail> {
        match self.run(node)? {
            Val::Bool(b) => Ok(b),
            _ => Err(Fail::error("a condition is wanted")),
        }
    }

    fn select(&mut self, of: &'a Node, field: &'a str, optional: bool, test: bool) -> Ran<'a> {
        let (of, wrapped) = match self.run(of)? {
            Val::Optional(None) if test => return Ok(Val::Bool(false)),
            Val::Optional(None) => return Ok(Val::Optional(None)),
            Val::Optional(Some(inner)) => ((*inner).clone(), true),
            of => (of, optional),
        };
        if of.items().is_some() {
            return Err(Fail::error(format!("a list has no field {field}")));
        }
        let found = of.at(&Val::Text(Text::Lent(field)), self.budget)?;
        match (test, wrapped) {
            (true, _) => Ok(Val::Bool(found.is_some())),
            (false, true) => Ok(Val::Optional(found.map(Into::into))),
            (false, false) => found.ok_or_else(|| Fail::error(format!("there is no field {field}"))),
        }
    }

    fn index(&mut self, of: &'a Node, at: &'a Node, optional: bool) -> Ran<'a> {
        let of = self.run(of)?;
        let at = self.run(at)?;
        let (of, wrapped) = match of {
            Val::Optional(None) => return Ok(Val::Optional(None)),
            Val::Optional(Some(inner)) => ((*inner).clone(), true),
            of => (of, optional),
        };
        let found = of.at(&at, self.budget)?;
        if wrapped { Ok(Val::Optional(found.map(Into::into))) } else { found.ok_or(Fail::error("there is no such element")) }
    }

    fn call(&mut self, candidates: &[&'static Function], arguments: &'a [Node]) -> Ran<'a> {
        let arguments = arguments.iter().map(|a| self.run(a)).collect::<Result<Vec<_>, _>>()?;
        let function = candidates.iter().find(|f| f.admits(&arguments)).ok_or(Fail::error("a function does not take this"))?;
        function.run(&arguments, self.budget)
    }

    fn arithmetic(&mut self, sum: Sum, a: &Val<'a>, b: &Val<'a>) -> Ran<'a> {
        let overflow = || Fail::error("overflow, or division by zero");
        match (a, b) {
            (Val::Int(a), Val::Int(b)) => match sum {
                Sum::Add => a.checked_add(*b),
                Sum::Subtract => a.checked_sub(*b),
                Sum::Multiply => a.checked_mul(*b),
                Sum::Divide => a.checked_div(*b),
                Sum::Modulo => a.checked_rem(*b),
            }
            .map(Val::Int)
            .ok_or_else(overflow),
            (Val::Uint(a), Val::Uint(b)) => match sum {
                Sum::Add => a.checked_add(*b),
                Sum::Subtract => a.checked_sub(*b),
                Sum::Multiply => a.checked_mul(*b),
                Sum::Divide => a.checked_div(*b),
                Sum::Modulo => a.checked_rem(*b),
            }
            .map(Val::Uint)
            .ok_or_else(overflow),
            (Val::Double(a), Val::Double(b)) => match sum {
                Sum::Add => Ok(Val::Double(a + b)),
                Sum::Subtract => Ok(Val::Double(a - b)),
                Sum::Multiply => Ok(Val::Double(a * b)),
                Sum::Divide => Ok(Val::Double(a / b)),
                Sum::Modulo => Err(Fail::error("a double has no remainder")),
            },
            (Val::Text(a), Val::Text(b)) if sum == Sum::Add => {
                self.budget.make(a.len() + b.len())?;
                Ok(Val::text(format!("{}{}", &**a, &**b)))
            }
            (Val::Library(..), Val::Library(..)) => self.times(sum, a, b),
            (a, b) if sum == Sum::Add => {
                let (Some(a), Some(b)) = (a.items(), b.items()) else { return Err(Fail::error("these cannot be added")) };
                self.budget.make((a.len() + b.len()).saturating_mul(ELEMENT))?;
                Ok(Val::List(a.iter().chain(b.iter()).collect::<Vec<_>>().into()))
            }
            _ => Err(Fail::error("these cannot be calculated")),
        }
    }

    fn times(&mut self, sum: Sum, a: &Val<'a>, b: &Val<'a>) -> Ran<'a> {
        self.budget.spend(10)?;
        let (Val::Library(x, a), Val::Library(y, b)) = (a, b) else { return Err(Fail::error("these are no times")) };
        let time = |t: &super::types::Type| matches!(t, super::types::Type::Duration | super::types::Type::Timestamp);
        if !time(x) || !time(y) {
            return Err(Fail::error("these cannot be calculated"));
        }
        let ran = match sum {
            Sum::Add => a.clone() + b.clone(),
            Sum::Subtract => a.clone() - b.clone(),
            Sum::Multiply | Sum::Divide | Sum::Modulo => return Err(Fail::error("times cannot be multiplied")),
        };
        match ran {
            // Go counts nanoseconds, in 64 bits.
            Ok(value @ Library::Duration(d)) if d.num_nanoseconds().is_some() => Ok(Val::Library(super::types::Type::Duration, value)),
            Ok(value @ Library::Timestamp(_)) => Ok(Val::Library(super::types::Type::Timestamp, value)),
            _ => Err(Fail::error("no such time")),
        }
    }

    fn fold(&mut self, fold: Fold, over: &'a Node, two: bool, keep: Option<&'a Node>, body: &'a Node) -> Ran<'a> {
        let over = self.run(over)?;
        let before = self.locals.len();
        let mut state = State { fold, error: None, count: 0, list: Vec::new(), map: Vec::new() };
        let mut ended = Ok(None);
        let mut step = |run: &mut Self, key: Option<Val<'a>>, value: Option<Val<'a>>| {
            run.locals.extend(key.clone());
            run.locals.extend(value);
            let step = run.step(&mut state, key, keep, body);
            run.locals.truncate(before);
            step
        };
        if let Some(items) = over.items() {
            for (i, item) in items.iter().enumerate() {
                let key = two.then(|| Val::Int(i64::try_from(i).unwrap_or(i64::MAX)));
                ended = step(self, key, Some(item));
                if !matches!(ended, Ok(None)) {
                    break;
                }
            }
        } else if let Some(entries) = over.entries() {
            for (key, value) in entries.pairs() {
                ended = step(self, Some(key), two.then_some(value));
                if !matches!(ended, Ok(None)) {
                    break;
                }
            }
        } else {
            return Err(Fail::error("only a list or a map can be gone through"));
        }
        if let Some(decided) = ended? {
            return Ok(Val::Bool(decided));
        }
        match (state.error, fold) {
            (Some(error), _) => Err(error),
            (None, Fold::All) => Ok(Val::Bool(true)),
            (None, Fold::Exists) => Ok(Val::Bool(false)),
            (None, Fold::One) => Ok(Val::Bool(state.count == 1)),
            (None, Fold::List) => Ok(Val::List(state.list.into())),
            (None, Fold::Map) => Ok(Val::Map(state.map.into())),
        }
    }

    /// One element; `Some` where it decides the whole.
    fn step(&mut self, state: &mut State<'a>, key: Option<Val<'a>>, keep: Option<&'a Node>, body: &'a Node) -> Result<Option<bool>, Fail> {
        self.budget.spend(1)?;
        if let Some(keep) = keep
            && !self.bool(keep)?
        {
            return Ok(None);
        }
        match state.fold {
            // An error stands until another element decides alone.
            Fold::All | Fold::Exists => match self.bool(body) {
                Err(Fail::Spent) => return Err(Fail::Spent),
                Ok(decides) if decides != (state.fold == Fold::All) => return Ok(Some(decides)),
                Ok(_) => {}
                Err(error) => state.error = state.error.take().or(Some(error)),
            },
            Fold::One => state.count += usize::from(self.bool(body)?),
            Fold::List => {
                self.budget.make(ELEMENT)?;
                let value = self.run(body)?;
                state.list.push(value);
            }
            Fold::Map => {
                let value = self.run(body)?;
                self.budget.make(2 * ELEMENT)?;
                // The keys of a list or a map are apart already.
                state.map.push((key.unwrap_or(Val::Null), value));
            }
        }
        Ok(None)
    }
}

struct State<'a> {
    fold: Fold,
    error: Option<Fail>,
    count: usize,
    list: Vec<Val<'a>>,
    map: Vec<(Val<'a>, Val<'a>)>,
}
