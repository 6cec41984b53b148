//! What runs, as whom, and where.

use naru_compose::project::Service;

use super::{Error, Image, Inputs};

/// Entrypoint and command. An entrypoint in the file drops the image's command along with the image's
/// entrypoint; an empty one drops the entrypoint only.
pub fn command(service: &Service, image: &Image<'_>) -> Vec<String> {
    let entrypoint = service.entrypoint.as_deref();
    let command = match (service.command.as_deref(), entrypoint) {
        (Some(own), _) => own,
        (None, Some([_, ..])) => &[],
        (None, _) => image.command(),
    };
    entrypoint.unwrap_or_else(|| image.entrypoint()).iter().chain(command).cloned().collect()
}

/// The same, which has to be something that can be executed.
pub(super) fn checked(inputs: &Inputs<'_>) -> Result<Vec<String>, Error> {
    let line = command(inputs.service, inputs.image);
    if line.first().is_none_or(String::is_empty) {
        return Err(Error::NoCommand);
    }
    if line.iter().any(|word| word.contains('\0')) {
        return Err(Error::invalid("command", "a word contains a NUL character"));
    }
    Ok(line)
}

/// The user to run as, to be looked up in the root file system: `user[:group]`, names or numbers; root
/// when empty.
pub fn effective_user<'a>(service: &'a Service, image: &Image<'a>) -> &'a str {
    if service.user.is_empty() { image.user() } else { &service.user }
}

/// The directory to start in.
pub fn working_directory<'a>(service: &'a Service, image: &Image<'a>) -> &'a str {
    [&service.working_dir, image.working_directory(), "/"]
        .into_iter()
        .find(|directory| !directory.is_empty())
        .unwrap_or("/")
}
