//! From the parser's events to trees. Aliases are copied where they stand, within limits on the
//! number of nodes and the depth, so that no file can make the loader work without end.

use std::borrow::Cow;
use std::collections::HashMap;

use indexmap::map::Entry as Slot;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::scalar::resolve;
use super::{Entry, How, Map, Mark, Node, Value, merge_key};
use crate::advice;
use crate::budget::{self, Budget, VALUE};
use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::source::Position;

/// Largest depth of one file.
const DEPTH_LIMIT: usize = 100;

/// The documents of a text. `None` when it is not YAML or beyond a limit, which is reported.
pub(crate) fn parse(
    file: u32,
    text: &str,
    (budget, report): (&mut Budget, &mut Report),
) -> Option<Vec<Node>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder {
        text,
        file,
        budget,
        report,
        stack: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
    };
    loop {
        match parser.next_event() {
            None => return Some(builder.documents),
            Some(Ok((event, span))) => builder.event(event, span)?,
            Some(Err(error)) => {
                builder.scan_error(&error);
                return None;
            }
        }
    }
}

/// A collection that is not complete yet.
struct Frame {
    at: Position,
    mark: Mark,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: Map, key: Option<Key>, merged: Vec<Node> },
}

enum Key {
    Text(String, Position),
    Merge,
    Wrong,
}

/// A value with an anchor, and what each use of it costs.
struct Anchored {
    node: Node,
    weight: usize,
    depth: usize,
}

struct Builder<'r> {
    text: &'r str,
    file: u32,
    budget: &'r mut Budget,
    report: &'r mut Report,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    documents: Vec<Node>,
}

type Tagged<'a> = Option<Cow<'a, Tag>>;

