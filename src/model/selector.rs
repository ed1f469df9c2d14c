//! Label selectors as Kubernetes has them: `matchLabels` and `matchExpressions`, all of which must hold.
//! One that cannot be read is `None`, so that nobody takes it for the empty one, which selects everything.

use serde_json::Value;

use super::map::Map;

/// What a selector asks of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads a `LabelSelector`; absent and `null` select everything, as `{}` does.
    pub fn read(selector: &Value) -> Option<Self> {
        let part = |key: &str| selector.get(key).filter(|v| !v.is_null());
        if !selector.is_null() && !selector.is_object() {
            return None;
        }
        let mut all = Vec::new();
        if let Some(labels) = part("matchLabels") {
            for (key, value) in labels.as_object()? {
                all.push(Requirement { key: key.clone(), operator: Operator::In(vec![value.as_str()?.to_owned()]) });
            }
        }
        if let Some(expressions) = part("matchExpressions") {
            for expression in expressions.as_array()? {
                let values = || expression["values"].as_array()?.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
                let operator = match expression["operator"].as_str()? {
                    "In" => Operator::In(values()?),
                    "NotIn" => Operator::NotIn(values()?),
                    "Exists" => Operator::Exists,
                    "DoesNotExist" => Operator::DoesNotExist,
                    _ => return None,
                };
                all.push(Requirement { key: expression["key"].as_str()?.to_owned(), operator });
            }
        }
        Some(Self(all))
    }

    /// Whether labels meet all that it asks.
    pub fn matches(&self, labels: &Map<'_>) -> bool {
        self.0.iter().all(|r| {
            let value = labels.get(&r.key);
            match &r.operator {
                Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Operator::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let labels: Map<'_> = [("app", "web"), ("tier", "front")].map(|(k, v)| (k.into(), v.into())).into_iter().collect();
        for (selector, said) in [
            ("{}", Some(true)),
            ("null", Some(true)),
            ("{matchLabels: null, matchExpressions: null}", Some(true)),
            ("{matchLabels: {app: web}}", Some(true)),
            ("{matchLabels: {app: web, tier: back}}", Some(false)),
            ("{matchLabels: {other: web}}", Some(false)),
            ("{matchExpressions: [{key: app, operator: In, values: [api, web]}]}", Some(true)),
            ("{matchExpressions: [{key: app, operator: In, values: [api]}]}", Some(false)),
            ("{matchExpressions: [{key: other, operator: In, values: [api]}]}", Some(false)),
            ("{matchExpressions: [{key: app, operator: NotIn, values: [api]}]}", Some(true)),
            ("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", Some(false)),
            ("{matchExpressions: [{key: other, operator: NotIn, values: [web]}]}", Some(true)),
            ("{matchExpressions: [{key: app, operator: Exists}]}", Some(true)),
            ("{matchExpressions: [{key: other, operator: Exists}]}", Some(false)),
            ("{matchExpressions: [{key: other, operator: DoesNotExist}]}", Some(true)),
            ("{matchExpressions: [{key: app, operator: DoesNotExist}]}", Some(false)),
            ("{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [back]}]}", Some(false)),
            ("{matchExpressions: [{key: app, operator: Gt, values: [web]}]}", None),
            ("{matchExpressions: [{key: app, operator: In}]}", None),
            ("{matchLabels: [app]}", None),
            ("{matchLabels: {app: 1}}", None),
            ("[]", None),
            ("web", None),
        ] {
            let selector_value: Value = serde_saphyr::from_str(selector).unwrap();
            assert_eq!(Selector::read(&selector_value).map(|s| s.matches(&labels)), said, "{selector}");
        }
    }
}
