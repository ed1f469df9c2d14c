//! How a write of the lease holder's fails, and which of it is how things go: then it is tried again, and nobody is told.
//! The API server's own text may name somebody, so what is told beside a log is a word.

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("another replica may lead")]
    Unled,
    #[error("no answer within 10 s")]
    Silent(#[from] tokio::time::error::Elapsed),
}

impl WriteError {
    /// Whether that is how things go: another replica leads, or somebody else wrote in between.
    pub(super) fn passing(&self) -> bool {
        match self {
            Self::Unled => true,
            Self::Api(kube::Error::Api(status)) => match status.code {
                409 => true,
                // A `test` of a JSON patch that does not hold has no cause; an object that may not be so has one for each field.
                422 => status.details.as_ref().is_none_or(|details| details.causes.is_empty()),
                _ => false,
            },
            Self::Api(_) | Self::Silent(_) => false,
        }
    }

    /// In a sentence for a status and an Event. Where something may not be written, the API server's own names who asked: a person, with `--local`.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Api(kube::Error::Api(status)) if status.code == 403 => "the API server forbids it; the log of the replica that leads says why".to_owned(),
            error => error.to_string(),
        }
    }

    /// In a word.
    pub(super) fn sort(&self) -> &'static str {
        match self {
            Self::Unled => "unled",
            Self::Silent(_) => "timeout",
            Self::Api(_) if self.passing() => "conflict",
            Self::Api(_) => "api",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_somebody_else_wrote_in_between_passes_and_what_may_not_be_written_does_not() {
        // As kube-apiserver 1.37 answers.
        let raced = json!({"message": "the server rejected our request due to an error in our request", "reason": "Invalid", "details": {}, "code": 422});
        let cause = json!({"reason": "FieldValueTypeInvalid", "message": "must be of type integer", "field": "status.observedGeneration"});
        let wrong = json!({"message": "is invalid", "reason": "Invalid", "details": {"name": "default", "causes": [cause]}, "code": 422});
        for (status, passing) in
            [(raced, true), (wrong, false), (json!({"reason": "Conflict", "code": 409}), true), (json!({"reason": "Forbidden", "code": 403}), false), (json!({"code": 500}), false)]
        {
            let error = WriteError::Api(kube::Error::Api(serde_json::from_value(status.clone()).unwrap()));
            assert_eq!((error.passing(), error.sort()), (passing, if passing { "conflict" } else { "api" }), "{status}");
        }
        assert!(WriteError::Unled.passing());
    }

    #[test]
    fn what_is_told_of_a_write_that_is_forbidden_names_nobody() {
        let of = |code: u16| {
            let status = json!({"message": "User \"kim@acme.example\" cannot create it: not a label!", "reason": "x", "code": code});
            WriteError::Api(kube::Error::Api(serde_json::from_value(status).unwrap())).told()
        };
        assert!(!of(403).contains("kim") && of(403).contains("forbids"), "{}", of(403));
        assert!(of(422).contains("not a label!"), "what is wrong with it helps");
    }
}
