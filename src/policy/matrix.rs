//! The responsibility matrix of one namespace: its Ownership laid over the catalog's defaults.
//! Resolved once when a declaration changes; a decision only reads it.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Weak},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    floor::Below,
    owners::Controllers,
    settings::read_by,
    waiver::{MAX_DAYS, Permit},
};
use crate::{
    api::ownership::{
        Enforcement, EscalationLevel, Evidence, ExistingPolicy, ExistingWorkloads, Mode, OwnerClass, Ownership, OwnershipSpec, OwnershipStatus, Parties, Policy, Reviews,
        ServiceModel, Severity,
    },
    api::waiver::Waiver,
    controls::{
        self, CATALOG, Check, Duty,
        custom::{Custom, MAX_CUSTOM},
    },
    model::text::hex,
};

/// One control in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who owns it.
    pub owner: OwnerClass,
    /// The party that answers for it, where one is named.
    pub accountable: Option<String>,
    /// How a violation is met, under the mode's ceiling. Never Deny or Warn where the customer's side does not owe it.
    pub enforcement: Enforcement,
    /// The parties that do the work, where they are named.
    pub performed_by: Vec<String>,
    /// What shows that it holds where the cluster cannot.
    pub evidence: Vec<Evidence>,
}

impl Entry {
    /// Whether anything is asked at all.
    pub fn judged(&self) -> bool {
        self.enforcement != Enforcement::Off && self.owner != OwnerClass::NotApplicable
    }

    fn duty<'e>(&'e self, control: &'e str) -> Duty<'e> {
        let Self { owner, accountable, performed_by, evidence, enforcement: _ } = self;
        Duty { control, owner: *owner, accountable: accountable.as_deref(), performed_by, evidence }
    }
}

/// A control of users' own, and what a namespace asks of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The control.
    pub control: Arc<Custom>,
    /// What its expressions read as `params`.
    pub params: Value,
    /// Both, in short.
    pub asks: String,
}

/// What is said of a control, whoever made it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'m> {
    /// Its id.
    pub id: &'m str,
    /// How bad a violation is.
    pub severity: Severity,
    /// Its findings point at secrets.
    pub confidential: bool,
    /// How a violation is met unless somebody says otherwise, and at most.
    pub(super) enforcement: [Enforcement; 2],
    /// It is about whoever asks.
    of_requester: bool,
    /// Default owner class under IaaS, PaaS and SaaS.
    owners: [OwnerClass; 3],
}

impl Row<'_> {
    /// How a violation can be met at most under these settings: nobody is refused whom no request could show to be right.
    pub(super) fn ceiling(&self, policy: &Policy) -> Enforcement {
        let [_, ceiling] = self.enforcement;
        if self.of_requester && policy.mfa.is_none() { ceiling.min(Enforcement::Audit) } else { ceiling }
    }

    /// Its default owner class.
    pub(super) const fn owner(&self, model: ServiceModel) -> OwnerClass {
        let [iaas, paas, saas] = self.owners;
        match model {
            ServiceModel::IaaS => iaas,
            ServiceModel::PaaS => paas,
            ServiceModel::SaaS => saas,
        }
    }
}

/// What is said of the control at a position, with these beside the catalog's.
pub(super) fn row(custom: &[Asked], control: usize) -> Row<'_> {
    match CATALOG.get(control) {
        Some(c) => Row {
            id: c.id,
            severity: c.severity,
            confidential: c.confidential,
            enforcement: [c.enforcement, c.ceiling()],
            of_requester: matches!(c.check, Check::Requester(..)),
            owners: c.owners,
        },
        None => custom_row(&custom[control - CATALOG.len()].control),
    }
}

fn custom_row(Custom { id, spec, .. }: &Custom) -> Row<'_> {
    let owners = [spec.owners.iaas, spec.owners.paas, spec.owners.saas];
    // What an expression puts into its message is not known here.
    Row { id, severity: spec.severity, confidential: true, enforcement: [spec.enforcement, Enforcement::Deny], of_requester: false, owners }
}

