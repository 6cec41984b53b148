//! naru's own attributes of a service.

use super::shape::{Object, Shape};

use Shape::{Flag, Number, OneOf, Period, Text, TextOrInteger, Whole};

/// The start of the names of naru's own attributes.
pub(super) const PREFIX: &str = "x-naru-";

/// The one that is about warnings, and stands at the top level too.
pub(super) const LINT: &str = "x-naru-lint";

/// When a container is ready.
pub(super) const READY: Shape = OneOf(&[Text, Shape::Object(&SIGN)]);

const SIGN: Object = Object {
    name: "`x-naru-ready`",
    fields: &[
        (
            "tcp",
            TextOrInteger,
            "Port of the container that takes connections: `5432`, or `127.0.0.1:5432` for one on another address than its own.",
        ),
        (
            "http",
            TextOrInteger,
            "Port and path, such as `:3000/health`: a GET is answered with a status from 200 to 399.",
        ),
        ("log", Text, "Regular expression that a line of its output matches."),
        (
            "timeout",
            Period,
            "Time after the start from which it is unhealthy when it is not ready; none when absent.",
        ),
    ],
    required: &[],
};

/// How containers are restarted.
pub(super) const RESTART: Object = Object {
    name: "`x-naru-restart`",
    fields: &[
        ("backoff", Shape::Object(&BACKOFF), "The delay before a restart."),
        ("reset_after", Period, "Running this long ends a row of restarts; 10 s when absent."),
        (
            "max_attempts",
            Whole,
            "Restarts in a row after which it stays down; no limit when absent.",
        ),
        (
            "on_unhealthy",
            Flag,
            "Whether a container that becomes unhealthy is ended and started again, whatever `restart` says.",
        ),
    ],
    required: &[],
};

const BACKOFF: Object = Object {
    name: "`backoff`",
    fields: &[
        ("min", Period, "Delay before the first restart; 100 ms when absent."),
        ("max", Period, "The longest delay; a minute when absent."),
        (
            "factor",
            Number,
            "What the delay is multiplied with for each restart in a row; 2 when absent.",
        ),
    ],
    required: &[],
};
