//! How many replicas, and what they are called.

use serde_json::json;

use super::*;

#[test]
fn scaling_up_continues_after_the_highest_number() {
    let one = project(json!({"web": {"scale": 2}}));
    let mut seen = running(&one);
    seen.containers.retain(|c| c.number == 2);
    let options = UpOptions { scale: [("web".to_owned(), 3)].into(), ..up_options() };
    check(
        &up_text(&one, &seen, &options),
        "
            1 create container p-web-3: does not exist
            2 create container p-web-4: does not exist
            3 start container p-web-3 [after 1]: new
            4 start container p-web-4 [after 2]: new
        ",
    );
}

#[test]
fn scaling_down_takes_obsolete_replicas_first_then_the_highest() {
    let three = project(json!({"web": {"scale": 3}}));
    let seen = with(running(&three), "p-web-1", |c| c.fingerprint.hash.clear());
    let options = UpOptions { scale: [("web".to_owned(), 1)].into(), ..up_options() };
    check(
        &up_text(&three, &seen, &options),
        "
            1 stop container p-web-3: scaled down
            2 stop container p-web-1: scaled down
            3 remove container p-web-3 [after 1]: scaled down
            4 remove container p-web-1 [after 2]: scaled down
        ",
    );
}

#[test]
fn a_fixed_container_name_is_used_and_cannot_be_scaled() {
    let one = project(json!({"web": {"container_name": "site"}}));
    check(
        &up_text(&one, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container site [after 1]: does not exist
            3 start container site [after 2]: new
        ",
    );
    let options = UpOptions { scale: [("web".to_owned(), 2)].into(), ..up_options() };
    let error = up(&one, &Observed::default(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service \"web\" has the container_name \"site\", so it cannot be scaled to 2"
    );
}

#[test]
fn with_compatibility_underscores_part_the_names() {
    let old = naru_compose::Project { compatibility: true, ..project(json!({"web": {}})) };
    check(
        &up_text(&old, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container p_web_1 [after 1]: does not exist
            3 start container p_web_1 [after 2]: new
        ",
    );
}

#[test]
fn absurd_scales_are_refused_before_anything_is_allocated() {
    let options = UpOptions { scale: [("web".to_owned(), 1_000_000_000)].into(), ..up_options() };
    let error = up(&project(json!({"web": {}})), &Observed::default(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service \"web\" cannot be scaled to 1000000000: 10000 replicas is the most"
    );
}
