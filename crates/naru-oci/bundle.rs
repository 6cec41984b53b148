//! The bundle: `config.json` and what is said of it before the runtime looks.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use oci_spec::runtime::{Capability, Process, Spec};
use serde_json::Value;

use crate::ui::Ui;

/// A bundle that was read.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its directory, absolute.
    pub(crate) directory: PathBuf,
    /// Its configuration.
    pub(crate) spec: Spec,
}

/// The five sets of capabilities.
const SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

impl Bundle {
    /// Reads `config` in `directory`.
    pub(crate) fn load(directory: &Path, config: Option<&Path>, ui: &Ui) -> anyhow::Result<Self> {
        // Links stay: hooks are told the path that the caller knows.
        let directory = std::path::absolute(directory).context("cannot resolve the bundle")?;
        let file = directory.join(config.unwrap_or(Path::new("config.json")));
        let text = fs_err::read(&file).context("cannot read the configuration")?;
        let mut value: Value = serde_json::from_slice(&text)
            .with_context(|| format!("cannot parse {}", file.display()))?;
        check_version(&value)?;
        if let Some(process) = value.get_mut("process") {
            drop_unknown_capabilities(process, ui);
            rename_scheduler_flags(process);
        }
        resolve_bind_sources(&mut value, &directory);
        resolve_destinations(&mut value, &directory);
        map_root(&mut value);
        let spec: Spec = serde_json::from_value(value)
            .with_context(|| format!("cannot parse {}", file.display()))?;
        Ok(Self { directory, spec })
    }
}

/// A process for `exec`, from a file: what engines leave out has the values of an empty configuration.
pub(crate) fn load_process(file: &Path, ui: &Ui) -> anyhow::Result<Process> {
    let text = fs_err::read(file).context("cannot read the process")?;
    let parsing = || format!("cannot parse {}", file.display());
    let mut value: Value = serde_json::from_slice(&text).with_context(parsing)?;
    drop_unknown_capabilities(&mut value, ui);
    rename_scheduler_flags(&mut value);
    if let Value::Object(fields) = &mut value {
        fields.entry("user").or_insert_with(|| serde_json::json!({"uid": 0, "gid": 0}));
        fields.entry("cwd").or_insert_with(|| Value::String(String::new()));
    }
    let process: Process = serde_json::from_value(value).with_context(parsing)?;
    if process.cwd().as_os_str().is_empty() {
        bail!("cwd property must not be empty");
    }
    Ok(process)
}

/// Two flags have names in the specification that the types which read it do not know.
fn rename_scheduler_flags(process: &mut Value) {
    let flags = process.pointer_mut("/scheduler/flags").and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        let known = match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => "SCHED_RESET_ON_FORK",
            Some("SCHED_FLAG_DL_OVERRUN") => "SCHED_FLAG_D_L_OVERRUN",
            _ => continue,
        };
        *flag = Value::from(known);
    }
}

/// What is bound by a relative path lies in the bundle (runtime-spec, config.md, mounts).
fn resolve_bind_sources(value: &mut Value, directory: &Path) {
    let mounts = value.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let mut options = mount.get("options").and_then(Value::as_array).into_iter().flatten();
        let is_bind = mount.get("type").and_then(Value::as_str) == Some("bind")
            || options.any(|option| option == "bind" || option == "rbind");
        let source = mount.get("source").and_then(Value::as_str).map(Path::new);
        if let Some(source) = source.filter(|source| is_bind && source.is_relative()) {
            mount["source"] = Value::from(directory.join(source).to_string_lossy());
        }
    }
}

/// A new user namespace without any mappings has the caller's ids for its root, as crun makes it.
fn map_root(value: &mut Value) {
    let Some(linux) = value.get_mut("linux").and_then(Value::as_object_mut) else { return };
    let is_new =
        |one: &Value| one["type"] == "user" && one["path"].as_str().is_none_or(str::is_empty);
    let namespaces = linux.get("namespaces").and_then(Value::as_array);
    if !namespaces.is_some_and(|list| list.iter().any(is_new)) {
        return;
    }
    let is_mapped =
        |name: &str| linux.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if is_mapped("uidMappings") || is_mapped("gidMappings") {
        return;
    }
    let range = |id: u32| serde_json::json!([{"containerID": 0, "hostID": id, "size": 1}]);
    linux.insert("uidMappings".to_owned(), range(rustix::process::geteuid().as_raw()));
    linux.insert("gidMappings".to_owned(), range(rustix::process::getegid().as_raw()));
}

/// A destination that begins with the path of the root file system on the host is meant to be in it.
fn resolve_destinations(value: &mut Value, directory: &Path) {
    let root = value.pointer("/root/path").and_then(Value::as_str).unwrap_or_default();
    let root = directory.join(root);
    let mounts = value.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let destination = mount.get("destination").and_then(Value::as_str).map(Path::new);
        let inside = destination.and_then(|path| path.strip_prefix(&root).ok());
        if let Some(inside) = inside.filter(|_| root != Path::new("/")) {
            mount["destination"] = Value::from(Path::new("/").join(inside).to_string_lossy());
        }
    }
}

/// The version must be one (semver.org), of the first major version.
fn check_version(value: &Value) -> anyhow::Result<()> {
    let version = value.get("ociVersion").and_then(Value::as_str).unwrap_or_default();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|part| part.parse().ok()).collect();
    match numbers[..] {
        [Some(0 | 1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => bail!("ociVersion {version} is not supported: 1.x is"),
        _ => bail!("ociVersion {version:?} is no version"),
    }
}

/// A capability that this program does not know is newer than it: it is not given, and that is said.
fn drop_unknown_capabilities(process: &mut Value, ui: &Ui) {
    let Some(capabilities) = process.get_mut("capabilities") else { return };
    for set in SETS {
        let Some(Value::Array(names)) = capabilities.get_mut(set) else { continue };
        names.retain(|name| {
            let name = name.as_str().unwrap_or_default();
            let known = capability(name).is_some();
            if !known {
                ui.warning(&format!(
                    "ignoring unknown capability {name:?} in process.capabilities.{set}"
                ));
            }
            known
        });
    }
}

/// A capability by its name, with or without `CAP_`.
pub(crate) fn capability(name: &str) -> Option<Capability> {
    let name = name.to_uppercase();
    let full = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    Capability::from_str(&full).ok().or_else(|| serde_json::from_value(Value::String(full)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_by_a_relative_path_lies_in_the_bundle() {
        let mut value = serde_json::json!({"mounts": [
            {"destination": "/a", "type": "bind", "source": "data"},
            {"destination": "/b", "source": "data", "options": ["ro", "rbind"]},
            {"destination": "/c", "source": "/data", "options": ["bind"]},
            {"destination": "/d", "type": "tmpfs", "source": "tmpfs"},
        ]});
        resolve_bind_sources(&mut value, Path::new("/bundle"));
        let sources: Vec<_> =
            (0..4).map(|index| value["mounts"][index]["source"].as_str().unwrap()).collect();
        assert_eq!(sources, ["/bundle/data", "/bundle/data", "/data", "tmpfs"]);
    }
}
