//! Types as far as they are known before anything runs. An object's own fields are `Dyn`, and `Dyn` goes with everything.
//! The check refuses what cel-go would refuse to compile, so that a control that is taken here is taken there.

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
    Record(Record),
    Duration,
    Timestamp,
    Quantity,
    Ip,
    Cidr,
    Semver,
}

/// What has fields that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Request,
    Kind,
    User,
    Namespace,
    Metadata,
}

impl Record {
    /// The type of a field; what is not listed does not compile.
    pub fn field(self, name: &str) -> Option<Type> {
        let strings = || Type::Map(Box::new(Type::Text), Box::new(Type::Text));
        Some(match (self, name) {
            (Self::Request, "operation" | "name" | "namespace" | "subResource")
            | (Self::Kind, "group" | "version" | "kind")
            | (Self::User, "username" | "uid")
            | (Self::Metadata, "name") => Type::Text,
            (Self::Request, "kind") => Type::Record(Self::Kind),
            (Self::Request, "userInfo") => Type::Record(Self::User),
            (Self::User, "groups") => Type::List(Box::new(Type::Text)),
            (Self::Namespace, "metadata") => Type::Record(Self::Metadata),
            (Self::Metadata, "labels" | "annotations") => strings(),
            _ => return None,
        })
    }
}

impl Type {
    pub fn list(of: Type) -> Self {
        Self::List(Box::new(of))
    }

    /// Whether values of both can be one.
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.agrees(b),
            (Self::Map(a, x), Self::Map(b, y)) => a.agrees(b) && x.agrees(y),
            (a, b) => a == b,
        }
    }

    /// What is known of a value that is of one of both.
    pub fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }

    pub fn is_ordered(&self) -> bool {
        self.is_number() || matches!(self, Self::Dyn | Self::Bool | Self::Text | Self::Duration | Self::Timestamp)
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}
