//! Containers whose output is not kept.

use naru_state::log;
use naru_supervisor::{logging, observe};

use crate::error::{Blame, CommandError};
use crate::follow::{Selection, shown_name};
use crate::settings::Target;
use crate::ui::Printer;

/// Says of which selected containers something is not shown, since it still waits for room in the log.
pub(super) fn tell_late(
    target: &Target,
    selection: &Selection,
    printer: &Printer,
) -> Result<(), CommandError> {
    let own = &target.directories;
    let containers = observe::containers(own).host("look at the containers")?;
    let selected = containers.iter().map(|seen| &seen.record);
    for record in selected.filter(|record| selection.has(&record.service, record.number)) {
        let late = log::lies_aside(&own.aside(&record.id), &logging::directory(own, record));
        if late > 0 {
            let (name, logs) = (&record.name, own.logs());
            let logs = logs.display();
            printer.say(&format!("the last {late} bytes of {name} wait for room in {logs}"));
        }
    }
    Ok(())
}

/// Says of which selected containers there is nothing to show, and why.
///
/// # Errors
/// When that is all of those that were named.
pub(super) fn tell(
    target: &Target,
    selection: &Selection,
    printer: &Printer,
) -> Result<(), CommandError> {
    let containers = observe::containers(&target.directories).host("look at the containers")?;
    let selected = containers.iter().map(|seen| &seen.record);
    let selected: Vec<_> =
        selected.filter(|record| selection.has(&record.service, record.number)).collect();
    let unkept: Vec<_> = selected
        .iter()
        .filter(|record| logging::is_passing(record))
        .map(|record| shown_name(&record.name, target.name.as_str()))
        .collect();
    if unkept.is_empty() {
        return Ok(());
    }
    let text =
        format!("the output of {} is not kept: its logging driver is `none`", unkept.join(", "));
    if selection.services.is_some() && unkept.len() == selected.len() {
        return Err(CommandError::user(text));
    }
    printer.say(&text);
    Ok(())
}
