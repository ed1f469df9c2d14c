//! The lease holder's writes about Baselines: how their namespaces and the cluster's own objects stand, and the gate, one binding for each Baseline that denies the undeclared.
//! A binding belongs to its Baseline, so that it goes with it whether or not Demarc runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{
    audit,
    events::{Teller, about},
    install,
    lease::leading,
    reconcile::Reconciler,
    writes::WriteError,
};
use crate::{
    api::{
        API_VERSION, Declaration, ENROLLED_LABEL,
        baseline::{Baseline, Undeclared},
    },
    policy::{
        book::Book,
        cluster,
        enforcing::{fold, no_gate},
        objects::CLUSTER,
        status::{Members, due, plan_baseline},
        tally::Stands,
    },
};

const GROUP: &str = "admissionregistration.k8s.io";

impl Reconciler {
    /// Writes what is new about every Baseline, and tells of it. `drifting` are the namespaces in which something is violated.
    pub(super) async fn baselines(&self, drifting: &BTreeSet<String>, teller: &Teller) -> Result<(), WriteError> {
        let baselines = self.index.baselines();
        let gate = self.index.gate();
        if baselines.is_empty() && gate.as_ref().is_none_or(|(_, stored)| stored.is_empty()) {
            self.index.shared.tally.baselines_stand(HashMap::new());
            return Ok(());
        }
        let book = self.index.shared.book.load_full();
        let (now, of_cluster) = (Timestamp::now(), self.index.shared.objects().room(CLUSTER).cloned().unwrap_or_default());
        let enforced = self.enforced(&book);
        let members_of =
            |name: &str| -> Vec<&String> { book.floors.iter().filter(|(_, floor)| floor.baselines.iter().any(|b| b == name)).map(|(namespace, _)| namespace).collect() };
        let ungated = match &gate {
            Some((policy, stored)) => {
                let deny = baselines.iter().filter(|b| b.spec.undeclared == Undeclared::Deny).map(|b| (b.metadata.name.as_deref().unwrap_or_default(), b));
                self.bind(deny.map(|(name, b)| (format!("{policy}-{name}"), self.gate_of(&book, b, policy, &members_of(name)))).collect(), stored).await?
            }
            None => BTreeMap::new(),
        };
        // What cannot be written of one Baseline keeps nothing from the others.
        let (mut failed, mut standing) = (None, HashMap::new());
        for baseline in &baselines {
            let name = baseline.metadata.name.as_deref().unwrap_or_default();
            let members = members_of(name);
            let count = |of: &dyn Fn(&str) -> bool| i32::try_from(members.iter().filter(|n| of(n.as_str())).count()).unwrap_or(i32::MAX);
            let declared = count(&|n| self.index.stored(n).is_some());
            let mut left: Vec<&str> = members.iter().filter(|n| book.floors.get(**n).is_some_and(|f| f.left.iter().any(|b| b == name))).map(|n| n.as_str()).collect();
            left.sort_unstable();
            let proven = || fold(members.iter().filter_map(|n| Some((n.as_str(), enforced.get(n.as_str())?))));
            let gateless = gate.as_ref().and_then(|(policy, _)| ungated.get(&format!("{policy}-{name}")));
            let counts = Members {
                left: &left,
                declared,
                undeclared: i32::try_from(members.len()).unwrap_or(i32::MAX) - declared,
                drifting: count(&|n| drifting.contains(n)),
                unseen: self.unseen(baseline),
                enforcing: gateless.map_or_else(proven, |why| no_gate(&why.told())),
            };
            let matrix = cluster::matrix(baseline);
            let found = cluster::report(name, &matrix, &of_cluster, &book.facts, now);
            standing.insert(name.to_owned(), Stands { enforcing: (counts.enforcing.0, counts.enforcing.1), due: due(&found.dates, now) });
            let new = plan_baseline(baseline, &counts, &matrix, &found, now);
            if let Some(status) = &new {
                let version = baseline.metadata.resource_version.as_deref().unwrap_or_default();
                if let Err(error) = self.write_status(&Api::<Baseline>::all(self.client.clone()), name, version, status).await {
                    failed = Some(error);
                    continue;
                }
            }
            // What is still owed is told by one of the next passes: the clock alone brings one.
            let place = about(Declaration::Baseline, "", name, baseline.metadata.uid.as_deref().unwrap_or_default());
            let stood = baseline.status.as_ref().map(|old| old.conditions.as_slice()).unwrap_or_default();
            teller.tell(&place, stood, new.is_some(), new.as_ref().map_or(stood, |new| &new.conditions), self.patience()).await;
        }
        self.index.shared.tally.baselines_stand(standing);
        ungated.into_values().next().or(failed).map_or(Ok(()), Err)
    }

