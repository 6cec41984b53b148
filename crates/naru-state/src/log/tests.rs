//! Writer and reader together, on real files.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::step::numbers;
use super::*;

/// A log and a FIFO for each stream.
struct Log {
    directory: PathBuf,
    pipes: [(OwnedFd, std::fs::File); 2],
    writer: Writer,
    _folder: tempfile::TempDir,
}

impl Log {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("log");
        let writer = Writer::open(&directory, limits, 1).unwrap();
        let pipe = || {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
            (read, write.into())
        };
        Self { directory, pipes: [pipe(), pipe()], writer, _folder: folder }
    }

    fn write(&mut self, stream: Stream, text: &[u8]) {
        self.write_run(stream, text, 1);
    }

    fn write_run(&mut self, stream: Stream, text: &[u8], generation: u16) {
        let (read, write) = &mut self.pipes[stream.place()];
        for part in text.chunks(32 << 10) {
            write.write_all(part).unwrap();
            let taken = self.writer.take(Source::Pipe(read.as_fd()), stream, generation).unwrap();
            assert_eq!(taken, part.len());
        }
    }

    fn out(&mut self, text: &str) {
        self.write(Stream::Stdout, text.as_bytes());
    }

    fn err(&mut self, text: &str) {
        self.write(Stream::Stderr, text.as_bytes());
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.directory)
    }

    fn last(&self, lines: u64) -> Vec<String> {
        let mut reader = Reader::last(&self.directory, Range::default(), lines, true).unwrap();
        let mut seen = texts(&mut reader);
        seen.extend(rest(&mut reader));
        seen
    }

    fn size(&self) -> u64 {
        let files = fs_err::read_dir(&self.directory).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }
}

fn texts(reader: &mut Reader) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        texts.push(match item {
            Item::Line(line) => String::from_utf8_lossy(&line.bytes).into_owned(),
            Item::Lost(lost) => format!("-{}", lost.bytes),
        });
    }
    texts
}

fn rest(reader: &mut Reader) -> Vec<String> {
    let text = |line: Line| String::from_utf8_lossy(&line.bytes).into_owned();
    reader.finish().into_iter().map(text).collect()
}

const SMALL: Limits = Limits { step: 4096, steps: 3, patience: 2 * 4096 };

#[test]
fn lines_are_put_together_per_stream_from_pieces_that_interleave() {
    let mut log = Log::new(Limits::default());
    let mut reader = log.reader();
    log.out("one\ntw");
    log.err("oops\n");
    assert_eq!(texts(&mut reader), ["one", "oops"]);
    log.out("o\nrest");
    assert_eq!(texts(&mut reader), ["two"]);
    assert_eq!(rest(&mut reader), ["rest"]);
}

#[test]
fn bytes_that_a_killed_writer_left_without_an_entry_are_indexed_as_what_they_were() {
    let mut log = Log::new(Limits::default());
    log.out("half a ");
    log.err("first\n");
    let append = |name: &str, text: &[u8]| {
        let mut file =
            fs_err::OpenOptions::new().append(true).open(log.directory.join(name)).unwrap();
        file.write_all(text).unwrap();
    };
    append("raw.1", b"second\n");
    append("index.1", b"half an ent");
    log.writer = Writer::open(&log.directory, Limits::default(), 1).unwrap();
    log.out("line\n");
    assert_eq!(texts(&mut log.reader()), ["first", "second", "half a line"]);
}

#[test]
fn entries_for_bytes_that_a_power_cut_took_are_forgotten() {
    let mut log = Log::new(Limits::default());
    for text in ["one\n", "two\n", "three\n"] {
        log.out(text);
    }
    let raw = fs_err::OpenOptions::new().write(true).open(log.directory.join("raw.1")).unwrap();
    raw.set_len(6).unwrap();
    log.writer = Writer::open(&log.directory, Limits::default(), 1).unwrap();
    log.write_run(Stream::Stdout, b"four\n", 2);
    assert_eq!(texts(&mut log.reader()), ["one", "tw", "four"]);
}

