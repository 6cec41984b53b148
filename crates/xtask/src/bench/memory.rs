//! Memory that would be free if a process were not there.

use super::table::Samples;

/// What a process is chosen by.
#[derive(Debug)]
pub(crate) struct Process {
    /// The kernel's short name of it.
    pub(crate) command: String,
    /// It is in this task's network namespace.
    pub(crate) in_our_network: bool,
}

/// How many processes are chosen.
pub(crate) fn count(chosen: impl Fn(&Process) -> bool) -> usize {
    all().filter(|(_, process)| chosen(process)).count()
}

fn all() -> impl Iterator<Item = (std::path::PathBuf, Process)> {
    let network = fs_err::read_link("/proc/self/ns/net").ok();
    let entries = fs_err::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(move |entry| {
        let folder = entry.path();
        // A process that ends meanwhile is none.
        let command = fs_err::read_to_string(folder.join("comm")).ok()?;
        let process = Process {
            command: command.trim_end().to_owned(),
            in_our_network: fs_err::read_link(folder.join("ns/net")).ok() == network,
        };
        Some((folder, process))
    })
}

/// The private memory (`Private_Dirty` and swap, from smaps_rollup) of all chosen processes together, in bytes.
pub(crate) fn of(chosen: impl Fn(&Process) -> bool) -> Samples {
    let mut total = 0.0;
    let mut found = 0;
    for (folder, _) in all().filter(|(_, process)| chosen(process)) {
        found += 1;
        total += private(&fs_err::read_to_string(folder.join("smaps_rollup")).unwrap_or_default());
    }
    if found == 0 { Err("no such process".to_owned()) } else { Ok(vec![total]) }
}

/// The private memory of our process with this role, in bytes; nothing when there is none.
pub(crate) fn of_role(role: &str) -> Option<f64> {
    let rollup = fs_err::read_to_string(folder_of_role(role)?.join("smaps_rollup")).ok()?;
    Some(private(&rollup)).filter(|&bytes| bytes > 0.0)
}

/// The id of our process with this role.
pub(crate) fn process_of_role(role: &str) -> Option<u32> {
    folder_of_role(role)?.file_name()?.to_str()?.parse().ok()
}

fn folder_of_role(role: &str) -> Option<std::path::PathBuf> {
    let is_it = |folder: &std::path::Path| {
        let words = fs_err::read(folder.join("cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|word| word == role.as_bytes())
    };
    let ours = |process: &Process| process.command == "naru" && process.in_our_network;
    all().find(|(folder, process)| ours(process) && is_it(folder)).map(|(folder, _)| folder)
}

fn private(rollup: &str) -> f64 {
    let kilobytes = rollup.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        matches!(name, "Private_Dirty" | "Swap").then_some(())?;
        value.trim().trim_end_matches(" kB").parse::<f64>().ok()
    });
    kilobytes.sum::<f64>() * 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_else_shares_counts() {
        let rollup = "Rss:  900 kB\nPrivate_Clean:  100 kB\nPrivate_Dirty:  40 kB\nSwap:  2 kB\nSwapPss: 2 kB\n";
        assert_eq!(private(rollup), 42.0 * 1024.0);
    }
}
