//! docs/diagnostics.md is held against the codes.

use std::path::Path;

use naru_compose::Code;

#[test]
fn the_document_lists_every_code_with_its_meaning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnostics.md");
    let text = fs_err::read_to_string(&path).unwrap();
    let rows = |silenced: bool| {
        let codes = Code::all().filter(|code| code.can_be_silenced() == silenced);
        let rows: Vec<String> =
            codes.map(|code| format!("| `{}` | {} |", code.name(), code.meaning())).collect();
        format!("| code | meaning |\n| --- | --- |\n{}\n", rows.join("\n"))
    };
    let expected = [rows(false), rows(true)];
    if std::env::var_os("NARU_UPDATE_DOCS").is_some() {
        let mut parts: Vec<String> = Vec::new();
        for (section, table) in
            ["## Codes of errors", "## Codes of warnings, notes and lints"].iter().zip(&expected)
        {
            parts.push(format!("{section}\n\n{table}"));
        }
        let (before, rest) = text.split_once("## Codes of errors").unwrap();
        let (_, after) = rest.split_once("## The lints and their reasons").unwrap();
        let tables = parts.join("\n");
        let text = format!("{before}{tables}\n## The lints and their reasons{after}");
        fs_err::write(&path, text).unwrap();
        return;
    }
    for table in expected {
        assert!(
            text.contains(&table),
            "docs/diagnostics.md is out of date: run with NARU_UPDATE_DOCS=1"
        );
    }
}
