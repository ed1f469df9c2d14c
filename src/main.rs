//! The `demarc` command: arguments to subcommand, and a fatal error in one sentence.
//! In a pod the sentence also goes to the termination message, where `kubectl describe pod` shows it.

use std::{
    io::{IsTerminal, Stdout, Write, stderr, stdin, stdout},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use demarc::{cli, controller::install, model::text::shown, run};

/// Who owes a security control, in each namespace, and whether it holds
#[derive(Parser)]
#[command(name = "demarc", version, max_term_width = 120, after_help = "Start with: demarc explain; demarc check -f manifests/")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the webhook and the reconciler against a cluster (KUBECONFIG or in-cluster)
    Controller(Box<run::Args>),
    /// Judge manifests as a cluster would, without one: exit 0 clean, 1 a denial, 2 bad input
    Check(cli::check::Args),
    /// Print the custom resource definitions
    Crds,
    /// Ask for a permission to violate a control for some time, approve one, list them
    Waiver(cli::waiver::Args),
    /// Take from the cluster what Demarc put on it: what helm uninstall runs first
    Cleanup(cli::cleanup::Args),
    /// Is it installed, serving and enforcing, and what is to be done: exit 0 yes, 1 no, 2 nobody to ask
    Doctor(cli::doctor::Args),
    /// What a control is, why, whose it is, how it is checked and how to mend it
    Explain(cli::explain::Args),
    /// Print what a shell completes commands and flags by: source <(demarc completions bash)
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page: demarc man check | man -l -
    Man {
        /// The command that it is about, such as check or `waiver request`; none: demarc itself
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let sentence = format!("error: {error:#}\n");
            let _ = stderr().write_all(sentence.as_bytes());
            // Absent outside a pod, and then there is nobody to tell.
            if std::path::Path::new("/dev/termination-log").exists() {
                let _ = std::fs::write("/dev/termination-log", sentence);
            }
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Controller(args) => controller(run::Args { incarnation: incarnation(), ..*args }),
        Command::Check(args) => cli::check::run(&args, &mut stdin(), &mut ask, &mut Out(stdout()), &mut stderr(), jiff::Timestamp::now()),
        Command::Crds => {
            Out(stdout()).write_all(install::crds_yaml()?.as_bytes())?;
            Ok(0)
        }
        Command::Waiver(args) => {
            let person = cli::waiver::approve::Person { sees: &mut stderr(), answers: &mut agreed };
            wait(cli::waiver::run(args, &mut Out(stdout()), person, jiff::Timestamp::now()))
        }
        Command::Cleanup(args) => wait(cli::cleanup::run(&args, &mut Out(stdout()))),
        Command::Doctor(args) => doctor(&args),
        Command::Explain(args) => cli::explain::run(&args, &mut Out(stdout()), &mut stderr()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "demarc", &mut Out(stdout()));
            Ok(0)
        }
        Command::Man { command } => man(&command),
    }
}

/// Asks a cluster, from a command that is otherwise done without one.
fn ask(context: &str, namespaces: &std::collections::BTreeSet<String>) -> anyhow::Result<cli::cluster::Found> {
    // Somebody who watches is told why nothing comes for a while.
    if stderr().is_terminal() {
        let of = if context.is_empty() { "the current context" } else { context };
        let _ = writeln!(stderr(), "looking up {} namespaces in the cluster of {}", namespaces.len(), shown(of, 100));
    }
    wait(cli::cluster::list(context, namespaces))
}

fn man(names: &[String]) -> anyhow::Result<u8> {
    let mut all = Cli::command();
    // Gives each command its whole name.
    all.build();
    let mut command = &all;
    for name in names {
        let known = || command.get_subcommands().map(clap::Command::get_name).filter(|known| *known != "help").collect::<Vec<_>>().join(", ");
        command = match command.find_subcommand(name) {
            Some(found) => found,
            None if command.has_subcommands() => anyhow::bail!("{} has no command {}: {}", command.get_name(), shown(name, 63), known()),
            None => anyhow::bail!("{} has no commands", command.get_name()),
        };
    }
    let title = command.get_bin_name().unwrap_or("demarc").replace(' ', "-");
    clap_mangen::Man::new(command.clone()).title(title).render(&mut Out(stdout()))?;
    Ok(0)
}

