//! What a shell and a reader get of the command itself: completions, tried by a real bash, and a manual page for each command.
//! Both are made from the arguments as they are, so nothing of them is written twice.

use std::process::Command;

const DEMARC: &str = env!("CARGO_BIN_EXE_demarc");

/// Exit code, standard output and standard error.
fn demarc(args: &[&str]) -> (i32, String, String) {
    let said = Command::new(DEMARC).args(args).output().unwrap();
    (said.status.code().unwrap(), String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
}

/// What bash offers for a line of which the last word is being typed.
fn offered(line: &str) -> Vec<String> {
    let script = r#"source <("$0" completions bash); COMP_LINE="$1"; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _demarc demarc "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let said = Command::new("bash").args(["--norc", "-c", script, DEMARC, line]).output().unwrap();
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_commands_flags_and_words() {
    for (line, wanted) in [("demarc wai", "waiver"), ("demarc waiver app", "approve"), ("demarc check --write", "--write-baseline"), ("demarc check --output sa", "sarif")] {
        assert_eq!(offered(line), [wanted], "{line}");
    }
    for (shell, begins) in [("zsh", "#compdef demarc"), ("fish", "# Print an optspec"), ("powershell", "\nusing namespace"), ("elvish", "\nuse builtin")] {
        let (code, out, _) = demarc(&["completions", shell]);
        assert!(code == 0 && out.starts_with(begins) && out.contains("write-baseline"), "{shell}: {out}");
    }
    let (code, _, err) = demarc(&["completions", "ksh"]);
    assert!(code == 2 && err.contains("possible values: bash, elvish, fish, powershell, zsh"), "{err}");
}

#[test]
fn every_command_has_a_manual_page() {
    let (_, all, _) = demarc(&["man"]);
    assert!(all.contains(".TH demarc 1"), "{all}");
    for command in ["controller", "check", "crds", "cleanup", "doctor", "explain", "completions", "man", "waiver", "waiver request", "waiver approve", "waiver list"] {
        let names: Vec<&str> = command.split(' ').collect();
        let (code, page, err) = demarc(&[&["man"], &names[..]].concat());
        assert!(code == 0 && page.contains(&format!(".TH demarc-{} 1", command.replace(' ', "-"))), "{command}: {page}{err}");
    }
    for (names, wanted) in [
        (&["nope"][..], "error: demarc has no command nope: controller, check, "),
        (&["waiver", "\u{1b}[31m"], "error: waiver has no command \\u{1b}[31m: request, approve, list"),
        (&["check", "more"], "error: check has no commands"),
        (&[""], "error: demarc has no command : "),
    ] {
        let (code, out, err) = demarc(&[&["man"], names].concat());
        assert!(code == 2 && out.is_empty() && err.starts_with(wanted), "{names:?}: {err}");
    }
}
