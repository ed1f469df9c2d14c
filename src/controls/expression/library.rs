//! Quantities, versions, addresses and times by the functions of kube's CEL library, called by name over a few small values.
//! Which of them may be called is the table's to say; objects and lists never come here.

use std::sync::LazyLock;

use kube::core::cel::{
    KubeCelExt,
    cel::{
        Context, Value,
        common::ast::{CallExpr, Expr, IdedExpr},
    },
};
use regex::Regex;

use super::{
    Budget, Fail,
    types::Type,
    value::{Text, Val},
};

/// The most bytes of a text that is read as a quantity, an address or a time; there is none that long.
const MAX_TEXT: usize = 4096;

static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// Calls a function of the library that gives `result`.
pub(super) fn call<'a>(name: &str, on: bool, arguments: &[Val<'a>], result: &Type, budget: &mut Budget) -> Result<Val<'a>, Fail> {
    budget.spend(20)?;
    if let Some(Val::Text(text)) = arguments.last()
        && !alike(name, text)
    {
        return Err(Fail::error("the API server may read this text otherwise"));
    }
    let mut context = LIBRARY.new_inner_scope();
    let mut names = Vec::with_capacity(arguments.len());
    for (i, argument) in arguments.iter().enumerate() {
        let name = format!("@{i}");
        context.add_variable_from_value(name.as_str(), given(argument, budget)?);
        names.push(IdedExpr { id: 0, expr: Expr::Ident(name) });
    }
    let target = on.then(|| Box::new(names.remove(0)));
    let call = IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target, args: names }) };
    let value = Value::resolve(&call, &context).map_err(|_| Fail::error("this function does not take it"))?;
    taken(value, result)
}

/// Whether both sides are known to read this text alike. Where they may not, there is no answer.
fn alike(name: &str, text: &str) -> bool {
    static QUANTITY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[+-]?[0-9]{1,15}(\.[0-9]{1,3}([kMGTPE]|[KMGTPE]i)?|m|[kMGTPE]|[KMGTPE]i|e[0-9])?$").ok());
    static TIME: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?Z$").ok());
    static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^-?([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$").ok());
    let reads = |regex: &Option<Regex>| regex.as_ref().is_some_and(|r| r.is_match(text));
    match name {
        "quantity" => reads(&QUANTITY),
        // What has letters that are in no quantity is none; what has no digit may be one to the API server.
        "isQuantity" => reads(&QUANTITY) || text.is_empty() || text.contains(|c: char| c.is_ascii_digit()) && text.contains(|c: char| !"0123456789+-.eEkKMGTPmunih".contains(c)),
        // Builds of one version are equal there.
        "semver" | "isSemver" => !text.contains('+'),
        "cidr" | "isCIDR" | "containsCIDR" => text.rsplit_once('/').is_none_or(|(_, bits)| bits.len() < 2 || !bits.starts_with('0')),
        "timestamp" => reads(&TIME),
        "duration" => text.len() > 1 && reads(&DURATION),
        _ => true,
    }
}

fn given(value: &Val<'_>, budget: &mut Budget) -> Result<Value, Fail> {
    Ok(match value {
        Val::Int(i) => Value::Int(*i),
        Val::Text(text) if text.len() <= MAX_TEXT => {
            budget.read(text.len())?;
            Value::from(&**text)
        }
        Val::Library(_, value) => value.clone(),
        _ => return Err(Fail::error("this function does not take it")),
    })
}

fn taken<'a>(value: Value, wanted: &Type) -> Result<Val<'a>, Fail> {
    Ok(match (value, wanted) {
        (Value::Bool(b), Type::Bool) => Val::Bool(b),
        (Value::Int(i), Type::Int) => Val::Int(i),
        (Value::String(text), Type::Text) => Val::Text(Text::Own(text.as_str().into())),
        (value @ Value::Opaque(_), Type::Quantity | Type::Ip | Type::Cidr | Type::Semver) | (value @ Value::Timestamp(_), Type::Timestamp) => Val::Library(wanted.clone(), value),
        // Go counts nanoseconds, in 64 bits.
        (Value::Duration(d), Type::Duration) if d.num_nanoseconds().is_some() => Val::Library(Type::Duration, Value::Duration(d)),
        _ => return Err(Fail::error("this function does not give that")),
    })
}