/// What somebody at a terminal says to a question; `None` where nobody sits at one.
fn agreed(question: &str) -> std::io::Result<Option<bool>> {
    use std::io::{BufRead, Read};
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(None);
    }
    write!(stderr(), "{question} [y/N] ")?;
    let mut said = Vec::new();
    stdin().lock().take(64).read_until(b'\n', &mut said)?;
    Ok(Some(matches!(said.trim_ascii(), b"y" | b"Y" | b"yes")))
}

/// For a command that asks a few things and ends.
fn wait<T>(done: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(done)
}

/// Whoever waits at a terminal is told what for.
fn doctor(args: &cli::doctor::Args) -> anyhow::Result<u8> {
    let (watched, began) = (stderr().is_terminal(), std::time::Instant::now());
    let mut step = |what: &str| {
        if watched && began.elapsed().as_secs() >= 2 {
            // Over the last one, which is wiped out.
            let _ = write!(stderr(), "\r\x1b[Klooking at {what} …");
        }
    };
    let mut report = Vec::new();
    let asked = cli::doctor::run(args, &mut report, &mut step, jiff::Timestamp::now());
    let code = wait(asked);
    if watched {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    Out(stdout()).write_all(&report)?;
    code
}

/// The standard library's hash keys are the randomness that is at hand; nothing secret hangs on it.
fn incarnation() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// The standard output. Whoever hangs up, as in `demarc explain | head -1`, has what they wanted: that is no error, and no verdict either.
/// The command goes on to its own exit code, so that `demarc check … | head` fails where something is denied.
struct Out(Stdout);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        unless_hung_up(self.0.write(bytes), bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        unless_hung_up(self.0.flush(), ())
    }
}

fn unless_hung_up<T>(written: std::io::Result<T>, otherwise: T) -> std::io::Result<T> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(otherwise),
        written => written,
    }
}

/// What is logged, by `DEMARC_LOG` where it says something.
fn log_filter(said: Option<std::ffi::OsString>) -> anyhow::Result<tracing_subscriber::EnvFilter> {
    use tracing_subscriber::{EnvFilter, filter::LevelFilter};
    // kube's client logs every failed call; here each is told once, by whoever made it.
    let Some(said) = said.filter(|said| !said.is_empty()) else { return Ok("info,kube_client::client::builder=off".into()) };
    let said = said.to_string_lossy();
    // The library takes a misspelt level for the name of a target, and would log nothing else.
    let misspelt = said.split(',').any(|part| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err());
    let filter = EnvFilter::try_new(&said).ok().filter(|_| !misspelt);
    filter.ok_or_else(|| anyhow::anyhow!("DEMARC_LOG \"{}\" is no filter; write off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas", shown(&said, 100)))
}

#[tokio::main]
async fn controller(args: run::Args) -> anyhow::Result<u8> {
    use anyhow::Context;
    use tokio::signal::unix::{SignalKind, signal};
    tracing_subscriber::fmt().json().with_env_filter(log_filter(std::env::var_os("DEMARC_LOG"))?).with_writer(stderr).init();
    let mut config = kube::Config::infer().await.map_err(|error| cli::no_cluster(&error))?;
    config.connect_timeout = Some(std::time::Duration::from_secs(5));
    let client = kube::Client::try_from(config).context("the certificates or credentials in KUBECONFIG cannot be used")?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (once, first) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        let _ = once.send(());
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        // Asked twice: go now.
        std::process::exit(130);
    });
    run::controller(args, client, async move {
        let _ = first.await;
    })
    .await?;
    Ok(0)
}
