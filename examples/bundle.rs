//! Runs the container of an OCI bundle and exits with its code: `cargo run --example bundle -- /path/to/bundle`.
//!
//! It needs root. The container stays in the control groups of this program; `terminal` is not for it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use naru_runtime::{Binary, Cgroup, Create, Parent, Root, Stdio, create, hooks};
use oci_spec::runtime::{Spec, State};

fn main() -> anyhow::Result<ExitCode> {
    // This program is also the first process of the container.
    naru_runtime::run_role_if_asked();
    let bundle = std::env::args_os().nth(1).context("say which bundle")?;
    let bundle = PathBuf::from(bundle).canonicalize().context("cannot find the bundle")?;
    let text = fs_err::read(bundle.join("config.json"))?;
    let spec: Spec = serde_json::from_slice(&text).context("cannot parse config.json")?;
    if spec.process().as_ref().is_some_and(|process| process.terminal().unwrap_or(false)) {
        bail!("a terminal needs somebody who reads it: set `process.terminal` to false");
    }
    let root = spec.root().as_ref().context("`root` is missing")?;

    let mut state = State::default();
    state.set_version(spec.version().clone()).set_bundle(bundle.clone());
    state.set_id(format!("example-{}", std::process::id()));

    let created = create(Create {
        spec: &spec,
        root: Root::Path(&bundle.join(root.path())),
        cgroup: &Cgroup::none(),
        stdio: Stdio::inherit()?,
        parent: Parent::Own,
        binary: &Binary::open()?,
        init: false,
        waits_at: None,
        state: Some(&state),
    });
    let outcome = created.and_then(naru_runtime::Created::start).and_then(|process| {
        process.warnings.iter().for_each(|warning| warn(warning));
        process.wait()
    });
    hooks::poststop(&spec, &state).iter().for_each(|warning| warn(warning));
    let code = outcome?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]
fn warn(text: &str) {
    eprintln!("warning: {text}");
}
