//! The runbook's commands, executed in its order on a day with real
//! processes. `sudo` and `systemctl` are stand-ins that do here what they
//! would do to the services there.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pivot_trading::engine::event::OperatorAction;
use pivot_trading::store::Role;
use rustix::process::Signal;
use serde_json::json;

use super::world::World;
use crate::docs::{Fence, fences};

/// How long one block may take on a busy machine.
const BLOCK_WITHIN: Duration = Duration::from_secs(180);

/// Drops the user: there is only one.
const SUDO: &str = "#!/bin/sh\nif [ \"$1\" = -u ]; then shift 2; fi\nexec \"$@\"\n";

/// Hands its words to the test and waits until they are done.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" > \"$ASKED.new\"\nmv \"$ASKED.new\" \"$ASKED\"\n\
    while [ -e \"$ASKED\" ]; do sleep 0.02; done\n";

const JOURNALCTL: &str = "#!/bin/sh\ncat ./*.err 2>/dev/null\n";

struct Runbook {
    world: World,
    programs: tempfile::TempDir,
}

impl Runbook {
    fn open() -> Runbook {
        let programs = tempfile::tempdir().unwrap();
        for (name, text) in [("sudo", SUDO), ("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)] {
            let path = programs.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let pivotctl = Path::new(env!("CARGO_BIN_EXE_pivotctl"));
        std::os::unix::fs::symlink(pivotctl, programs.path().join("pivotctl")).unwrap();
        let mut world = World::open();
        world.start_auth();
        world.start_trading();
        world.start_bot();
        Runbook { world, programs }
    }

    fn asked(&self) -> PathBuf {
        self.programs.path().join("asked")
    }

    /// What the page says of the world around its commands.
    fn happens(&mut self, what: &str) {
        let world = &mut self.world;
        match what {
            "a position is open" => {
                world.enter();
                // The clock was hurried: signs of life are old by it.
                world.wait_for("signs of life", |world| {
                    let beats = world.store(Role::Reader).heartbeats().unwrap();
                    beats.iter().all(|beat| !beat.is_silent(world.now())).then_some(())
                });
            }
            "pivot-trading dies" => world.kill_trading(),
            "the stop still rests" => {
                let rests = |world: &World| (world.resting_stops() == 1).then_some(());
                world.wait_for("the stop", rests);
                assert!(world.held() > 0);
            }
            "everything is flat" => world.assert_flat(),
            "Telegram is away" => {
                let fault = json!({"method": "sendMessage", "status": 502, "count": 1000});
                world.chat_fault(&fault);
            }
            "Telegram is back" => world.chat_fault(&json!({"clear": true})),
            "the disk is full" => {
                world.fill_disk_of_trading();
                world.ask_in_passing(OperatorAction::Disable);
                let status = world.trading_ended();
                assert!(!status.success(), "{status}");
            }
            "the database is damaged" => {
                for name in ["pivot-trading", "pivot-bot", "pivot-auth"] {
                    self.stop(name);
                }
                let file = self.world.data().join("trading.db");
                let file = fs::File::options().write(true).open(file).unwrap();
                let length = file.metadata().unwrap().len();
                for page in (length / 4096).saturating_sub(6)..length / 4096 {
                    file.write_all_at(&[0xa5; 512], page * 4096).unwrap();
                }
            }
            other => panic!("the runbook says {other:?} of the world, which nobody can do"),
        }
    }

    /// Carries out what systemctl was told.
    fn systemctl(&mut self, words: &str) {
        let mut words = words.split_whitespace();
        let verb = words.next().unwrap();
        let mut units: Vec<&str> = words.map(|unit| unit.trim_end_matches(".service")).collect();
        if units.contains(&"pivot.target") {
            units = vec!["pivot-auth", "pivot-trading", "pivot-bot"];
        }
        for unit in units {
            match verb {
                "reset-failed" => {}
                "stop" => self.stop(unit),
                "start" => self.start(unit),
                "restart" => {
                    self.stop(unit);
                    self.start(unit);
                }
                other => panic!("systemctl {other}"),
            }
        }
    }

    fn service(&mut self, unit: &str) -> &mut Option<Child> {
        match unit {
            "pivot-auth" => &mut self.world.auth,
            "pivot-trading" => &mut self.world.trading,
            "pivot-bot" => &mut self.world.bot,
            other => panic!("there is no unit {other}"),
        }
    }

    fn stop(&mut self, unit: &str) {
        let Some(mut child) = self.service(unit).take() else { return };
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)
            .unwrap();
        self.world.wait_for("the end of a service", |_| child.try_wait().unwrap());
    }

    /// Returns when the service is ready, as `Type=notify` does.
    fn start(&mut self, unit: &str) {
        if let Some(child) = self.service(unit)
            && child.try_wait().unwrap().is_none()
        {
            return;
        }
        let world = &mut self.world;
        let (role, pid) = match unit {
            "pivot-auth" => {
                world.start_auth();
                return;
            }
            "pivot-trading" => {
                world.start_trading();
                (Role::Trading, world.trading.as_ref().unwrap().id())
            }
            _ => {
                world.start_bot();
                (Role::Bot, world.bot.as_ref().unwrap().id())
            }
        };
        world.wait_for("a sign of life", |world| {
            let beats = world.store(Role::Reader).heartbeats().unwrap();
            let mut beats = beats.iter();
            beats.any(|beat| beat.service == role.as_str() && beat.pid == pid).then_some(())
        });
    }

    /// Runs a block in a shell; answers its exit code and all it printed.
    fn run(&mut self, block: &str) -> (i32, String) {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.programs.path().display());
        let output = self.programs.path().join("output");
        let file = fs::File::create(&output).unwrap();
        let config = self.world.data().with_file_name("config.json");
        let mut shell = self
            .world
            .command("sh")
            .args(["-c", block])
            .env("PATH", path)
            .env("ASKED", self.asked())
            .env("CONFIG", config)
            .env("DATA", self.world.data())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + BLOCK_WITHIN;
        let status = loop {
            if let Ok(words) = fs::read_to_string(self.asked()) {
                self.systemctl(&words);
                fs::remove_file(self.asked()).unwrap();
            }
            if let Some(status) = shell.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                shell.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut text = String::new();
        fs::File::open(&output).unwrap().read_to_string(&mut text).unwrap();
        (status.code().unwrap_or(-1), text)
    }
}

#[test]
fn the_runbook_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RUNBOOK.md");
    let page = fs::read_to_string(page).unwrap();
    let mut runbook = Runbook::open();
    let mut ran = 0;
    for Fence { info, text, before } in fences(&page) {
        if info != "sh run" {
            continue;
        }
        for line in before.lines() {
            let what = line.strip_prefix("<!-- world: ").and_then(|it| it.strip_suffix(" -->"));
            if let Some(what) = what {
                runbook.happens(what);
            }
        }
        let began = Instant::now();
        let (code, said) = runbook.run(&text);
        println!("{:?} for\n{text}{said}", began.elapsed());
        let mut expected = vec![0];
        for words in text.lines().filter_map(|line| line.strip_prefix("#> ")) {
            match words.strip_prefix("exit ") {
                Some(codes) => {
                    expected = codes.split(" or ").map(|code| code.parse().unwrap()).collect();
                }
                None => assert!(
                    said.contains(words),
                    "{words:?} is not in what it says:\n{text}\n{said}\n{}",
                    runbook.world.report()
                ),
            }
        }
        assert!(
            expected.contains(&code),
            "exit {code}:\n{text}\n{said}\n{}",
            runbook.world.report()
        );
        ran += 1;
    }
    assert!(ran > 20, "{ran}");
}
