//! The variables that configure docker compose, from the environment and from `.env`.

use super::Shop;

const SHOP: &str = "services: {a: {image: x}, b: {build: ., profiles: [p]}}\n";

fn shop() -> Shop {
    Shop::with(&[("compose.yaml", SHOP), ("2.yaml", "services: {a: {image: two}}\n")])
}

#[test]
fn compose_file_names_the_files_with_the_separator_between_them() {
    let shop = shop().variable("COMPOSE_FILE", "compose.yaml:2.yaml");
    assert_eq!(shop.prints("config --images"), "two\n");
    assert_eq!(shop.prints("-f compose.yaml config --images"), "x\n");
    let shop = shop
        .variable("COMPOSE_FILE", "2.yaml,compose.yaml")
        .variable("COMPOSE_PATH_SEPARATOR", ",");
    assert_eq!(shop.prints("config --images"), "x\n");
    let remote = Shop::with(&[])
        .variable("COMPOSE_FILE", "https://example.test/a.yaml")
        .variable("COMPOSE_PATH_SEPARATOR", ",");
    assert!(remote.refuses("config").contains("is on another machine"));
}

#[test]
fn compose_project_name_and_compose_profiles_are_as_their_flags() {
    let shop = shop().variable("COMPOSE_PROJECT_NAME", "own").variable("COMPOSE_PROFILES", "q,p");
    assert_eq!(shop.prints("config --images"), "x\nown-b\n");
    assert_eq!(shop.prints("-p flag --profile q config --images b"), "flag-b\n");
}

#[test]
fn compose_env_files_and_compose_disable_env_file_choose_the_env_file() {
    let files = [
        ("compose.yaml", "services: {a: {image: '${T-none}'}}\n"),
        (".env", "T=dot\n"),
        ("e", "T=e\n"),
    ];
    let image = |name, value| Shop::with(&files).variable(name, value).prints("config --images");
    assert_eq!(image("COMPOSE_ENV_FILES", "e"), "e\n");
    assert_eq!(image("COMPOSE_DISABLE_ENV_FILE", "1"), "none\n");
    assert_eq!(image("COMPOSE_DISABLE_ENV_FILE", "0"), "dot\n");
}

#[test]
fn compose_compatibility_puts_an_underscore_between_the_parts_of_names() {
    let expected = "x\nshop_b\n";
    assert_eq!(shop().prints("--profile p --compatibility config --images"), expected);
    assert_eq!(
        shop().prints("--profile p --compatibility config --images --no-interpolate"),
        expected
    );
    let compatible = shop().variable("COMPOSE_COMPATIBILITY", "true");
    assert_eq!(compatible.prints("--profile p config --images"), expected);
    // Names of networks and volumes have one anyway, and what `config` prints stays the same.
    assert_eq!(compatible.prints("config"), shop().prints("config"));
}

#[test]
fn variables_that_change_nothing_are_noted_by_name() {
    for name in [
        "COMPOSE_MENU",
        "COMPOSE_PARALLEL_LIMIT",
        "COMPOSE_BAKE",
        "COMPOSE_EXPERIMENTAL",
        "COMPOSE_CONVERT_WINDOWS_PATHS",
    ] {
        let outcome = shop().variable(name, "1").naru("config --images");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "x\n"));
        assert!(
            outcome.stderr.starts_with(&format!("{name} changes nothing: ")),
            "{}",
            outcome.stderr
        );
    }
    let outcome = shop().naru("--parallel 3 config -q");
    assert!(outcome.stderr.starts_with("--parallel changes nothing: "), "{}", outcome.stderr);
    assert_eq!(shop().prints("--parallel -1 config -q"), "");
}

#[test]
fn compose_ansi_and_compose_progress_take_the_words_of_their_flags() {
    let broken = || Shop::of("services: {a: {imagee: x}}\n");
    assert!(broken().variable("COMPOSE_ANSI", "always").refuses("config").contains("\x1b[31m"));
    let never = broken().variable("COMPOSE_ANSI", "always").refuses("--ansi never config");
    assert!(!never.contains('\x1b'), "{never}");
    let wrong = shop().variable("COMPOSE_PROGRESS", "slow").refuses("config");
    assert!(wrong.contains("COMPOSE_PROGRESS: `slow` is not one of"), "{wrong}");
}

#[test]
fn dot_env_configures_compose_as_the_environment_does() {
    let with = |text| {
        Shop::with(&[
            ("compose.yaml", SHOP),
            ("2.yaml", "services: {a: {imagee: two}}\n"),
            (".env", text),
        ])
    };
    assert!(
        with("COMPOSE_ANSI=always\nCOMPOSE_FILE=2.yaml\n").refuses("config").contains("\x1b[31m")
    );
    assert!(
        with("COMPOSE_MENU=1\n").naru("config -q").stderr.contains("COMPOSE_MENU changes nothing")
    );
    assert_eq!(with("COMPOSE_COMPATIBILITY=1\n").prints("config --images b"), "shop_b\n");
    // The environment wins, and other names mean nothing there.
    let shop = with("COMPOSE_ANSI=always\nNO_COLOR=1\n").variable("COMPOSE_ANSI", "never");
    assert_eq!(shop.prints("config --images"), "x\n");
    // What is wrong in it is told once.
    let broken = with("A B=1\n").refuses("config");
    assert_eq!(broken.matches("error:").count(), 1, "{broken}");
}
