//! Users' own controls: CEL over the object, as in a ValidatingAdmissionPolicy. Parsed by kube's library and run here.
//!
//! The library's own interpreter is not used: it answers a field of what has no fields with `false`, drops errors that cel-go keeps, and copies
//! what it looks at. Here every step is paid for, so the same input gives the same verdict anywhere and nothing runs for long, and what is not
//! known to agree with the API server does not compile. docs/cel.md lists both; tests/cluster/cel.rs holds them against a real one.

mod bodies;
mod eval;
mod functions;
mod library;
mod macros;
mod pattern;
mod scan;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod value;

use std::borrow::Cow;

use serde_json::Value;

use eval::Run;
use tree::Node;
use types::Type;
use value::Val;

/// The most bytes of an expression.
pub const MAX_SOURCE: usize = 4096;
/// How deep brackets, and choices, may nest.
pub const MAX_DEPTH: u16 = 24;
/// How deep the tree may be: operators and fields in a row count too.
pub const MAX_TREE: u16 = 64;
/// How many macros may stand within one another: a loop in a loop in a loop.
pub const MAX_FOLDS: u16 = 3;
/// The library's parser takes some 35 KiB of stack a bracket in a debug build: more than the threads of a server have.
const PARSER_STACK: usize = 16 << 20;
/// What one review may spend, in steps of some 20 ns.
const STEPS: usize = 1_000_000;
/// What one review may make, in bytes.
const BYTES: usize = 8 << 20;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    node: Node,
    reads: Vec<Variable>,
}

/// What an expression may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The object as it would be stored.
    Object,
    /// As it is stored; null on CREATE.
    OldObject,
    /// Who asks for what.
    Request,
    /// The object's namespace.
    Namespace,
    /// What the Ownership says of this control.
    Params,
}

/// What an expression is run over; null for what there is not.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The object as it would be stored.
    pub object: &'a Value,
    /// As it is stored.
    pub old_object: &'a Value,
    /// The admission request.
    pub request: &'a Value,
    /// The object's namespace.
    pub namespace: &'a Value,
    /// What the Ownership says of this control.
    pub params: &'a Value,
}

/// Why an expression is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fail {
    /// It does not go with this object.
    #[error("{0}")]
    Error(Cow<'static, str>),
    /// It costs more than a review may.
    #[error("it costs more than a review may spend")]
    Spent,
}

/// What one review has left for all expressions together. Steps and bytes, not time: the same input is decided the same everywhere.
#[derive(Debug)]
pub struct Budget {
    steps: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: STEPS, bytes: BYTES }
    }
}

impl Budget {
    /// Nothing is left: of what was asked last, nobody knows the answer.
    pub const fn is_spent(&self) -> bool {
        self.steps == 0 || self.bytes == 0
    }

    fn spend(&mut self, steps: usize) -> Result<(), Fail> {
        self.take(steps, 0)
    }

    fn take(&mut self, steps: usize, bytes: usize) -> Result<(), Fail> {
        match (self.steps.checked_sub(steps), self.bytes.checked_sub(bytes)) {
            (Some(steps), Some(bytes)) => {
                *self = Self { steps, bytes };
                Ok(())
            }
            // What could not be paid once ends the rest too.
            _ => {
                *self = Self { steps: 0, bytes: 0 };
                Err(Fail::Spent)
            }
        }
    }

    /// To read so many bytes of a text.
    fn read(&mut self, bytes: usize) -> Result<(), Fail> {
        self.spend(bytes / 32)
    }

    /// To make so many bytes.
    fn make(&mut self, bytes: usize) -> Result<(), Fail> {
        self.take(bytes / 32, bytes)
    }
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Fail {
    fn error(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(why.into())
    }
}

impl Expression {
    /// Compiles a condition.
    ///
    /// # Errors
    /// What of it is not taken.
    pub fn condition(source: &str) -> Result<Self, Refusal> {
        Self::of(source, &Type::Bool, "it must say true or false")
    }

    /// Compiles a message.
    ///
    /// # Errors
    /// What of it is not taken.
    pub fn message(source: &str) -> Result<Self, Refusal> {
        Self::of(source, &Type::Text, "a message must be text")
    }

    fn of(source: &str, wanted: &Type, otherwise: &str) -> Result<Self, Refusal> {
        // A thread of its own, for its stack, and so that a panic of the parser is a refusal.
        let parsed = std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, || tree::compile(source));
            parser.map(std::thread::ScopedJoinHandle::join)
        });
        let Ok(Ok(compiled)) = parsed else { return Err(Refusal::new("it cannot be read")) };
        let (node, found, reads) = compiled?;
        // As the API server: what may be anything is not taken for what is wanted.
        if found != *wanted {
            return Err(Refusal::new(otherwise));
        }
        Ok(Self { node, reads })
    }

    /// Whether it reads this.
    pub fn reads(&self, variable: Variable) -> bool {
        self.reads.contains(&variable)
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// [`Fail`]: what has no answer does not hold.
    pub fn holds(&self, inputs: Inputs<'_>, budget: &mut Budget) -> Result<bool, Fail> {
        Run { inputs, locals: Vec::new(), budget }.bool(&self.node)
    }

    /// The message.
    ///
    /// # Errors
    /// [`Fail`]: there is none.
    pub fn text(&self, inputs: Inputs<'_>, budget: &mut Budget) -> Result<String, Fail> {
        match (Run { inputs, locals: Vec::new(), budget }).run(&self.node)? {
            Val::Text(text) => Ok(text.to_string()),
            _ => Err(Fail::error("a message must be text")),
        }
    }
}
