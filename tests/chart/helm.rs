//! Helm 3 and Helm 4 as they are, and the chart rendered by them.
//! Their caches stay in the target folder; a cluster is named by its kubeconfig, or there is none.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::Said;

/// The binary's name among the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helm(pub &'static str);

pub const HELM3: Helm = Helm("helm3");
pub const HELM4: Helm = Helm("helm4");
pub const BOTH: [Helm; 2] = [HELM3, HELM4];

pub const NAMESPACE: &str = "demarc-system";
/// Values that the chart comes with, beside its defaults.
pub const FILES: &[&[&str]] =
    &[&[], &["-f", "charts/demarc/values-ha.yaml"], &["-f", "charts/demarc/ci/certmanager-values.yaml"], &["-f", "charts/demarc/ci/issuer-values.yaml"], FULL];
pub const FULL: &[&str] = &["-f", "charts/demarc/ci/full-values.yaml"];

pub fn tool(name: &str) -> Command {
    let tools = std::env::var("DEMARC_TOOLS").expect("DEMARC_TOOLS is not set: run `make test`, which builds Helm and sets it");
    let mut command = Command::new(Path::new(&tools).join(name));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

impl Helm {
    /// With a cluster.
    pub fn with(self, kubeconfig: Option<&Path>, args: &[&str]) -> Said {
        let output = self.command(kubeconfig, args).output().unwrap_or_else(|error| panic!("{}: {error}", self.0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// With a cluster, in the background.
    pub fn spawn(self, kubeconfig: &Path, args: &[&str]) -> Child {
        self.command(Some(kubeconfig), args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{}: {error}", self.0))
    }

    fn command(self, kubeconfig: Option<&Path>, args: &[&str]) -> Command {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.0);
        let mut command = tool(self.0);
        for (variable, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
            command.env(variable, home.join(folder));
        }
        // Never the developer's own cluster.
        command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null"))).args(["--namespace", NAMESPACE]).args(args);
        command
    }

    pub fn template(self, values: &[&str]) -> Said {
        self.with(None, &[&["template", "demarc", "charts/demarc"], values].concat())
    }

    pub fn render(self, values: &[&str]) -> String {
        self.template(values).result().unwrap_or_else(|error| panic!("{} with {values:?}: {error}", self.0))
    }
}

/// The objects of a rendering, in an order that does not depend on who rendered.
pub fn objects(text: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    objects.retain(|object| !object.is_null());
    objects.sort_by_key(identity);
    objects
}

pub fn identity(object: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

pub fn rendered(values: &[&str]) -> Vec<Value> {
    objects(&HELM4.render(values))
}

/// The only object of a kind and name.
pub fn find<'a>(objects: &'a [Value], what: &str) -> &'a Value {
    let found: Vec<&Value> = objects.iter().filter(|o| identity(o) == what).collect();
    let [one] = found[..] else { panic!("{what}: {} of them in {:?}", found.len(), objects.iter().map(identity).collect::<Vec<_>>()) };
    one
}

pub fn chart(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/demarc").join(file)
}

/// The chart in a folder of its own, to be changed.
pub fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(format!("{}/.", chart("").display())).arg(dir.path()).status().unwrap();
    assert!(copied.success());
    dir
}

pub fn read(file: &str) -> String {
    std::fs::read_to_string(chart(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
