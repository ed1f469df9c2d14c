//! What the functions of the table do, where it is done here. Each pays for what it reads and makes before it does so.

use super::{
    Budget, Fail,
    value::{Items, Text, Val},
};

pub(super) fn text<'v, 'a>(arguments: &'v [Val<'a>], i: usize, budget: &mut Budget) -> Result<&'v Text<'a>, Fail> {
    match arguments.get(i) {
        Some(Val::Text(text)) => {
            budget.read(text.len())?;
            Ok(text)
        }
        _ => Err(Fail::error("not text")),
    }
}

pub(super) fn items<'a>(value: &Val<'a>) -> Result<Items<'a>, Fail> {
    value.items().ok_or(Fail::error("not a list"))
}

pub(super) fn optional<'a>(value: &Val<'a>) -> Result<Option<Val<'a>>, Fail> {
    match value {
        Val::Optional(inner) => Ok(inner.as_ref().map(|v| (**v).clone())),
        _ => Err(Fail::error("not an optional")),
    }
}

pub(super) fn int(n: usize) -> Val<'static> {
    Val::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) fn size<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    if let Some(items) = arguments[0].items() {
        return Ok(int(items.len()));
    }
    match arguments[0].entries() {
        Some(entries) => Ok(int(entries.len())),
        None => Ok(int(text(arguments, 0, budget)?.chars().count())),
    }
}

pub(super) fn number_text<'a>(arguments: &[Val<'a>], _: &mut Budget) -> Result<Val<'a>, Fail> {
    match &arguments[0] {
        Val::Int(i) => Ok(Val::text(i.to_string())),
        Val::Uint(u) => Ok(Val::text(u.to_string())),
        Val::Bool(b) => Ok(Val::text(b.to_string())),
        _ => Err(Fail::error("this has no text")),
    }
}

/// `[+-]?[0-9]+`, as both sides read it.
pub(super) fn to_int<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    match &arguments[0] {
        Val::Uint(u) => i64::try_from(*u).ok(),
        // Beyond what a double holds exactly the two sides may round apart.
        #[allow(clippy::cast_possible_truncation)]
        Val::Double(d) if d.abs() < 9_007_199_254_740_992.0 => Some(*d as i64),
        Val::Text(_) => text(arguments, 0, budget)?.parse().ok(),
        _ => None,
    }
    .map(Val::Int)
    .ok_or(Fail::error("this is no int"))
}

pub(super) fn to_uint<'a>(arguments: &[Val<'a>], _: &mut Budget) -> Result<Val<'a>, Fail> {
    match &arguments[0] {
        Val::Int(i) => u64::try_from(*i).map(Val::Uint).map_err(|_| Fail::error("a uint is not negative")),
        _ => Err(Fail::error("this is no uint")),
    }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn to_double<'a>(arguments: &[Val<'a>], _: &mut Budget) -> Result<Val<'a>, Fail> {
    match &arguments[0] {
        Val::Int(i) => Ok(Val::Double(*i as f64)),
        Val::Uint(u) => Ok(Val::Double(*u as f64)),
        _ => Err(Fail::error("this is no double")),
    }
}

pub(super) fn contains<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    // Two-way search: linear, whatever is looked for.
    Ok(Val::Bool(text(arguments, 0, budget)?.contains(&**text(arguments, 1, budget)?)))
}

/// Where a character begins; `None` beyond the end.
pub(super) fn offset(text: &str, at: i64) -> Option<usize> {
    let at = usize::try_from(at).ok()?;
    text.char_indices().map(|(i, _)| i).chain([text.len()]).nth(at)
}

pub(super) fn number(arguments: &[Val<'_>], i: usize) -> Result<i64, Fail> {
    match arguments.get(i) {
        Some(Val::Int(n)) => Ok(*n),
        _ => Err(Fail::error("not an int")),
    }
}

pub(super) fn char_at<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let text = text(arguments, 0, budget)?;
    let from = offset(text, number(arguments, 1)?).ok_or(Fail::error("beyond the text"))?;
    Ok(Val::text(text[from..].chars().next().map(String::from).unwrap_or_default()))
}

pub(super) fn substring<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let text = text(arguments, 0, budget)?;
    let beyond = || Fail::error("beyond the text");
    let from = offset(text, number(arguments, 1)?).ok_or_else(beyond)?;
    let to = if arguments.len() == 3 { offset(text, number(arguments, 2)?).ok_or_else(beyond)? } else { text.len() };
    Ok(Val::text(text.get(from..to).ok_or_else(beyond)?))
}