    /// Which of the kinds that a Baseline lists cannot be read, and why.
    fn unseen(&self, baseline: &Baseline) -> Vec<String> {
        let kinds: BTreeSet<&String> = baseline.spec.controllers.iter().flat_map(|c| &c.kinds).collect();
        let objects = self.index.shared.objects();
        kinds.into_iter().filter_map(|kind| Some(format!("{kind}: {}", objects.unseen(kind)?))).collect()
    }

    /// The binding of the gate for one Baseline. What is never enrolled would wait at it for ever.
    fn gate_of(&self, book: &Book, baseline: &Baseline, policy: &str, members: &[&String]) -> Value {
        let never = |namespace: &&&String| {
            let labelled = book.namespaces.get(**namespace).is_some_and(|n| n.labels.contains_key(ENROLLED_LABEL));
            self.spared(book, namespace, labelled).is_some()
        };
        let mut spared: Vec<&String> = members.iter().filter(never).copied().collect();
        spared.sort_unstable();
        let mut selector = json!(baseline.spec.namespace_selector);
        if !spared.is_empty() {
            let mut all = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
            all.push(json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": spared}));
            selector["matchExpressions"] = Value::Array(all);
        }
        for expression in selector["matchExpressions"].as_array_mut().into_iter().flatten() {
            if expression["values"].as_array().is_some_and(Vec::is_empty) {
                expression.as_object_mut().map(|e| e.remove("values"));
            }
        }
        let (name, uid) = (baseline.metadata.name.as_deref().unwrap_or_default(), baseline.metadata.uid.as_deref().unwrap_or_default());
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {
                "name": format!("{policy}-{name}"),
                "labels": {install::MANAGED_BY: install::MANAGER},
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": "Baseline", "name": name, "uid": uid}],
            },
            "spec": {"policyName": policy, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}},
        })
    }

    /// Writes the bindings that are not as they should be, and takes away those that nobody wants any more. Returned are those that could not be
    /// written, by name.
    ///
    /// # Errors
    /// Where another replica may lead.
    async fn bind(&self, wanted: BTreeMap<String, Value>, stored: &BTreeMap<String, Value>) -> Result<BTreeMap<String, WriteError>, WriteError> {
        let mut failed = BTreeMap::new();
        for (name, binding) in &wanted {
            if stored.get(name).is_some_and(|found| audit::same(&binding["spec"], &found["spec"])) {
                continue;
            }
            if !leading(&self.mandate) {
                return Err(WriteError::Unled);
            }
            match tokio::time::timeout(self.patience(), install::apply(&self.client, std::slice::from_ref(binding))).await {
                Ok(Ok(())) => tracing::info!(binding = name, "gate"),
                Ok(Err(error)) => drop(failed.insert(name.clone(), error.into())),
                Err(silent) => drop(failed.insert(name.clone(), silent.into())),
            }
        }
        for name in stored.keys().filter(|name| !wanted.contains_key(*name)) {
            if !leading(&self.mandate) {
                return Err(WriteError::Unled);
            }
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "ValidatingAdmissionPolicyBinding"));
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            match tokio::time::timeout(self.patience(), api.delete(name, &DeleteParams::default())).await {
                Ok(Ok(_)) => tracing::info!(binding = name, "no gate"),
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
                Ok(Err(error)) => drop(failed.insert(name.clone(), error.into())),
                Err(silent) => drop(failed.insert(name.clone(), silent.into())),
            }
        }
        Ok(failed)
    }
}
