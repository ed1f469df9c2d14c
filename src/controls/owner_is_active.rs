//! owner-is-active: whoever a workload names as its owner is still there.
//! A team is known by its Party, a person by a Roster; no finding says which person it is.

use super::{
    Applies, Check, Context, Control,
    people::{Who, who},
    workload_named_owner::named_owner,
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{Finding, subject::Kind},
};

pub const CONTROL: Control = Control {
    id: "owner-is-active",
    title: "Named owner is still there",
    group: "governance",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.5.9", "A.6.5"]), ("SOC 2", &["CC6.2"]), ("CCM 4.0.12", &["HRS-06", "IAM-07"]), ("NIST 800-53r5", &["PS-4", "PS-5"])],
    why: "A workload whose owner has left is nobody's, and nobody notices before something happens to it.",
    checked: "The owner that workload-named-owner finds is the name of a Party, or the name or an alias of somebody in a Roster whose departedOn has not come; compared without letter case, \
              and without mailto: and @.",
    unknown: "The owner is no Party and stands in no Roster, or Rosters cannot be read. Add the team as a Party, or the person to a Roster.",
    fix: "hand the workload over: kubectl annotate <kind> <name> --overwrite a8r.io/owner=<team or e-mail>",
    kinds: &[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::ReplicationController, Kind::Job, Kind::CronJob, Kind::Service],
    root_only: true,
    confidential: false,
    check: Check::Existing(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    // That nobody is named at all is another control's.
    let Some(owner) = named_owner(cx) else { return Applies::No };
    let team = owner.trim().trim_start_matches('@');
    if cx.facts.parties.as_ref().is_ok_and(|parties| parties.keys().any(|name| name.eq_ignore_ascii_case(team))) {
        return Applies::Yes;
    }
    let add = "add the team as a Party, or the person to a Roster";
    match cx.facts.rosters.as_ref().map(|rosters| who(rosters, owner, cx.now)) {
        Ok(Who::Here(leaves)) => return leaves.map_or(Applies::Yes, Applies::Until),
        Ok(Who::Gone(left)) => out.push(Finding::violated("metadata", "gone", "its owner has left", "name a current owner: annotation a8r.io/owner").by_fact_of(Some(left))),
        Ok(Who::Stranger) => out.push(Finding::unknown("metadata", "its owner is no Party and stands in no Roster", add)),
        Err(reason) => out.push(Finding::unknown("metadata", format!("whether its owner is still there is not seen: {reason}"), "let Demarc read rosters")),
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::{people::testing::rosters, testing::judge_in},
        model::facts::{Facts, Namespace},
    };

    #[test]
    fn an_owner_is_a_party_or_somebody_who_is_there() {
        let party = serde_saphyr::from_str("{role: Customer}").unwrap();
        let facts = Facts {
            rosters: Ok(rosters("{name: jo@acme.example, departedOn: '2026-03-01'}, {name: kim@acme.example, aliases: [kim]}, {name: lee, departedOn: '2026-05-01'}")),
            parties: Ok(Arc::new([("acme".to_owned(), party)].into())),
            ..Facts::empty()
        };
        let said = |meta: &str, default: Option<&str>, facts: &Facts| {
            let yaml = format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, {meta}}}, spec: {{template: {{spec: {{containers: [{{name: c}}]}}}}}}}}");
            judge_in(&CONTROL, &yaml, &Namespace::default(), &Default::default(), default, facts)
        };
        let (gone, unknown) = (vec!["Violated metadata gone"], vec!["Unknown metadata"]);
        for (meta, default, expected) in [
            ("", None, vec!["-"]),
            ("annotations: {owner: none}", None, vec!["-"]),
            ("annotations: {owner: kim}", None, vec![]),
            ("annotations: {a8r.io/owner: 'mailto:KIM@acme.example'}", None, vec![]),
            ("labels: {team: acme}", None, vec![]),
            ("annotations: {owner: '@Acme'}", None, vec![]),
            ("annotations: {owner: lee}", None, vec![]),
            ("annotations: {owner: jo@acme.example}", None, gone.clone()),
            ("annotations: {a8r.io/owner: jo@acme.example, owner: kim}", None, gone.clone()),
            ("labels: {team: acme, owner: jo@acme.example}", None, gone.clone()),
            ("", Some("jo@acme.example"), gone),
            ("annotations: {owner: somebody}", None, unknown.clone()),
        ] {
            assert_eq!(said(meta, default, &facts), expected, "{meta}");
        }
        assert_eq!(said("annotations: {owner: kim}", None, &Facts::none("x")), unknown);
        assert_eq!(said("annotations: {owner: kim}", None, &Facts::empty()), unknown);
    }
}
