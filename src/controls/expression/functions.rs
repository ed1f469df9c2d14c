//! The functions that a control may call: a name, what it takes, what it gives, and what runs. What is not in the table does not compile.
//! Text and lists are handled here, since each must know what it costs before it does it; quantities, addresses and times are the library's.

use super::{
    Budget, Fail,
    bodies::{
        all_in, char_at, contains, extreme, index_of, intersects, is_sorted, join, last_index_of, number_text, optional, place, replace, size, split, substring, sum, text,
        to_double, to_int, to_uint, trim,
    },
    library,
    types::Type,
    value::Val,
};

type Own = for<'a> fn(&[Val<'a>], &mut Budget) -> Result<Val<'a>, Fail>;

/// What a function gives.
#[derive(Debug)]
pub(super) enum Gives {
    Is(Type),
    /// A list of it.
    ListOf(Type),
    /// An element of the first argument's type.
    Element,
    /// An optional of the first argument's type, or of anything.
    OptionalOfFirst,
    /// As the first argument.
    First,
}

#[derive(Debug)]
enum Runs {
    Own(Own),
    Library,
}

/// What a function takes.
#[derive(Debug)]
pub(super) enum Takes {
    Is(Type),
    List,
    /// A list of what has an order.
    Ordered,
    ListOf(Type),
    Map,
    Optional,
    /// What goes with the type inside the first argument.
    Inner,
    /// What goes with the first argument.
    LikeFirst,
}

/// One overload.
#[derive(Debug)]
pub(super) struct Function {
    /// `size`, or `sets.contains` for one in a namespace.
    pub name: &'static str,
    /// Whether it is called on its first argument.
    pub on: bool,
    pub takes: &'static [Takes],
    pub gives: Gives,
    runs: Runs,
}

impl Takes {
    /// Whether it takes a value of this type, as far as is known.
    pub fn agrees(&self, arguments: &[Type], i: usize) -> bool {
        let wanted = match self {
            Self::Is(wanted) => return wanted.agrees(&arguments[i]),
            Self::List => Type::list(Type::Dyn),
            Self::Ordered => return matches!(&arguments[i], Type::Dyn) || matches!(&arguments[i], Type::List(of) if of.is_ordered()),
            Self::ListOf(of) => Type::list(of.clone()),
            Self::Map => Type::Map(Box::new(Type::Dyn), Box::new(Type::Dyn)),
            Self::Optional => Type::Optional(Box::new(Type::Dyn)),
            Self::Inner => inner(&arguments[0]),
            Self::LikeFirst => arguments[0].clone(),
        };
        wanted.agrees(&arguments[i])
    }

    fn admits(&self, value: &Val<'_>) -> bool {
        match self {
            Self::Is(wanted) => value.is(wanted),
            Self::List | Self::Ordered | Self::ListOf(_) => value.items().is_some(),
            Self::Map => value.entries().is_some(),
            Self::Optional => matches!(value, Val::Optional(_)),
            Self::Inner | Self::LikeFirst => true,
        }
    }
}

fn inner(of: &Type) -> Type {
    match of {
        Type::List(inner) | Type::Optional(inner) => (**inner).clone(),
        _ => Type::Dyn,
    }
}

impl Function {
    /// The type of what it gives.
    pub fn result(&self, arguments: &[Type]) -> Type {
        match &self.gives {
            Gives::Is(result) => result.clone(),
            Gives::ListOf(of) => Type::list(of.clone()),
            Gives::Element => inner(&arguments[0]).join(arguments.get(1).unwrap_or(&inner(&arguments[0]))),
            Gives::OptionalOfFirst => Type::Optional(Box::new(arguments.first().cloned().unwrap_or(Type::Dyn))),
            Gives::First => arguments[0].clone(),
        }
    }

    pub fn admits(&self, arguments: &[Val<'_>]) -> bool {
        self.takes.len() == arguments.len() && self.takes.iter().zip(arguments).all(|(takes, value)| takes.admits(value))
    }

    pub fn run<'a>(&self, arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
        match (&self.runs, &self.gives) {
            (Runs::Own(own), _) => own(arguments, budget),
            (Runs::Library, Gives::Is(result)) => library::call(self.name, self.on, arguments, result, budget),
            (Runs::Library, _) => Err(Fail::error("not a function")),
        }
    }
}

