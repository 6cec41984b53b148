//! The stable names of problems: what an editor or a script tells them apart by, and what a warning
//! is silenced by.

use std::fmt;

/// The name of a kind of problem. The names never change their meaning; docs/diagnostics.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    name: &'static str,
    meaning: &'static str,
}

impl Code {
    /// The name, such as `unknown-attribute`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What problems of this name have in common, in one sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.meaning
    }

    /// The code with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|code| code.name == name)
    }

    /// Every code: those of errors first, then those of warnings and notes.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ERRORS.iter().chain(Self::WARNINGS).copied()
    }

    /// Whether it is the code of a warning or note, which can be silenced.
    #[must_use]
    pub fn can_be_silenced(self) -> bool {
        Self::WARNINGS.contains(&self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! codes {
    ($list:ident: $($constant:ident = $name:literal, $meaning:literal;)*) => {
        impl Code {
            $(#[doc = $meaning] pub const $constant: Self = Self { name: $name, meaning: $meaning };)*
            const $list: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

codes! { ERRORS:
    SYNTAX = "syntax", "The text is not YAML.";
    DUPLICATE_KEY = "duplicate-key", "A key is there twice in one mapping.";
    DUPLICATE_ENTRY = "duplicate-entry", "An entry is there twice in a list whose entries are unique.";
    UNKNOWN_ATTRIBUTE = "unknown-attribute", "There is no attribute of this name at this place.";
    MISSING_ATTRIBUTE = "missing-attribute", "An attribute that has to be there is not.";
    WRONG_TYPE = "wrong-type", "The value is of another kind than the attribute takes: a list for a mapping, a number for a text.";
    WRONG_VALUE = "wrong-value", "The value is of the right kind, but not one that the attribute takes.";
    WRONG_NAME = "wrong-name", "The name of a project or resource has characters that it cannot have.";
    INTERPOLATION = "interpolation", "A `${…}` is not one of the forms.";
    REQUIRED_VARIABLE = "required-variable", "`${NAME:?…}` asks for a variable that has no value.";
    FILE = "file", "A file that is named cannot be read.";
    ENV_FILE = "env-file", "A line of `.env`, of an `env_file` or of a `label_file` is not one of the forms.";
    MERGE = "merge", "Two files say things that cannot become one value.";
    INCLUDE = "include", "Something is wrong with what `include` takes in.";
    EXTENDS = "extends", "Something is wrong with what a service extends.";
    UNDEFINED = "undefined", "A service, network, volume, secret, config or model is named that is not declared.";
    CYCLE = "cycle", "Services wait for each other, or files take each other in.";
    CONFLICT = "conflict", "Attributes exclude or contradict each other.";
    PROFILE = "profile", "A service that takes part needs one that no active profile enables.";
    NEVER_HEALTHY = "never-healthy", "A service waits for another to become healthy, which never happens.";
    LIMIT = "limit", "The files are larger or deeper than naru accepts.";
    UNSUPPORTED = "unsupported", "naru cannot do this yet.";
}

codes! { WARNINGS:
    UNSET_VARIABLE = "unset-variable", "A variable has no value and no default: an empty text is used.";
    OBSOLETE = "obsolete", "The attribute means nothing any more.";
    IGNORED_ATTRIBUTE = "ignored-attribute", "naru ignores the attribute, as docker compose does.";
    BOOLEAN_WORD = "boolean-word", "A word such as `yes` is read as a boolean.";
    BYTE_FRACTION = "byte-fraction", "A byte size with a fraction and without a unit is ignored, as by docker compose.";
    SHELL_OPERATOR = "shell-operator", "A command has an operator of the shell, and no shell runs it.";
    UNKNOWN_LINT = "unknown-lint", "`x-naru-lint` or NARU_LINT_ALLOW names a warning that does not exist.";
    PG_ISREADY_HOST = "pg-isready-host", "`pg_isready` without a host is true too early, and a service waits for it.";
    HEALTHY_WITHOUT_CHECK = "healthy-without-check", "A service waits until another is healthy, which has no health check.";
    SECOND_HOST_PORT = "second-host-port", "Another file publishes the same port of the container once more.";
    ENV_FILE_VARIABLE = "env-file-variable", "A variable in `${}` has no value, and an env_file of the service defines it.";
    CONTAINER_VARIABLE = "container-variable", "A variable in a command has no value, and the container's environment has it.";
    UNREAD_ENV_FILE = "unread-env-file", "A variable has no value, and a `.env` that is not read sets it.";
    SWALLOWED_DOLLAR = "swallowed-dollar", "A dollar sign in the middle of a word is read as a variable, which is not set.";
    POSTGRES_VOLUME = "postgres-volume", "The volume is not where this version of Postgres keeps its data.";
    MONGO_KEY_FILE = "mongo-key-file", "A replica set of MongoDB has a root user and no key file.";
    MONGO_INITIATE = "mongo-initiate", "Nothing initiates a replica set of MongoDB.";
    MONGO_MEMBER_HOST = "mongo-member-host", "The member of a replica set of MongoDB has a name that others cannot resolve.";
    DRIVE_LETTER = "drive-letter", "A name of one letter is read as a drive of Windows.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn every_name_is_given_once_and_in_lower_case_with_dashes() {
        let names: Vec<&str> = Code::all().map(Code::name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
            assert_eq!(Code::named(name).map(Code::name), Some(name));
        }
    }
}
