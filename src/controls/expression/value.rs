//! A value while an expression runs: borrowed from the object where it can be, so that no tree is built of what is only looked at.
//! Equality and order are those of cel-go: numbers compare across their kinds, everything else within its own.

use std::{cmp::Ordering, rc::Rc};

use kube::core::cel::cel;
use serde_json::{Map, Value};

use super::{Budget, Fail, types::Type};

/// Text of the object or of the expression, or made while running.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Lent(&'a str),
    Own(Rc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Own(text) => text,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    /// An array or an object, as it came.
    Json(&'a Value),
    List(Rc<Vec<Val<'a>>>),
    Map(Rc<Vec<(Val<'a>, Val<'a>)>>),
    Optional(Option<Rc<Val<'a>>>),
    /// What the library made: a quantity, an address, a time.
    Library(Type, cel::Value),
}

/// A list, wherever it lives.
pub(super) enum Items<'a> {
    Json(&'a [Value]),
    Own(Rc<Vec<Val<'a>>>),
}

/// A map, wherever it lives.
pub(super) enum Entries<'a> {
    Json(&'a Map<String, Value>),
    Own(Rc<Vec<(Val<'a>, Val<'a>)>>),
}

impl<'a> Items<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Own(items) => items.len(),
        }
    }

    pub fn get(&self, i: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items) => items.get(i).map(Val::of),
            Self::Own(items) => items.get(i).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}

impl<'a> Entries<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Own(entries) => entries.len(),
        }
    }

    pub fn get(&self, key: &Val<'a>, budget: &mut Budget) -> Result<Option<Val<'a>>, Fail> {
        match (self, key) {
            (Self::Json(map), Val::Text(key)) => Ok(map.get(&**key).map(Val::of)),
            (Self::Json(_), _) => Ok(None),
            (Self::Own(entries), key) => {
                budget.spend(entries.len())?;
                for (k, v) in entries.iter() {
                    if k.equals(key, budget)? {
                        return Ok(Some(v.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    pub fn pairs(&self) -> Box<dyn Iterator<Item = (Val<'a>, Val<'a>)> + '_> {
        match self {
            Self::Json(map) => Box::new(map.iter().map(|(k, v)| (Val::Text(Text::Lent(k)), Val::of(v)))),
            Self::Own(entries) => Box::new(entries.iter().cloned()),
        }
    }
}

impl<'a> Val<'a> {
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            // As the API server reads JSON: a whole number that fits is an int, every other one a double.
            Value::Number(n) => n.as_i64().map_or_else(|| Self::Double(n.as_f64().unwrap_or(f64::NAN)), Self::Int),
            Value::String(s) => Self::Text(Text::Lent(s)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Own(text.into()))
    }

    pub fn items(&self) -> Option<Items<'a>> {
        match self {
            Self::Json(value) => value.as_array().map(|items| Items::Json(items)),
            Self::List(items) => Some(Items::Own(Rc::clone(items))),
            _ => None,
        }
    }

    pub fn entries(&self) -> Option<Entries<'a>> {
        match self {
            Self::Json(value) => value.as_object().map(Entries::Json),
            Self::Map(entries) => Some(Entries::Own(Rc::clone(entries))),
            _ => None,
        }
    }

    /// Whether a parameter of this type takes it.
    pub fn is(&self, wanted: &Type) -> bool {
        match wanted {
            Type::Dyn => true,
            Type::Null => matches!(self, Self::Null),
            Type::Bool => matches!(self, Self::Bool(_)),
            Type::Int => matches!(self, Self::Int(_)),
            Type::Uint => matches!(self, Self::Uint(_)),
            Type::Double => matches!(self, Self::Double(_)),
            Type::Text => matches!(self, Self::Text(_)),
            // Only the outside is looked at, as cel-go dispatches.
            Type::List(_) => self.items().is_some(),
            Type::Map(..) | Type::Record(_) => self.entries().is_some(),
            Type::Optional(_) => matches!(self, Self::Optional(_)),
            Type::Duration | Type::Timestamp | Type::Quantity | Type::Ip | Type::Cidr | Type::Semver => {
                matches!(self, Self::Library(own, _) if own == wanted)
            }
        }
    }

    pub fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Fail> {
        budget.spend(1)?;
        if let (Some(a), Some(b)) = (self.items(), other.items()) {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !a.equals(&b, budget)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if let (Some(a), Some(b)) = (self.entries(), other.entries()) {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in a.pairs() {
                match b.get(&key, budget)? {
                    Some(other) if value.equals(&other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            return Ok(true);
        }
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                budget.read(a.len().min(b.len()))?;
                **a == **b
            }
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => a.equals(b, budget)?,
                _ => false,
            },
            (Self::Library(a, x), Self::Library(b, y)) => a == b && x == y,
            _ => self.number(other) == Some(Some(Ordering::Equal)),
        })
    }

    /// How two numbers stand; the inner `None` is for NaN, the outer for what is no number.
    #[allow(clippy::option_option)]
    fn number(&self, other: &Self) -> Option<Option<Ordering>> {
        // As cel-go has it: beyond the range of the integer first, then as doubles.
        #[allow(clippy::cast_precision_loss)]
        let int_double = |i: i64, d: f64| match d {
            d if d < i64::MIN as f64 => Some(Ordering::Greater),
            d if d > i64::MAX as f64 => Some(Ordering::Less),
            d => (i as f64).partial_cmp(&d),
        };
        #[allow(clippy::cast_precision_loss)]
        let uint_double = |u: u64, d: f64| match d {
            d if d < 0.0 => Some(Ordering::Greater),
            d if d > u64::MAX as f64 => Some(Ordering::Less),
            d => (u as f64).partial_cmp(&d),
        };
        let int_uint = |i: i64, u: u64| u64::try_from(i).map_or(Ordering::Less, |i| i.cmp(&u));
        Some(match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Double(b)) => int_double(*a, *b),
            (Self::Double(a), Self::Int(b)) => int_double(*b, *a).map(Ordering::reverse),
            (Self::Uint(a), Self::Double(b)) => uint_double(*a, *b),
            (Self::Double(a), Self::Uint(b)) => uint_double(*b, *a).map(Ordering::reverse),
            (Self::Int(a), Self::Uint(b)) => Some(int_uint(*a, *b)),
            (Self::Uint(a), Self::Int(b)) => Some(int_uint(*b, *a).reverse()),
            _ => return None,
        })
    }

    pub fn compare(&self, other: &Self, budget: &mut Budget) -> Result<Ordering, Fail> {
        if let Some(order) = self.number(other) {
            return order.ok_or(Fail::error("NaN has no order"));
        }
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                budget.read(a.len().min(b.len()))?;
                Ok(a.cmp(b))
            }
            (Self::Library(_, cel::Value::Duration(a)), Self::Library(_, cel::Value::Duration(b))) => Ok(a.cmp(b)),
            (Self::Library(_, cel::Value::Timestamp(a)), Self::Library(_, cel::Value::Timestamp(b))) => Ok(a.cmp(b)),
            _ => Err(Fail::error("these two have no order")),
        }
    }

    /// Dispatches to a list's element or a map's value, as an index or a field does. `None`: it is not there.
    pub fn at(&self, key: &Self, budget: &mut Budget) -> Result<Option<Self>, Fail> {
        if let Some(entries) = self.entries() {
            return match key {
                Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Double(_) | Self::Text(_) => entries.get(key, budget),
                _ => Err(Fail::error("this cannot be a key")),
            };
        }
        let Some(items) = self.items() else { return Ok(None) };
        let place = match key {
            Self::Int(i) => usize::try_from(*i).ok(),
            Self::Uint(u) => usize::try_from(*u).ok(),
            // Whole doubles and what lies beyond them: in doubt an error.
            _ => return Err(Fail::error("a list is indexed by a whole number")),
        };
        Ok(place.and_then(|i| items.get(i)))
    }
}
