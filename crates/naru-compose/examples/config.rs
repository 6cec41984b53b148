//! `config [-f FILE]… config [--format json|yaml]`: prints the project as `docker compose config`
//! does. This is for comparing the loader with docker compose; users have `naru config`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

use naru_compose::LoadRequest;
use naru_compose::project::Dollar;

fn main() -> ExitCode {
    let Ok(working_directory) = std::env::current_dir() else { return ExitCode::FAILURE };
    let environment = std::env::vars().collect();
    let mut request = LoadRequest { working_directory, environment, ..LoadRequest::default() };
    let (mut yaml, mut arguments) = (true, std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "-f" | "--file" => request.files.push(value().into()),
            "-p" => request.project_name = Some(value()),
            "--profile" => request.profiles.push(value()),
            "--env-file" => request.env_files.push(value().into()),
            "--project-directory" => request.project_directory = Some(value().into()),
            "--format" => yaml = value() == "yaml",
            "config" => {}
            service => request.services.push(service.to_owned()),
        }
    }
    match naru_compose::load(&request) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            let project = loaded.project;
            let dollar = Dollar::Doubled;
            println!("{}", if yaml { project.to_yaml(dollar) } else { project.to_json(dollar) });
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::FAILURE
        }
    }
}
