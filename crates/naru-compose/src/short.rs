//! The short forms of a Compose file, for command lines that use them too (`run -p 8080:80 -v ./a:/b`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::budget::Budget;
use crate::canonical::{mount_of, ports_of, words_of};
use crate::load::{absolute, dotenv};
use crate::project::{Mount, MountKind, Port};

/// The ports of `[[ip:]host:]container[/protocol]`, one for each port of a range.
///
/// # Errors
/// With why it is not a port.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    ports_of(text, &mut Budget::default())
}

/// The mount of `[source:]target[:options]`; a source that is a path is made absolute from `directory`, and `~` is
/// `home`.
///
/// # Errors
/// With why it is not a volume.
pub fn mount(text: &str, directory: &Path, home: Option<&Path>) -> Result<Mount, String> {
    let mut mount = mount_of(text)?;
    if mount.kind == MountKind::Bind {
        mount.source = absolute(&mount.source, directory, home);
    }
    Ok(mount)
}

/// The words of a command line, quotes and backslashes as in a shell; `None` when a quote or bracket is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    words_of(line)
}

/// The variables of a text in the format of `env_file`; `lookup` knows the environment's.
///
/// # Errors
/// With the line and what is wrong there.
pub fn variables(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    match dotenv::parse(text, &mut variables, lookup).into_iter().next() {
        Some(wrong) => Err(format!("line {}: {}", wrong.line, wrong.message)),
        None => Ok(variables),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_what_a_file_would_make_of_it() {
        let found = ports("127.0.0.1:8080-8081:80-81/udp").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].published.as_deref(), Some("8081"));
        assert_eq!((found[1].target, found[1].host_ip.as_str()), (81, "127.0.0.1"));
        assert_eq!(found[1].protocol.to_string(), "udp");
        assert_eq!(ports("a:80").unwrap_err(), "`a` is not a port of the machine");
    }

    #[test]
    fn a_mount_is_a_path_a_volume_or_nameless_and_has_options() {
        let parse = |text| mount(text, Path::new("/work"), Some(Path::new("/home/me"))).unwrap();
        let bind = parse("./src:/app:ro");
        assert_eq!((bind.kind, bind.source.as_str()), (MountKind::Bind, "/work/src"));
        assert!(bind.read_only && bind.bind.is_some_and(|bind| bind.create_host_path));
        assert_eq!(parse("~/x:/x").source, "/home/me/x");
        let named = parse("data:/data:nocopy");
        assert_eq!((named.kind, named.source.as_str()), (MountKind::Volume, "data"));
        assert!(named.volume.is_some_and(|volume| volume.nocopy));
        let nameless = parse("/cache");
        assert_eq!((nameless.source.as_str(), nameless.target.as_str()), ("", "/cache"));
        assert!(mount("one:two:three:four", Path::new("/"), None).is_err());
    }

    #[test]
    fn variables_of_a_text_are_read_as_those_of_a_file() {
        let lookup = |name: &str| (name == "HOST").then(|| "here".to_owned());
        let found = variables("A='x y'\n# no\nB=${HOST}\nHOST\n", &lookup).unwrap();
        let expected = [("A", "x y"), ("B", "here"), ("HOST", "here")];
        assert!(found.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
        assert!(variables("A=\"open", &lookup).unwrap_err().starts_with("line 1"));
    }
}