impl Builder<'_> {
    /// Takes one event in. `None` when the file is beyond a limit.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = self.position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.room(at, budget::scalar(&text), 1)?;
                self.scalar(at, &text, style, (anchor, tag))?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.room(at, VALUE, 1)?;
                self.open(at, anchor, &tag, Content::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.room(at, VALUE, 1)?;
                let content = Content::Map { map: Map::default(), key: None, merged: Vec::new() };
                self.open(at, anchor, &tag, content);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => self.alias(at, anchor)?,
            _ => {}
        }
        Some(())
    }

    fn position(&self, span: Span) -> Position {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let (line, column) = (number(span.start.line()), number(span.start.col()) + 1);
        Position { file: self.file, line: line.max(1), column }
    }

    /// Whether values of this weight and depth still fit.
    fn room(&mut self, at: Position, weight: usize, depth: usize) -> Option<()> {
        let message = if !self.budget.spend(weight) {
            budget::message()
        } else if self.stack.len() + depth > DEPTH_LIMIT {
            format!("the file is nested more than {DEPTH_LIMIT} levels deep")
        } else {
            return Some(());
        };
        self.report.error(at, &Path::ROOT, message).code(Code::LIMIT).hint(budget::HINT);
        None
    }

    fn scalar(
        &mut self,
        at: Position,
        text: &str,
        style: ScalarStyle,
        (anchor, tag): (usize, Tagged),
    ) -> Option<()> {
        let plain = style == ScalarStyle::Plain;
        let merge = plain && tag.is_none() && text == "<<" && self.expects_key();
        let forced = tag.as_ref().filter(|tag| tag.is_yaml_core_schema());
        let value = match forced.map(|tag| tag.suffix.as_str()) {
            Some("str") => Value::Text(text.to_owned()),
            None if !plain || tag.is_some() => Value::Text(text.to_owned()),
            Some("float") => match resolve(text) {
                Value::Int(number) => Value::Float(number.to_string().parse().unwrap_or(0.0)),
                other => other,
            },
            _ => resolve(text),
        };
        let node = Node { mark: mark(&tag), ..Node::new(at, value) };
        if !merge {
            return self.add(anchor, node);
        }
        if let Some(Frame { content: Content::Map { merged, .. }, .. }) = self.stack.last()
            && let Some(earlier) = merged.first().map(|source| source.at)
        {
            self.duplicate("<<", at, earlier);
        }
        self.key(Key::Merge);
        Some(())
    }

    fn open(&mut self, at: Position, anchor: usize, tag: &Tagged, content: Content) {
        self.stack.push(Frame { at, mark: mark(tag), anchor, content });
    }

    fn close(&mut self) -> Option<()> {
        let Some(frame) = self.stack.pop() else { return Some(()) };
        let value = match frame.content {
            Content::List(entries) => Value::List(entries),
            Content::Map { mut map, merged, .. } => {
                if let Err(wrong) = merge_key::apply(&mut map, merged, self.report) {
                    let message = format!("`<<` takes mappings, not {}", wrong.kind());
                    let finding = self.report.error(wrong.at, &Path::ROOT, message);
                    finding
                        .code(Code::WRONG_TYPE)
                        .related(frame.at, "this mapping takes it over")
                        .hint("write `<<: *name` with the name of an anchor of a mapping");
                }
                Value::Map(map)
            }
        };
        self.add(frame.anchor, Node { mark: frame.mark, ..Node::new(frame.at, value) })
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Option<()> {
        let Some(Anchored { weight, depth, .. }) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the value it names";
            self.report.error(at, &Path::ROOT, message).code(Code::CYCLE);
            return self.add(0, Node::new(at, Value::Broken));
        };
        let (weight, depth) = (*weight, *depth);
        self.room(at, weight, depth)?;
        let mut node = self.anchors.get(&anchor)?.node.clone();
        if self.report.keeps_everything() {
            node.remember_all(How::Alias, &Node::new(at, Value::Null));
        }
        self.add(0, node)
    }

    fn expects_key(&self) -> bool {
        let content = self.stack.last().map(|frame| &frame.content);
        matches!(content, Some(Content::Map { key: None, .. }))
    }

    fn key(&mut self, new: Key) {
        if let Some(Frame { content: Content::Map { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some(new);
        }
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, anchor: usize, node: Node) -> Option<()> {
        if anchor > 0 {
            let (weight, depth) = (budget::weight(&node), node.depth());
            // What an anchor names is kept once more until the end of the file.
            self.room(node.at, weight, 0)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight, depth });
        }
        if self.expects_key() {
            let key = self.text_key(node);
            self.key(key);
            return Some(());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(node);
            return Some(());
        };
        let duplicate = match &mut frame.content {
            Content::List(entries) => {
                entries.push(node);
                None
            }
            Content::Map { map, key, merged } => match key.take() {
                Some(Key::Text(key, key_at)) => match map.0.entry(key) {
                    Slot::Occupied(own) => Some((own.key().clone(), key_at, own.get().key_at)),
                    Slot::Vacant(slot) => {
                        slot.insert(Entry { key_at, node });
                        None
                    }
                },
                Some(Key::Merge) => {
                    merged.push(node);
                    None
                }
                Some(Key::Wrong) | None => None,
            },
        };
        if let Some((key, at, earlier)) = duplicate {
            self.duplicate(&key, at, earlier);
        }
        Some(())
    }

    fn text_key(&mut self, node: Node) -> Key {
        match node.value {
            Value::Text(text) => Key::Text(text, node.at),
            Value::List(_) | Value::Map(_) => {
                let message = "a key cannot be a list or a mapping";
                let finding = self.report.error(node.at, &Path::ROOT, message);
                finding.code(Code::WRONG_TYPE).hint("quote the key: \"{...}\"");
                Key::Wrong
            }
            _ => {
                let text = match &node.value {
                    Value::Date(date) => date.clone(),
                    _ => node.scalar_text().unwrap_or_else(|| "null".to_owned()),
                };
                let message = format!("the key `{text}` is {}, keys are texts", node.kind());
                let hint = format!("quote it: \"{text}\"");
                self.report.error(node.at, &Path::ROOT, message).code(Code::WRONG_TYPE).hint(hint);
                Key::Wrong
            }
        }
    }

    fn duplicate(&mut self, key: &str, at: Position, earlier: Position) {
        let message = format!("the key `{key}` is there twice in one mapping");
        self.report
            .error(at, &Path::ROOT, message)
            .code(Code::DUPLICATE_KEY)
            .related(earlier, "the first one is here")
            .hint("remove one of the two, or join what they say");
    }

    fn scan_error(&mut self, error: &ScanError) {
        let at = self.position(Span::empty(*error.marker()));
        let (line, column) = (at.line as usize, at.column as usize);
        let fault = advice::syntax(self.text, error.info(), line, column);
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let at = Position { line: number(fault.line), column: number(fault.column), ..at };
        let finding = self.report.error(at, &Path::ROOT, fault.message).code(Code::SYNTAX);
        finding.hint(fault.hint);
    }
}

/// The meaning of `!reset` and `!override`; other tags of a program's own mean nothing.
fn mark(tag: &Tagged) -> Mark {
    match tag.as_ref().filter(|tag| tag.handle == "!").map(|tag| tag.suffix.as_str()) {
        Some("reset") => Mark::Reset,
        Some("override") => Mark::Override,
        _ => Mark::Plain,
    }
}
