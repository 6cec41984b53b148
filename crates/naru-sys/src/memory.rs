//! The memory that this process has.

use rustix::io::Errno;

unsafe extern "C" {
    /// Where this program begins in memory; made by the linker, see ld(1).
    static __executable_start: u8;
    /// Where its code ends; see end(3).
    static etext: u8;
}

const PAGE: usize = 4096;

/// Lets go of all pages of this program's code and constants. What is used of them comes back from the kernel's cache by
/// itself, a neighbourhood at a time; what only the start has used does not.
///
/// See [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) (`MADV_DONTNEED`).
///
/// # Errors
/// Those of madvise(2).
pub fn release_program() -> Result<(), Errno> {
    let begin = (&raw const __executable_start).addr() & !(PAGE - 1);
    let end = (&raw const etext).addr() & !(PAGE - 1);
    let begin_of_range = (&raw const __executable_start).with_addr(begin).cast_mut();
    // SAFETY: from its beginning to the end of its code the program is mapped from its file, privately and never writable
    // (what is relocated lies behind): each page that goes has the file's content, and comes back with that.
    let result = unsafe {
        libc::madvise(begin_of_range.cast(), end.saturating_sub(begin), libc::MADV_DONTNEED)
    };
    crate::result(result.into()).map(drop)
}

/// Gives back what the heap holds and nobody uses: what a command needed once.
///
/// See [malloc_trim(3)](https://man7.org/linux/man-pages/man3/malloc_trim.3.html); without effect on other C libraries.
pub fn release_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer and the locks that it needs, and what is in use stays as it is.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident pages of files, in KiB.
    fn resident() -> u64 {
        let status = fs_err::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_the_heap_does_not_use_goes_back_to_the_kernel() {
        let anonymous = || {
            let status = fs_err::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        // Small pieces: large ones are given back at once. The last one keeps the heap from shrinking at its end.
        let mut pieces: Vec<_> = (0..4096).map(|_| vec![1_u8; 4096]).collect();
        let last = pieces.pop();
        drop(pieces);
        let before = anonymous();
        release_heap();
        let after = anonymous();
        assert!(after + 8192 < before, "{before} KiB, then {after} KiB");
        drop(last);
    }

    #[test]
    fn a_program_runs_on_without_the_pages_that_it_has_let_go() {
        let before = resident();
        release_program().unwrap();
        let after = resident();
        assert!(after < before, "{before} KiB, then {after} KiB");
        assert_eq!(format!("{:?}", std::time::Duration::from_millis(1500)), "1.5s");
    }
}
