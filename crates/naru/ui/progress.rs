//! Progress of resources on stderr, or on stdout where that is asked for: a list updated in place on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use naru_supervisor::protocol::{self, Kind, Step};

use super::{Colour, Printer, ProgressMode, metadata};

/// How often times are brought up to date.
const PERIOD: Duration = Duration::from_millis(100);

/// What is under way and what is done.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    printer: &'a Printer,
    items: Vec<Item>,
    /// Lines of the list on the screen.
    drawn: usize,
    drawn_at: Option<Instant>,
}

#[derive(Debug)]
struct Item {
    label: String,
    step: Step,
    detail: Option<String>,
    begun: Instant,
    ended: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// Nothing yet.
    pub(crate) fn new(printer: &'a Printer) -> Self {
        Self { printer, items: Vec::new(), drawn: 0, drawn_at: None }
    }

    /// A step began or ended.
    pub(crate) fn report(&mut self, news: &protocol::Progress) {
        let label = label(news);
        match self.printer.progress {
            ProgressMode::Quiet => {}
            ProgressMode::Json => {
                let line = serde_json::json!({ "id": label, "status": word(news.step), "text": news.detail });
                self.printer.status(&format!("{line}\n"));
            }
            ProgressMode::Tty => {
                self.update(label, news);
                self.redraw();
            }
            ProgressMode::Auto | ProgressMode::Plain => {
                let detail = news.detail.as_ref().map(|detail| format!(" ({detail})"));
                let line = format!(" {label}  {}{}", word(news.step), detail.unwrap_or_default());
                self.printer.status(&(metadata(&line) + "\n"));
            }
        }
    }

    /// Brings the times of what is under way up to date, ten times a second at most.
    pub(crate) fn tick(&mut self) {
        let is_due = self.drawn_at.is_none_or(|at| at.elapsed() >= PERIOD);
        if is_due && self.items.iter().any(|item| item.ended.is_none()) {
            self.redraw();
        }
    }

    /// Whether time passing is to be shown.
    pub(crate) fn is_live(&self) -> bool {
        self.printer.progress == ProgressMode::Tty && !self.items.is_empty()
    }

    /// Takes the list off the screen, so that something can be written above it; then [`Progress::show`] it.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            self.printer.status(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    /// Leaves the list as it is on the screen and begins a new one.
    pub(crate) fn finish(&mut self) {
        if self.is_live() {
            self.redraw();
        }
        self.items.clear();
        self.drawn = 0;
    }

    fn update(&mut self, label: String, news: &protocol::Progress) {
        let now = Instant::now();
        let ended = is_end(news.step).then_some(now);
        let detail = news.detail.clone();
        match self.items.iter_mut().find(|item| item.label == label) {
            Some(item) => {
                // A new action on something that was done: its time starts again.
                if item.ended.is_some() && ended.is_none() {
                    item.begun = now;
                }
                (item.step, item.ended, item.detail) = (news.step, ended, detail);
            }
            None => self.items.push(Item { label, step: news.step, detail, begun: now, ended }),
        }
    }

    /// Puts the list on the screen again.
    pub(crate) fn show(&mut self) {
        self.redraw();
    }

    fn redraw(&mut self) {
        if !self.is_live() {
            return;
        }
        let (rows, columns) = size(self.printer.status_on_stdout);
        let shown = self.shown(rows.saturating_sub(2).max(1));
        let label_width = shown.iter().map(|item| item.label.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        let colour = self.printer.status_colour();
        for item in &shown {
            let line = line(item, label_width, columns, colour);
            text.push_str(&format!("{line}\x1b[K\n"));
        }
        text.push_str("\x1b[J");
        self.drawn = shown.len();
        self.drawn_at = Some(Instant::now());
        self.printer.status(&text);
    }

    /// The items that fit on the screen: what is under way comes before what is done.
    fn shown(&self, rows: usize) -> Vec<&Item> {
        let mut surplus = self.items.len().saturating_sub(rows);
        let mut shown: Vec<&Item> = Vec::new();
        for item in &self.items {
            if surplus > 0 && item.ended.is_some() {
                surplus -= 1;
            } else {
                shown.push(item);
            }
        }
        shown.truncate(rows);
        shown
    }
}

fn line(item: &Item, label_width: usize, columns: usize, colour: bool) -> String {
    let (mark, tint) = match (item.step, item.ended) {
        (Step::Error, _) => ("✘", Colour::RED),
        (_, Some(_)) => ("✔", Colour::GREEN),
        (_, None) => ("⠿", Colour::YELLOW),
    };
    let took = item.ended.map_or_else(|| item.begun.elapsed(), |ended| ended - item.begun);
    let detail = item.detail.as_ref().map(|detail| format!("  {}", metadata(detail)));
    let text = format!(
        "{:label_width$}  {:<11}{}{}",
        metadata(&item.label),
        word(item.step),
        seconds(took),
        detail.unwrap_or_default()
    );
    // A line that wraps would be two lines to the cursor.
    let text: String = text.chars().take(columns.saturating_sub(4)).collect();
    format!(" {} {}", tint.paint(mark, colour), tint.paint(&text, colour))
}

fn seconds(took: Duration) -> String {
    format!("{}.{}s", took.as_secs(), took.subsec_millis() / 100)
}

/// Rows and columns of the terminal that progress goes to.
fn size(on_stdout: bool) -> (usize, usize) {
    let stream = if on_stdout { rustix::stdio::stdout() } else { rustix::stdio::stderr() };
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

fn label(news: &protocol::Progress) -> String {
    let kind = match news.kind {
        Kind::Container => "Container",
        Kind::Network => "Network",
        Kind::Volume => "Volume",
    };
    format!("{kind} {}", metadata(&news.name))
}

fn is_end(step: Step) -> bool {
    use Step::{Created, Error, Exited, Healthy, Recreated, Removed, Running, Started, Stopped};
    matches!(
        step,
        Created | Recreated | Started | Running | Healthy | Exited | Stopped | Removed | Error
    )
}

fn word(step: Step) -> String {
    // The words are the variants' names.
    format!("{step:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ansi;

    fn news(step: Step) -> protocol::Progress {
        protocol::Progress { kind: Kind::Container, name: "p-web-1".into(), step, detail: None }
    }

    #[test]
    fn a_resource_has_one_line_whatever_happens_to_it() {
        let printer = Printer::new(Ansi::Never, ProgressMode::Quiet, true);
        let mut progress = Progress::new(&printer);
        for step in [Step::Creating, Step::Created, Step::Starting, Step::Started] {
            progress.update(label(&news(step)), &news(step));
        }
        assert_eq!(progress.items.len(), 1);
        let text = line(&progress.items[0], 20, 80, false);
        assert!(text.starts_with(" ✔ Container p-web-1     Started    0.0s"), "{text}");
        assert!(line(&progress.items[0], 20, 20, false).chars().count() <= 20);
    }
}