pub(super) fn index_of<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let (text, sought) = (text(arguments, 0, budget)?, text(arguments, 1, budget)?);
    Ok(text.find(&**sought).map_or(Val::Int(-1), |i| int(text[..i].chars().count())))
}

pub(super) fn last_index_of<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let (text, sought) = (text(arguments, 0, budget)?, text(arguments, 1, budget)?);
    Ok(text.rfind(&**sought).map_or(Val::Int(-1), |i| int(text[..i].chars().count())))
}

pub(super) fn trim<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    Ok(Val::text(text(arguments, 0, budget)?.trim()))
}

pub(super) fn replace<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let (text, old, new) = (text(arguments, 0, budget)?, text(arguments, 1, budget)?, text(arguments, 2, budget)?);
    let times = if old.is_empty() { text.len() + 1 } else { text.matches(&**old).count() };
    budget.make(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Val::text(text.replace(&**old, new)))
}

pub(super) fn split<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let (whole, by) = (text(arguments, 0, budget)?, text(arguments, 1, budget)?);
    if by.is_empty() {
        budget.make(whole.len().saturating_mul(32))?;
        return Ok(Val::List(whole.chars().map(|c| Val::text(c.to_string())).collect::<Vec<_>>().into()));
    }
    let parts = whole.matches(&**by).count() + 1;
    budget.make(whole.len().saturating_add(parts.saturating_mul(32)))?;
    Ok(Val::List(whole.split(&**by).map(Val::text).collect::<Vec<_>>().into()))
}

pub(super) fn join<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let between = if arguments.len() == 2 { &**text(arguments, 1, budget)? } else { "" };
    let mut out = String::new();
    for (i, item) in items(&arguments[0])?.iter().enumerate() {
        let Val::Text(part) = item else { return Err(Fail::error("not text")) };
        let between = if i == 0 { "" } else { between };
        budget.make(part.len() + between.len() + 1)?;
        out.push_str(between);
        out.push_str(&part);
    }
    Ok(Val::text(out))
}

pub(super) fn is_sorted<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let items = items(&arguments[0])?;
    let mut last: Option<Val<'a>> = None;
    for item in items.iter() {
        budget.spend(1)?;
        if let Some(last) = &last
            && last.compare(&item, budget)?.is_gt()
        {
            return Ok(Val::Bool(false));
        }
        last = Some(item);
    }
    Ok(Val::Bool(true))
}

pub(super) fn sum<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let mut total = 0_i64;
    for item in items(&arguments[0])?.iter() {
        budget.spend(1)?;
        let Val::Int(n) = item else { return Err(Fail::error("not an int")) };
        total = total.checked_add(n).ok_or(Fail::error("overflow"))?;
    }
    Ok(Val::Int(total))
}

pub(super) fn extreme<'a>(arguments: &[Val<'a>], budget: &mut Budget, wanted: std::cmp::Ordering) -> Result<Val<'a>, Fail> {
    let items = items(&arguments[0])?;
    let mut best = items.get(0).ok_or(Fail::error("an empty list"))?;
    for item in items.iter().skip(1) {
        budget.spend(1)?;
        if item.compare(&best, budget)? == wanted {
            best = item;
        }
    }
    // One element alone was not compared with anything.
    best.compare(&best, budget)?;
    Ok(best)
}

pub(super) fn place<'a>(arguments: &[Val<'a>], budget: &mut Budget, last: bool) -> Result<Val<'a>, Fail> {
    let mut found = Val::Int(-1);
    for (i, item) in items(&arguments[0])?.iter().enumerate() {
        if item.equals(&arguments[1], budget)? {
            found = int(i);
            if !last {
                break;
            }
        }
    }
    Ok(found)
}

pub(super) fn member(item: &Val<'_>, of: &Items<'_>, budget: &mut Budget) -> Result<bool, Fail> {
    for other in of.iter() {
        if item.equals(&other, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn all_in(some: &Val<'_>, all: &Val<'_>, budget: &mut Budget) -> Result<bool, Fail> {
    let all = items(all)?;
    for item in items(some)?.iter() {
        if !member(&item, &all, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn intersects<'a>(arguments: &[Val<'a>], budget: &mut Budget) -> Result<Val<'a>, Fail> {
    let other = items(&arguments[1])?;
    for item in items(&arguments[0])?.iter() {
        if member(&item, &other, budget)? {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}
