//! The output of the commands in a terminal.

use std::thread::sleep;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::support::moodle::statement_of_the_event;
use crate::support::server::Reply;
use crate::support::stack::MockedStack;
use crate::support::terminal::Terminal;

use super::uninstall::LRS;

fn typed(stack: &MockedStack, line: &str, environment: &[(&str, &str)]) -> Terminal {
    let mut command = stack.machine.command(&line.split(' ').collect::<Vec<_>>());
    command.env("TERM", "xterm-256color").envs(environment.iter().copied());
    Terminal::start(command)
}

#[test]
fn install_in_a_terminal_leaves_one_row_for_each_node() {
    let stack = MockedStack::empty();
    let mut terminal = typed(&stack, "install --only lrs", &[]);
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.screen());
    let screen = terminal.screen();
    for step in ["preflight.permissions", "datalake.index", "lrs.release", "lrs.responds"] {
        assert_eq!(
            screen.matches(step).count(),
            1,
            "the screen should show {step} once:\n{screen}"
        );
    }
    assert!(
        screen
            .lines()
            .any(|line| line.trim_start().starts_with("ok") && line.contains("lrs.release")),
        "{screen}"
    );
    assert!(screen.contains("Ready in"), "{screen}");
    assert!(
        terminal.drawn.contains("waiting"),
        "a waiting node should show its state:\n{}",
        terminal.drawn
    );
    assert!(terminal.has_colour(), "{screen}");
}

#[test]
fn install_in_a_dumb_or_colourless_terminal_prints_no_escapes() {
    let stack = MockedStack::empty();
    let mut dumb = typed(&stack, "install --only lrs", &[("TERM", "dumb")]);
    assert_eq!(dumb.ends().code(), Some(0), "{}", dumb.screen());
    assert!(
        !dumb.drawn.contains('\u{1b}'),
        "a dumb terminal should receive no escape sequences:\n{}",
        dumb.drawn
    );
    let mut plain = typed(&stack, "install --only lrs", &[("NO_COLOR", "1")]);
    assert_eq!(plain.ends().code(), Some(0), "{}", plain.screen());
    assert!(!plain.has_colour(), "{}", plain.screen());
}

#[test]
fn uninstall_deletes_nothing_when_the_user_declines() {
    let stack = MockedStack::installed();
    let mut terminal = typed(&stack, "uninstall", &[]);
    terminal.until("[y/N]").types("n\n");
    assert_eq!(terminal.ends().code(), Some(1), "{}", terminal.screen());
    assert!(terminal.screen().contains("nothing was deleted"), "{}", terminal.screen());
    assert!(stack.helm.calls_of("uninstall").is_empty());
}

#[test]
fn uninstall_of_statements_of_learners_requires_the_namespace() {
    let stack = MockedStack::installed();
    stack.lrs.has(&[super::ownership::statement_of(2, "https://lms.example.com")]);
    let question = "Type the namespace (alice) to confirm:";
    let mut terminal = typed(&stack, "uninstall", &[]);
    terminal.until(question).types("y\n");
    assert_eq!(terminal.ends().code(), Some(1), "{}", terminal.screen());
    assert!(terminal.screen().contains("nothing was deleted"), "{}", terminal.screen());
    assert!(stack.helm.calls_of("uninstall").is_empty());
    let mut terminal = typed(&stack, "uninstall", &[]);
    terminal.until(question).types("alice\n");
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.screen());
}

#[test]
fn ctrl_c_at_the_uninstall_prompt_deletes_nothing() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    let mut terminal = typed(&stack, "uninstall", &[]);
    terminal.until("[y/N]").interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
    assert!(
        terminal.screen().contains("\nerror: interrupted"),
        "the prompt should have its own line:\n{}",
        terminal.screen()
    );
    assert_eq!(stack.kubernetes.changes(), changes);
    assert!(stack.helm.calls_of("uninstall").is_empty());
}

#[test]
fn ctrl_c_at_the_replay_prompt_sends_nothing() {
    let stack = MockedStack::installed();
    stack.moodle.world().failed = vec![
        json!({"errortype": 0, "alone": false, "events": 40, "oldest": 1_767_225_600, "response": ""}),
    ];
    let mut terminal = typed(&stack, "replay", &[]);
    terminal.until("[y/N]").interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
    assert!(super::lms::called(&stack, "replay").is_empty());
}

#[test]
fn prompt_time_does_not_count_towards_the_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let stack = MockedStack::installed();
    // the pods of the Deployment stay
    stack.kubernetes.reacts(Method::DELETE, LRS, |world, _| {
        world.remove(LRS);
        Some(Reply::ok(json!({})))
    });
    let mut terminal = typed(&stack, "uninstall --keep-data --timeout 1s", &[]);
    terminal.until("[y/N]");
    sleep(TIMEOUT);
    let responded = Instant::now();
    terminal.types("y\n");
    assert_eq!(terminal.ends().code(), Some(124), "{}", terminal.screen());
    assert!(
        responded.elapsed() >= TIMEOUT,
        "the program should wait the full timeout for the pods:\n{}",
        terminal.screen()
    );
}

#[test]
fn watch_in_a_terminal_redraws_one_table_until_ctrl_c() {
    let stack = MockedStack::installed();
    let mut terminal = typed(&stack, "status --watch", &[]);
    terminal.until("heartbeat ok");
    stack.lrs.always(Reply::Json(500, json!({"database": "error"})));
    terminal.until("fault: lrs response");
    assert_eq!(
        terminal.screen().matches("COMPONENT").count(),
        1,
        "the screen should show one table:\n{}",
        terminal.screen()
    );
    terminal.interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
}

#[test]
fn interrupted_trace_deletes_its_event_and_statement() {
    let stack = MockedStack::installed();
    stack.moodle.world().fate = "waiting".into();
    let mut terminal = typed(&stack, "trace", &[]);
    terminal.until("waiting for cron, which sends once per minute");
    // Moodle sends the event at this moment
    stack.lrs.has(&[statement_of_the_event()]);
    terminal.interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
    assert!(terminal.screen().contains("hint: the event was deleted"), "{}", terminal.screen());
    assert!(
        stack
            .moodle
            .world()
            .called
            .iter()
            .any(|(script, input)| script == "event" && input["do"] == "forget")
    );
    assert!(stack.lrs.stored().is_empty(), "the trace should delete the statement");
}
