//! Debian's cloud kernel, fetched with the machine's apt: its repositories, proxies and keys, another release.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::task;

const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// Where Debian's machines keep the keys of its archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An unpacked kernel package.
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    /// The folder with its modules.
    pub(crate) modules: PathBuf,
    pub(crate) release: String,
}

/// Fetches the kernel of a Debian release into `folder`, unless it is there already.
pub(crate) fn fetch(suite: &str, folder: &Path) -> Result<Kernel> {
    if let Ok(kernel) = unpacked(folder) {
        return Ok(kernel);
    }
    let apt = folder.join("apt");
    for place in ["lists/partial", "archives/partial"] {
        fs_err::create_dir_all(apt.join(place))?;
    }
    let signed =
        if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    let source = format!("deb {signed}{} {suite} main\n", repository()?);
    fs_err::write(apt.join("sources.list"), source)?;
    task::run(tool("apt-get", &apt).args(["update", "-qq"]))?;
    let depends = task::output(tool("apt-cache", &apt).args(["depends", META_PACKAGE]))?;
    let package =
        depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = format!(
        "linux-image-{}",
        package.with_context(|| format!("{suite} has no {META_PACKAGE}"))?
    );
    task::run(tool("apt-get", &apt).args(["download", "-qq", &package]).current_dir(&apt))?;
    let entries = fs_err::read_dir(&apt)?.filter_map(Result::ok).map(|entry| entry.path());
    let file = entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb"));
    let file = file.with_context(|| format!("apt-get downloaded no {package}"))?;
    task::run(Command::new("dpkg-deb").arg("-x").args([&file, folder]))?;
    fs_err::remove_dir_all(&apt)?;
    unpacked(folder)
}

fn unpacked(folder: &Path) -> Result<Kernel> {
    let entries = fs_err::read_dir(folder.join("boot"))?.filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let release =
        names.into_iter().find_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
    let release = release.context("there is no kernel image")?;
    // Debian moved /lib into /usr.
    let places = ["lib/modules", "usr/lib/modules"].map(|place| folder.join(place).join(&release));
    let modules =
        places.into_iter().find(|place| place.is_dir()).context("there are no modules")?;
    Ok(Kernel { image: folder.join(format!("boot/vmlinuz-{release}")), modules, release })
}

/// The Debian repository that this machine is configured for.
fn repository() -> Result<String> {
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL) $(COMPONENT)";
    let targets = task::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let wanted = |line: &str| {
        let mut words = line.split(' ');
        let address = words.next()?;
        (words.collect::<Vec<_>>() == ["Debian", "Debian", "main"]).then(|| address.to_owned())
    };
    match targets.lines().find_map(wanted) {
        Some(address) => Ok(address),
        None => bail!("apt knows no Debian repository: run `apt-get update`"),
    }
}

/// An apt program with lists of its own, so that the machine's are left as they are.
fn tool(name: &str, apt: &Path) -> Command {
    let mut command = Command::new(name);
    for (option, value) in [
        ("Dir::Etc::SourceList", "sources.list"),
        ("Dir::Etc::SourceParts", "archives/partial"),
        ("Dir::Etc::Preferences", "archives/none"),
        ("Dir::Etc::PreferencesParts", "archives/partial"),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", ""),
        ("Dir::Cache::Archives", "archives"),
    ] {
        command.arg("-o").arg(format!("{option}={}", apt.join(value).display()));
    }
    // The downloading process gives up root, and then cannot write below the target folder.
    command.args(["-o", "APT::Sandbox::User=root"]);
    command
}
