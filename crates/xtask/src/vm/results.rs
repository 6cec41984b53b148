//! What the guest says on its second serial line: steps, tests, and a last word.
//!
//! `@step NAME`, `@end NAME CODE SECONDS` and `@done`; between them, the output of the steps, where lines of the form
//! `test NAME ... ok` are tests.

use std::fmt;

use anyhow::{Result, bail};

/// Counts and failures of all boots.
#[derive(Debug, Default)]
pub(crate) struct Results {
    passed: u32,
    failed: Vec<String>,
    steps: u32,
    complete: bool,
}

impl Results {
    /// Another boot begins.
    pub(crate) fn begin(&mut self) {
        self.complete = false;
    }

    /// The boot came to its end by itself.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes in one line, and shows it unless it is a test that passed.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("@step ") {
            eprintln!("    {name}");
        } else if let Some(end) = line.strip_prefix("@end ") {
            self.end(end);
        } else if line == "@done" {
            self.complete = true;
        } else if is_test(line) && line.ends_with(" ... ok") {
            self.passed += 1;
        } else if is_test(line) && line.ends_with(" ... FAILED") {
            self.failed.push(
                line.trim_start_matches("test ").trim_end_matches(" ... FAILED").trim().to_owned(),
            );
            eprintln!("    {line}");
        } else if !line.is_empty() {
            println!("    | {line}");
        }
    }

    /// `NAME CODE SECONDS`.
    fn end(&mut self, end: &str) {
        let mut words = end.rsplitn(3, ' ');
        let (seconds, code, name) = (words.next(), words.next(), words.next());
        let (Some(seconds), Some(code), Some(name)) = (seconds, code, name) else {
            self.failed.push(format!("a step that ended with `{end}`"));
            return;
        };
        self.steps += 1;
        eprintln!("    {name}: {seconds} s");
        if code != "0" {
            self.failed.push(format!("{name} (exit code {code})"));
        }
    }

    /// Success only when something ran and nothing failed.
    pub(crate) fn verdict(&self) -> Result<()> {
        if !self.failed.is_empty() {
            bail!("failed in the guest:\n  {}", self.failed.join("\n  "));
        }
        if self.passed == 0 || self.steps == 0 {
            bail!("no test ran in the guest");
        }
        Ok(())
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, steps, .. } = self;
        write!(formatter, "{passed} tests passed in {steps} steps, {} failed", failed.len())
    }
}

fn is_test(line: &str) -> bool {
    line.starts_with("test ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Results {
        let mut results = Results::default();
        lines.iter().for_each(|line| results.line(line));
        results
    }

    #[test]
    fn a_failed_step_and_a_failed_test_are_failures() {
        let good = ["@step a", "test x ... ok", "@end a 0 5", "@done"];
        assert!(after(&good).verdict().is_ok() && after(&good).is_complete());
        let test = after(&["test x ... ok", "test y   ... FAILED", "@end a b 101 5"]);
        assert_eq!(test.failed, ["y", "a b (exit code 101)"]);
        assert!(test.verdict().is_err() && !test.is_complete());
    }

    #[test]
    fn no_test_is_a_failure() {
        assert!(after(&["@step a", "@end a 0 5", "@done"]).verdict().is_err());
        assert!(after(&["@done"]).verdict().is_err());
        assert!(after(&["@end garbage"]).verdict().is_err());
    }
}
