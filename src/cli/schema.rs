//! A declaration in a file, judged as the API server would judge it: the CRD's schema, then its rules.
//! The generated CRD is the one source; its structural schema becomes JSON Schema, and its CEL rules are run as they are.

use std::collections::{BTreeSet, HashSet};

use anyhow::Context;
use boon::{Compiler, Draft, ErrorKind, InstanceToken, SchemaIndex, Schemas, ValidationError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::cel;
use serde_json::{Map, Value, json};

use super::tree::{Step, steps, written};
use crate::{api::Declaration, model::text::shown};

/// A schema has an address, and nothing is ever read from it.
const NAME: &str = "demarc://crd";

/// What the API server knows of one kind.
pub struct Schema {
    openapi: Value,
    rules: cel::CompiledSchema,
    structure: (Schemas, SchemaIndex),
}

/// One reason to refuse an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub path: Vec<Step>,
    /// Whether the key is wrong, not its value.
    pub key: bool,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Schema {
    /// The schema of a kind, of its one version.
    ///
    /// # Errors
    /// The generated CRD cannot be read; a test builds it.
    pub fn of(declaration: Declaration) -> anyhow::Result<Self> {
        let version = declaration.crd().spec.versions.into_iter().next().context("the CRD has no version")?;
        let mut openapi = serde_json::to_value(version.schema.and_then(|s| s.open_api_v3_schema).context("the CRD has no schema")?)?;
        let mut settings = schemars::generate::SchemaSettings::openapi3();
        settings.inline_subschemas = true;
        let metadata = serde_json::to_value(settings.into_generator().into_root_schema_for::<ObjectMeta>())?;
        // What every object has, and no CRD says.
        openapi["properties"]["apiVersion"] = json!({"type": "string"});
        openapi["properties"]["kind"] = json!({"type": "string"});
        openapi["properties"]["metadata"] = metadata;
        Self::new(openapi)
    }

    fn new(openapi: Value) -> anyhow::Result<Self> {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        // OpenAPI 3.0 is of its age: exclusive bounds are flags, and formats are asserted.
        compiler.set_default_draft(Draft::V4);
        let failed = |error| anyhow::anyhow!("the CRD's schema cannot be used: {error}");
        compiler.add_resource(NAME, json_schema(&openapi)).map_err(failed)?;
        let index = compiler.compile(NAME, &mut schemas).map_err(failed)?;
        let structure = (schemas, index);
        Ok(Self { rules: cel::compile_schema(&openapi), structure, openapi })
    }

    /// The object as it would be stored, and all that speaks against it.
    pub fn judge(&self, mut object: Value) -> (Value, Vec<Violation>) {
        prune_nulls(&self.openapi, &mut object);
        if let Some(object) = object.as_object_mut() {
            // A new object's status is dropped, not judged.
            object.remove("status");
            // Without a name it cannot be read by the rules, which say what the name must be.
            if let Some(metadata) = object.entry("metadata").or_insert_with(|| json!({})).as_object_mut() {
                metadata.entry("name").or_insert_with(|| json!(""));
            }
        }
        let object = cel::apply_defaults(&self.openapi, &object);
        let (schemas, index) = &self.structure;
        let mut errors = Vec::new();
        if let Err(error) = schemas.validate(&object, *index) {
            leaves(error, &mut errors);
        }
        // Of one value the first thing wrong is told: what has another type is no word of a list either.
        errors.sort_by_key(|e| !matches!(e.kind, ErrorKind::Type { .. } | ErrorKind::MinLength { .. }));
        let mut seen = HashSet::new();
        let mut found: Vec<Violation> = errors.iter().flat_map(|error| self.told(error, &object)).filter(|v| seen.insert(v.path.clone())).collect();
        duplicates(&self.openapi, &object, &mut Vec::new(), &mut found);
        // As the API server has it: rules are not asked about an object of the wrong shape.
        if found.is_empty()
            && let Err(errors) = cel::validate_compiled(&self.rules, &object, None)
        {
            found.extend(errors.into_vec().into_iter().map(|e| Violation { path: rule_place(&e), key: false, what: shown(&e.message, 300) }));
        }
        (object, found)
    }

    fn told(&self, error: &ValidationError<'_, '_>, object: &Value) -> Vec<Violation> {
        let path: Vec<Step> = error
            .instance_location
            .tokens
            .iter()
            .map(|token| match token {
                InstanceToken::Prop(key) => Step::Key(key.to_string()),
                InstanceToken::Item(i) => Step::Index(*i),
            })
            .collect();
        let below = |key: &str| path.iter().cloned().chain([Step::Key(key.to_owned())]).collect::<Vec<_>>();
        let value = value_at(object, &path);
        let text = value.as_str().unwrap_or_default();
        let shown_value = shown(&if value.is_string() { format!("\"{text}\"") } else { value.to_string() }, 80);
        let what = match &error.kind {
            ErrorKind::AdditionalProperties { got } => {
                let known: Vec<&str> = self.at(&path).and_then(|s| s["properties"].as_object()).into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                let advice = |key: &str| nearest(key, &known).unwrap_or_else(|| "remove it".to_owned());
                return got.iter().map(|key| Violation { path: below(key), key: true, what: format!("unknown field; {}", advice(key)) }).collect();
            }
            ErrorKind::Required { want } => {
                let told = |path: Vec<Step>| {
                    let words = self.at(&path).and_then(|s| s["enum"].as_array()).map(|options| words(options).join(", "));
                    let what = format!("Required value; add it{}", words.map_or_else(String::new, |words| format!(", one of {words}")));
                    Violation { path, key: false, what }
                };
                return want.iter().map(|key| told(below(key))).collect();
            }
            ErrorKind::Enum { want } => {
                let words = words(want);
                format!("Unsupported value: {shown_value}; {}", nearest(text, &words).unwrap_or_else(|| format!("write one of {}", words.join(", "))))
            }
            ErrorKind::Type { .. } => {
                let wanted = match self.at(&path) {
                    Some(schema) if schema["x-kubernetes-int-or-string"] == true => "a whole number or text",
                    schema => schema.and_then(|s| s["type"].as_str()).map_or("of another type", told_type),
                };
                let quote = match value {
                    Value::Null => "; write it or remove it",
                    Value::Bool(_) | Value::Number(_) if wanted == "text" => "; put it in quotes",
                    _ => "",
                };
                format!("Invalid value: {shown_value}: must be {wanted}{quote}")
            }
            ErrorKind::Pattern { want, .. } => {
                let odd = text.chars().find(|c| !c.is_ascii());
                let odd = odd.map_or_else(String::new, |c| format!(" (\"{}\" is U+{:04X}, not an ASCII letter)", shown(&c.to_string(), 12), u32::from(c)));
                format!("Invalid value: {shown_value}: must match {want}{odd}{}", self.meant(&path))
            }
            ErrorKind::MinLength { got: 0, .. } => "Invalid value: \"\": must not be empty; write something or remove it".to_owned(),
            ErrorKind::MinLength { want, .. } => format!("Invalid value: {shown_value}: must have at least {want} characters"),
            ErrorKind::MaxLength { want, .. } => format!("Too long: {shown_value}: may not be more than {want} characters; shorten it"),
            ErrorKind::MaxItems { got, want } => format!("Too many: {got}: must have at most {want} items; remove some"),
            ErrorKind::MaxProperties { got, want } => format!("Too many: {got}: must have at most {want} entries; remove some"),
            ErrorKind::Format { want: "date-time", .. } => format!("Invalid value: {shown_value}: must be a time such as 2027-01-31T00:00:00Z"),
            ErrorKind::Maximum { want, .. } => format!("Invalid value: {shown_value}: must be at most {want}"),
            ErrorKind::Minimum { want, .. } => format!("Invalid value: {shown_value}: must be at least {want}"),
            ErrorKind::UniqueItems { got: [first, second] } => format!("Duplicate value: the items at {first} and {second} are equal; keep one"),
            other => format!("Invalid value: {shown_value}: {}", shown(&other.to_string(), 200)),
        };
        vec![Violation { path, key: false, what }]
    }

    /// What the field is for, as `kubectl explain` has it; of an element, what its list is for.
    fn meant(&self, path: &[Step]) -> String {
        let described = [path, &path[..path.len().saturating_sub(1)]].into_iter().find_map(|path| self.at(path)?["description"].as_str());
        described.and_then(|text| text.lines().next()).map_or_else(String::new, |text| format!("; this is: {}", text.trim_end_matches('.')))
    }

    /// The part of the schema that speaks of `path`.
    fn at(&self, path: &[Step]) -> Option<&Value> {
        path.iter().try_fold(&self.openapi, |schema, step| match step {
            Step::Key(key) => schema["properties"].get(key).or_else(|| schema.get("additionalProperties")),
            Step::Named(_) | Step::Index(_) => schema.get("items"),
        })
    }
}

impl Violation {
    /// As one sentence with its path.
    pub fn sentence(&self) -> String {
        if self.path.is_empty() { self.what.clone() } else { format!("{}: {}", written(&self.path), self.what) }
    }
}

/// A rule's own field path is relative to where the rule stands, and the root's rules are all about the name.
fn rule_place(error: &cel::ValidationError) -> Vec<Step> {
    if error.field_path.is_empty() { steps("metadata.name") } else { steps(&error.field_path) }
}

/// What is wrong in particular; above it stand only groups.
fn leaves<'s, 'v>(mut error: ValidationError<'s, 'v>, out: &mut Vec<ValidationError<'s, 'v>>) {
    if error.causes.is_empty() {
        out.push(error);
    } else {
        for cause in std::mem::take(&mut error.causes) {
            leaves(cause, out);
        }
    }
}

fn value_at<'v>(object: &'v Value, path: &[Step]) -> &'v Value {
    path.iter().fold(object, |value, step| match step {
        Step::Key(key) | Step::Named(key) => &value[key.as_str()],
        Step::Index(i) => &value[*i],
    })
}