#[test]
fn a_step_whose_header_was_not_written_any_more_goes_on_where_the_last_one_ended() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    log.out("one\n");
    assert_eq!(texts(&mut reader), ["one"]);
    for name in ["raw.2", "index.2"] {
        fs_err::write(log.directory.join(name), "").unwrap();
    }
    assert_eq!(texts(&mut reader), [""; 0]);
    log.writer = Writer::open(&log.directory, SMALL, 1).unwrap();
    log.out("two\n");
    assert_eq!(texts(&mut reader), ["two"]);
    assert_eq!(texts(&mut log.reader()), ["one", "two"]);
}

#[test]
fn a_reader_follows_rotation_without_losing_or_repeating_a_line() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    let mut seen = Vec::new();
    for n in 0..2000 {
        log.out(&format!("{n:0>99}\n"));
        if n % 30 == 0 {
            seen.extend(texts(&mut reader));
        }
    }
    seen.extend(texts(&mut reader));
    let expected: Vec<_> = (0..2000).map(|n| format!("{n:0>99}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(numbers(&log.directory).unwrap().len(), 3);
}

#[test]
fn what_a_reader_that_is_too_slow_has_missed_is_told_to_the_byte() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    log.out("begin\n");
    assert_eq!(texts(&mut reader), ["begin"]);
    let line = |n: u64| format!("{n:0>99}\n");
    (0..1000).for_each(|n| log.out(&line(n)));
    // For somebody who reads, more is kept than otherwise, and no more than that.
    assert!(log.size() <= 5 * 4096 + 500, "{}", log.size());
    let seen = texts(&mut reader);
    let lost = seen.iter().position(|text| text.starts_with('-')).unwrap();
    let numbers =
        |texts: &[String]| -> Vec<u64> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let (before, after) = (numbers(&seen[..lost]), numbers(&seen[lost + 1..]));
    assert!(before.iter().copied().eq(0..before.len() as u64));
    assert!(after.iter().copied().eq(after[0]..1000));
    assert_eq!(seen[lost], format!("-{}", (after[0] - before.len() as u64) * 100));
    drop(reader);
    (0..100).for_each(|n| log.out(&line(n)));
    assert!(log.size() <= 3 * 4096 + 500, "{}", log.size());
}

#[test]
fn limits_that_a_user_has_set_hold_whoever_reads() {
    for (files, most) in [(1, 8192), (3, 3 * 8192)] {
        let mut log = Log::new(Limits::exactly(8192, files));
        let mut reader = log.reader();
        reader.next_item().unwrap();
        for n in 0..2000 {
            log.out(&format!("{n:0>99}\n"));
            assert!(log.size() <= most + 400, "{}", log.size());
        }
        assert_eq!(log.last(1), [format!("{:0>99}", 1999)]);
    }
}

#[test]
fn the_log_of_the_next_container_begins_anew_and_ends_the_line_of_the_last_one_for_who_follows() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    log.out("one\nunfinished");
    assert_eq!(texts(&mut reader), ["one"]);
    Writer::begin(&log.directory).unwrap();
    log.writer = Writer::open(&log.directory, SMALL, 1).unwrap();
    log.out("two\n");
    assert_eq!(texts(&mut reader), ["unfinished", "two"]);
    assert_eq!(texts(&mut log.reader()), ["two"]);
    assert_eq!(log.last(5), ["two"]);
}

#[test]
fn who_is_behind_when_a_container_is_replaced_reads_the_last_one_to_its_end() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    log.out("first\n");
    assert_eq!(texts(&mut reader), ["first"]);
    (0..60).for_each(|n| log.out(&format!("{n:0>99}\n")));
    Writer::begin(&log.directory).unwrap();
    log.writer = Writer::open(&log.directory, SMALL, 1).unwrap();
    log.out("new\n");
    let seen = texts(&mut reader);
    assert_eq!((seen.len(), seen[60].as_str()), (61, "new"));
    drop(reader);
    Writer::begin(&log.directory).unwrap();
    assert_eq!(numbers(&log.directory).unwrap().len(), 1);
}

