//! The only place that prints. stdout is data, stderr is conversation; whatever comes from outside naru
//! (names, labels, error texts, output of containers on a terminal) is made harmless first.

mod colour;
mod harmless;
mod human;
mod output;
mod printer;
mod progress;
mod table;

pub(crate) use colour::Colour;
pub(crate) use harmless::{line_of_container, metadata};
pub(crate) use human::{bytes, duration};
pub(crate) use output::{Layout, Output};
pub(crate) use printer::{Ansi, Printer, ProgressMode, pass_through};
pub(crate) use progress::Progress;
pub(crate) use table::Table;
