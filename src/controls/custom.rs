//! Controls of users' own: compiled once when they are declared, and run over the whole object where one is about its kind.
//! One that does not compile judges nothing, and is told as Unknown wherever it is asked for.

use serde_json::{Value, json};

use super::{
    CATALOG,
    expression::{Budget, Expression, Inputs, Variable},
    find,
};
use crate::{
    api::{
        control::{CheckedBy, ControlSpec, Owners, Validation},
        ownership::{Enforcement, Severity},
    },
    model::{Finding, facts::Namespace, subject::Kind, text::shown},
};

/// The most of them, by name, that a namespace can be asked for; the others are as good as unknown.
pub const MAX_CUSTOM: usize = 64;

/// Where a finding stands: an expression does not say which field it is about, so it is the object as such.
pub(crate) const OBJECT: &str = "metadata";

/// One of them.
#[derive(Debug)]
pub struct Custom {
    /// Its name.
    pub id: String,
    /// As it was declared.
    pub spec: ControlSpec,
    /// The kinds that it judges.
    pub kinds: Vec<Kind>,
    compiled: Result<Vec<Rule>, String>,
}

#[derive(Debug)]
struct Rule {
    condition: Expression,
    message: Option<Expression>,
}

// What compiles can fail to for want of a thread: one that did is not to stand for one that did not.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.spec == other.spec && self.compiled.is_ok() == other.compiled.is_ok()
    }
}

/// An object as expressions see it.
#[derive(Debug)]
pub struct Whole {
    /// As it would be stored.
    pub object: Value,
    /// As it is stored; null where it is new, or only looked at.
    pub old_object: Value,
    /// Who asks for what; `None` where nobody asks.
    pub request: Option<Value>,
}

/// How a whole object is come by; `Err` tells why there is none. Asked for only where one of these controls is about the kind.
pub type Source<'s> = &'s dyn Fn() -> Result<Whole, &'static str>;

/// What speaks against a declared one, each with its place.
pub fn objections(name: &str, spec: &ControlSpec) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if spec.built_in() {
        return vec![("spec.check".to_owned(), "built-in controls are published by Demarc alone; leave check out, and write validations".to_owned())];
    }
    if find(name).is_some() {
        found.push(("metadata.name".to_owned(), format!("\"{name}\" is a control of the catalog; choose another name")));
    }
    for (i, kind) in spec.kinds.iter().enumerate() {
        if judged(kind).is_none() {
            found.push((
                format!("spec.kinds[{i}]"),
                format!("no control can judge \"{}\"; it knows {}", shown(kind, 63), judged_kinds().map(Kind::name).collect::<Vec<_>>().join(", ")),
            ));
        }
    }
    for (i, validation) in spec.validations.iter().enumerate() {
        if let Err((field, why)) = compile(validation) {
            found.push((format!("spec.validations[{i}].{field}"), shown(&format!("{why}; docs/cel.md says what is in the language"), 400)));
        }
    }
    found
}

fn judged_kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.namespaced() && CATALOG.iter().any(|c| c.kinds.contains(kind)))
}

fn judged(name: &str) -> Option<Kind> {
    judged_kinds().find(|kind| kind.name() == name)
}

fn compile(validation: &Validation) -> Result<Rule, (&'static str, String)> {
    let condition = Expression::condition(&validation.expression).map_err(|e| ("expression", e.to_string()))?;
    let message = validation.message_expression.as_deref().map(Expression::message).transpose().map_err(|e| ("messageExpression", e.to_string()))?;
    Ok(Rule { condition, message })
}

impl Custom {
    /// Compiles one, whatever it says: what cannot be run is told.
    pub fn new(id: &str, spec: ControlSpec) -> Self {
        let compiled = match objections(id, &spec).into_iter().next() {
            Some((place, why)) => Err(format!("{place}: {why}")),
            None => spec.validations.iter().map(compile).collect::<Result<_, _>>().map_err(|(field, why)| format!("{field}: {why}")),
        };
        let kinds = spec.kinds.iter().filter_map(|kind| judged(kind)).collect();
        Self { id: id.to_owned(), spec, kinds, compiled }
    }

    /// One whose declaration cannot even be read.
    pub fn unreadable(id: &str, why: String) -> Self {
        let spec = ControlSpec {
            title: "it cannot be read".to_owned(),
            check: CheckedBy::Cel,
            group: "workload".to_owned(),
            severity: Severity::High,
            owners: Owners::default(),
            enforcement: Enforcement::Audit,
            kinds: Vec::new(),
            validations: Vec::new(),
            why: None,
            checked: None,
            unknown: None,
            remediation: None,
            references: Vec::new(),
        };
        Self { id: id.to_owned(), spec, kinds: Vec::new(), compiled: Err(why) }
    }

    /// Why it judges nothing.
    pub fn fault(&self) -> Option<&str> {
        self.compiled.as_ref().err().map(String::as_str)
    }

    /// Whether it can judge objects of this kind.
    pub fn is_about(&self, kind: Kind) -> bool {
        self.compiled.is_ok() && self.kinds.contains(&kind)
    }

