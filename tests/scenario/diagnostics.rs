//! What naru says about Compose files on the command line: forms, exit codes, streams.

use serde_json::Value;

use super::host;

const BROKEN: &str = "services:\n  a:\n    image: test\n    prots: ['80']\n  b:\n    image: test\n    depends_on: [c]\n";
const TRAP: &str =
    "services:\n  a: {image: 'x:${TAG}'}\n  b: {image: 'y:${TAG}'}\n  c: {image: 'z:${TAG}'}\n";

#[test]
fn problems_are_one_json_document_on_stdout_for_editors() {
    host(|host| {
        let project = host.project("json").file("compose.yaml", BROKEN);
        let outcome = project.naru(["config", "--diagnostics", "json"]).exits_with(1);
        let problems: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let first = &problems["problems"][0];
        assert_eq!(problems["problems"].as_array().unwrap().len(), 2, "{outcome}");
        assert_eq!(
            (&first["line"], &first["column"], &first["end_column"]),
            (&4.into(), &5.into(), &10.into())
        );
        assert_eq!(
            (first["code"].as_str(), first["file"].as_str()),
            (Some("unknown-attribute"), Some("compose.yaml"))
        );
        assert_eq!(outcome.stderr, "", "{outcome}");
    });
}

#[test]
fn config_as_json_is_well_formed_with_and_without_errors() {
    host(|host| {
        let project = host.project("json").file("compose.yaml", BROKEN);
        let outcome = project.naru(["config", "--format", "json"]).exits_with(1);
        let problems: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(problems["problems"][1]["code"], "undefined", "{outcome}");
        assert!(outcome.stderr.contains("did you mean `ports`?"), "{outcome}");
        let project = host.project("good").file("compose.yaml", TRAP);
        let outcome = project.naru(["config", "--format", "json"]).exits_with(0);
        let model: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(
            (&model["services"]["a"]["image"], model.get("problems")),
            (&"x:".into(), None),
            "{outcome}"
        );
    });
}

#[test]
fn a_warning_is_told_once_and_the_same_by_config_and_up() {
    host(|host| {
        let project = host.project("once").file("compose.yaml", TRAP);
        let outcome = project.naru(["config", "-q"]).exits_with(0);
        assert_eq!(outcome.stderr.matches("\"TAG\" variable is not set").count(), 1, "{outcome}");
        let up = project.naru(["up", "-d"]).exits_with(1);
        assert!(up.stderr.starts_with(&outcome.stderr), "{up}");
        let project = project.variable("NARU_LINT_ALLOW", "unset-variable");
        assert_eq!(project.naru(["config", "-q"]).exits_with(0).stderr, "");
    });
}

#[test]
fn up_refuses_with_the_same_words_as_config() {
    host(|host| {
        let project = host.project("same").file("compose.yaml", BROKEN);
        let config = project.naru(["config"]).exits_with(1);
        let up = project.naru(["up", "-d"]).exits_with(1);
        assert_eq!(config.stderr, up.stderr);
        assert!(!config.stderr.contains('\x1b'), "{config}");
        let coloured = project.naru(["--ansi", "always", "config"]).exits_with(1);
        assert!(coloured.stderr.contains("\x1b[31merror:\x1b[0m"), "{coloured}");
    });
}

#[test]
fn a_value_is_explained_as_text_and_as_json() {
    host(|host| {
        let project =
            host.project("why").file("compose.yaml", "services:\n  a:\n    image: x:${TAG}\n");
        let project = project.file(".env", "TAG=7\n");
        let text = project.naru(["config", "--explain", "services.a.image"]).exits_with(0);
        assert!(text.stdout.contains("from compose.yaml:3:12: written here"), "{text}");
        assert!(text.stdout.contains(".env:1:1: variable TAG is set here (`7`)"), "{text}");
        let json = project.naru(["config", "--explain", "services.a.image", "--format", "json"]);
        let json: Value = serde_json::from_str(&json.exits_with(0).stdout).unwrap();
        assert_eq!(json["values"][0]["value"], "x:7");
        let unknown = project.naru(["config", "--explain", "services.a.imag"]).exits_with(1);
        assert!(unknown.stderr.contains("did you mean `image`?"), "{unknown}");
    });
}
