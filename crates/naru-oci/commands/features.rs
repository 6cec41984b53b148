//! `features`: what this runtime can do.

pub(crate) fn run() -> anyhow::Result<u8> {
    anyhow::bail!("features is not there yet")
}