/// The same by its id.
pub(super) fn find_row<'c>(custom: &'c BTreeMap<String, Arc<Custom>>, id: &str) -> Option<Row<'c>> {
    controls::find(id).map(|i| row(&[], i)).or_else(|| custom.get(id).map(|c| custom_row(c)))
}

/// What one namespace promises: its terms, and what is of no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    terms: Arc<Terms>,
    /// The Ownership's generation.
    pub generation: i64,
    /// What may be violated for a while.
    pub waivers: Vec<Permit>,
    /// From when each control that is denied here is so, as the leader recorded it, by position.
    forbidden: Vec<(usize, Timestamp)>,
}

/// What is asked of a namespace. An estate of thousands asks few different things, so those that are asked the same share it ([`Matrix::share`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// One a control, in the catalog's order, and then one of each that is the users' own.
    pub entries: Vec<Entry>,
    /// The controls of users' own, by name. Their positions follow the catalog's.
    pub custom: Vec<Asked>,
    /// The settings that checks read.
    pub policy: Policy,
    /// The owner of workloads that name none.
    pub default_owner: Option<String>,
    /// Who is who.
    pub parties: Parties,
    /// The recurring duties.
    pub reviews: Reviews,
    /// Whom to call.
    pub escalation: Vec<EscalationLevel>,
    /// The namespace's mode.
    pub mode: Mode,
    /// What happens to what stood before.
    pub existing: ExistingWorkloads,
    /// Ids that this version does not know: shown, never denied.
    pub unknown_controls: Vec<String>,
    /// How many days a Waiver may last here.
    pub waiver_days: u16,
    /// Where the Ownership asks for less than its Baselines.
    pub below: Vec<Below>,
    /// The Baselines that hold here.
    pub baselines: Vec<String>,
    /// Those among them that no longer select the namespace.
    pub left: Vec<String>,
    /// Third-party controllers that are believed here.
    pub controllers: Arc<Controllers>,
    /// There is an Ownership; else the Baselines alone hold.
    pub declared: bool,
    /// The controls about the cluster that are not judged here, by position, with the Baselines that judge them.
    pub judged_by: BTreeMap<usize, Vec<String>>,
}

impl Deref for Matrix {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Matrix {
    /// Lays an Ownership over the catalog.
    pub fn resolve(ownership: &Ownership) -> Self {
        Self::resolve_with(ownership, &BTreeMap::new())
    }

    /// Lays an Ownership over the catalog and the controls of users' own.
    pub fn resolve_with(ownership: &Ownership, custom: &BTreeMap<String, Arc<Custom>>) -> Self {
        let spec = &ownership.spec;
        // The catalog's own name stands, whatever was stored beside it.
        let own = custom.values().filter(|c| controls::find(&c.id).is_none());
        let beyond = own.clone().skip(MAX_CUSTOM).map(|c| c.id.clone());
        let custom: Vec<Asked> = own.clone().take(MAX_CUSTOM).map(|control| Asked::new(control, spec)).collect();
        let entries = (0..CATALOG.len() + custom.len()).map(|i| entry(spec, &row(&custom, i))).collect();
        let forbidden = ownership.status.as_ref().map(|status| forbidden(spec, status, &custom)).unwrap_or_default();
        let known = |id: &str| controls::find(id).is_some() || custom.iter().any(|asked| asked.control.id == id);
        let mut unknown_controls: Vec<String> = spec.controls.iter().filter(|e| !known(&e.control)).map(|e| e.control.clone()).collect();
        for id in beyond {
            if !unknown_controls.contains(&id) {
                unknown_controls.push(id);
            }
        }
        let terms = Terms {
            entries,
            custom,
            policy: spec.policy.clone(),
            default_owner: spec.default_owner.clone(),
            parties: spec.parties.clone(),
            reviews: spec.reviews.clone().unwrap_or_default(),
            escalation: spec.escalation.as_ref().map(|e| e.levels.clone()).unwrap_or_default(),
            mode: spec.mode,
            existing: spec.existing_workloads.clone(),
            unknown_controls,
            waiver_days: MAX_DAYS,
            below: Vec::new(),
            baselines: Vec::new(),
            left: Vec::new(),
            controllers: Arc::default(),
            declared: true,
            judged_by: BTreeMap::new(),
        };
        Self { terms: Arc::new(terms), generation: ownership.metadata.generation.unwrap_or_default(), waivers: Vec::new(), forbidden }
    }

