//! Network interfaces of the host that the container gets (`linux.netDevices`).

use oci_spec::runtime::Linux;

use super::namespaces::{Namespaces, flags};
use crate::Error;

const FIELD: &str = "linux.netDevices";
/// `IFNAMSIZ` without the NUL byte.
const LONGEST: usize = 15;

/// An interface and what it is called in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) name: String,
    pub(crate) inside: String,
}

/// Those of the specification, by their names; they need a network namespace to go to.
pub(crate) fn moved_interfaces(
    linux: &Linux,
    namespaces: &Namespaces,
) -> Result<Vec<Moved>, Error> {
    let mut list: Vec<Moved> = Vec::new();
    for (name, device) in linux.net_devices().iter().flatten() {
        let inside = device.name().clone().filter(|inside| !inside.is_empty());
        let inside = inside.unwrap_or_else(|| name.clone());
        for one in [name, &inside] {
            if !is_name(one) {
                return Err(Error::invalid(FIELD, format!("{one:?} is no name of an interface")));
            }
        }
        if list.iter().any(|other| other.inside == inside) {
            return Err(Error::invalid(FIELD, format!("two interfaces are called {inside}")));
        }
        list.push(Moved { name: name.clone(), inside });
    }
    if !list.is_empty() && !namespaces.owns(flags::NET) {
        let reason = "unable to move network devices without a NET namespace";
        return Err(Error::invalid(FIELD, reason));
    }
    list.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(list)
}

/// As the kernel has it (`dev_valid_name`); `%` would be a pattern.
fn is_name(text: &str) -> bool {
    let plain = |letter: char| !letter.is_whitespace() && !['/', ':', '%', '\0'].contains(&letter);
    !text.is_empty()
        && text.len() <= LONGEST
        && text != "."
        && text != ".."
        && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::namespaces::namespaces;

    fn moved(devices: &str, namespace: &str) -> Result<Vec<Moved>, Error> {
        let text = format!(
            r#"{{"netDevices": {devices}, "namespaces": [{{"type": "mount"}}, {{"type": "{namespace}"}}]}}"#
        );
        let linux: Linux = serde_json::from_str(&text).unwrap();
        moved_interfaces(&linux, &namespaces(&linux).unwrap())
    }

    #[test]
    fn an_interface_keeps_its_name_or_gets_another() {
        let of = |(name, inside): (&str, &str)| Moved { name: name.into(), inside: inside.into() };
        let list = moved(r#"{"b": {"name": "c"}, "a": {}}"#, "network").unwrap();
        assert_eq!(list, [("a", "a"), ("b", "c")].map(of));
    }

    #[test]
    fn names_are_names_and_need_a_network_of_their_own() {
        for (devices, namespace, reason) in [
            (r#"{"a": {}}"#, "ipc", "without a NET namespace"),
            (r#"{"a/b": {}}"#, "network", "no name of an interface"),
            (r#"{"a": {"name": "x%d"}}"#, "network", "no name of an interface"),
            (r#"{"a": {"name": "b"}, "b": {}}"#, "network", "two interfaces are called b"),
        ] {
            let error = moved(devices, namespace).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(moved("{}", "ipc").unwrap().is_empty());
    }
}
