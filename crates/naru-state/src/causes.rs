//! Errors as one line of text, for records and findings that outlive the error.

use std::error::Error;

/// What caused `error`, the nearest cause first; without `error` itself.
pub fn causes<'a>(error: &'a dyn Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause: &&'a (dyn Error + 'static)| cause.source())
}

/// `error` with its causes, as `what: why: why`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text += &format!(": {cause}");
    }
    text
}