    /// Its terms, to change them: nobody else's change.
    pub(super) fn terms_mut(&mut self) -> &mut Terms {
        Arc::make_mut(&mut self.terms)
    }

    /// Shares what is asked with `known`, where that is the same; else it is what is known from now on.
    pub fn share(&mut self, known: &mut Weak<Terms>) {
        match known.upgrade().filter(|known| *known == self.terms) {
            Some(known) => self.terms = known,
            None => *known = Arc::downgrade(&self.terms),
        }
    }

    /// From when the control at a position is denied here, as the leader recorded it.
    pub fn forbidden_since(&self, control: usize) -> Option<Timestamp> {
        self.forbidden.iter().find(|(of, _)| *of == control).map(|(_, since)| *since)
    }

    /// Says so of the control at a position.
    pub(super) fn forbid(&mut self, control: usize, since: Option<Timestamp>) {
        self.forbidden.retain(|(of, _)| *of != control);
        self.forbidden.extend(since.map(|since| (control, since)));
    }

    /// The same, with the Waivers of the namespace.
    #[must_use]
    pub fn with_waivers<'w>(mut self, waivers: impl IntoIterator<Item = &'w Waiver>) -> Self {
        self.waivers = waivers.into_iter().map(|w| Permit::read(w, self.waiver_days, self.find(&w.spec.control))).collect();
        self
    }

    /// What is said of the control at a position.
    pub fn row(&self, control: usize) -> Row<'_> {
        row(&self.custom, control)
    }

    /// The position of a control.
    pub fn find(&self, id: &str) -> Option<usize> {
        controls::find(id).or_else(|| Some(CATALOG.len() + self.custom.iter().position(|asked| asked.control.id == id)?))
    }

    /// What the control at a position asks for, where it is the users' own.
    pub fn asks(&self, control: usize) -> Option<&str> {
        control.checked_sub(CATALOG.len()).map(|i| &*self.custom[i].asks)
    }

    /// What the control at a position asks for, in short, whoever made it: while that is the same, it forbids the same.
    pub fn told(&self, control: usize) -> String {
        let catalog = || told(self.row(control).id, &self.policy, self.default_owner.as_deref());
        self.asks(control).map_or_else(catalog, str::to_owned)
    }

    /// Whether an object made at `created` stood before `control` was forbidden here, or before the fact that makes it a violation came to be
    /// at `since`, and is still spared: a class of storage that is made anew must not stop what runs. An object without a creation time is
    /// being made now, so it never is.
    pub fn grandfathers(&self, control: usize, created: Option<Timestamp>, since: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(created) = created else { return false };
        if self.existing.policy == ExistingPolicy::Deny || self.existing.until.as_ref().is_some_and(|until| now >= until.0) {
            return false;
        }
        // Not recorded yet: enforcement begins with the first decision, so whatever exists stood before it.
        let forbidden = self.forbidden_since(control).unwrap_or(now);
        let line = [self.existing.created_before.as_ref().map(|t| t.0), since].into_iter().flatten().fold(forbidden, Timestamp::max);
        created < line
    }

    /// Whose each control is that is asked for here, with its position in the catalog.
    pub fn duties(&self) -> Vec<(usize, Duty<'_>)> {
        let asked = self.entries.iter().enumerate().filter(|(_, entry)| entry.judged());
        asked.map(|(i, entry)| (i, entry.duty(self.row(i).id))).collect()
    }

    /// Who owes a control, for a message: `acme (customer)`, and `azure for the customer` where that is not what azure is here.
    pub fn owed_by(&self, control: usize) -> String {
        let entry = &self.entries[control];
        let (role, part) = match entry.owner {
            OwnerClass::Provider => ("provider", "provider"),
            OwnerClass::Customer => ("customer", "customer"),
            OwnerClass::SharedIndependent | OwnerClass::SharedDependent => ("shared", "shared part"),
            OwnerClass::ThirdParty => ("third party", "third party"),
            OwnerClass::NotApplicable => ("nobody", "nobody"),
        };
        match &entry.accountable {
            // Nobody is named, and it is the customer's side that is held to it.
            None if matches!(entry.owner, OwnerClass::SharedIndependent | OwnerClass::SharedDependent) => "the customer (shared)".to_owned(),
            None => format!("the {role}"),
            Some(party) if self.stands_behind(party, entry.owner) => format!("{party} ({role})"),
            Some(party) => format!("{party} for the {part}"),
        }
    }

    fn stands_behind(&self, party: &String, owner: OwnerClass) -> bool {
        party_of(owner, &self.parties).as_ref() == Some(party) || (owner == OwnerClass::ThirdParty && self.parties.third_parties.contains(party))
    }
}

