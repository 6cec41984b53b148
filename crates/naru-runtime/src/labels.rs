//! Whether the host has the security modules that a specification asks for.

use std::path::Path;

use crate::Error;
use crate::plan::{Label, MountOp, ProcessPlan};

/// `Y` or `N`.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// Refuses a profile or label of a module that the kernel does not have: nothing would confine the
/// program as it was asked for. `unconfined` asks for nothing where there is nothing.
pub(crate) fn check(plan: &mut ProcessPlan) -> Result<(), Error> {
    if plan.labels.is_empty() {
        return Ok(());
    }
    let apparmor = fs_err::read_to_string(APPARMOR).is_ok_and(|text| text.starts_with('Y'));
    let selinux = Path::new(SELINUX).exists();
    plan.labels.retain(|label| apparmor || *label != Label::AppArmor("unconfined".to_owned()));
    for label in &plan.labels {
        let (field, module, present) = match label {
            Label::AppArmor(_) => ("process.apparmorProfile", "AppArmor", apparmor),
            Label::SeLinux(_) => ("process.selinuxLabel", "SELinux", selinux),
        };
        if !present {
            return Err(Error::unsupported_value(field, format!("this host has no {module}")));
        }
    }
    Ok(())
}

/// Gives the new file systems of a container their label (`linux.mountLabel`) where the host has SELinux, except those
/// whose files the policy labels by itself; without SELinux there is nothing to label, as in runc.
pub(crate) fn of_mounts(label: &str, mounts: &mut [MountOp]) {
    if !Path::new(SELINUX).exists() {
        return;
    }
    for mount in mounts {
        if let MountOp::Filesystem { kind, options, .. } = mount
            && !["proc", "sysfs"].contains(&kind.as_str())
        {
            options.data.push(("context".to_owned(), Some(label.to_owned())));
        }
    }
}
