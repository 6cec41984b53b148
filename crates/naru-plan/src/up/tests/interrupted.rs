//! What happens after an `up` that was cut off at any step.

use super::resources::{with_network, with_volume};
use super::*;

#[test]
fn an_interrupted_replacement_is_finished() {
    let before = project(json!({"db": {}}));
    let after = project(json!({"db": {"environment": {"A": "1"}}}));
    let mut seen = running(&before);
    let plan = up(&after, &seen, &up_options()).unwrap();
    let begun = Plan { steps: plan.steps[..1].to_vec(), notices: Vec::new() };
    apply(&begun, &after, &up_options(), &mut seen);
    check(
        &up_text(&after, &seen, &up_options()),
        "
            1 stop container p-db-1: left over
            2 remove container p-db-1 [after 1]: left over
            3 rename container 000000000001_p-db-1 to p-db-1 [after 2]: replaced
            4 start container p-db-1 [after 1, 3]: not running
        ",
    );
    let again = project(json!({"db": {"environment": {"A": "2"}}}));
    check(
        &up_text(&again, &seen, &up_options()),
        "
            1 remove container 000000000001_p-db-1: left over
            2 create container 000000000001_p-db-1 for p-db-1: environment.A changed
            3 stop container p-db-1 [after 2]: replaced
            4 remove container p-db-1 [after 2, 3]: replaced
            5 rename container 000000000001_p-db-1 to p-db-1 [after 2, 4]: replaced
            6 start container p-db-1 [after 5]: new
        ",
    );
}

/// Projects that have services, networks and volumes in common, all different.
fn variants() -> Vec<Project> {
    vec![
        shop(),
        with_network(json!({})),
        with_network(json!({"internal": true})),
        with_volume(json!({})),
        with_volume(json!({"labels": {"a": "b"}})),
        project(json!({"web": {"scale": 3}, "db": {"environment": {"A": "1"}}})),
        project(json!({"web": {"scale": 1, "container_name": "site"}, "x": {}})),
        project(json!({
            "db": {"environment": {"A": "2"}},
            "web": {"scale": 2, "depends_on": {"db": {"condition": "service_started", "restart": true, "required": true}}}
        })),
    ]
}

fn thorough() -> UpOptions {
    let recreate_volumes = ["p_data".to_owned()].into();
    UpOptions { remove_orphans: true, recreate_volumes, ..up_options() }
}

#[test]
fn up_after_any_interrupted_up_reaches_the_goal() {
    let options = thorough();
    for first in variants() {
        for second in variants() {
            let plan = up(&second, &running(&first), &options).unwrap();
            for length in 0..=plan.steps.len() {
                let mut seen = running(&first);
                let begun = Plan { steps: plan.steps[..length].to_vec(), notices: Vec::new() };
                apply(&begun, &second, &options, &mut seen);
                let rest = up(&second, &seen, &options).unwrap();
                check_order(&rest);
                apply(&rest, &second, &options, &mut seen);
                assert!(seen.containers.iter().all(|c| c.state == RUNNING), "{plan}\n{rest}");
                assert_eq!(up_text(&second, &seen, &options), "", "{plan}\n{rest}");
            }
        }
    }
}

#[test]
fn down_after_any_interrupted_up_leaves_nothing() {
    let options = thorough();
    for first in variants() {
        for second in variants() {
            let plan = up(&second, &running(&first), &options).unwrap();
            for length in 0..=plan.steps.len() {
                let mut seen = running(&first);
                let begun = Plan { steps: plan.steps[..length].to_vec(), notices: Vec::new() };
                apply(&begun, &second, &options, &mut seen);
                let down_options = crate::DownOptions { volumes: true, ..Default::default() };
                let rest = crate::down(None, &seen, &down_options).unwrap();
                check_order(&rest);
                apply(&rest, &second, &options, &mut seen);
                let left = (seen.containers.len(), seen.networks.len(), seen.volumes.len());
                assert_eq!(left, (0, 0, 0), "{plan}\n{rest}");
            }
        }
    }
}
