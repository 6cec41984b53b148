//! The shapes that values can have.

/// What a value may be. A text that holds a number or boolean is accepted where one is expected,
/// since it may come from a variable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// One of these texts.
    Words(&'static [&'static str]),
    /// A text that satisfies a condition, which is described for the reader, and for editors as a
    /// regular expression.
    Matching(fn(&str) -> bool, &'static str, &'static str),
    /// A text or number, which becomes a text.
    Scalar,
    /// A text or whole number, which becomes a text.
    Token,
    /// The same, but never written as a text.
    Strict(&'static Self),
    /// A text or whole number, which stays what it is.
    TextOrInteger,
    /// A text, number, boolean or nothing: the value of an environment variable or label.
    Pair,
    /// A boolean.
    Flag,
    /// A boolean or a text, which becomes a text.
    FlagText,
    /// A boolean that cannot be written as a text.
    Boolean,
    /// A whole number.
    Integer,
    /// A whole number between these.
    Within(i64, i64),
    /// A number of which the whole part counts.
    Whole,
    /// Any number.
    Number,
    /// A byte size.
    Bytes,
    /// A byte size; a number with a fraction means nothing, as in docker compose.
    LooseBytes,
    /// A byte size that has to be a text.
    BytesText,
    /// A duration.
    Period,
    /// An octal file mode: a text, or a number as YAML reads it.
    FileMode,
    /// A list.
    List(&'static Self),
    /// A list in which nothing may be there twice.
    Set(&'static Self),
    /// A mapping with any keys.
    Map(&'static Self),
    /// A mapping whose keys are names of resources.
    Named(&'static Self),
    /// A mapping with these keys.
    Object(&'static Object),
    /// The one of these whose kind the value has.
    OneOf(&'static [Self]),
    /// Nothing, or this.
    Optional(&'static Self),
}

/// A key of a mapping: its name, the shape of its value, and what it means.
pub(crate) type Field = (&'static str, Shape, &'static str);

/// A mapping with known keys; every object accepts `x-*` as well.
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is called in messages, such as `a service`.
    pub(crate) name: &'static str,
    /// The keys.
    pub(crate) fields: &'static [Field],
    /// The keys that have to be there.
    pub(crate) required: &'static [&'static str],
}

impl Object {
    /// The shape of a key's value.
    pub(crate) fn field(&self, key: &str) -> Option<&Shape> {
        // Most names of the same length differ in the first byte already.
        let first = key.as_bytes().first();
        let named = |name: &str| name.as_bytes().first() == first && name == key;
        self.fields.iter().find(|(name, ..)| named(name)).map(|(_, shape, _)| shape)
    }
}

/// Texts, none of them twice.
pub(crate) const WORDS: Shape = Shape::Set(&Shape::Text);

/// A text or a list of texts.
pub(crate) const TEXTS: Shape = Shape::OneOf(&[Shape::Text, WORDS]);

/// `KEY=VALUE` as a list or as a mapping.
pub(crate) const PAIRS: Shape = Shape::OneOf(&[WORDS, Shape::Map(&Shape::Pair)]);

/// A command: nothing, a line, or program and arguments.
pub(crate) const COMMAND: Shape =
    Shape::Optional(&Shape::OneOf(&[Shape::Text, Shape::List(&Shape::Text)]));

/// Options for a driver.
pub(crate) const OPTIONS: Shape = Shape::Map(&Shape::Scalar);

/// Host names and addresses.
pub(crate) const HOSTS: Shape =
    Shape::OneOf(&[WORDS, Shape::Map(&Shape::OneOf(&[Shape::Text, WORDS]))]);

/// Limits of processes.
pub(crate) const ULIMITS: Shape =
    Shape::Map(&Shape::OneOf(&[Shape::Integer, Shape::Object(&ULIMIT)]));

const ULIMIT: Object = Object {
    name: "a limit",
    fields: &[
        ("soft", Shape::Integer, "What is enforced; -1 for no limit."),
        ("hard", Shape::Integer, "What the process may raise the soft limit to; -1 for no limit."),
    ],
    required: &["soft", "hard"],
};

/// References to secrets or configs.
pub(crate) const FILE_REFERENCES: Shape =
    Shape::Set(&Shape::OneOf(&[Shape::Text, Shape::Object(&FILE_REFERENCE)]));

const FILE_REFERENCE: Object = Object {
    name: "a reference to a secret or config",
    fields: &[
        ("source", Shape::Text, "Key of the secret or config."),
        (
            "target",
            Shape::Text,
            "Absolute path in the container, or a name below `/run/secrets`; for a config `/` and its key when empty.",
        ),
        ("uid", Shape::Text, "User of the file, as written; not honoured for bind-mounted files."),
        ("gid", Shape::Text, "Group of the file, as written."),
        ("mode", Shape::FileMode, "Permission bits; 0o444 when absent."),
    ],
    required: &[],
};
