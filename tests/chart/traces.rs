//! Traces by the chart: off, on, and what cannot work.
//! That the program takes what is rendered is asked of the program itself.

use clap::Parser;
use demarc::run;

use crate::helm::{BOTH, find, rendered};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: run::Args,
}

/// The arguments of the pod, as the program reads them.
fn traces(values: &[&str]) -> demarc::traces::Args {
    let objects = rendered(values);
    let arguments = &find(&objects, "Deployment demarc")["spec"]["template"]["spec"]["containers"][0]["args"];
    Program::try_parse_from(arguments.as_array().unwrap().iter().map(|a| a.as_str().unwrap())).unwrap_or_else(|error| panic!("{error}")).args.traces
}

#[test]
fn traces_are_off_unless_a_receiver_is_named() {
    let off = traces(&[]);
    assert!(off.otlp_endpoint.is_none() && off.traces_sampler.is_none(), "{off:?}");
    let on = traces(&["--set", "tracing.endpoint=http://collector.observability:4318"]);
    assert_eq!(on.otlp_endpoint.as_deref(), Some("http://collector.observability:4318"));
    assert_eq!((on.traces_sampler.as_deref(), on.traces_sampler_arg.as_deref()), (Some("parentbased_traceidratio"), Some("0.1")));
    assert!(on.otlp_certificate.is_none());
    // As a number and as a text.
    for (set, ratio, said) in [("--set", "0", 0.0), ("--set", "1", 1.0), ("--set", "0.25", 0.25), ("--set-json", "0.25", 0.25), ("--set-json", "0.00001", 0.00001)] {
        let on = traces(&["--set", "tracing.endpoint=http://[::1]:4318", set, &format!("tracing.samplingRatio={ratio}")]);
        assert_eq!(on.traces_sampler_arg.unwrap().parse::<f64>().unwrap().to_bits(), f64::to_bits(said));
    }
}

#[test]
fn an_authority_is_mounted_where_it_is_read() {
    let values = ["--set", "tracing.endpoint=https://collector.observability/otlp,tracing.caConfigMap=collector-ca,networkPolicy.enabled=true"];
    let on = traces(&values);
    let objects = rendered(&values);
    let pod = &find(&objects, "Deployment demarc")["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|v| v["name"] == "otlp" && v["configMap"]["name"] == "collector-ca"), "{volumes:?}");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|m| m["name"] == "otlp").unwrap();
    assert_eq!(on.otlp_certificate.unwrap().parent().unwrap().to_str(), mount["mountPath"].as_str());
    let let_out = find(&objects, "NetworkPolicy demarc")["spec"]["egress"].to_string();
    assert!(let_out.contains(r#"{"port":443}"#) && let_out.contains(r#"{"port":53,"protocol":"UDP"}"#), "{let_out}");
}

#[test]
fn a_network_policy_lets_out_to_the_receiver_alone() {
    let egress = |values: &str| find(&rendered(&["--set", &format!("networkPolicy.enabled=true{values}")]), "NetworkPolicy demarc")["spec"]["egress"].to_string();
    assert!(!egress("").contains(r#""port":53"#), "{}", egress(""));
    for (endpoint, port) in [("http://collector:4318", 4318), ("http://collector", 80), ("http://[::1]:5000/x", 5000)] {
        let let_out = egress(&format!(",tracing.endpoint={endpoint}"));
        assert!(let_out.contains(&format!(r#"{{"port":{port}}}"#)), "{endpoint}: {let_out}");
    }
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let cases: &[(&str, &str)] = &[
        ("tracing.endpoint=https://collector:4318", "tracing.caConfigMap is empty"),
        ("tracing.caConfigMap=a", "tracing.caConfigMap goes with a tracing.endpoint at https://"),
        ("tracing.endpoint=http://collector:4318,tracing.caConfigMap=a", "tracing.caConfigMap goes with a tracing.endpoint at https://"),
        // By the schema.
        ("tracing.endpoint=collector:4318", "endpoint"),
        ("tracing.endpoint=grpc://collector:4317", "endpoint"),
        ("tracing.endpoint=http://", "endpoint"),
        ("tracing.endpoint=http://ann:secret@collector:4318", "endpoint"),
        ("tracing.endpoint=http://collector:4318?a", "endpoint"),
        ("tracing.endpoint=http://collector:", "endpoint"),
        ("tracing.endpoint=7", "endpoint"),
        ("tracing.samplingRatio=1.5", "samplingRatio"),
        ("tracing.samplingRatio=2", "samplingRatio"),
        ("tracing.samplingRatio=-1", "samplingRatio"),
        ("tracing.samplingRatio=half", "samplingRatio"),
        ("tracing.caConfigMap=Not_A_Name", "caConfigMap"),
        ("tracing.enabled=true", "enabled"),
    ];
    for (values, sentence) in cases {
        for helm in BOTH {
            let said = helm.template(&["--set", values]);
            assert!(!said.ok && said.err.contains(sentence), "{helm:?} with {values} should say {sentence:?}: {said:?}");
        }
    }
}
