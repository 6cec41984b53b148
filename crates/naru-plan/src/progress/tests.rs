//! Plans carried out in the test's own order.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::fixture::{RUNNING, needs, project, up_options};
use crate::observed::{Health, Observed, State};

/// A plan under way, with the states of its containers by name.
struct Run {
    progress: Progress,
    states: BTreeMap<String, State>,
}

impl Run {
    fn new(web_needs: serde_json::Value) -> Self {
        let project = project(json!({"db": {}, "web": {"depends_on": web_needs}}));
        let plan = crate::up(&project, &Observed::default(), &up_options()).unwrap();
        Self { progress: Progress::new(plan), states: BTreeMap::new() }
    }

    fn next(&mut self) -> (Vec<u32>, Vec<String>) {
        let states = &self.states;
        let next = self.progress.next(|subject| {
            let (name, state) = states.get_key_value(subject.name())?;
            Some(Member { name, state: *state })
        });
        let reasons = next.refused.into_iter().map(|(_, r)| r);
        let warnings = next.warnings.into_iter().map(|(_, r)| r);
        (next.begin.iter().map(|step| step.id.0).collect(), reasons.chain(warnings).collect())
    }

    fn done(&mut self, ids: &[u32]) {
        for id in ids {
            self.progress.finish(StepId(*id), Outcome::Done);
        }
    }

    fn is(&mut self, name: &str, health: Health) {
        self.states.insert(name.to_owned(), State::Running { health });
    }
}

// 1 create network, 2 create db, 3 create web, 4 start db, 5 start web

#[test]
fn steps_begin_once_and_as_soon_as_they_can() {
    let mut run = Run::new(needs(&[("db", "service_healthy")]));
    assert_eq!(run.next().0, [1]);
    assert_eq!(run.next().0, [] as [u32; 0]);
    run.done(&[1]);
    assert_eq!(run.next().0, [2, 3]);
    run.done(&[2, 3]);
    assert_eq!(run.next().0, [4]);
    run.done(&[4]);
    assert_eq!(run.next().0, [] as [u32; 0], "db's state is not known yet");
    run.is("p-db-1", Health::Starting);
    assert_eq!(run.next().0, [] as [u32; 0]);
    run.is("p-db-1", Health::Healthy);
    assert_eq!(run.next().0, [5]);
    assert!(run.progress.is_busy() && !run.progress.is_finished());
    run.done(&[5]);
    assert!(!run.progress.is_busy() && run.progress.is_finished());
}

#[test]
fn a_failed_gate_refuses_the_step_with_its_reason() {
    let mut run = Run::new(needs(&[("db", "service_healthy")]));
    run.next();
    run.done(&[1]);
    run.next();
    run.done(&[2, 3]);
    run.next();
    run.done(&[4]);
    run.is("p-db-1", Health::Unhealthy);
    let reason = "dependency failed to start: container p-db-1 is unhealthy".to_owned();
    assert_eq!(run.next(), (vec![], vec![reason]));
    assert!(run.progress.is_finished());
}

#[test]
fn a_failed_step_skips_what_comes_after_it() {
    let mut run = Run::new(needs(&[("db", "service_healthy")]));
    run.next();
    run.done(&[1]);
    run.next();
    run.done(&[3]);
    run.progress.finish(StepId(2), Outcome::Failed);
    assert_eq!(run.next(), (vec![], vec![]));
    assert!(run.progress.is_finished());
    assert_eq!(run.progress.outcome(StepId(5)), Some(Outcome::Skipped));
}

#[test]
fn a_dependency_that_may_fail_is_a_warning() {
    let soft = json!({"db": {"condition": "service_healthy", "required": false}});
    for fails in [true, false] {
        let mut run = Run::new(soft.clone());
        run.next();
        run.done(&[1]);
        run.next();
        run.done(&[2, 3]);
        assert_eq!(run.next().0, [4]);
        if fails {
            run.progress.finish(StepId(4), Outcome::Failed);
        } else {
            run.done(&[4]);
            run.states.insert("p-db-1".to_owned(), State::Exited { code: Some(1) });
        }
        let (begun, warnings) = run.next();
        assert_eq!((begun, warnings.len()), (vec![5], 1));
        run.done(&[5]);
        assert!(run.progress.is_finished());
    }
}

#[test]
fn abandoning_lets_only_what_has_begun_end() {
    let mut run = Run::new(needs(&[("db", "service_started")]));
    run.next();
    run.progress.abandon();
    assert!(run.progress.is_busy());
    run.done(&[1]);
    run.states.insert("p-db-1".to_owned(), RUNNING);
    assert_eq!(run.next(), (vec![], vec![]));
    assert!(run.progress.is_finished());
}
