//! Secrets from files.

use super::host;

#[test]
fn a_secret_is_a_read_only_file_below_run_secrets() {
    host(|host| {
        let file = "
services:
  a: { image: test, secrets: [password, { source: password, target: /etc/other }] }
secrets: { password: { file: ./password.txt } }
";
        let project = host
            .project("secret")
            .file("compose.yaml", file)
            .file("password.txt", "correct horse\n");
        project.naru(["up", "-d"]).succeeds();
        let cat = project.naru(["exec", "-T", "a", "cat", "/run/secrets/password", "/etc/other"]);
        assert_eq!(cat.succeeds().stdout, "correct horse\ncorrect horse\n");
        let write = ["exec", "-T", "a", "naru-check", "write", "/run/secrets/password", "x"];
        project.naru(write).exits_with(1);
        let environment = super::report(&project, "a")["environment"].to_string();
        assert!(!environment.contains("horse"), "{environment}");
    });
}

#[test]
fn a_secret_whose_file_is_missing_is_named() {
    host(|host| {
        let file = "services: { a: { image: test, secrets: [gone] } }\nsecrets: { gone: { file: ./gone.txt } }\n";
        let project = host.project("gone").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).exits_with(1).says("gone.txt");
        before.assert_nothing_left();
    });
}
