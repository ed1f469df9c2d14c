//! What gives a credential away: the name of a variable, or a text that no program would hold for anything else.
//! Nobody keeps the value itself. A record holds a stand-in that gives itself away in the same manner.

use std::{fmt, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};

/// How a credential was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The variable is called so, and has a value.
    Name,
    /// A private key in PEM.
    PrivateKey,
    /// A token of a well-known issuer.
    Token(&'static str),
    /// A URL with a password.
    Url,
}

/// Issuers mark their tokens, so that leaked ones are found: the issuer, how a token begins, and how much follows at least.
const TOKENS: &[(&str, &str, usize)] = &[
    ("AWS", "AKIA", 16),
    ("AWS", "ASIA", 16),
    ("GitHub", "ghp_", 36),
    ("GitHub", "gho_", 36),
    ("GitHub", "ghu_", 36),
    ("GitHub", "ghs_", 36),
    ("GitHub", "ghr_", 36),
    ("GitHub", "github_pat_", 22),
    ("GitLab", "glpat-", 20),
    ("Google", "AIza", 35),
    ("Hugging Face", "hf_", 30),
    ("npm", "npm_", 36),
    ("SendGrid", "SG.", 40),
    ("Slack", "xoxb-", 20),
    ("Slack", "xoxp-", 20),
    ("Slack", "xoxa-", 20),
    ("Stripe", "sk_live_", 16),
    ("Stripe", "rk_live_", 16),
];
/// Shorter than any token.
const SHORTEST: usize = 20;
/// Words by which people call credentials.
const WORDS: &[&str] = &["password", "passwd", "passphrase", "private_key", "privatekey", "token", "bearer", "secret", "apikey", "api_key", "api-key"];
/// What Azure's names begin with, where a word `key` makes a credential of them.
const AZURE: &str = "azure_";

/// What a name ends with that speaks of a credential, and holds none.
const ABOUT: &[&str] = &[
    "file",
    "path",
    "dir",
    "directory",
    "url",
    "uri",
    "endpoint",
    "host",
    "name",
    "namespace",
    "arn",
    "ref",
    "store",
    "provider",
    "ttl",
    "expiry",
    "expiration",
    "expires",
    "lifetime",
    "timeout",
    "duration",
    "interval",
    "seconds",
    "minutes",
    "hours",
    "days",
    "length",
    "size",
    "count",
    "limit",
    "enabled",
    "disabled",
    "required",
    "type",
    "mode",
    "policy",
    "version",
    "issuer",
    "audience",
    "algorithm",
    "header",
    "prefix",
    "field",
    "claim",
    "rotation",
];

impl Sign {
    /// What a variable of this name and literal value gives away.
    pub fn of_variable(name: &str, value: &str) -> Option<Self> {
        let value = value.trim();
        // Another variable's value is that one's matter.
        if value.is_empty() || value.starts_with("$(") && value.find(')') == Some(value.len() - 1) {
            return None;
        }
        Self::of_text(value).or_else(|| has_password(value).then_some(Self::Url)).or_else(|| (names_credential(name) && !is_setting(value)).then_some(Self::Name))
    }

    /// What a text gives away. One pass over its bytes: every variable of every review comes by here.
    pub fn of_text(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < SHORTEST {
            return None;
        }
        let (mut start, mut token) = (0, None);
        let mut word = |start: usize, end: usize| {
            if end - start >= SHORTEST && token.is_none() {
                token = issuer(&text[start..end]);
            }
        };
        for (i, byte) in bytes.iter().enumerate() {
            if WORD[usize::from(*byte)] {
                continue;
            }
            word(start, i);
            if *byte == b' ' && bytes[..i].ends_with(PEM.as_bytes()) && is_private(&text[i + 1..]) {
                return Some(Self::PrivateKey);
            }
            start = i + 1;
        }
        word(start, bytes.len());
        token.map(Self::Token)
    }

    /// A value that holds no secret and gives itself away as this one did.
    pub fn stand_in(self) -> String {
        match self {
            Self::Name => "x".to_owned(),
            Self::PrivateKey => "-----BEGIN PRIVATE KEY-----".to_owned(),
            Self::Url => "x://x:x@x".to_owned(),
            Self::Token(JWT) => format!("eyJ{0}.eyJ{0}.{0}", "0".repeat(8)),
            Self::Token(of) => TOKENS.iter().find(|(issuer, ..)| *issuer == of).map_or_else(String::new, |(_, begins, rest)| format!("{begins}{}", "0".repeat(*rest))),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a credential, by its name"),
            Self::PrivateKey => f.write_str("a private key"),
            Self::Token(issuer) => write!(f, "a token of {issuer}"),
            Self::Url => f.write_str("a URL with a password"),
        }
    }
}

/// What words are made of; tokens are words.
const WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        word[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        byte += 1;
    }
    word
};

/// How whatever stands in PEM begins.
const PEM: &str = "-----BEGIN";

