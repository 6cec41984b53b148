//! Texts that are short and stand for long ones, and texts that are simply too long.

use super::{Folder, SERVICE};

const LARGE: &str = "too large";

/// A file with one service that says this.
fn service(text: &str) -> Folder {
    Folder::with(format!("{SERVICE}{text}"))
}

#[test]
fn aliases_that_multiply_are_refused() {
    let level = |level: usize| {
        let uses = vec![format!("*a{}", level - 1); 9].join(", ");
        format!("x-{level}: &a{level} [{uses}]\n")
    };
    let levels: String = (1..12).map(level).collect();
    Folder::with(format!("x-0: &a0 [lol]\n{levels}{SERVICE}")).refused(&[], LARGE);
    let (text, uses) = ("y".repeat(1_000_000), vec!["*a"; 10_000].join(", "));
    Folder::with(format!("x-0: &a {text}\nx-1: [{uses}]\n{SERVICE}")).refused(&[], LARGE);
}

#[test]
fn anchors_inside_anchors_are_refused_when_their_copies_are_too_many() {
    let open: String = (0..90).map(|level| format!("&a{level} [")).collect();
    let text = format!("x-0: {open}{}1{}\n{SERVICE}", "1, ".repeat(10_000), "]".repeat(90));
    Folder::with(text).refused(&[], LARGE);
}

#[test]
fn a_mapping_merged_into_itself_is_refused() {
    Folder::with("services:\n  a: &a\n    <<: *a\n    image: x\n").refused(&[], "inside the value");
}

#[test]
fn a_hundred_thousand_levels_are_refused() {
    for open in ["[", "{a: ", "- ", "? "] {
        Folder::with(format!("x-a:\n  {}", open.repeat(100_000))).refused(&[], "error");
    }
    let levels: String = (0..3_500).map(|level| " ".repeat(level) + "a:\n").collect();
    Folder::with(levels).refused(&[], "levels deep");
}

#[test]
fn a_million_keys_or_entries_are_refused() {
    let keys: String = (0..1_000_000).map(|n| format!("k{n}: 1\n")).collect();
    Folder::with(keys).refused(&[], "error");
    let keys: String = (0..600_000).map(|n| format!("k{n}: 1\n")).collect();
    Folder::with(keys).refused(&[], LARGE);
    service(&format!("    command: [{}1]\n", "1,".repeat(1_000_000))).refused(&[], LARGE);
}

#[test]
fn as_many_values_as_are_accepted_fit_into_the_memory() {
    let variables: String = (0..25_000).map(|n| format!("      - K{n}=v\n")).collect();
    service(&format!("    environment:\n{variables}")).accepted(&[]);
    let services: String = (0..2_500).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    service(&services).accepted(&[]);
    service(&format!("    hostname: {}\n", "y".repeat(3_000_000))).accepted(&[]);
}

#[test]
fn too_many_services_are_refused() {
    let services: String = (0..60_000).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    service(&services).refused(&[], LARGE);
    let base: String = (0..2_000).map(|n| format!("      A{n}: v\n")).collect();
    let many: String = (0..2_000).map(|n| format!("  s{n}: {{extends: a}}\n")).collect();
    service(&format!("    environment:\n{base}{many}")).refused(&[], LARGE);
    let chain: String =
        (1..5_000).rev().map(|n| format!("  s{n}: {{extends: s{}}}\n", n - 1)).collect();
    service(&format!("{chain}  s0: {{image: x}}\n")).refused(&[], "extend each other");
}

#[test]
fn lists_of_hosts_are_merged_without_comparing_each_with_each() {
    let hosts = |letter: &str| -> String {
        (0..12_000).map(|n| format!("      - '{letter}{n}:1.1.1.1'\n")).collect()
    };
    service(&format!("    extra_hosts:\n{}", hosts("a")))
        .file("b.yaml", format!("services:\n  a:\n    extra_hosts:\n{}", hosts("b")))
        .accepted(&["-f", "compose.yaml", "-f", "b.yaml"]);
}

#[test]
fn port_ranges_that_stand_for_too_many_ports_are_refused() {
    let ports = ["'1-65535'"; 10].join(", ");
    service(&format!("    ports: [{ports}]\n")).refused(&[], "too many ports");
}

#[test]
fn variables_that_multiply_are_refused() {
    let doubling: String = (1..60).map(|n| format!("V{n}=$V{0}$V{0}\n", n - 1)).collect();
    let doubling = format!("V0=aaaaaaaaaa\n{doubling}");
    service("    hostname: $V59\n").file(".env", &doubling).refused(&[], "8 MiB");
    service("    env_file: e\n").file("e", &doubling).refused(&[], "8 MiB");
    let uses = vec!["'$B$B$B$B'"; 5_000].join(", ");
    service(&format!("    command: [{uses}]\n"))
        .file(".env", format!("B={}\n", "x".repeat(100_000)))
        .refused(&[], LARGE);
    service(&format!("    command: '{}'\n", "$B".repeat(100_000)))
        .file(".env", format!("B={}\n", "x".repeat(100_000)))
        .refused(&[], LARGE);
}

#[test]
fn templates_nested_without_end_are_refused() {
    service(&format!("    hostname: '{}'\n", "${A:-".repeat(100_000))).refused(&[], "write `$$`");
    let nested = format!("{}{}", "${A:-".repeat(100_000), "}".repeat(100_000));
    service(&format!("    hostname: '{nested}'\n")).refused(&[], "write `$$`");
}

#[test]
fn a_hundred_thousand_unset_variables_are_no_hundred_thousand_warnings() {
    let names: String = (0..100_000).map(|n| format!("$U{n} ")).collect();
    service(&format!("    command: '{names}'\n")).accepted(&[]);
}

#[test]
fn one_env_file_for_many_services_is_refused_when_it_is_too_much() {
    let variables: String = (0..2_000).map(|n| format!("A{n}=v\n")).collect();
    let many: String = (0..1_000).map(|n| format!("  s{n}: {{image: x, env_file: e}}\n")).collect();
    service(&many).file("e", &variables).refused(&[], LARGE);
    let variables: String = (0..500_000).map(|n| format!("A{n}=v\n")).collect();
    service("").file(".env", &variables).refused(&[], "8 MiB");
}

#[test]
fn many_mistakes_in_one_long_line_are_told_briefly() {
    let wrong: String = (0..20_000).map(|n| format!("wrong{n}: 1, ")).collect();
    Folder::with(format!("services: {{a: {{image: x, {wrong}}}}}\n")).refused(&[], "wrong0");
}

#[test]
fn what_is_not_text_is_refused() {
    Folder::with(b"services:\n  a:\n    image: \"\xff\"\n").refused(&[], "UTF-8");
    let wide: Vec<u8> = SERVICE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Folder::with([&[0xff, 0xfe], &wide[..]].concat()).refused(&[], "UTF-8");
    Folder::with(vec![0_u8; 100_000]).refused(&[], "error");
    service("    hostname: \"a\0b\"\n").refused(&[], "error");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_accepted() {
    Folder::with([b"\xef\xbb\xbf", SERVICE.as_bytes()].concat()).accepted(&[]);
    Folder::with(SERVICE.replace('\n', "\r\n")).accepted(&[]);
}
