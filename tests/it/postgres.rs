//! Log rows in a real PostgreSQL server, which is stopped and started. Needs
//! the server's programs; says so where they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pivot_trading::telemetry::rows::{PostgresBackend, Row, Sink, State};

use crate::elsewhere::{self, DEADLINE, is_failing, offer, row, until};

/// A server of its own, on a socket in a folder.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Server {
    /// A server that does not run yet; `None` without its programs.
    fn prepare() -> Option<Server> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut programs: Vec<PathBuf> =
            versions.flatten().map(|version| version.path().join("bin")).collect();
        programs.sort();
        let programs = programs.pop().filter(|programs| programs.join("initdb").exists())?;
        let server = Server { folder: tempfile::tempdir().unwrap(), programs };
        if rustix::process::geteuid().is_root() {
            let owner = Command::new("chown").arg("postgres").arg(server.folder.path()).status();
            if !owner.unwrap().success() {
                return None;
            }
        }
        let data = server.data();
        let data = data.to_str().unwrap();
        server.run("initdb", &["-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]);
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a program of the server, which refuses to be root.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // A server that goes on must not hold the ends of our pipes.
        let log = self.folder.path().join("said");
        let out = std::fs::File::create(&log).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let status = command.status().unwrap();
        let said = std::fs::read_to_string(log).unwrap();
        assert!(status.success(), "{arguments:?}: {said}");
        said
    }

    fn start(&self) {
        let socket = self.folder.path().to_str().unwrap();
        let options =
            format!("-c listen_addresses= -c unix_socket_directories={socket} -c fsync=off");
        let log = self.folder.path().join("log");
        let (data, log) = (self.data(), log.to_str().unwrap().to_owned());
        let data = data.to_str().unwrap();
        self.run("pg_ctl", &["-D", data, "-l", &log, "-w", "-o", &options, "start"]);
    }

    /// As a crash, or a machine that is switched off.
    fn kill(&self) {
        self.run("pg_ctl", &["-D", self.data().to_str().unwrap(), "-m", "immediate", "stop"]);
    }

    fn query(&self, sql: &str) -> String {
        let socket = self.folder.path().to_str().unwrap();
        self.run("psql", &["-h", socket, "-U", "postgres", "-Atc", sql]).trim().to_owned()
    }

    fn sink(&self) -> Sink {
        let address = format!("host={} user=postgres", self.folder.path().display());
        elsewhere::sink(PostgresBackend::new(address.into()).unwrap(), |_| {})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if Path::exists(&self.data().join("postmaster.pid")) {
            self.kill();
        }
    }
}

#[test]
fn rows_outlive_a_server_that_comes_late_and_dies_on_the_way() {
    let Some(server) = Server::prepare() else {
        println!("skipped: PostgreSQL's server programs are not installed");
        return;
    };
    let sink = server.sink();
    let odd = Row { message: "zero \0 byte".into(), data: r#"{"a":"\u0000"}"#.into(), ..row(0) };
    let not_json = Row { data: "no JSON".into(), ..row(0) };
    for strange in [odd, not_json] {
        assert!(sink.offer(Row { duration_us: None, ..strange }));
    }
    until("the failure", || is_failing(&sink));
    server.start();
    until("the server", || sink.state() == State::Well);
    // Rows all the time, with a crash in the middle.
    for number in 0..3_000 {
        if number == 1_000 {
            server.kill();
        }
        if number == 2_000 {
            until("the failure", || is_failing(&sink));
            server.start();
        }
        offer(&sink, number..number + 1);
    }
    until("the server", || sink.state() == State::Well);
    assert!(sink.flush(DEADLINE));
    until("all rows", || sink.figures().waiting == 0 && sink.state() == State::Well);
    let figures = sink.figures();
    assert_eq!(figures.dropped, [0; 5]);
    drop(sink);
    assert_eq!(server.query("SELECT COUNT(*) FROM system_logs"), "2702");
    assert_eq!(server.query("SELECT COUNT(*), SUM(duration_us) FROM performance_logs"), "300|2100");
    let sum = "SELECT SUM((data->>'number')::int) FROM system_logs WHERE message LIKE 'row%'
        AND data ? 'number'";
    let numbers = (0..3_000).filter(|number| number % 10 != 0).sum::<i64>();
    assert_eq!(server.query(sum), numbers.to_string());
}

#[test]
fn an_address_that_is_none_is_told_without_its_password() {
    let backend = PostgresBackend::new("postgresql://u:hunter2@[broken".into()).unwrap();
    let sink = elsewhere::sink(backend, |_| {});
    until("the failure", || is_failing(&sink));
    let State::Failing { why, .. } = sink.state() else { panic!("{:?}", sink.state()) };
    assert_eq!(why, "logging.postgres_url is no address of a PostgreSQL server");
}
