//! Values in one text, and the grammar of env files.

use super::{accepted, check, check_files, refused};

#[test]
fn a_volume_in_one_text_is_a_bind_mount_when_it_starts_like_a_path() {
    for (text, kind) in [
        ("/a:/x", "bind"),
        ("./a:/x", "bind"),
        ("../a:/x", "bind"),
        ("~/a:/x", "bind"),
        ("data:/x", "volume"),
        // One letter before the colon is a drive of Windows.
        ("c:/x", "volume"),
    ] {
        let yaml = super::of(&format!("volumes: ['{text}']"));
        let project = super::project(&[("compose.yaml", &yaml)]);
        let printed = serde_json::to_value(&project.services["a"].volumes[0]).unwrap();
        assert_eq!(printed["type"], kind, "{text}");
    }
}

#[test]
fn options_of_a_volume_say_how_it_is_mounted_and_unknown_ones_nothing() {
    check(
        "volumes: ['/a:/x:ro,Z,rshared,unknown']",
        "volumes",
        r#"[{"bind":{"create_host_path":true,"propagation":"rshared","selinux":"Z"},"read_only":true,"source":"/a","target":"/x","type":"bind"}]"#,
    );
    check(
        "volumes: ['data:/x/../y:nocopy']",
        "volumes",
        r#"[{"source":"data","target":"/y","type":"volume","volume":{"nocopy":true}}]"#,
    );
}

#[test]
fn sections_of_a_volume_are_two_or_three_and_none_is_empty() {
    refused("volumes: ['/a::ro']", "/a::ro");
    refused("volumes: [':/x']", ":/x");
    refused("volumes: ['/a:/b:ro:z']", "/a:/b:ro:z");
}

#[test]
fn two_mounts_at_one_place_are_an_error_whatever_they_are() {
    refused("volumes: ['/a:/x'], tmpfs: ['/x:size=1m']", "`/x`");
}

#[test]
fn exposed_ports_may_be_ranges_and_have_a_protocol() {
    check("expose: [80, '81-82', '90/udp']", "expose", r#"["80","81-82","90/udp"]"#);
    check("expose: ['80', '80/tcp', 80]", "expose", r#"["80","80/tcp"]"#);
}

#[test]
fn ranges_of_ports_are_sorted_within_their_entry_and_hosts_over_all() {
    check(
        "ports: ['90:90', '9-10']",
        "ports",
        r#"[{"mode":"ingress","protocol":"tcp","published":"90","target":90},{"mode":"ingress","protocol":"tcp","target":10},{"mode":"ingress","protocol":"tcp","target":9}]"#,
    );
    check("extra_hosts: ['b:1.1.1.1', 'a=2.2.2.2']", "extra_hosts", r#"["a=2.2.2.2","b=1.1.1.1"]"#);
    check("extra_hosts: {h: [1.1.1.1, '::1']}", "extra_hosts", r#"["h=1.1.1.1","h=::1"]"#);
}

#[test]
fn secrets_are_mounted_below_run_secrets_and_configs_at_the_root() {
    check("secrets: [s1]", "secrets", r#"[{"source":"s1","target":"/run/secrets/s1"}]"#);
    check("configs: [c1]", "configs", r#"[{"source":"c1"}]"#);
    check(
        "build: {context: /c, dockerfile: D, secrets: [s1]}",
        "build",
        r#"{"context":"/c","dockerfile":"D","secrets":[{"source":"s1"}]}"#,
    );
    check(
        "secrets: [{source: s1, mode: 0440}, {source: s2, target: /x, mode: '0400', uid: '1', gid: '2'}]",
        "secrets",
        r#"[{"mode":"0440","source":"s1","target":"/run/secrets/s1"},{"gid":"2","mode":"0400","source":"s2","target":"/x","uid":"1"}]"#,
    );
}

#[test]
fn zero_values_are_not_printed() {
    for (value, attribute) in
        [("mem_swappiness: 0", "mem_swappiness"), ("privileged: false", "privileged")]
    {
        check(value, attribute, "null");
    }
}

#[test]
fn env_files_take_any_spelling_of_a_line() {
    let yaml = "services: {a: {image: x, env_file: e}}\n";
    let env = "# comment\r\nexport A=1\r\nB: two\n  C = three # comment\nD.e-f[0]=4\nA=last\nG='it\\'s $A'\n\nH=\"$A\\t\\$A\\\\\"\nI=$$A\nJ=\"one\ntwo\"\n";
    check_files(
        &[("compose.yaml", yaml), ("e", env)],
        "environment",
        r#"{"A":"last","B":"two","C":"three","D.e-f[0]":"4","G":"it's $A","H":"last\t$A\\","I":"$A","J":"one\ntwo"}"#,
    );
}

#[test]
fn a_device_is_a_path_twice_or_a_name_of_its_vendor() {
    check(
        "devices: ['/dev/a', '/dev/b:/dev/c:r']",
        "devices",
        r#"[{"permissions":"rwm","source":"/dev/a","target":"/dev/a"},{"permissions":"r","source":"/dev/b","target":"/dev/c"}]"#,
    );
    accepted("devices: ['vendor.com/class=name']");
}