fn words(options: &[Value]) -> Vec<&str> {
    options.iter().filter_map(Value::as_str).collect()
}

/// `did you mean PaaS?`, when one of `words` is much like `typed`.
fn nearest(typed: &str, words: &[&str]) -> Option<String> {
    let typed = typed.to_lowercase();
    let best = words.iter().map(|word| (strsim::normalized_damerau_levenshtein(&word.to_lowercase(), &typed), word)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.6).then(|| format!("did you mean {}?", best.1))
}

fn told_type(name: &str) -> &str {
    match name {
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

/// A structural schema (OpenAPI 3.0) as JSON Schema: what only Kubernetes says is put into the words of draft 4, and unknown fields are refused.
fn json_schema(structural: &Value) -> Value {
    let Value::Object(node) = structural else { return structural.clone() };
    let flag = |name: &str| node.get(name) == Some(&Value::Bool(true));
    let mut out = Map::new();
    for (key, value) in node {
        let value = match key.as_str() {
            "properties" => value.as_object().into_iter().flatten().map(|(key, schema)| (key.clone(), json_schema(schema))).collect(),
            "items" | "additionalProperties" => json_schema(value),
            // Words for people, and marks that are read below or by others.
            "description" | "default" | "title" | "nullable" => continue,
            mark if mark.starts_with("x-kubernetes-") => continue,
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    let mut types: Vec<&str> = if flag("x-kubernetes-int-or-string") { vec!["integer", "string"] } else { node.get("type").and_then(Value::as_str).into_iter().collect() };
    if types == ["object"] && !flag("x-kubernetes-preserve-unknown-fields") {
        out.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    if node.get("x-kubernetes-list-type").is_some_and(|t| t == "set") {
        out.insert("uniqueItems".to_owned(), Value::Bool(true));
    }
    if !types.is_empty() {
        types.extend(flag("nullable").then_some("null"));
        out.insert("type".to_owned(), json!(types));
    }
    Value::Object(out)
}

/// Drops a null where the schema knows no null, as the API server does before it fills in defaults.
fn prune_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(entries) => {
            let known = &schema["properties"];
            entries.retain(|key, value| !(value.is_null() && known.get(key).is_some_and(|s| s["nullable"] != true)));
            for (key, value) in entries {
                prune_nulls(known.get(key).unwrap_or(&schema["additionalProperties"]), value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| prune_nulls(&schema["items"], value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// JSON Schema has no word for lists that are maps: no two elements may have the same keys.
fn duplicates(schema: &Value, value: &Value, path: &mut Vec<Step>, found: &mut Vec<Violation>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                path.push(Step::Key(key.clone()));
                duplicates(schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]), value, path, found);
                path.pop();
            }
        }
        Value::Array(list) => {
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let identity = |element: &Value| keys.iter().map(|key| element.get(key).cloned().unwrap_or_default()).collect::<Vec<_>>();
            let mut seen = BTreeSet::new();
            for (i, element) in list.iter().enumerate() {
                path.push(Step::Index(i));
                let identity = identity(element);
                // Values have no order of their own; their text has.
                if !keys.is_empty() && !seen.insert(Value::from(identity.clone()).to_string()) {
                    let names: Vec<String> = identity.iter().map(|v| shown(v.as_str().unwrap_or_default(), 63)).collect();
                    // The key is what to look at.
                    let path = path.iter().cloned().chain(keys.first().map(|key| Step::Key((*key).to_owned()))).collect();
                    found.push(Violation { path, key: false, what: format!("Duplicate value: \"{}\"; keep one entry", names.join(", ")) });
                }
                duplicates(&schema["items"], element, path, found);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_kubernetes_says_is_judged_as_it_means_it() {
        let schema = Schema::new(json!({"type": "object", "properties": {"metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "spec": {
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"type": "string", "default": "small", "enum": ["small", "large"]},
            "port": {"x-kubernetes-int-or-string": true},
            "note": {"type": "string", "nullable": true},
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "words": {"type": "object", "additionalProperties": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"], "items": {"type": "object", "properties": {
                "a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "integer"}}}},
            "range": {"type": "object", "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.low <= self.high", "message": "low is above high", "fieldPath": ".low"}]},
        }}}}))
        .unwrap();
        for (spec, told) in [
            (json!({}), vec![]),
            (json!({"kind": null, "port": 80, "note": null, "size": 9, "free": {"any": [1]}, "words": {"a": "b"}, "set": ["a", "b"]}), vec![]),
            (json!({"port": "http", "map": [{"a": "x", "b": "y"}, {"a": "x", "b": "z"}, {"a": "x"}], "range": {"low": 1, "high": 1}}), vec![]),
            (
                json!({"note": [], "words": {"a": null}}),
                vec!["spec.note: Invalid value: []: must be text", "spec.words.a: Invalid value: null: must be text; write it or remove it"],
            ),
            (json!({"port": true}), vec!["spec.port: Invalid value: true: must be a whole number or text"]),
            (json!({"size": null, "note": 1}), vec!["spec.note: Invalid value: 1: must be text; put it in quotes"]),
            (json!({"size": 0}), vec!["spec.size: Invalid value: 0: must be at least 1"]),
            (json!({"size": 10}), vec!["spec.size: Invalid value: 10: must be at most 9"]),
            (json!({"size": 1.5}), vec!["spec.size: Invalid value: 1.5: must be a whole number"]),
            (
                json!({"words": {"a": 1}, "range": {"lo": 1}}),
                vec!["spec.range.lo: unknown field; did you mean low?", "spec.words.a: Invalid value: 1: must be text; put it in quotes"],
            ),
            (json!({"set": ["a", "a"]}), vec!["spec.set: Duplicate value: the items at 0 and 1 are equal; keep one"]),
            (json!({"map": [{"a": "x", "b": "y"}, {"b": "y", "a": "x", "c": 1}]}), vec!["spec.map[1].a: Duplicate value: \"x, y\"; keep one entry"]),
            (json!({"range": {"low": 2, "high": 1}}), vec!["spec.range.low: low is above high"]),
            (json!({"kind": "largo", "range": {"low": 2, "high": 1}}), vec!["spec.kind: Unsupported value: \"largo\"; did you mean large?"]),
        ] {
            let (_, found) = schema.judge(json!({"metadata": {"name": "a"}, "spec": spec}));
            let mut found: Vec<String> = found.iter().map(Violation::sentence).collect();
            found.sort_unstable();
            assert_eq!(found, told, "{spec}");
        }
        let (stored, _) = schema.judge(json!({"spec": {"kind": null, "note": null}, "status": 1}));
        assert_eq!(stored, json!({"metadata": {"name": ""}, "spec": {"kind": "small", "note": null}}));
    }

    #[test]
    fn a_rule_that_cannot_be_asked_is_a_refusal() {
        let schema = Schema::new(json!({"type": "object", "properties": {"metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "x-kubernetes-validations": [{"rule": "nobody.knows(self)"}]}))
        .unwrap();
        assert_eq!(schema.judge(json!({})).1.len(), 1);
    }
}
