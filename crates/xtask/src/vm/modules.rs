//! The modules that naru's kernel features need, in an order in which they can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::kernel::Kernel;

/// What a container host needs; those that are built into the kernel are skipped.
const WANTED: [&str; 27] = [
    "virtio_pci",
    "virtio_blk",
    "bfq",
    "overlay",
    "veth",
    "bridge",
    "dummy",
    "macvlan",
    "ipvlan",
    "8021q",
    "tun",
    "nf_tables",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "sch_ingress",
    "cls_bpf",
    "nft_chain_nat",
    "nft_redir",
    "nft_reject_inet",
    "nft_fib_inet",
    "nft_limit",
    "nf_conntrack_netlink",
    "loop",
    "cls_cgroup",
    "binfmt_misc",
    "unix_diag",
];

/// A module's content and name.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The wanted modules of a kernel and those they depend on, these first.
pub(crate) fn load_order(kernel: &Kernel) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(&kernel.modules.join("kernel"), &mut files)?;
    let builtin = fs_err::read_to_string(kernel.modules.join("modules.builtin"))?;
    let builtin: BTreeSet<String> = builtin.lines().map(|line| name_of(Path::new(line))).collect();
    let mut order = Order { files, builtin, seen: BTreeSet::new(), modules: Vec::new() };
    for name in WANTED {
        order.add(name)?;
    }
    Ok(order.modules)
}

struct Order {
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    seen: BTreeSet<String>,
    modules: Vec<Module>,
}

impl Order {
    fn add(&mut self, name: &str) -> Result<()> {
        if self.builtin.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let file = self.files.get(name).with_context(|| format!("the kernel has no {name}"))?;
        let content = read(file)?;
        for needed in dependencies(&content) {
            self.add(&needed)?;
        }
        self.modules.push(Module { name: name.to_owned(), content });
        Ok(())
    }
}

fn index(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            index(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().contains(".ko") {
            files.insert(name_of(&entry.path()), entry.path());
        }
    }
    Ok(())
}

/// The kernel writes a dash in a file's name as an underscore.
fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

/// Newer packages compress their modules.
fn read(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|end| end == "ko") {
        return Ok(fs_err::read(file)?);
    }
    let output = Command::new("xz").arg("-dc").arg(file).output().context("cannot run xz")?;
    if !output.status.success() {
        bail!("{} cannot be unpacked: {}", file.display(), output.status);
    }
    Ok(output.stdout)
}

/// The entry `depends=a,b` of the module's .modinfo section, whose entries end with a zero byte.
fn dependencies(content: &[u8]) -> Vec<String> {
    const ENTRY: &[u8] = b"\0depends=";
    let Some(begin) = content.windows(ENTRY.len()).position(|window| window == ENTRY) else {
        return Vec::new();
    };
    let rest = &content[begin + ENTRY.len()..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
    let names = String::from_utf8_lossy(&rest[..end]).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_module_itself() {
        let content = b"\x7fELF\0license=GPL\0depends=nf_tables,nf-nat\0retpoline=Y\0";
        assert_eq!(dependencies(content), ["nf_tables", "nf_nat"]);
        assert!(dependencies(b"\0depends=\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }

    #[test]
    fn a_modules_name_has_underscores_and_no_ending() {
        assert_eq!(name_of(Path::new("a/nf-tables.ko.xz")), "nf_tables");
    }
}
