//! What a foreground `up` shows: whose output, the output itself, and how containers end.

use naru_state::log::{Item, Stream};
use naru_state::record::{Exit, Phase};

use super::super::attached;
use super::{Session, View};
use crate::error::{Blame, CommandError};
use crate::follow::{Entry, shown_name};

/// How many batches of output may come before some news.
const BATCHES: u32 = 64;

impl View<'_> {
    pub(super) fn announce_exit(
        &mut self,
        container: &str,
        exit: &Exit,
        phase: Phase,
    ) -> Result<(), CommandError> {
        // Its last lines come before the news of its end.
        self.show_all_logs()?;
        let name = shown_name(container, self.session.target.name.as_str()).to_owned();
        self.progress.clear();
        let all = self.session.args.json;
        let show = |entry: Entry<'_>| self.output.write(&redirected(entry, all));
        self.logs.finish(Some(&name), show).host(&self.doing)?;
        self.output.end()?;
        let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let why = if exit.out_of_memory { ", out of memory" } else { "" };
        let then = if phase == Phase::Restarting { " (restarting)" } else { "" };
        let news = format!("{name} exited with code {code}{why}{then}");
        self.session.printer.say(&news);
        self.progress.show();
        Ok(())
    }

    pub(super) fn announce_attached(&mut self) {
        let Session { args, loaded, .. } = self.session;
        let names = attached::names(args, &self.attached, &loaded.project);
        names.iter().for_each(|name| self.output.widen(name));
        if !names.is_empty() {
            self.session.printer.say(&format!("Attaching to {}", names.join(", ")));
        }
    }

    /// Shows a batch of what the containers have written; true when there is more.
    pub(super) fn show_logs(&mut self) -> Result<bool, CommandError> {
        let mut is_cleared = false;
        let all = self.session.args.json;
        let more = self.logs.read(|entry| {
            if !is_cleared {
                self.progress.clear();
                is_cleared = true;
            }
            self.output.write(&redirected(entry, all))
        });
        let more = more.host(&self.doing)?;
        if is_cleared {
            self.output.flush()?;
            self.progress.show();
        }
        Ok(more)
    }

    /// Shows what there is, but not for ever while containers write faster than it can be shown.
    pub(super) fn show_all_logs(&mut self) -> Result<(), CommandError> {
        for _ in 0..BATCHES {
            if !self.show_logs()? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), CommandError> {
        self.show_all_logs()?;
        self.progress.finish();
        let all = self.session.args.json;
        let show = |entry: Entry<'_>| self.output.write(&redirected(entry, all));
        self.logs.finish(None, show).host(&self.doing)?;
        self.output.end()?;
        Ok(())
    }
}

/// What a container has written; where stdout is for the result, all of it as from stderr.
fn redirected(mut entry: Entry<'_>, all_to_stderr: bool) -> Entry<'_> {
    if let (Item::Line(line), true) = (&mut entry.item, all_to_stderr) {
        line.stream = Stream::Stderr;
    }
    entry
}
