//! Which files `-f` names, and what is said about those that cannot be used.

use super::Shop;

const ONE: &str = "services: {a: {image: one}}\n";
const TWO: &str = "services: {a: {image: two}, b: {image: x}}\n";

fn images(shop: &Shop, line: &str) -> String {
    shop.prints(&format!("{line} config --images"))
}

#[test]
fn several_files_are_merged_in_their_order() {
    let shop = Shop::with(&[("1.yaml", ONE), ("2.yaml", TWO)]);
    assert_eq!(images(&shop, "-f 1.yaml -f 2.yaml"), "two\nx\n");
    assert_eq!(images(&shop, "-f 2.yaml -f 1.yaml"), "one\nx\n");
    assert_eq!(images(&shop, "--file=2.yaml compose -f 1.yaml"), "one\nx\n");
}

#[test]
fn a_dash_is_standard_input_wherever_it_stands() {
    let shop =
        Shop::with(&[("1.yaml", ONE), ("sub/2.yaml", TWO)]).stdin("services: {a: {image: in}}\n");
    assert_eq!(images(&shop, "-f -"), "in\n");
    assert_eq!(images(&shop, "-f 1.yaml -f -"), "in\n");
    assert_eq!(images(&shop, "-f - -f 1.yaml"), "one\n");
    assert_eq!(images(&shop, "-f sub/2.yaml -f - -f 1.yaml"), "one\nx\n");
    // The project's directory is that of the first file that has one.
    assert!(shop.prints("-f - config").starts_with("name: shop\n"));
    assert!(shop.prints("-f sub/2.yaml -f - config").starts_with("name: sub\n"));
    // The second time there is nothing more to read.
    assert_eq!(images(&shop, "-f - -f -"), "in\n");
}

#[test]
fn what_is_wrong_on_standard_input_is_shown_with_its_line() {
    let shop = Shop::with(&[]).stdin("services:\n  a:\n    imagee: x\n");
    let problems = shop.refuses("-f - config");
    assert!(problems.contains("--> -:3:5") && problems.contains("imagee"), "{problems}");
    let empty = Shop::with(&[]).refuses("-f - config");
    assert!(empty.contains("the file is empty"), "{empty}");
}

#[test]
fn a_directory_is_not_a_file() {
    let shop = Shop::with(&[("1.yaml", ONE)]);
    let problems = shop.refuses("-f . config");
    assert!(problems.contains("/shop is not a regular file"), "{problems}");
    assert!(problems.contains("--project-directory"), "{problems}");
}

#[test]
fn a_file_that_is_missing_is_named_and_the_others_are_checked_all_the_same() {
    let shop = Shop::with(&[("1.yaml", "services: {a: {imagee: x}}\n")]);
    let problems = shop.refuses("-f nowhere.yaml -f 1.yaml config");
    assert!(problems.contains("there is no file /shop/nowhere.yaml"), "{problems}");
    assert!(problems.contains("imagee"), "{problems}");
}

#[test]
fn files_on_other_machines_are_refused_by_name() {
    let shop = Shop::with(&[("1.yaml", "services: {a: {imagee: x}}\n")]);
    for remote in [
        "https://example.test/compose.yaml",
        "https://example.test/shop.git",
        "git@example.test:shop.git",
        "github.com/example/shop",
        "oci://example.test/shop:1",
    ] {
        let problems = shop.refuses(&format!("-f {remote} -f 1.yaml config"));
        let expected = format!("`{remote}` is on another machine, which is not possible yet");
        assert!(problems.contains(&expected), "{problems}");
        assert!(problems.contains("fetch it, and name the file with -f"), "{problems}");
        assert!(problems.contains("imagee"), "{problems}");
    }
}

#[test]
fn relative_paths_start_from_the_first_file_or_the_project_directory() {
    let shop = Shop::with(&[
        ("sub/1.yaml", "services: {a: {build: ./x}}\n"),
        ("other/2.yaml", "services: {b: {build: ./y}}\n"),
    ]);
    let printed = shop.prints("-f sub/1.yaml -f other/2.yaml config");
    assert!(printed.contains("/shop/sub/x") && printed.contains("/shop/sub/y"), "{printed}");
    let printed = shop.prints("-f sub/1.yaml --project-directory other config");
    assert!(printed.contains("/shop/other/x") && printed.starts_with("name: other"), "{printed}");
}

#[test]
fn without_any_file_the_names_that_were_looked_for_are_told() {
    let problems = Shop::with(&[]).refuses("config");
    assert!(problems.contains("no configuration file provided: not found"), "{problems}");
    assert!(problems.contains("docker-compose.yaml"), "{problems}");
}
