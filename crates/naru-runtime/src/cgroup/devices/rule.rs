//! The specification's device rules.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::Error;

/// One rule: allow or deny, type, numbers (none is any), access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    /// `a` for both, `b` or `c`.
    pub(super) kind: char,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    /// Of `r`, `w` and `m`.
    pub(super) access: String,
}

impl Rule {
    /// It is about every use of every device.
    fn is_total(&self) -> bool {
        self.kind == 'a'
            && self.major.is_none()
            && self.minor.is_none()
            && ['r', 'w', 'm'].iter().all(|letter| self.access.contains(*letter))
    }

    /// The access to these very numbers that none of the others has, if there is any.
    pub(super) fn beyond(&self, others: &[Self]) -> Option<Self> {
        let same = |other: &&Self| {
            (other.kind, other.major, other.minor) == (self.kind, self.major, self.minor)
        };
        let has = |letter: &char| others.iter().filter(same).any(|o| o.access.contains(*letter));
        let access: String = self.access.chars().filter(|letter| !has(letter)).collect();
        (!access.is_empty()).then(|| Self { access, ..self.clone() })
    }

    /// What to write to which file of the v1 controller, for which `a` means everything, whatever stands beside it.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let file = if self.allow { "devices.allow" } else { "devices.deny" };
        if self.is_total() {
            return vec![(file, "a".to_owned())];
        }
        let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        let kinds = if self.kind == 'a' { vec!['b', 'c'] } else { vec![self.kind] };
        let line = |kind| (file, format!("{kind} {major}:{minor} {}", self.access));
        kinds.into_iter().map(line).collect()
    }
}

/// What is allowed when the rules begin with a denial of everything and only allow from there; the access in
/// the kernel's order.
pub(super) fn allowed(rules: &[Rule]) -> Option<Vec<Rule>> {
    let first = rules.iter().rposition(Rule::is_total)?;
    let (total, rest) = (rules.get(first)?, rules.get(first + 1..)?);
    if total.allow || rest.iter().any(|rule| !rule.allow) {
        return None;
    }
    let ordered = |rule: &Rule| {
        let access = ['r', 'w', 'm'].into_iter().filter(|letter| rule.access.contains(*letter));
        let access: String = access.collect();
        let kinds = if rule.kind == 'a' { vec!['b', 'c'] } else { vec![rule.kind] };
        let single = move |kind| Rule { kind, access: access.clone(), ..rule.clone() };
        kinds.into_iter().map(single).collect::<Vec<_>>()
    };
    Some(rest.iter().flat_map(ordered).collect())
}

/// The text of `devices.list`; nothing for a group that allows everything.
pub(super) fn parse_list(text: &str) -> Option<Vec<Rule>> {
    let line = |line: &str| {
        let mut words = line.split([' ', ':']);
        let kind = words.next()?.chars().next().filter(|kind| "bc".contains(*kind))?;
        let mut number = || match words.next()? {
            "*" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        let (major, minor) = (number()?, number()?);
        Some(Rule { allow: true, kind, major, minor, access: words.next()?.to_owned() })
    };
    text.lines().map(line).collect()
}

/// The rules of a specification, in its order.
pub(super) fn all(resources: &LinuxResources) -> Result<Vec<Rule>, Error> {
    let rules = resources.devices().iter().flatten().enumerate();
    rules.map(|(index, rule)| self::rule(index, rule)).collect()
}

fn rule(index: usize, rule: &LinuxDeviceCgroup) -> Result<Rule, Error> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let number = |value: Option<i64>, name: &str| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::invalid(field(name), format!("{value} is out of range"))),
    };
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => 'a',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::P) => {
            return Err(Error::invalid(field("type"), "a FIFO is no device"));
        }
    };
    let access = rule.access().clone().filter(|access| !access.is_empty());
    let said = access.unwrap_or_else(|| "rwm".to_owned());
    // Other letters beside these say nothing, as for runc.
    let access: String = said.chars().filter(|letter| "rwm".contains(*letter)).collect();
    if access.is_empty() {
        return Err(Error::invalid(field("access"), format!("{said} is not of r, w and m")));
    }
    let (major, minor) = (number(rule.major(), "major")?, number(rule.minor(), "minor")?);
    Ok(Rule { allow: rule.allow(), kind, major, minor, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> LinuxResources {
        serde_json::from_str(&format!("{{\"devices\": {json}}}")).unwrap()
    }

    fn text(lines: &[(&'static str, String)]) -> String {
        let lines = lines.iter().map(|(file, line)| format!("{}={line}", &file[8..]));
        lines.collect::<Vec<_>>().join(", ")
    }

    const USUAL: &str = r#"[{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": true, "type": "b", "major": 8, "access": "mr"}]"#;

    #[test]
    fn v1_takes_a_line_for_a_rule_and_two_for_a_part_of_all_types() {
        let lines = super::super::v1_lines(&rules(USUAL)).unwrap();
        assert_eq!(text(&lines), "deny=a, allow=c 1:3 rwm, allow=b 8:* mr");
        let part = r#"[{"allow": true, "type": "a", "access": "m"}]"#;
        let lines = super::super::v1_lines(&rules(part)).unwrap();
        assert_eq!(text(&lines), "allow=b *:* m, allow=c *:* m");
    }

    #[test]
    fn an_update_of_v1_writes_what_changes_and_nothing_else() {
        let changes = |list| text(&super::super::v1_changes(&rules(USUAL), list).unwrap());
        assert_eq!(changes("c 1:3 rwm\nb 8:* rm\n"), "");
        assert_eq!(changes("b 8:* rm\n"), "allow=c 1:3 rwm");
        assert_eq!(changes("c 1:3 rwm\nb 8:* rwm\nc 1:5 rwm\n"), "deny=b 8:* w, deny=c 1:5 rwm");
        assert_eq!(changes("c 1:3 r\nb 8:* rm\n"), "allow=c 1:3 wm");
        assert_eq!(changes("a *:* rwm\n"), "deny=a, allow=c 1:3 rwm, allow=b 8:* mr");
    }
}
