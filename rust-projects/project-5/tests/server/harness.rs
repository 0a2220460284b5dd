//! Starts servers on ports the system picks, and waits with deadlines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_kvs-server");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_kvs-client");

/// The machine may be busy with many other tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server on `dir` and waits until it listens.
    pub(crate) fn start(dir: &Path, flags: &[&str]) -> Self {
        Self::try_start(dir, flags).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// As [`Server::start`]; what a server that ended instead wrote to stderr.
    pub(crate) fn try_start(dir: &Path, flags: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(SERVER)
            .args(["--addr", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .args(flags)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut early = String::new();
        let addr = loop {
            let before = early.len();
            if lines.read_line(&mut early).unwrap() == 0 {
                child.wait().unwrap();
                return Err(early);
            }
            if let Some(addr) = listening_addr(&early[before..]) {
                break addr;
            }
        };
        let log = Arc::new(Mutex::new(early));
        let sink = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Ok(Self { child, addr, log })
    }

    /// On memory: for tests that are not about disks.
    pub(crate) fn in_memory(flags: &[&str]) -> (Self, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let server = Self::start(dir.path(), &[&["--engine", "memory"], flags].concat());
        (server, dir)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the server to end", || self.child.try_wait().unwrap())
    }

    /// Kills the process at once, as a crash of it would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn connect(&self) -> redis::Connection {
        redis::Client::open(format!("redis://{}/", self.addr))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    pub(crate) fn raw(&self) -> Raw {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Raw { stream }
    }

    /// A number of INFO.
    pub(crate) fn info(&self, field: &str) -> u64 {
        let text: String = redis::cmd("INFO").query(&mut self.connect()).unwrap();
        let prefix = format!("{field}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {field} in {text}"))
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the server:\n{}", self.log());
        }
    }
}

fn listening_addr(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line
        .contains("listening")
        .then(|| line.split_once("addr="))??;
    rest.split_whitespace().next()?.parse().ok()
}

/// Bytes in, bytes out.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads exactly what is expected.
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        let mut found = vec![0; expected.len()];
        let mut filled = 0;
        while filled < found.len() {
            match self.stream.read(&mut found[filled..]) {
                Ok(n) if n > 0 => filled += n,
                end => panic!(
                    "{end:?} after {:?} instead of {:?}",
                    String::from_utf8_lossy(&found[..filled]),
                    String::from_utf8_lossy(expected)
                ),
            }
        }
        assert_eq!(
            String::from_utf8_lossy(&found),
            String::from_utf8_lossy(expected)
        );
    }

    /// Everything until the server closes.
    pub(crate) fn until_closed(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "not closed: {error}"
            );
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Polls until `ready` gives something.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(began.elapsed() < DEADLINE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `kvs-client` against `server`.
pub(crate) fn client(server: &Server, args: &[&str]) -> Output {
    Command::new(CLIENT)
        .args(args)
        .args(["--addr", &server.addr.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file that only its owner can read.
pub(crate) fn secret_file(dir: &Path, text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join("password");
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}
