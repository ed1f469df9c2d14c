//! What an operator says about traces, by flags or by the environment variables that OpenTelemetry knows, and what is refused of it.
//! Nothing is refused where no receiver is named: variables may be set for a whole cluster.

use std::path::PathBuf;

use axum::http::{Uri, uri::Scheme};
use opentelemetry_sdk::trace::Sampler;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// What `demarc controller` is told about traces.
#[derive(Clone, Debug, Default, clap::Args)]
// Every struct of arguments is a group by its name, and there is one `Args` already.
#[group(skip)]
#[command(next_help_heading = "Traces")]
pub struct Args {
    // Help is no Markdown.
    #[allow(rustdoc::bare_urls)]
    /// Send traces there, by OTLP over HTTP at the path /v1/traces: http://collector.observability:4318
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// The same with its whole path; it goes before --otlp-endpoint
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub otlp_traces_endpoint: Option<String>,
    /// A PEM file with the authority of a receiver at https://, read again when it changes
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    pub otlp_certificate: Option<PathBuf>,
    /// Which are sent: always_on, always_off or traceidratio, or one of them with parentbased_ before it, which does as the API server does where that traces
    #[arg(long, env = "OTEL_TRACES_SAMPLER", value_name = "SAMPLER")]
    pub traces_sampler: Option<String>,
    /// The share of traceidratio, from 0 to 1
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO")]
    pub traces_sampler_arg: Option<String>,
    /// Only to refuse what is not spoken.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", hide = true)]
    pub otlp_traces_protocol: Option<String>,
    /// The same for every signal.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", hide = true)]
    pub otlp_protocol: Option<String>,
}

/// Why traces cannot be as they were asked for. None of them repeats an address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No URL that traces can be sent to.
    #[error("{option} must be http://HOST:PORT or https://HOST:PORT, without user, password or query: what a receiver asks for goes into OTEL_EXPORTER_OTLP_HEADERS")]
    Endpoint {
        /// Which.
        option: &'static str,
    },
    /// Another way to speak.
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, which receivers take at port 4318; gRPC is not spoken")]
    Protocol,
    /// A sampler that is not known.
    #[error("--traces-sampler (OTEL_TRACES_SAMPLER) must be always_on, always_off or traceidratio, or one of these after parentbased_")]
    Sampler,
    /// No share.
    #[error("--traces-sampler-arg (OTEL_TRACES_SAMPLER_ARG) must be a number from 0 to 1")]
    Ratio,
    /// The authority cannot be read.
    #[error("--otlp-certificate (OTEL_EXPORTER_OTLP_CERTIFICATE) must be a file with certificates as PEM: {0}")]
    Certificate(String),
    /// Nobody to trust.
    #[error("a receiver at https:// needs --otlp-certificate (OTEL_EXPORTER_OTLP_CERTIFICATE), a file with its authority: the system has none that could be trusted")]
    Nobody,
    /// Something that the libraries refuse.
    #[error("traces cannot be sent: {0}")]
    Client(String),
}

/// Where traces go.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) endpoint: Uri,
    /// The file, and the certificates in it.
    pub(super) authority: Option<(PathBuf, Vec<Vec<u8>>)>,
}

impl Receiver {
    /// Without the path, which may be somebody's secret.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.endpoint.scheme_str().unwrap_or_default(), self.endpoint.authority().map(ToString::to_string).unwrap_or_default())
    }
}

/// A variable that is empty is as good as unset.
fn said(value: Option<&String>) -> Option<&str> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty())
}

impl Args {
    pub(super) fn receiver(&self) -> Result<Option<Receiver>, Refused> {
        let endpoint = match (said(self.otlp_traces_endpoint.as_ref()), said(self.otlp_endpoint.as_ref())) {
            (Some(whole), _) => endpoint(whole, "--otlp-traces-endpoint (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)")?,
            (None, Some(base)) => {
                let option = "--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT)";
                endpoint(base, option)?;
                endpoint(&format!("{}/v1/traces", base.trim_end_matches('/')), option)?
            }
            (None, None) => return Ok(None),
        };
        if said(self.otlp_traces_protocol.as_ref()).or(said(self.otlp_protocol.as_ref())).is_some_and(|protocol| protocol != "http/protobuf") {
            return Err(Refused::Protocol);
        }
        let authority = match self.otlp_certificate.clone().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) if endpoint.scheme() == Some(&Scheme::HTTPS) => Some(authority(path)?),
            Some(_) | None => None,
        };
        Ok(Some(Receiver { endpoint, authority }))
    }

    /// By the variables' names. Without one, every trace that the API server does not decide on.
    pub(super) fn sampler(&self) -> Result<Sampler, Refused> {
        let name = said(self.traces_sampler.as_ref()).unwrap_or("parentbased_always_on");
        let (root, based) = name.strip_prefix("parentbased_").map_or((name, false), |root| (root, true));
        let sampler = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio(said(self.traces_sampler_arg.as_ref()))?),
            _ => return Err(Refused::Sampler),
        };
        Ok(if based { Sampler::ParentBased(Box::new(sampler)) } else { sampler })
    }
}