macro_rules! on {
    ($name:literal, [$($takes:expr),*], $gives:expr, $own:expr) => {
        Function { name: $name, on: true, takes: &[$($takes),*], gives: $gives, runs: Runs::Own($own) }
    };
    ($name:literal, [$($takes:expr),*], $result:expr) => {
        Function { name: $name, on: true, takes: &[$($takes),*], gives: Is($result), runs: Runs::Library }
    };
}
macro_rules! global {
    ($name:literal, [$($takes:expr),*], $gives:expr, $own:expr) => {
        Function { name: $name, on: false, takes: &[$($takes),*], gives: $gives, runs: Runs::Own($own) }
    };
    ($name:literal, [$($takes:expr),*], $result:expr) => {
        Function { name: $name, on: false, takes: &[$($takes),*], gives: Is($result), runs: Runs::Library }
    };
}

use Gives::{Element, First, Is, ListOf, OptionalOfFirst};
use Takes::{Inner, Is as A, LikeFirst, List, ListOf as ListA, Map, Optional, Ordered};
use Type::{Bool, Cidr, Double, Duration, Dyn, Int, Ip, Quantity, Semver, Text as Str, Timestamp, Uint};

/// Every function.
pub(super) static FUNCTIONS: &[Function] = &[
    global!("size", [A(Str)], Is(Int), size),
    global!("size", [List], Is(Int), size),
    global!("size", [Map], Is(Int), size),
    on!("size", [A(Str)], Is(Int), size),
    on!("size", [List], Is(Int), size),
    on!("size", [Map], Is(Int), size),
    global!("dyn", [A(Dyn)], Is(Dyn), |a, _| Ok(a[0].clone())),
    global!("string", [A(Str)], Is(Str), |a, _| Ok(a[0].clone())),
    global!("string", [A(Int)], Is(Str), number_text),
    global!("string", [A(Uint)], Is(Str), number_text),
    global!("string", [A(Bool)], Is(Str), number_text),
    global!("int", [A(Int)], Is(Int), |a, _| Ok(a[0].clone())),
    global!("int", [A(Uint)], Is(Int), to_int),
    global!("int", [A(Double)], Is(Int), to_int),
    global!("int", [A(Str)], Is(Int), to_int),
    global!("uint", [A(Uint)], Is(Uint), |a, _| Ok(a[0].clone())),
    global!("uint", [A(Int)], Is(Uint), to_uint),
    global!("double", [A(Double)], Is(Double), |a, _| Ok(a[0].clone())),
    global!("double", [A(Int)], Is(Double), to_double),
    global!("double", [A(Uint)], Is(Double), to_double),
    global!("bool", [A(Bool)], Is(Bool), |a, _| Ok(a[0].clone())),
    on!("contains", [A(Str), A(Str)], Is(Bool), contains),
    on!("startsWith", [A(Str), A(Str)], Is(Bool), |a, b| Ok(Val::Bool(text(a, 0, b)?.starts_with(&**text(a, 1, b)?)))),
    on!("endsWith", [A(Str), A(Str)], Is(Bool), |a, b| Ok(Val::Bool(text(a, 0, b)?.ends_with(&**text(a, 1, b)?)))),
    on!("charAt", [A(Str), A(Int)], Is(Str), char_at),
    on!("indexOf", [A(Str), A(Str)], Is(Int), index_of),
    on!("lastIndexOf", [A(Str), A(Str)], Is(Int), last_index_of),
    on!("lowerAscii", [A(Str)], Is(Str), |a, b| Ok(Val::text(text(a, 0, b)?.to_ascii_lowercase()))),
    on!("upperAscii", [A(Str)], Is(Str), |a, b| Ok(Val::text(text(a, 0, b)?.to_ascii_uppercase()))),
    on!("trim", [A(Str)], Is(Str), trim),
    on!("replace", [A(Str), A(Str), A(Str)], Is(Str), replace),
    on!("split", [A(Str), A(Str)], ListOf(Str), split),
    on!("substring", [A(Str), A(Int)], Is(Str), substring),
    on!("substring", [A(Str), A(Int), A(Int)], Is(Str), substring),
    on!("join", [ListA(Str)], Is(Str), join),
    on!("join", [ListA(Str), A(Str)], Is(Str), join),
    on!("isSorted", [Ordered], Is(Bool), is_sorted),
    on!("sum", [ListA(Int)], Is(Int), sum),
    on!("min", [Ordered], Element, |a, b| extreme(a, b, std::cmp::Ordering::Less)),
    on!("max", [Ordered], Element, |a, b| extreme(a, b, std::cmp::Ordering::Greater)),
    on!("indexOf", [List, Inner], Is(Int), |a, b| place(a, b, false)),
    on!("lastIndexOf", [List, Inner], Is(Int), |a, b| place(a, b, true)),
    global!("sets.contains", [List, LikeFirst], Is(Bool), |a, b| Ok(Val::Bool(all_in(&a[1], &a[0], b)?))),
    global!("sets.equivalent", [List, LikeFirst], Is(Bool), |a, b| Ok(Val::Bool(all_in(&a[1], &a[0], b)? && all_in(&a[0], &a[1], b)?))),
    global!("sets.intersects", [List, LikeFirst], Is(Bool), intersects),
    global!("optional.none", [], OptionalOfFirst, |_, _| Ok(Val::Optional(None))),
    global!("optional.of", [A(Dyn)], OptionalOfFirst, |a, _| Ok(Val::Optional(Some(a[0].clone().into())))),
    on!("hasValue", [Optional], Is(Bool), |a, _| Ok(Val::Bool(matches!(a[0], Val::Optional(Some(_)))))),
    on!("value", [Optional], Element, |a, _| optional(&a[0])?.ok_or(Fail::error("an optional without a value"))),
    on!("orValue", [Optional, Inner], Element, |a, _| Ok(optional(&a[0])?.unwrap_or_else(|| a[1].clone()))),
    on!("or", [Optional, LikeFirst], First, |a, _| Ok(if optional(&a[0])?.is_some() { a[0].clone() } else { a[1].clone() })),
    global!("quantity", [A(Str)], Quantity),
    global!("isQuantity", [A(Str)], Bool),
    on!("isGreaterThan", [A(Quantity), A(Quantity)], Bool),
    on!("isLessThan", [A(Quantity), A(Quantity)], Bool),
    on!("compareTo", [A(Quantity), A(Quantity)], Int),
    on!("add", [A(Quantity), A(Quantity)], Quantity),
    on!("add", [A(Quantity), A(Int)], Quantity),
    on!("sub", [A(Quantity), A(Quantity)], Quantity),
    on!("sub", [A(Quantity), A(Int)], Quantity),
    global!("semver", [A(Str)], Semver),
    global!("isSemver", [A(Str)], Bool),
    on!("major", [A(Semver)], Int),
    on!("minor", [A(Semver)], Int),
    on!("patch", [A(Semver)], Int),
    on!("isGreaterThan", [A(Semver), A(Semver)], Bool),
    on!("isLessThan", [A(Semver), A(Semver)], Bool),
    on!("compareTo", [A(Semver), A(Semver)], Int),
    global!("ip", [A(Str)], Ip),
    global!("isIP", [A(Str)], Bool),
    on!("family", [A(Ip)], Int),
    on!("isLoopback", [A(Ip)], Bool),
    on!("isUnspecified", [A(Ip)], Bool),
    on!("isLinkLocalUnicast", [A(Ip)], Bool),
    on!("isLinkLocalMulticast", [A(Ip)], Bool),
    on!("isGlobalUnicast", [A(Ip)], Bool),
    global!("cidr", [A(Str)], Cidr),
    global!("isCIDR", [A(Str)], Bool),
    on!("containsIP", [A(Cidr), A(Str)], Bool),
    on!("containsIP", [A(Cidr), A(Ip)], Bool),
    on!("containsCIDR", [A(Cidr), A(Str)], Bool),
    on!("containsCIDR", [A(Cidr), A(Cidr)], Bool),
    on!("prefixLength", [A(Cidr)], Int),
    on!("ip", [A(Cidr)], Ip),
    on!("masked", [A(Cidr)], Cidr),
    global!("duration", [A(Str)], Duration),
    global!("timestamp", [A(Str)], Timestamp),
    on!("getFullYear", [A(Timestamp)], Int),
    on!("getMonth", [A(Timestamp)], Int),
    on!("getDayOfMonth", [A(Timestamp)], Int),
    on!("getDayOfWeek", [A(Timestamp)], Int),
    on!("getHours", [A(Timestamp)], Int),
    on!("getMinutes", [A(Timestamp)], Int),
    on!("getSeconds", [A(Timestamp)], Int),
    on!("getHours", [A(Duration)], Int),
    on!("getMinutes", [A(Duration)], Int),
    on!("getSeconds", [A(Duration)], Int),
];
