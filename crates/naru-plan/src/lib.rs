//! Pure decisions: project and observed state to a plan, restarts, health.
