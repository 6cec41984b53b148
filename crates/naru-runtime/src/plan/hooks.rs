//! The hooks that run inside the container, and what tells them which container it is.

use std::path::Path;

use oci_spec::runtime::{ContainerState, Hook, Hooks, Spec, State};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::hooks::label;

/// Hooks of a container that its own first process deals with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookPlan {
    /// The caller has hooks to run before the root is changed; its word is waited for.
    pub(crate) early: bool,
    /// In the container's namespaces, before the root is changed.
    pub(crate) create_container: Vec<Hook>,
    /// In the container, after the start and before the program.
    pub(crate) start_container: Vec<Hook>,
    /// What the hooks read; the caller fills in the process.
    pub(crate) state: State,
}

impl HookPlan {
    /// Some of them look for the root file system at its path, with everything mounted.
    pub(crate) fn see_the_root(&self) -> bool {
        self.early || !self.create_container.is_empty()
    }
}

/// The hooks that the caller runs while the container is made: both lists of the runtime namespace.
pub(crate) fn early_hooks(hooks: &Hooks) -> Vec<(String, Hook)> {
    let named = |name: &str, list: &Option<Vec<Hook>>| {
        let numbered = list.iter().flatten().enumerate();
        let labelled = |(index, hook): (usize, &Hook)| (label(name, index), hook.clone());
        numbered.map(labelled).collect::<Vec<_>>()
    };
    let prestart = hooks.prestart();
    let mut early = named("prestart", prestart);
    early.extend(named("createRuntime", hooks.create_runtime()));
    early
}

/// The plan for the hooks of `spec`, none when it has none of those that the process deals with.
pub(super) fn hook_plan(spec: &Spec, state: Option<&State>) -> Result<Option<HookPlan>, Error> {
    let Some(hooks) = spec.hooks() else { return Ok(None) };
    check(hooks)?;
    let plan = HookPlan {
        early: !early_hooks(hooks).is_empty(),
        create_container: hooks.create_container().clone().unwrap_or_default(),
        start_container: hooks.start_container().clone().unwrap_or_default(),
        state: state_of(spec, state.unwrap_or(&State::default()), ContainerState::Created, None),
    };
    if !plan.see_the_root() && plan.start_container.is_empty() {
        return Ok(None);
    }
    if state.is_none() {
        let reason = "there is no state of the container to give them";
        return Err(Error::invalid("hooks", reason));
    }
    Ok(Some(plan))
}

/// `state` as a hook reads it at this point of the container's life.
pub(crate) fn state_of(
    spec: &Spec,
    state: &State,
    status: ContainerState,
    pid: Option<i32>,
) -> State {
    let mut state = state.clone();
    state.set_status(status).set_pid(pid);
    if state.annotations().is_none() {
        state.set_annotations(spec.annotations().clone());
    }
    state
}

fn check(hooks: &Hooks) -> Result<(), Error> {
    let lists = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (name, list) in lists {
        for (index, hook) in list.iter().flatten().enumerate() {
            check_hook(&format!("hooks.{name}[{index}]"), hook)?;
        }
    }
    Ok(())
}

fn check_hook(field: &str, hook: &Hook) -> Result<(), Error> {
    if !hook.path().is_absolute() || hook.path() == Path::new("/") {
        let reason = format!("{} is not an absolute path of a program", hook.path().display());
        return Err(Error::invalid(format!("{field}.path"), reason));
    }
    if hook.timeout().is_some_and(|seconds| seconds <= 0) {
        return Err(Error::invalid(format!("{field}.timeout"), "it is not greater than zero"));
    }
    let mut strings = hook.args().iter().flatten().chain(hook.env().iter().flatten());
    if strings.any(|string| string.contains('\0')) {
        return Err(Error::invalid(field, "an argument or variable contains a NUL byte"));
    }
    if let Some(variable) = hook.env().iter().flatten().find(|variable| !variable.contains('=')) {
        return Err(Error::invalid(format!("{field}.env"), format!("{variable} has no value")));
    }
    Ok(())
}
