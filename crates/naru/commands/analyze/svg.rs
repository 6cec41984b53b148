//! The timeline as a picture: a bar for each span, in the order they began; those that determined the whole stand out
//! by their outline and a star, not by colour alone.

use std::fmt::Write;

use naru_plan::timeline::{Span, Timeline, What};

/// Pixels.
const ROW: usize = 22;
const LABELS: f64 = 330.0;
const BARS: f64 = 840.0;
const TOP: usize = 56;

/// Draws the timeline of an `up` of `project`.
pub(super) fn draw(project: &str, timeline: &Timeline) -> String {
    let mut spans: Vec<&Span> = timeline.spans.iter().collect();
    spans.sort_by_key(|span| (span.begin_us, span.end_us, span.id));
    let critical: Vec<u32> = timeline.critical_path().iter().map(|span| span.id).collect();
    let height = TOP + ROW * spans.len() + 20;
    let width = LABELS + BARS + 90.0;
    let title = format!("up of project {project}: {}", super::length(timeline.took_us));
    let title = escaped(&title);
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{title}</text>\n\
         <text x=\"10\" y=\"38\" fill=\"#555555\">* determined how long it took</text>\n"
    );
    let whole = timeline.spans.iter().map(|span| span.end_us).max().unwrap_or(0);
    let scale = Scale { whole_us: whole.max(timeline.took_us).max(1) };
    for (row, span) in spans.iter().enumerate() {
        bar(&mut svg, span, TOP + row * ROW, &scale, critical.contains(&span.id));
    }
    svg += "</svg>\n";
    svg
}

struct Scale {
    whole_us: u64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a place on a picture")]
    fn x(&self, us: u64) -> f64 {
        LABELS + BARS * us as f64 / self.whole_us as f64
    }
}

fn bar(svg: &mut String, span: &Span, y: usize, scale: &Scale, is_critical: bool) {
    let (left, right) = (scale.x(span.begin_us), scale.x(span.end_us));
    let star = if is_critical { "* " } else { "" };
    let label = escaped(&format!("{star}{}", super::words(span)));
    let outline = if is_critical { " stroke=\"#000000\" stroke-width=\"1.5\"" } else { "" };
    let (bottom, width) = (y + 14, (right - left).max(1.0));
    let (fill, took) = (colour(span), escaped(&super::length(span.took_us())));
    let end = right.max(left + 1.0) + 6.0;
    // Writing to a string cannot fail.
    let _written = write!(
        svg,
        "<text x=\"10\" y=\"{bottom}\">{label}</text>\n\
         <rect x=\"{left:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"14\" fill=\"{fill}\"{outline}>\
         <title>{label}: {took}</title></rect>\n\
         <text x=\"{end:.1}\" y=\"{bottom}\" fill=\"#555555\">{took}</text>\n",
        y + 3
    );
}

fn colour(span: &Span) -> &'static str {
    match span.what {
        _ if span.failed => "#d1495b",
        What::Make => "#9c8fc4",
        What::Create => "#6aaed6",
        What::Start => "#5aa469",
        What::Ready => "#e3b23c",
        What::Stop | What::Remove => "#a0a0a0",
    }
}

/// Text of an XML document: what means something there is named, what may not stand there is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&apos;",
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element that is opened is closed, in the right order, and every ampersand begins a name that XML knows.
    #[track_caller]
    fn assert_well_formed(text: &str) {
        let mut open = Vec::new();
        let mut rest = text.split_once("?>").unwrap().1;
        while let Some((before, after)) = rest.split_once('<') {
            for entity in before.split('&').skip(1) {
                let name = entity.split_once(';').unwrap().0;
                assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name), "{name}");
            }
            let (tag, after) = after.split_once('>').unwrap();
            assert!(!tag.contains('<'), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split(' ').next().unwrap()),
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
    }

    #[test]
    fn the_picture_is_well_formed_whatever_things_are_called() {
        let name = "</text><script>&amp;\"'\u{0}\u{1b}[0m ]]>";
        let span = |id, begin_us, end_us, after: &[u32]| Span {
            id,
            what: What::Start,
            service: Some("web".to_owned()),
            name: name.to_owned(),
            begin_us,
            end_us,
            failed: false,
            after: after.to_vec(),
            parts: Vec::new(),
        };
        let spans = vec![span(1, 0, 10, &[]), span(2, 10, 2_000_000, &[1])];
        let timeline = Timeline { took_us: 2_000_000, spans, ..Timeline::default() };
        let drawn = draw(name, &timeline);
        assert_well_formed(&drawn);
        assert_eq!(drawn.matches("<rect x=").count(), 2);
        assert!(!drawn.contains("<script") && drawn.contains("&lt;script"), "{drawn}");
        assert_well_formed(&draw("empty", &Timeline::default()));
    }
}