/// Whether a name, or a whole list of variables as JSON, may give anything away. Nearly none does, and to search it once as a whole costs a fraction of reading
/// it variable by variable. What may be hidden by an escape counts as found.
pub fn may_hold(text: &str) -> bool {
    // Issuers write their marks in one way, people their words in any: apart, fewer places look like the beginning of one.
    static MARKS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| telling(TOKENS.iter().map(|(_, begins, _)| *begins).chain(["eyJ", PEM])));
    static SMALL: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| telling(WORDS.iter().copied().chain([AZURE])));
    let found = |telling: &Option<AhoCorasick>, text: &str| telling.as_ref().is_none_or(|telling| telling.is_match(text));
    // A URL with a password has an @.
    memchr::memchr2(b'\\', b'@', text.as_bytes()).is_some() || found(&MARKS, text) || found(&SMALL, &text.to_ascii_lowercase())
}

/// The other kinds of automaton look at each byte; this one at many at once.
fn telling(words: impl Iterator<Item = &'static str>) -> Option<AhoCorasick> {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()
}

/// Whether what follows `-----BEGIN ` is the label of a private key.
fn is_private(rest: &str) -> bool {
    rest.split("-----").next().is_some_and(|label| label.len() < 40 && label.contains("PRIVATE KEY"))
}

/// Any issuer's: signed JSON, by which services know each other.
const JWT: &str = "JSON Web Tokens";

fn issuer(word: &str) -> Option<&'static str> {
    // Most words end here: no issuer's tokens begin otherwise.
    if !matches!(word.as_bytes()[0], b'A' | b'S' | b'e' | b'g' | b'h' | b'n' | b'r' | b's' | b'x') {
        return None;
    }
    if word.starts_with("eyJ") {
        let mut parts = word.split('.');
        let whole = [true, true, false].map(|json| parts.next().is_some_and(|p| p.len() >= 8 && (!json || p.starts_with("eyJ"))));
        return (whole == [true; 3] && parts.next().is_none()).then_some(JWT);
    }
    TOKENS.iter().find(|(_, begins, rest)| word.strip_prefix(begins).is_some_and(|tail| tail.len() >= *rest && is_random(begins, tail))).map(|(issuer, ..)| *issuer)
}

/// AWS writes capitals and digits, and exactly so many.
fn is_random(begins: &str, tail: &str) -> bool {
    !matches!(begins, "AKIA" | "ASIA") || tail.len() == 16 && tail.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether a URL carries a password of its own, and not a place for one.
fn has_password(text: &str) -> bool {
    text.as_bytes().contains(&b':')
        && text.match_indices("://").any(|(at, _)| {
            let authority = text[at + 3..].split(['/', '?', '#', ' ', '"', '\'', ',', '\n']).next().unwrap_or_default();
            let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
            password.is_some_and(|p| !p.is_empty() && !p.starts_with(['$', '<', '{', '%', '*']))
        })
}

/// Words by which people call credentials, as whole words: a tokenizer is none.
fn names_credential(name: &str) -> bool {
    let bytes = name.as_bytes();
    let at = |i: usize, word: &str| bytes.get(i..i + word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word.as_bytes()));
    let ends = |i: usize| {
        let plural = usize::from(bytes.get(i).is_some_and(|b| b.eq_ignore_ascii_case(&b's')));
        [i, i + plural].into_iter().any(|i| bytes.get(i).is_none_or(|b| !b.is_ascii_alphabetic() || b.is_ascii_uppercase() && bytes[i - 1].is_ascii_lowercase()))
    };
    let is_word = |i: usize, word: &str| at(i, word) && ends(i + word.len());
    let found = || (0..bytes.len()).any(|i| WORDS.iter().any(|word| is_word(i, word))) || at(0, AZURE) && (AZURE.len() + 1..bytes.len()).any(|i| is_word(i, "key"));
    may_hold(name) && found() && !is_about(name)
}

fn is_about(name: &str) -> bool {
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let hump = last.as_bytes().windows(2).rposition(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase()).map_or(0, |i| i + 1);
    ABOUT.iter().any(|a| last[hump..].eq_ignore_ascii_case(a))
}