impl Asked {
    fn new(control: &Arc<Custom>, spec: &OwnershipSpec) -> Self {
        let params = spec.controls.iter().find(|e| e.control == control.id).map_or_else(|| json!({}), |e| json!(e.params));
        // Plain data always serializes; were it not to, the empty text is as good as any.
        let text = serde_json::to_string(&(&control.spec.kinds, &control.spec.validations, &params)).unwrap_or_default();
        Self { control: control.clone(), params, asks: hex(&Sha256::digest(text), 6) }
    }
}

/// What a control of the catalog asks for, in short.
fn told(control: &str, policy: &Policy, default_owner: Option<&str>) -> String {
    hex(&Sha256::digest(read_by(control, policy, default_owner)), 6)
}

fn entry(spec: &OwnershipSpec, row: &Row<'_>) -> Entry {
    let ([enforcement, _], ceiling) = (row.enforcement, row.ceiling(&spec.policy));
    let entry = spec.controls.iter().find(|e| e.control == row.id);
    let owner = entry.and_then(|e| e.owner).unwrap_or_else(|| row.owner(spec.service_model));
    let wanted = entry.and_then(|e| e.enforcement).unwrap_or(enforcement).min(spec.mode.ceiling()).min(ceiling);
    Entry {
        owner,
        accountable: entry.and_then(|e| e.accountable.clone()).or_else(|| party_of(owner, &spec.parties)),
        enforcement: if owner.owed_by_customer() { wanted } else { wanted.min(Enforcement::Audit) },
        performed_by: entry.map(|e| e.performed_by.clone()).unwrap_or_default(),
        evidence: entry.map(|e| e.evidence.clone()).unwrap_or_default(),
    }
}

/// What a status says of since when each control is denied, as long as it says so of what is asked now.
fn forbidden(spec: &OwnershipSpec, status: &OwnershipStatus, custom: &[Asked]) -> Vec<(usize, Timestamp)> {
    let since = |i: usize| {
        let (id, asks) = (row(custom, i).id, i.checked_sub(CATALOG.len()).map(|i| &*custom[i].asks));
        // What was recorded of other conditions says nothing of these.
        let same = |recorded: &String| asks.map_or_else(|| *recorded == told(id, &spec.policy, spec.default_owner.as_deref()), |asks| recorded == asks);
        let row = status.matrix.iter().find(|r| r.control == id).filter(|r| r.asks.as_ref().map_or(asks.is_none(), same))?;
        // Whether it counts again once it was not denied is for the leader to say.
        Some((i, row.forbidden_since.as_ref().filter(|_| row.allowed_since.is_none())?.0))
    };
    let mut all: Vec<_> = (0..CATALOG.len() + custom.len()).filter_map(since).collect();
    all.shrink_to_fit();
    all
}

/// The party behind an owner class.
pub(super) fn party_of(owner: OwnerClass, parties: &Parties) -> Option<String> {
    match owner {
        OwnerClass::Provider => parties.provider.clone(),
        OwnerClass::Customer | OwnerClass::SharedIndependent | OwnerClass::SharedDependent => parties.customer.clone(),
        OwnerClass::ThirdParty => parties.third_parties.first().cloned(),
        OwnerClass::NotApplicable => None,
    }
}

#[cfg(test)]
mod tests;
