//! Seccomp, masked paths and `security_opt`.

use naru_compose::project::Service;
use naru_runtime::profile;
use oci_spec::runtime::Linux;

use super::{Error, Inputs, capabilities};

/// What `security_opt` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    no_new_privileges: bool,
    unconfined_seccomp: bool,
    unconfined_paths: bool,
}

/// Sets the system call filter and the hidden paths.
pub(super) fn set(inputs: &Inputs<'_>, linux: &mut Linux) -> Result<(), Error> {
    let options = options(inputs.service)?;
    if options.unconfined_seccomp {
        linux.set_seccomp(None);
    } else if !inputs.service.cap_add.is_empty() || !inputs.service.cap_drop.is_empty() {
        let names: Vec<String> = capabilities::bounding(inputs)?
            .into_iter()
            .map(|capability| format!("CAP_{capability}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        linux.set_seccomp(Some(profile::seccomp(&names)));
    }
    if options.unconfined_paths {
        linux.set_masked_paths(Some(Vec::new()));
        linux.set_readonly_paths(Some(Vec::new()));
    }
    Ok(())
}

/// Whether the container's processes can never gain rights by executing a program.
pub(super) fn no_new_privileges(service: &Service) -> Result<bool, Error> {
    Ok(options(service)?.no_new_privileges)
}

/// The options with `:` or `=` between name and value. A label or a profile of AppArmor that asks for
/// no confinement is what naru does anyway.
fn options(service: &Service) -> Result<Options, Error> {
    let mut options = Options::default();
    for text in &service.security_opt {
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => options.no_new_privileges = true,
            ("no-new-privileges", "false") => options.no_new_privileges = false,
            ("seccomp", "unconfined") => options.unconfined_seccomp = true,
            ("seccomp", "builtin") => options.unconfined_seccomp = false,
            ("systempaths", "unconfined") => options.unconfined_paths = true,
            ("apparmor", "unconfined") | ("label", "disable") => {}
            _ => return Err(Error::unsupported(format!("security_opt \"{text}\""))),
        }
    }
    Ok(options)
}
