//! The flags that change how the model is made or printed.

use super::{Shop, shop};

#[test]
fn the_model_is_printed_in_canonical_yaml() {
    insta::assert_snapshot!(shop().prints("config"));
    assert_eq!(shop().prints("config"), shop().prints("config --format yaml"));
    assert_eq!(shop().prints("config"), shop().prints("convert"));
    assert_eq!(shop().prints("config"), shop().prints("compose config"));
}

#[test]
fn the_model_is_printed_in_json() {
    insta::assert_snapshot!(shop().prints("config --format json"));
}

#[test]
fn a_format_that_does_not_exist_is_refused() {
    assert_eq!(shop().refuses("config --format toml"), "naru: unsupported format \"toml\"\n");
}

#[test]
fn no_interpolate_keeps_the_variables() {
    insta::assert_snapshot!(shop().prints("config --no-interpolate"));
}

#[test]
fn no_interpolate_keeps_the_variables_in_json() {
    insta::assert_snapshot!(shop().prints("config --no-interpolate --format json"));
}

#[test]
fn no_normalize_leaves_implicit_what_is_implied() {
    insta::assert_snapshot!(shop().prints("config --no-normalize"));
}

#[test]
fn no_path_resolution_keeps_paths_relative() {
    insta::assert_snapshot!(shop().prints("config --no-path-resolution"));
}

#[test]
fn no_env_resolution_names_the_env_files() {
    let printed = shop().prints("config --no-env-resolution");
    assert!(printed.contains("    env_file:\n      - path: /shop/web.env\n"), "{printed}");
    assert!(!printed.contains("FROM: file"), "{printed}");
}

#[test]
fn no_consistency_lets_attributes_contradict_each_other() {
    let contradiction =
        "services: {a: {image: x, depends_on: [b], networks: [n], network_mode: host}}\n";
    let shop = Shop::of(contradiction);
    let problems = shop.refuses("config -q");
    assert_eq!(problems.matches("error:").count(), 3, "{problems}");
    let printed = shop.prints("config --no-consistency");
    assert!(printed.contains("network_mode: host") && printed.contains("      b:\n"), "{printed}");
}

#[test]
fn the_four_phases_can_be_left_out_together() {
    let line = "config --no-interpolate --no-normalize --no-path-resolution --no-consistency";
    insta::assert_snapshot!(shop().prints(line));
}

#[test]
fn all_resources_keeps_what_no_service_uses() {
    let printed = shop().prints("--all-resources config");
    assert!(printed.contains("name: shop_back") && printed.contains("name: shop_old"), "{printed}");
    assert!(!shop().prints("config").contains("shop_back"));
}

#[test]
fn named_services_bring_only_what_they_need() {
    let printed = shop().prints("config db");
    assert!(printed.contains("postgres:16") && !printed.contains("nginx"), "{printed}");
    assert!(shop().prints("config web").contains("postgres:16"));
    assert!(shop().prints("config tool").contains("profiles:\n      - tools\n"));
    assert_eq!(shop().refuses("config nosuch"), "naru: no such service: nosuch\n");
    assert_eq!(shop().refuses("config -q nosuch"), "naru: no such service: nosuch\n");
}

#[test]
fn quiet_prints_nothing_and_its_exit_code_tells() {
    assert_eq!(shop().prints("config -q"), "");
    assert_eq!(shop().prints("config --quiet --format json"), "");
    let broken = Shop::of("services: {a: {imagee: x}}\n");
    assert!(broken.refuses("config -q").contains("did you mean `image`?"));
    assert!(broken.refuses("config -q --format json").contains("did you mean `image`?"));
    // A list that is asked for is printed all the same, as by docker compose.
    assert_eq!(shop().prints("config -q --services"), "db\nweb\n");
}

#[test]
fn output_takes_the_place_of_stdout() {
    let shop = shop();
    assert_eq!(shop.prints("config -o out.yaml"), "");
    let text = || fs_err::read_to_string(shop.folder.join("out.yaml")).unwrap();
    assert_eq!(text().replace(&*shop.folder.to_string_lossy(), "/shop"), shop.prints("config"));
    assert_eq!(shop.prints("config --services --output out.yaml"), "");
    assert_eq!(text(), "db\nweb\n");
    assert_eq!(shop.prints("config -q -o quiet.yaml"), "");
    assert!(!shop.folder.join("quiet.yaml").exists());
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_that_names_it() {
    let shop = shop();
    let error = shop.refuses("config -o no/such/out.yaml");
    assert!(error.contains("cannot save the configuration"), "{error}");
    assert!(error.contains("no/such/out.yaml") && error.contains("No such file"), "{error}");
    assert!(shop.refuses("config -o .").contains("directory"));
    // What is wrong in the files comes first, and leaves the file alone.
    let broken = Shop::of("services: {a: {imagee: x}}\n");
    assert!(broken.refuses("config -o out.yaml").contains("imagee"));
    assert!(!broken.folder.join("out.yaml").exists());
}

#[test]
fn digests_of_images_that_are_not_in_the_store_are_an_error_that_names_the_image() {
    for line in ["config --resolve-image-digests", "config --lock-image-digests"] {
        let error = shop().refuses(line);
        assert!(error.contains("cannot find the digest of postgres:16"), "{error}");
        assert!(error.contains("hint: ") && error.contains("naru image load"), "{error}");
        let error = shop().refuses(&format!("{line} --no-interpolate"));
        assert!(error.contains("--no-interpolate"), "{error}");
    }
    // A digest in the file needs no store, and without an image there is nothing to look for.
    let digest = format!("sha256:{}", "7".repeat(64));
    let shop = Shop::of(&format!("services: {{a: {{image: 'x@{digest}'}}, b: {{build: .}}}}\n"));
    let printed = shop.prints("config --resolve-image-digests");
    assert!(printed.contains(&format!("x@{digest}")) && printed.contains("build:"), "{printed}");
}

#[test]
fn digests_of_images_in_the_store_are_resolved_and_locked() {
    let shop = Shop::of("services: {a: {image: 'own:1', command: x}, b: {build: .}}\n");
    let tar = shop.folder.join("empty.tar");
    fs_err::write(&tar, [0; 1024]).unwrap();
    assert_eq!(shop.naru("image import empty.tar own:1").code, 0);
    let resolved = shop.prints("config --resolve-image-digests");
    let image = resolved.lines().find(|line| line.contains("image:")).unwrap().to_owned();
    assert!(image.contains("own:1@sha256:"), "{image}");
    assert!(resolved.contains("command:") && resolved.contains("build:"), "{resolved}");
    let locked = shop.prints("config --lock-image-digests");
    assert_eq!(locked, format!("services:\n  a:\n{image}\n  b: {{}}\n"));
    let both = shop.prints("config --lock-image-digests --resolve-image-digests");
    assert_eq!(locked, both);
}

#[test]
fn the_schema_is_json_whatever_the_files_say() {
    let printed = Shop::of("not: [a project").prints("config --schema");
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert!(schema["$defs"].is_object() || schema["properties"].is_object());
}
