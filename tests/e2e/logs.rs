//! `logs` of a real stack.

use crate::stack;

#[test]
fn logs_contain_every_component_and_follow_new_lines() {
    let lines = stack().lastack("logs --tail 5").good();
    for part in
        ["lms lms-moodle-", "lrs lrs-ralph-", "datalake data-lake-es-", "dataviz dataviz-superset-"]
    {
        lines.prints(part);
    }
    // the kubelet asks Ralph for its health every few seconds
    let program = env!("CARGO_BIN_EXE_kubectl-lastack");
    let namespace = stack().namespace;
    stack()
        .shell(&format!("timeout 60 '{program}' logs -f lrs --tail 0 -n {namespace} | grep --max-count 1 heartbeat"))
        .good()
        .prints("lrs lrs-ralph-");
}
