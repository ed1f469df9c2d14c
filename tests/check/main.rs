//! `demarc check` on a folder of cases, each named as a sentence, and on nonsense, which is never judged clean.
//! `DEMARC_BLESS=1` writes the expectations anew; read the difference before it is kept.

use std::{io::Cursor, path::Path, time::Instant};

use demarc::cli::{check, explain};

#[derive(clap::Parser)]
struct CheckCommand {
    #[command(flatten)]
    args: check::Args,
}

#[derive(clap::Parser)]
struct ExplainCommand {
    #[command(flatten)]
    args: explain::Args,
}

fn checked(args: &[&str], stdin: &[u8]) -> (u8, String, String) {
    let args = <CheckCommand as clap::Parser>::parse_from(std::iter::once("check").chain(args.iter().copied())).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check::run(&args, &mut Cursor::new(stdin), &mut out, &mut err, "2026-04-01T00:00:00Z".parse().unwrap()).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn explained(args: &[&str]) -> (u8, String, String) {
    let args = <ExplainCommand as clap::Parser>::parse_from(std::iter::once("explain").chain(args.iter().copied())).args;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = explain::run(&args, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn each_case_is_judged_as_its_sentence_says() {
    let mut cases: Vec<_> = std::fs::read_dir("tests/data/check").unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 8, "the cases are gone");
    let bless = std::env::var_os("DEMARC_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases {
        let input = case.join("input.yaml");
        let mut args = vec!["-f", input.to_str().unwrap()];
        let extra = std::fs::read_to_string(case.join("args")).unwrap_or_default();
        args.extend(extra.split_whitespace());
        let (code, out, err) = checked(&args, b"");
        let said = format!("{out}{err}").replace(case.to_str().unwrap(), "CASE");
        if bless {
            std::fs::write(case.join("expect.txt"), &said).unwrap();
            std::fs::write(case.join("code"), format!("{code}\n")).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(case.join("expect.txt")).unwrap();
        let expected_code = std::fs::read_to_string(case.join("code")).unwrap();
        if said != expected || code.to_string() != expected_code.trim() {
            wrong.push(format!("{}: {code}\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