#[test]
fn a_log_that_was_removed_and_begun_anew_is_read_from_its_beginning() {
    let mut log = Log::new(SMALL);
    let mut reader = log.reader();
    (0..300).for_each(|n| log.out(&format!("{n:0>99}\n")));
    assert!(!texts(&mut reader).is_empty());
    fs_err::remove_dir_all(&log.directory).unwrap();
    log.writer = Writer::open(&log.directory, SMALL, 1).unwrap();
    log.out("again\n");
    assert_eq!(texts(&mut reader), ["again"]);
}

#[test]
fn the_last_lines_are_those_that_reading_everything_ends_with() {
    let mut log = Log::new(SMALL);
    for n in 0..400 {
        match n % 7 {
            0 => log.err(&format!("e{n}\n")),
            1 => log.out(&format!("{n:0>300} ")),
            2 => log.err(&format!("two\nlines {n}\nand a ")),
            3 => log.err(&format!("half {n}\n")),
            _ => log.out(&format!("o{n}\n")),
        }
    }
    log.out("open");
    log.err("err open");
    let mut reader = log.reader();
    let mut all = texts(&mut reader);
    all.extend(rest(&mut reader));
    // The first line may have lost its beginning with the step it was in.
    for count in (0..all.len() - 2).chain([all.len(), all.len() + 10]) {
        let from = all.len().saturating_sub(count);
        assert_eq!(log.last(count as u64), all[from..], "the last {count}");
    }
}

#[test]
fn following_from_the_end_shows_a_line_whole_that_has_already_begun() {
    let mut log = Log::new(SMALL);
    log.out("one\ntwo\nbeg");
    let mut reader = Reader::last(&log.directory, Range::default(), 0, false).unwrap();
    assert_eq!(texts(&mut reader), [""; 0]);
    log.out("un\nnext\n");
    assert_eq!(texts(&mut reader), ["begun", "next"]);
}

