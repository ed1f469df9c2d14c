//! The examples' declarations: each folder passes as the README says.
//! Judged on a day on which their dates count.

use std::io::Cursor;

use demarc::cli::check;

#[test]
fn each_example_passes() {
    for folder in ["mssp", "mssp/client-aurora-eks", "mssp/client-borealis-aks", "saas", "self-managed"] {
        // Whoever is a client's alone is declared with what all clients have.
        let path = format!("examples/{folder}");
        let mut args = vec!["check", "-f", &path];
        if folder.starts_with("mssp/") {
            args.extend(["--against", "examples/mssp/all-clients"]);
        }
        let args = <super::CheckCommand as clap::Parser>::parse_from(args).args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut ask = |_: &str, _: &_| unreachable!("no cluster was named");
        let code = check::run(&args, &mut Cursor::new(b""), &mut ask, &mut out, &mut err, "2026-12-01T00:00:00Z".parse().unwrap()).unwrap();
        let said = String::from_utf8([out, err].concat()).unwrap();
        assert!(code == 0 && said.contains(" 0 denied, 0 warned"), "{folder}: {said}");
    }
}
