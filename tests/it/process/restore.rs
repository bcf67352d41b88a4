//! A backup made while pivot-trading holds something, restored into another
//! folder: it goes on there.

use pivot_trading::engine::event::OperatorAction;
use serde_json::Value;

use super::world::World;

/// Runs pivotctl and reads what it prints as JSON.
fn ctl(world: &World, words: &[&str]) -> Value {
    let output = world.start_ctl(words).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_restored_folder_goes_on_in_the_same_position_without_an_order() {
    let mut world = World::open();
    world.start_trading();
    let held = world.enter();
    let made = ctl(&world, &["backup", "create", "--json"]);
    let steps = made["steps"].as_array().unwrap();
    let replay = steps.iter().find(|step| step["name"] == "replay").unwrap();
    let told = replay["text"].as_str().unwrap();
    assert!(replay["outcome"] == "ok" && told.contains("open"), "{replay}");

    // In place of the folder of a service that runs it is refused.
    let archive = made["archive"].as_str().unwrap();
    let refused = world.start_ctl(&["backup", "restore", archive, "--force"]);
    let refused = refused.wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("trading already runs on this data folder"), "{said}");

    world.kill_trading();
    ctl(&world, &["backup", "restore", archive, "--to", "second", "--json"]);
    world.move_to("second");
    // The tokens of logins are in no backup.
    world.log_in();
    let mark = world.mark();
    world.start_trading();
    world.wait_for("a comparison", |world| {
        let log = world.get(&format!("/_sim/log?since={mark}"));
        let mut log = log.as_array().unwrap().iter();
        log.find(|call| call["path"] == "/portfolio/positions").map(|_| ())
    });
    assert_eq!((world.held(), world.resting_stops()), (held, 1), "{}", world.report());
    assert_eq!(world.order_calls(mark), Vec::<Value>::new());
    // And it is in charge: what it is asked to close, it closes.
    world.ask_in_passing(OperatorAction::Panic { all: false });
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
}