    /// Judges one object.
    pub fn check(&self, whole: &Result<Whole, &'static str>, namespace: &Value, params: &Value, budget: &mut Budget, out: &mut Vec<Finding>) {
        let Ok(rules) = &self.compiled else { return };
        let fix = || self.spec.remediation.clone().unwrap_or_else(|| format!("kubectl get control {} -o yaml", self.id));
        let whole = match whole {
            Ok(whole) => whole,
            Err(why) => return out.push(Finding::unknown(OBJECT, *why, "wait")),
        };
        let null = Value::Null;
        let inputs = Inputs { object: &whole.object, old_object: &whole.old_object, request: whole.request.as_ref().unwrap_or(&null), namespace, params };
        for (i, (rule, validation)) in rules.iter().zip(&self.spec.validations).enumerate() {
            if whole.request.is_none() && rule.condition.reads(Variable::Request) {
                out.push(Finding::unknown(OBJECT, format!("validation {i} reads the request, which there is only when somebody asks"), "judge it at admission"));
                continue;
            }
            let failed = match rule.condition.holds(inputs, budget) {
                Ok(true) => continue,
                Ok(false) => None,
                Err(fail) => Some(fail),
            };
            let made = rule.message.as_ref().filter(|m| whole.request.is_some() || !m.reads(Variable::Request)).and_then(|m| m.text(inputs, budget).ok());
            let said = made.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| shown(text, 253));
            let message = said.clone().or_else(|| validation.message.clone()).unwrap_or_else(|| self.spec.title.clone());
            let message = failed.map_or_else(|| message.clone(), |fail| format!("{message} (validation {i} has no answer: {fail})"));
            out.push(Finding::violated(OBJECT, format!("{i} {}", said.unwrap_or_default()), message, fix()));
        }
    }
}

/// A namespace as expressions see it.
pub fn namespace_object(namespace: &Namespace) -> Value {
    let mut metadata = json!({"name": namespace.name});
    for (field, map) in [("labels", &namespace.labels), ("annotations", &namespace.annotations)] {
        let pairs: serde_json::Map<String, Value> = map.iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
        // As the API server has it: what is empty is not there.
        if !pairs.is_empty() {
            metadata[field] = Value::Object(pairs);
        }
    }
    json!({"metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(yaml: &str) -> Custom {
        Custom::new("two-replicas", serde_saphyr::from_str(yaml).unwrap())
    }

    fn said(custom: &Custom, object: Value, request: Option<Value>) -> Vec<String> {
        let whole = Ok(Whole { object, old_object: Value::Null, request });
        let mut found = Vec::new();
        let namespace = namespace_object(&Namespace { name: "shop".into(), ..Namespace::default() });
        custom.check(&whole, &namespace, &json!({"least": ["2"]}), &mut Budget::default(), &mut found);
        found.iter().map(|f| format!("{:?} [{}] {}", f.outcome, f.fingerprint, f.message)).collect()
    }

    #[test]
    fn each_validation_is_told_with_its_message() {
        let control = custom(
            "{title: two run, severity: high, kinds: [Deployment], validations: [
              {expression: 'object.spec.replicas >= int(params.least[0])', message: too few, messageExpression: '\"only \" + string(object.spec.replicas)'},
              {expression: 'namespaceObject.metadata.name == \"shop\"'},
              {expression: 'request.userInfo.username != \"eve\"', message: not eve}]}",
        );
        assert_eq!(control.fault(), None);
        let request = |user: &str| Some(json!({"userInfo": {"username": user}}));
        assert_eq!(said(&control, json!({"spec": {"replicas": 2}}), request("ann")), Vec::<String>::new());
        assert_eq!(said(&control, json!({"spec": {"replicas": 1}}), request("ann")), ["Violated [0 only 1] only 1"]);
        assert_eq!(said(&control, json!({"spec": {"replicas": 2}}), request("eve")), ["Violated [2 ] not eve"]);
        assert_eq!(said(&control, json!({"spec": {"replicas": 2}}), None), ["Unknown [] validation 2 reads the request, which there is only when somebody asks"]);
        assert_eq!(said(&control, json!({}), request("ann")), ["Violated [0 ] too few (validation 0 has no answer: there is no field spec)"]);
        let mut found = Vec::new();
        control.check(&Err("not read yet"), &Value::Null, &Value::Null, &mut Budget::default(), &mut found);
        assert_eq!(found[0].outcome, crate::model::Outcome::Unknown, "what is not seen is not green");
    }

    #[test]
    fn what_cannot_be_run_is_refused_and_judges_nothing() {
        for (name, yaml, said) in [
            ("two-replicas", "{title: t, severity: low, kinds: [Node], validations: [{expression: 'true'}]}", "spec.kinds[0]: no control can judge \"Node\""),
            ("two-replicas", "{title: t, severity: low, kinds: [Pod], validations: [{expression: 'object.spec'}]}", "spec.validations[0].expression: it must say true or false"),
            (
                "two-replicas",
                "{title: t, severity: low, kinds: [Pod], validations: [{expression: 'true', messageExpression: '1'}]}",
                "spec.validations[0].messageExpression: a message must be text",
            ),
            (
                "encryption-declared",
                "{title: t, severity: low, kinds: [Pod], validations: [{expression: 'true'}]}",
                "metadata.name: \"encryption-declared\" is a control of the catalog",
            ),
        ] {
            let control = Custom::new(name, serde_saphyr::from_str(yaml).unwrap());
            assert!(control.fault().is_some_and(|f| f.starts_with(said)), "{yaml}: {:?}", control.fault());
            assert!(!control.is_about(Kind::Pod), "{yaml}");
        }
    }
}