/// A switch, or how many: no credential.
fn is_setting(value: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "none", "null"].iter().any(|s| value.eq_ignore_ascii_case(s)) || value.len() < 6 && value.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container's list of one variable, as it comes.
    fn listed(name: &str, value: &str) -> String {
        serde_json::json!([{"name": name, "value": value}]).to_string()
    }

    #[test]
    fn a_list_that_gives_nothing_away_is_passed_over_and_an_escape_hides_nothing() {
        let (word, key) = (r#"[{"name":"DB_P\u0041SSWORD","value":"hunter2"}]"#, r#"[{"name":"K","value":"-----\u0042EGIN PRIVATE KEY-----"}]"#);
        for (json, said) in [(listed("LOG_LEVEL", "debug"), false), (listed("ENDPOINT", "https://shop.example:8080/"), false), (word.to_owned(), true), (key.to_owned(), true)] {
            assert_eq!(may_hold(&json), said, "{json}");
        }
    }

    #[test]
    fn names_are_read_as_words() {
        for (name, value, said) in [
            ("DB_PASSWORD", "hunter2", true),
            ("PGPASSWORD", "hunter2", true),
            ("dbPassword", "hunter2", true),
            ("MYSQL_ROOT_PASSWD", "hunter2", true),
            ("API_TOKEN", "hunter2", true),
            ("apiToken", "hunter2", true),
            ("API_TOKENS", "a,b", true),
            ("BEARER", "hunter2", true),
            ("CLIENT_SECRET", "hunter2", true),
            ("SECRET_KEY", "hunter2", true),
            ("AWS_SECRET_ACCESS_KEY", "hunter2", true),
            ("STRIPE_API_KEY", "hunter2", true),
            ("apikey", "hunter2", true),
            ("X-Api-Key", "hunter2", true),
            ("AZURE_STORAGE_KEY", "hunter2", true),
            ("PASSWORD", "12345678", true),
            ("PASSWORD", "", false),
            ("PASSWORD", "$(OTHER)", false),
            ("PASSWORD", "$(A)$(B)", true),
            ("PASSWORD_FILE", "/run/secrets/db", false),
            ("passwordFile", "/run/secrets/db", false),
            ("TOKEN_URL", "https://sso.example/token", false),
            ("SECRET_NAME", "db", false),
            ("MAX_TOKENS", "4096", false),
            ("TOKENIZERS_PARALLELISM", "true", false),
            ("TOKEN_TTL", "15m", false),
            ("AUTH_TOKEN_ENABLED", "true", false),
            ("USE_PASSWORD", "true", false),
            ("PASSWORDLESS", "email", false),
            ("SECRETARY", "alice", false),
            ("AZURE_KEYVAULT", "kv", false),
            ("AWS_ACCESS_KEY_ID", "x", false),
            ("MONKEY", "banana", false),
            ("", "hunter2", false),
            ("ÄPASSWORD", "hunter2", true),
        ] {
            assert_eq!(Sign::of_variable(name, value) == Some(Sign::Name), said, "{name}={value}");
            assert!(!said || may_hold(&listed(name, value)), "{name}={value} is passed over");
        }
    }

    #[test]
    fn texts_give_themselves_away_and_so_do_their_stand_ins() {
        let jwt = format!("eyJ{0}.eyJ{0}.{0}", "a".repeat(20));
        for (text, said) in [
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE".to_owned(), Some(Sign::PrivateKey)),
            ("x\n-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned(), Some(Sign::PrivateKey)),
            ("-----BEGIN CERTIFICATE-----\nMIIE".to_owned(), None),
            ("-----BEGIN PUBLIC KEY-----\nMIIE".to_owned(), None),
            ("AKIAIOSFODNN7EXAMPLE".to_owned(), Some(Sign::Token("AWS"))),
            ("AKIAIOSFODNN7EXAMPLEX".to_owned(), None),
            ("AKIAiosfodnn7example".to_owned(), None),
            (format!("ghp_{}", "a".repeat(36)), Some(Sign::Token("GitHub"))),
            (format!("--header 'Authorization: Bearer ghp_{}'", "a".repeat(36)), Some(Sign::Token("GitHub"))),
            (format!("ghp_{}", "a".repeat(35)), None),
            (format!("token={jwt}"), Some(Sign::Token(JWT))),
            (jwt.replace('.', "_"), None),
            (format!("{jwt}.x"), None),
            ("postgres://user:hunter2@db/shop".to_owned(), Some(Sign::Url)),
            ("postgres://user:$(PASSWORD)@db/shop".to_owned(), None),
            ("postgres://user:${PASSWORD}@db/shop".to_owned(), None),
            ("postgres://user@db/shop".to_owned(), None),
            ("https://a.example/x:y@z".to_owned(), None),
            ("some-value-of-usual-length".to_owned(), None),
            ("ä".repeat(40), None),
        ] {
            let sign = Sign::of_variable("SETTING", &text);
            assert_eq!(sign, said, "{text}");
            assert!(sign.is_none() || may_hold(&listed("SETTING", &text)), "{text} is passed over");
            if let Some(sign) = sign {
                assert_eq!(Sign::of_variable("SETTING", &sign.stand_in()), Some(sign), "{sign}");
            }
        }
        for (issuer, ..) in TOKENS {
            let sign = Sign::Token(issuer);
            assert_eq!(Sign::of_text(&sign.stand_in()), Some(sign), "{issuer}");
            assert!(may_hold(&listed("SETTING", &sign.stand_in())), "{issuer} is passed over");
        }
        assert_eq!(Sign::of_variable("PASSWORD", &Sign::Name.stand_in()), Some(Sign::Name));
    }
}
