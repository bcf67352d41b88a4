//! `/restart`: asked first, then carried out by whoever can.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use pivot_trading::store::lock::ServiceLock;
use pivot_trading::store::{Ask, Role};

use super::stage::{OWNER, Stage, VIEWER};

#[test]
fn pivot_trading_is_asked_by_the_inbox_once_a_person_confirms() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(VIEWER, "/restart");
    stage.expect(VIEWER, "Only operators may change things");
    stage.write(OWNER, "/restart everything");
    stage.expect(OWNER, "Example: /restart trading");
    stage.write(OWNER, "/restart");
    let question = stage.expect(OWNER, "Restart which service?");
    assert_eq!(question.buttons.len(), 4, "{:?}", question.buttons);
    assert!(stage.store(Role::Reader).inbox_after(0, 10).unwrap().is_empty());
    stage.press(OWNER, &question, "Restart pivot-trading");
    let asked = stage.asked(0);
    assert_eq!(asked.request.ask, Ask::Restart { force: false });
    stage.answer(asked.id, true, "Restarting now.");
    stage.expect(OWNER, "Restarting now.");
    stage.press(OWNER, &question, "Restart pivot-trading");
    stage.expect_word("no longer good");
    stage.write(OWNER, "/restart trading force");
    let question = stage.expect(OWNER, "Restart pivot-trading?");
    stage.press(OWNER, &question, "Restart pivot-trading");
    assert_eq!(stage.asked(asked.id).request.ask, Ask::Restart { force: true });
}

#[test]
fn pivot_auth_is_told_to_end_by_the_process_that_holds_its_lock() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/restart auth");
    let question = stage.expect(OWNER, "Restart pivot-auth?");
    stage.press(OWNER, &question, "Restart pivot-auth");
    stage.expect(OWNER, "pivot-auth does not run");

    let mut process = Command::new("sleep").arg("600").spawn().unwrap();
    let lock = ServiceLock::acquire(&stage.data(), Role::Auth.as_str(), process.id()).unwrap();
    stage.write(OWNER, "/restart auth");
    let question = stage.expect(OWNER, "Restart pivot-auth?");
    assert!(process.try_wait().unwrap().is_none());
    stage.press(OWNER, &question, "Restart pivot-auth");
    stage.expect(OWNER, "is told to end");
    let status = stage.until("its end", || process.try_wait().unwrap());
    assert_eq!(status.signal(), Some(rustix::process::Signal::TERM.as_raw()));
    drop(lock);
}

#[test]
fn pivot_bot_says_so_ends_and_does_not_end_again() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/restart bot");
    let question = stage.expect(OWNER, "Restart pivot-bot?");
    stage.press(OWNER, &question, "Restart pivot-bot");
    stage.expect(OWNER, "pivot-bot ends now");
    stage.ended();
    stage.start();
    stage.write(OWNER, "/version");
    stage.expect(OWNER, "Version");
    let audit = stage.store(Role::Reader).audit_tail(10).unwrap();
    let lines: Vec<(&str, &str)> =
        audit.iter().map(|line| (line.what.as_str(), line.outcome.as_str())).collect();
    let what = "restart pivot-bot";
    assert_eq!(lines, [(what, "done"), (what, "confirmation asked")]);
    stage.stop();
}
