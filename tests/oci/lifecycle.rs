//! create, start, state, kill, delete: what is allowed in which state.

use naru_test::eventually;
use serde_json::json;

use super::bundle::Bundle;
use super::inside;

#[test]
fn a_container_goes_through_its_states() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("echo started; exec sleep 1000");
        let created = bundle.begin(["create", "--pid-file", "pid", "c"]);
        bundle.until("c", "created");
        let state = bundle.state("c");
        assert_eq!(state["id"], "c");
        assert_eq!(state["bundle"], json!(bundle.path()));
        assert_eq!(state["ociVersion"], "1.2.1");
        let pid = eventually("the pid file comes", || {
            fs_err::read_to_string(bundle.file("pid")).map_err(|error| error.to_string())
        });
        assert_eq!(state["pid"], json!(pid.parse::<i32>().unwrap()));
        assert_eq!(created.stdout(), "", "nothing runs before the start");

        bundle.oci(["start", "c"]).succeeds();
        bundle.until("c", "running");
        eventually("its output comes", || match created.stdout().as_str() {
            "started\n" => Ok(()),
            other => Err(other.to_owned()),
        });
        bundle.oci(["kill", "c", "KILL"]).succeeds();
        bundle.until("c", "stopped");
        assert_eq!(bundle.state("c")["pid"], 0);
        bundle.oci(["delete", "c"]).succeeds();
        bundle.oci(["state", "c"]).exits_with(1).says("container c does not exist");
    });
}

#[test]
fn what_the_state_does_not_allow_fails_and_changes_nothing() {
    inside(|| {
        let bundle = Bundle::new();
        for verb in ["start", "state", "kill", "delete", "pause", "resume"] {
            bundle.oci([verb, "c"]).exits_with(1).says("container c does not exist");
        }
        bundle.oci(["create", "c"]).succeeds();
        bundle.oci(["create", "c"]).exits_with(1).says("already exists");
        bundle.oci(["resume", "c"]).exits_with(1);
        assert_eq!(bundle.status("c"), "created");
        bundle.oci(["start", "c"]).succeeds();
        bundle.oci(["start", "c"]).exits_with(1).says("cannot start an already running container");
        bundle.oci(["delete", "c"]).exits_with(1).says("that is not stopped: running");
        assert_eq!(bundle.status("c"), "running");
        bundle.oci(["kill", "c", "9"]).succeeds();
        bundle.until("c", "stopped");
        bundle.oci(["kill", "c", "9"]).exits_with(1).says("container not running");
        bundle.oci(["start", "c"]).exits_with(1).says("cannot start a container that has stopped");
        bundle.oci(["exec", "c", "true"]).exits_with(255).says("in a stopped container");
        bundle.oci(["delete", "c"]).succeeds();
    });
}

#[test]
fn every_verb_needs_a_container() {
    inside(|| {
        let bundle = Bundle::new();
        for verb in ["create", "start", "state", "kill", "delete", "run", "exec", "pause"] {
            let code = bundle.oci([verb]).code;
            assert_eq!(code, 1, "{verb}");
        }
    });
}

#[test]
fn an_id_that_is_no_name_is_refused() {
    inside(|| {
        let bundle = Bundle::new();
        for id in ["", "..", "a/b", "../../x", "a b"] {
            bundle.oci(["create", id]).exits_with(1).says("invalid container id");
        }
    });
}

#[test]
fn a_failed_create_leaves_nothing() {
    inside(|| {
        let bundle = Bundle::running(&["/no/such/program"]);
        let said = bundle.oci(["create", "c"]).exits_with(1).stderr;
        assert!(said.contains("stat /no/such/program: no such file or directory"), "{said}");
        assert!(!bundle.store().join("c").exists());
        assert!(!super::groups(&bundle).iter().any(|group| group.exists()));
        bundle.args(&["sleep", "1000"]);
        bundle.oci(["create", "c"]).succeeds();
    });
}

#[test]
fn a_created_container_ends_by_a_signal_and_is_deleted_without_force() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["create", "a"]).succeeds();
        bundle.oci(["kill", "a", "TERM"]).succeeds();
        bundle.until("a", "stopped");
        bundle.oci(["delete", "a"]).succeeds();
        bundle.oci(["create", "b"]).succeeds();
        bundle.oci(["delete", "b"]).succeeds();
        bundle.oci(["delete", "--force", "never-there"]).succeeds();
    });
}

#[test]
fn a_forced_delete_ends_everything_and_removes_the_groups() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("sleep 1000 & sleep 1000 & exec sleep 1000");
        bundle.oci(["run", "--detach", "c"]).succeeds();
        assert!(super::groups(&bundle).iter().any(|group| group.exists()));
        bundle.oci(["pause", "c"]).succeeds();
        bundle.oci(["delete", "--force", "c"]).succeeds();
        assert!(!super::groups(&bundle).iter().any(|group| group.exists()));
        assert_eq!(bundle.oci(["list", "-q"]).succeeds().stdout, "");
    });
}

#[test]
fn paused_processes_stand_still_and_go_on() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        bundle.oci(["pause", "c"]).succeeds();
        assert_eq!(bundle.status("c"), "paused");
        bundle.oci(["exec", "c", "true"]).exits_with(255).says("paused");
        bundle.oci(["start", "c"]).exits_with(1);
        bundle.oci(["resume", "c"]).succeeds();
        assert_eq!(bundle.status("c"), "running");
        bundle.oci(["exec", "c", "true"]).succeeds();
        bundle.oci(["resume", "c"]).exits_with(1);
    });
}

#[test]
fn containers_are_deleted_by_a_regular_expression() {
    inside(|| {
        let bundle = Bundle::new();
        for id in ["web-1", "web-2", "db-1"] {
            bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(format!("/x-{id}")));
            bundle.oci(["run", "-d", id]).succeeds();
        }
        bundle
            .oci(["delete", "--regex", "^web-"])
            .exits_with(1)
            .says("that is not stopped: running");
        bundle.oci(["delete", "--force", "--regex", "^web-[0-9]$"]).succeeds();
        assert_eq!(bundle.oci(["list", "-q"]).succeeds().stdout, "db-1\n");
        bundle.oci(["delete", "--regex", "("]).exits_with(1).says("regular expression");
    });
}

#[test]
fn a_poststop_hook_that_fails_is_told_and_keeps_nothing() {
    inside(|| {
        let bundle = Bundle::running(&["true"]);
        let ran = bundle.file("ran");
        let last = format!("echo >{}", ran.display());
        bundle.edit(|config| {
            config["hooks"]["poststop"] = json!([
                {"path": "/bin/sh", "args": ["sh", "-c", "echo no luck; exit 3"]},
                {"path": "/bin/sh", "args": ["sh", "-c", last]},
            ]);
        });
        let outcome = bundle.oci(["run", "c"]).succeeds();
        let words =
            "error running poststop hook #0: /bin/sh: it exited with code 3, saying: no luck";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(ran.exists());
        fs_err::remove_file(&ran).unwrap();
        bundle.oci(["create", "c"]).succeeds();
        let words = ["--log", "log", "--log-format", "json", "delete", "c"];
        bundle.oci(words).succeeds();
        let log = fs_err::read_to_string(bundle.file("log")).unwrap();
        assert!(log.contains("\"level\":\"warning\"") && log.contains("poststop hook #0"), "{log}");
        assert!(ran.exists());
        bundle.oci(["state", "c"]).exits_with(1);
    });
}
