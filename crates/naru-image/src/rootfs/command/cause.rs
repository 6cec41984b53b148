//! The reasons why a command cannot be executed, in words for people who did not write the image.

use std::fmt;

use rustix::io::Errno;

/// Why a command cannot be executed. `Display` says what is wrong, [`Cause::hint`] what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// There is no file of this name, in any directory of PATH or at the path given.
    Missing {
        /// The command as it was given.
        command: String,
        /// The directories that were searched; empty when the command is a path.
        searched: Vec<String>,
    },
    /// It is a directory.
    Directory {
        /// Its path.
        path: String,
    },
    /// It is neither a file nor a directory.
    NotAFile {
        /// Its path.
        path: String,
    },
    /// Nobody may execute it.
    NotExecutable {
        /// Its path.
        path: String,
    },
    /// It is empty.
    Empty {
        /// Its path.
        path: String,
    },
    /// The first line of the script ends as on Windows, so that its interpreter's name ends with a carriage return.
    WindowsLineEnding {
        /// The script.
        path: String,
        /// The interpreter without the carriage return.
        interpreter: String,
    },
    /// The script begins with a byte order mark, which hides its `#!` from the kernel.
    ByteOrderMark {
        /// The script.
        path: String,
    },
    /// The interpreter of the script is not there.
    InterpreterMissing {
        /// The script.
        path: String,
        /// The interpreter its first line names.
        interpreter: String,
    },
    /// The interpreter of the script is there and cannot be executed itself.
    Interpreter {
        /// The script.
        path: String,
        /// What is wrong with the interpreter.
        cause: Box<Self>,
    },
    /// It is neither a program nor a script with a `#!` line.
    NoProgram {
        /// Its path.
        path: String,
    },
    /// The program is made for another machine.
    WrongMachine {
        /// Its path.
        path: String,
        /// The machine it is made for.
        found: String,
        /// This machine.
        wanted: &'static str,
    },
    /// The program's dynamic loader is not there.
    LoaderMissing {
        /// The program.
        path: String,
        /// The loader it asks for.
        loader: String,
    },
    /// The kernel does not let us look.
    Unreadable {
        /// Its path.
        path: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { command, searched } if searched.is_empty() => {
                write!(formatter, "the image has no file {command}")
            }
            Self::Missing { command, searched } => {
                write!(formatter, "the image has no command {command:?} in {}", searched.join(", "))
            }
            Self::Directory { path } => write!(formatter, "{path} is a directory"),
            Self::NotAFile { path } => write!(formatter, "{path} is no file"),
            Self::NotExecutable { path } => write!(formatter, "{path} is not executable"),
            Self::Empty { path } => write!(formatter, "{path} is empty"),
            Self::WindowsLineEnding { path, .. } => {
                write!(
                    formatter,
                    "{path} has Windows line endings, so its interpreter is not found"
                )
            }
            Self::ByteOrderMark { path } => {
                write!(formatter, "{path} begins with a byte order mark instead of #!")
            }
            Self::InterpreterMissing { path, interpreter } => {
                write!(formatter, "{path} needs {interpreter}, which the image does not have")
            }
            Self::Interpreter { path, cause } => write!(formatter, "{path} cannot be run: {cause}"),
            Self::NoProgram { path } => {
                write!(formatter, "{path} is neither a program nor a script that begins with #!")
            }
            Self::WrongMachine { path, found, wanted } => {
                write!(formatter, "{path} is a program for {found}, this machine is {wanted}")
            }
            Self::LoaderMissing { path, loader } => {
                write!(formatter, "{path} needs the loader {loader}, which the image does not have")
            }
            Self::Unreadable { path, errno } => write!(formatter, "{path} cannot be read: {errno}"),
        }
    }
}

impl Cause {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { command, searched } if searched.is_empty() => {
                format!("check the path {command}, and whether a volume mounted over it hides it")
            }
            Self::Missing { command, .. } if command.contains(' ') => {
                "a command with blanks is one word here: write it as a list, or let a shell run it".to_owned()
            }
            Self::Missing { command, .. } => {
                format!("install {command} in the image, or give its full path")
            }
            Self::Directory { .. } | Self::NotAFile { .. } => {
                "name a program in command: or entrypoint:".to_owned()
            }
            Self::NotExecutable { path } => {
                format!("run `chmod +x` on the file that becomes {path}, or start it with its interpreter")
            }
            Self::Empty { path } => format!("look at how {path} comes into the image or the volume"),
            Self::WindowsLineEnding { path, .. } => format!(
                "convert {path} to Unix line endings (`sed -i 's/\\r$//'`), and keep them with `* text=auto eol=lf` in .gitattributes"
            ),
            Self::ByteOrderMark { path } => format!("save {path} as UTF-8 without a byte order mark"),
            Self::InterpreterMissing { interpreter, .. } => {
                let other = if interpreter.ends_with("/bash") { ", or use #!/bin/sh" } else { "" };
                format!("install {interpreter} in the image{other}")
            }
            Self::Interpreter { cause, .. } => cause.hint(),
            Self::NoProgram { path } => format!("begin {path} with a line such as #!/bin/sh"),
            Self::WrongMachine { wanted, .. } => format!("use an image built for {wanted}"),
            Self::LoaderMissing { loader, .. } if loader.contains("musl") => {
                "the program was built for Alpine (musl): use a build for glibc, or an Alpine image".to_owned()
            }
            Self::LoaderMissing { loader, .. } if loader.contains("ld-linux") => {
                "the program was built for glibc: use a static or musl build, or an image with glibc such as Debian's"
                    .to_owned()
            }
            Self::LoaderMissing { loader, .. } => format!("install {loader} in the image"),
            Self::Unreadable { .. } => "look at the image's file system".to_owned(),
        }
    }
}
