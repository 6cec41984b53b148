//! The last lines of a log, found from its end: the index says where pieces begin, so only as many of them are read as
//! hold that many lines.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::reader::first_step;
use super::step::{self, HEADER, Step};
use super::{Entry, Item, Range, Reader};

/// How much of the raw file is read at once.
const BUFFER: usize = 64 * 1024;

impl Reader {
    /// A reader that begins `lines` lines before the present end of what is within `range`. A line that is not at its
    /// end counts where `with_unfinished` says so: where it is going to be shown.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last(
        directory: &Path,
        range: Range,
        lines: u64,
        with_unfinished: bool,
    ) -> io::Result<Self> {
        let reader = || Self::new(directory).within(range);
        let Some((start, position, end)) = find(directory, range, lines)? else {
            return Ok(reader());
        };
        let number = start.number;
        let mut counter = reader();
        let Some(again) = Step::open(directory, number)? else { return Ok(reader()) };
        counter.begin_within(again, position);
        counter.end_at(end.0, end.1);
        let mut count = 0;
        while let Some(item) = counter.next_item()? {
            count += u64::from(matches!(item, Item::Line(_)));
        }
        if with_unfinished {
            count += counter.finish().len() as u64;
        }
        let mut found = reader();
        found.begin_within(start, position);
        found.skip(count.saturating_sub(lines));
        Ok(found)
    }
}

/// A piece far enough from the end: its step and its position in the index, and where the log ended when it was looked at.
type Found = (Step, u64, (u64, u64));

fn find(directory: &Path, range: Range, lines: u64) -> io::Result<Option<Found>> {
    let Some(first) = first_step(directory)?.map(|step| step.number) else { return Ok(None) };
    let mut end = None;
    let mut count = 0;
    let mut oldest = None;
    for number in step::numbers(directory)?.into_iter().rev().filter(|&number| number >= first) {
        let Some(step) = Step::open(directory, number)? else { break };
        // So that it stays while those before it are looked at.
        step.hold();
        let own_end = step.index_end()?;
        let end = *end.get_or_insert((number, own_end));
        let mut found = None;
        for entry in step.entries_before(own_end) {
            let (position, entry) = entry?;
            if !entry.is_lost && range.has(entry.time_ns) {
                count += line_feeds(&step, &entry)?;
            }
            // The first line of either stream may have begun before.
            if count >= lines.saturating_add(2) {
                found = Some(position);
                break;
            }
        }
        if let Some(position) = found {
            return Ok(Some((step, position, end)));
        }
        oldest = Some((step, HEADER, end));
    }
    Ok(oldest)
}

fn line_feeds(step: &Step, entry: &Entry) -> io::Result<u64> {
    let mut buffer = [0; BUFFER];
    let (mut offset, mut count) = (entry.offset, 0);
    while offset < entry.end() {
        let length = usize::try_from(entry.end() - offset).unwrap_or(BUFFER).min(BUFFER);
        let read = step.raw.read_at(&mut buffer[..length], offset)?;
        if read == 0 {
            break;
        }
        count += buffer[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
        offset += read as u64;
    }
    Ok(count)
}
