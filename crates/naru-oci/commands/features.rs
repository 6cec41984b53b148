//! `features`: what this runtime can do.

use crate::ui;

pub(crate) fn run() -> anyhow::Result<u8> {
    ui::print_pretty(&naru_runtime::features())?;
    Ok(0)
}