#[test]
fn times_choose_lines_by_their_beginning_and_nothing_is_cut_at_the_border() {
    let mut log = Log::new(SMALL);
    let mut times = Vec::new();
    for text in ["a\nb", "c\nd", "\ne\n", "f", "g\n", "h\n"] {
        log.out(text);
        times.push(crate::record::now_ns());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let between = |since: Option<usize>, until: Option<usize>| {
        let range = Range { since_ns: since.map(|n| times[n]), until_ns: until.map(|n| times[n]) };
        let mut reader = log.reader().within(range);
        let seen = texts(&mut reader);
        let last = Reader::last(&log.directory, range, 2, true).unwrap();
        let from = seen.len().saturating_sub(2);
        assert_eq!(texts(&mut { last }), seen[from..]);
        seen
    };
    assert_eq!(between(None, None), ["a", "bc", "d", "e", "fg", "h"]);
    assert_eq!(between(None, Some(0)), ["a", "bc"]);
    assert_eq!(between(None, Some(1)), ["a", "bc", "d"]);
    assert_eq!(between(Some(0), None), ["d", "e", "fg", "h"]);
    assert_eq!(between(Some(1), Some(3)), ["e", "fg"]);
    assert_eq!(between(Some(3), None), ["h"]);
    assert_eq!(between(Some(5), None), [""; 0]);
}

#[test]
fn who_goes_on_at_a_mark_misses_nothing_and_repeats_nothing() {
    let mut log = Log::new(SMALL);
    let steps: [(Stream, &str); 8] = [
        (Stream::Stdout, "o1\no2\nbeg"),
        (Stream::Stderr, "e1\ne"),
        (Stream::Stdout, "un\no4\no"),
        (Stream::Stderr, "2\ne3\n"),
        (Stream::Stdout, "5\n"),
        (Stream::Stderr, "e4\ne5\n"),
        (Stream::Stdout, "o6\no7"),
        (Stream::Stderr, "e6\n"),
    ];
    for (stream, text) in steps {
        log.write(stream, text.as_bytes());
    }
    let all = texts(&mut log.reader());
    for count in 1..=all.len() {
        let mut reader = log.reader();
        (0..count).for_each(|_| drop(reader.next_item().unwrap()));
        let mut again = log.reader().at(reader.mark().unwrap()).unwrap();
        // Also for one that goes on a second time.
        if count < all.len() {
            again.next_item().unwrap();
            let mut third = log.reader().at(again.mark().unwrap()).unwrap();
            assert_eq!(texts(&mut third), all[count + 1..], "after {count} and one");
        }
        let mut again = log.reader().at(reader.mark().unwrap()).unwrap();
        assert_eq!(texts(&mut again), all[count..], "after {count}");
        assert_eq!(rest(&mut again), ["o7"]);
    }
}

#[test]
fn a_line_of_300_kilobytes_is_one_line_and_one_of_3_megabytes_can_be_put_together() {
    let mut log = Log::new(Limits::default());
    log.out(&format!("{}\n", "j".repeat(300 << 10)));
    log.out(&format!("{}\nend\n", "k".repeat(3 << 20)));
    let mut reader = log.reader();
    let mut lines = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Line(line) = item else { panic!("{item:?}") };
        lines.push((line.bytes.len(), line.complete, line.continues));
    }
    let cut = |continues| (MAX_LINE, false, continues);
    let expected = [
        (300 << 10, true, false),
        cut(false),
        cut(true),
        cut(true),
        (0, true, true),
        (3, true, false),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_reader_holds_no_more_than_a_piece_of_a_log_however_long() {
    let mut log = Log::new(Limits { step: 64 << 20, steps: 3, patience: 0 });
    let text = "0123456789\n".repeat(2900);
    (0..150).for_each(|_| log.out(&text));
    let mut reader = Reader::last(&log.directory, Range::default(), 300_000, true).unwrap();
    let mut count = 0_u64;
    while reader.next_item().unwrap().is_some() {
        count += 1;
        assert!(reader.held() <= 3 << 20, "{} bytes", reader.held());
    }
    assert_eq!(count, 300_000);
}

#[test]
fn who_must_have_every_byte_is_waited_for_and_gets_them_as_they_came() {
    for limits in
        [Limits { step: 1 << 20, steps: 2, patience: 2 << 20 }, Limits::exactly(1 << 20, 2)]
    {
        let mut log = Log::new(limits);
        let mut reader = Exact::new(&log.directory);
        log.out("a\r\nno end");
        log.err("!");
        let first = reader.pieces().unwrap();
        let texts: Vec<_> = first.iter().map(|piece| piece.bytes.as_slice()).collect();
        assert_eq!(texts, [b"a\r\nno end".as_slice(), b"!"]);
        let text = "x".repeat(32 << 10);
        let mut sent = 0;
        while !log.writer.must_wait() {
            log.out(&text);
            sent += text.len();
            assert!(sent < 10 << 20, "nobody waits");
        }
        let mut received = 0;
        loop {
            let pieces = reader.pieces().unwrap();
            let length: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
            assert!(length < 2 << 20, "all at once");
            received += length;
            if pieces.is_empty() {
                break;
            }
        }
        assert_eq!(received, sent);
        assert!(!log.writer.must_wait());
        assert_eq!(numbers(&log.directory).unwrap().len(), 2);
    }
}

#[test]
fn who_comes_late_gets_what_comes_from_then_on() {
    let mut log = Log::new(SMALL);
    (0..100).for_each(|n| log.out(&format!("{n:0>99}\n")));
    let mut reader = Exact::new(&log.directory);
    reader.skip_to_end().unwrap();
    assert!(reader.pieces().unwrap().is_empty());
    log.out("after");
    assert_eq!(reader.pieces().unwrap()[0].bytes, b"after");
}
