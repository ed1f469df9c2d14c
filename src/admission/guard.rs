//! Who may weaken a declaration: whoever acts for the parties that answer for it today, or holds the verb `assign` on it.
//! The first is known here; for the second the edge asks the API server, and until it says yes the answer is a refusal.

use k8s_openapi::api::authentication::v1::UserInfo;

use super::{answer::Answer, review::Request};
use crate::{
    api::{
        Declaration, GROUP,
        party::{PartySpec, Subject, SubjectKind},
    },
    model::text::shown,
    policy::{book::Book, weaker::Weaker},
};

/// The verb of those who may assign what is owed, whoever answers for it today.
pub const ASSIGN: &str = "assign";

/// What the API server is to be asked before a refusal stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Appeal {
    /// Who asks.
    pub user: UserInfo,
    /// `ownerships`.
    pub resource: &'static str,
    /// Empty for kinds of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// What is decided of a declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The answer; a refusal where `appeal` is not granted.
    pub answer: Answer,
    /// Whoever is granted this is let through.
    pub appeal: Option<Appeal>,
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Self {
        Self { answer, appeal: None }
    }
}

/// Refuses the first weakening that the user may not do as one who acts for the parties that answer.
pub fn guard(request: &Request<'_>, kind: Declaration, book: &Book, weaker: &[Weaker]) -> Option<Decision> {
    if weaker.is_empty() {
        return None;
    }
    let user = request.user();
    let acts = |party: &String| book.facts.parties.as_ref().is_ok_and(|parties| parties.get(party).is_some_and(|p| acts_for(&user, p)));
    let Weaker { path, what, answers, below } = weaker.iter().find(|w| w.answers.is_empty() || !w.answers.iter().all(acts))?;
    let verb = format!("whoever holds the verb {ASSIGN} on {}.{GROUP}", kind.plural());
    let names: Vec<String> = answers.iter().map(|party| shown(party, 63)).collect();
    let who = match names.as_slice() {
        [] if !below.is_empty() => {
            format!("that is less than holds here where nothing is declared (baseline {}), so {verb} may say so, and nobody else", shown(&below.join(", "), 200))
        }
        [] => format!("no party is named that answers for it today, so {verb} may say so, and nobody else"),
        [party] => format!("a subject of party {party}, which answers for it today, or {verb} may say so"),
        [..] => format!("one who is a subject of each of the parties {}, which answer for it today, or {verb} may say so", names.join(", ")),
    };
    let answer = Answer::deny(&request.uid, 403, format!("{path}: {what}; {who}"));
    Some(Decision { answer, appeal: Some(Appeal { user, resource: kind.plural(), namespace: request.namespace.to_string(), name: request.name() }) })
}

/// Whether the API server knows the user as somebody who acts for the party: by the whole name and nothing less.
fn acts_for(user: &UserInfo, party: &PartySpec) -> bool {
    let name = user.username.as_deref().filter(|n| !n.is_empty());
    party.subjects.iter().any(|Subject { kind, name: subject, namespace }| match kind {
        SubjectKind::User => name == Some(subject),
        SubjectKind::Group => user.groups.iter().flatten().any(|g| g == subject),
        SubjectKind::ServiceAccount => {
            let account = name.and_then(|n| n.strip_prefix("system:serviceaccount:")).and_then(|n| n.split_once(':'));
            account.is_some_and(|(of, account)| Some(of) == namespace.as_deref() && account == subject)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_name_is_somebody() {
        let party: PartySpec = serde_saphyr::from_str(
            "{role: Customer, subjects: [{kind: User, name: jo}, {kind: Group, name: 'acme:admins'}, {kind: ServiceAccount, name: flux, namespace: gitops}]}",
        )
        .unwrap();
        for (name, groups, expected) in [
            ("jo", &[][..], true),
            ("Jo", &[], false),
            ("jo2", &[], false),
            ("", &[], false),
            ("sam", &["acme:admins"], true),
            ("sam", &["acme"], false),
            ("acme:admins", &["jo"], false),
            ("system:serviceaccount:gitops:flux", &[], true),
            ("system:serviceaccount:other:flux", &[], false),
            ("flux", &[], false),
        ] {
            let user = UserInfo { username: Some(name.to_owned()), groups: Some(groups.iter().map(|g| (*g).to_owned()).collect()), ..UserInfo::default() };
            assert_eq!(acts_for(&user, &party), expected, "{name} {groups:?}");
        }
    }
}
