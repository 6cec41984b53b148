//! Messages for developers: off unless NARU_LOG asks for them, such as `NARU_LOG=naru_supervisor=debug`.
//! The processes that keep a project running write warnings without being asked; their stderr is a file.

use std::collections::BTreeMap;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts writing messages to stderr when there is a reason to.
pub(crate) fn start(environment: &BTreeMap<String, String>, in_background: bool) {
    let asked = environment.get("NARU_LOG").filter(|text| !text.is_empty());
    let filter = match (asked.map(|text| text.parse::<Targets>()), in_background) {
        (Some(Ok(filter)), _) => filter,
        (_, true) => Targets::new().with_default(tracing::Level::WARN),
        _ => return,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(filter).init();
}