fn endpoint(text: &str, option: &'static str) -> Result<Uri, Refused> {
    let refused = Refused::Endpoint { option };
    let Ok(uri) = text.parse::<Uri>() else { return Err(refused) };
    let web = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    // The parser takes `http://host:`, `http://host:99999` and what comes after a `#`.
    let bare = uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@') && (a.port_u16().is_some_and(|port| port > 0) || a.as_str() == a.host()));
    if web && bare && uri.query().is_none() && !text.contains('#') { Ok(uri) } else { Err(refused) }
}

fn authority(path: PathBuf) -> Result<(PathBuf, Vec<Vec<u8>>), Refused> {
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok((path, certificates.iter().map(|c| c.to_vec()).collect())),
        Ok(_) => Err(Refused::Certificate("there is none in it".to_owned())),
        Err(error) => Err(Refused::Certificate(error.to_string())),
    }
}

fn ratio(text: Option<&str>) -> Result<f64, Refused> {
    let Some(text) = text else { return Ok(1.0) };
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or(Refused::Ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_a_bare_address_of_the_web() {
        let said = |text: &str| Args { otlp_endpoint: Some(text.to_owned()), ..Args::default() }.receiver();
        for (text, endpoint) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            (" http://10.0.0.1/otlp ", "http://10.0.0.1/otlp/v1/traces"),
            ("https://[::1]:4318", "https://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(said(text).unwrap().map(|r| r.endpoint.to_string()).as_deref(), Some(endpoint), "{text}");
        }
        for text in [
            "collector:4318",
            "collector",
            "grpc://collector:4317",
            "unix:///run/otlp",
            "http://",
            "http://:4318",
            "http://collector:",
            "http://collector:0",
            "http://collector:99999",
            "http://ann:secret@collector:4318",
            "http://collector:4318?token=secret",
            "http://collector:4318#secret",
            "http://collector:4318/a b",
            "/v1/traces",
            "http:///v1/traces",
            "\u{0}",
        ] {
            let refused = said(text).unwrap_err().to_string();
            assert!(refused.starts_with("--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) must be") && !refused.contains("secret"), "{text}: {refused}");
        }
        // As good as unset.
        assert!(said("").unwrap().is_none() && said("  ").unwrap().is_none());
        let whole = Args { otlp_traces_endpoint: Some("http://a:1/x".into()), otlp_endpoint: Some("nonsense".into()), ..Args::default() };
        assert_eq!(whole.receiver().unwrap().unwrap().endpoint, "http://a:1/x");
    }

    #[test]
    fn nothing_is_asked_of_who_names_no_receiver() {
        let args = Args { otlp_protocol: Some("grpc".into()), otlp_certificate: Some("/nowhere".into()), ..Args::default() };
        assert!(args.receiver().unwrap().is_none());
    }

    #[test]
    fn another_protocol_is_refused_unless_traces_have_their_own() {
        let args = |all: &str, traces: Option<&str>| Args {
            otlp_endpoint: Some("http://a:4318".into()),
            otlp_protocol: Some(all.into()),
            otlp_traces_protocol: traces.map(Into::into),
            ..Args::default()
        };
        assert!(matches!(args("grpc", None).receiver(), Err(Refused::Protocol)));
        assert!(matches!(args("http/json", None).receiver(), Err(Refused::Protocol)));
        assert!(args("grpc", Some("http/protobuf")).receiver().is_ok());
        assert!(args("http/protobuf", Some("")).receiver().is_ok());
    }

    #[test]
    fn samplers_are_those_that_are_known() {
        let of = |name: &str, arg: Option<&str>| Args { traces_sampler: Some(name.into()), traces_sampler_arg: arg.map(Into::into), ..Args::default() }.sampler();
        for (name, arg, is) in [
            ("", None, "ParentBased(AlwaysOn)"),
            ("always_on", Some("nonsense"), "AlwaysOn"),
            ("always_off", None, "AlwaysOff"),
            ("traceidratio", Some("0.25"), "TraceIdRatioBased(0.25)"),
            ("parentbased_traceidratio", Some("0"), "ParentBased(TraceIdRatioBased(0.0))"),
            ("parentbased_traceidratio", None, "ParentBased(TraceIdRatioBased(1.0))"),
            ("parentbased_always_off", None, "ParentBased(AlwaysOff)"),
        ] {
            assert_eq!(format!("{:?}", of(name, arg).unwrap()), is, "{name}");
        }
        for name in ["xray", "parentbased_", "parentbased_parentbased_always_on", "ALWAYS_ON", "parentbased_jaeger_remote"] {
            assert!(matches!(of(name, None), Err(Refused::Sampler)), "{name}");
        }
        for arg in ["-0.1", "1.01", "NaN", "inf", "half", "0,5"] {
            assert!(matches!(of("traceidratio", Some(arg)), Err(Refused::Ratio)), "{arg}");
        }
    }

    #[test]
    fn an_authority_is_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let of = |content: &str| {
            let path = dir.path().join("ca.crt");
            std::fs::write(&path, content).unwrap();
            Args { otlp_endpoint: Some("https://a:4318".into()), otlp_certificate: Some(path), ..Args::default() }.receiver()
        };
        for content in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(of(content), Err(Refused::Certificate(_))), "{content}");
        }
        let none = Args { otlp_endpoint: Some("https://a:4318".into()), otlp_certificate: Some(dir.path().join("none")), ..Args::default() };
        assert!(matches!(none.receiver(), Err(Refused::Certificate(_))));
    }
}
