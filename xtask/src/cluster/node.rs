//! One node as a process.
//!
//! Each node listens on an address of its own in 127.0.0.0/8. Outgoing connections come from 127.0.0.1, so none of them can take the port
//! of a node that is down, and it can always start again.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Error, Result, doing};

/// How long a process may take to leave when asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many ports on the address that is kept for the node of this number, free a moment ago.
pub(crate) fn free_addrs<const N: usize>(number: usize) -> Result<[SocketAddr; N]> {
    let number = u8::try_from(number).expect("clusters are small");
    let ip = Ipv4Addr::new(127, 77, 0, number);
    let mut listeners = Vec::new();
    let mut addrs = [SocketAddr::from((ip, 0)); N];
    for addr in &mut addrs {
        let listener = TcpListener::bind(*addr).map_err(doing(format!("listen on {ip}")))?;
        *addr = listener.local_addr().map_err(doing("find a free port"))?;
        // Kept until all are there: no port is given twice.
        listeners.push(listener);
    }
    Ok(addrs)
}

/// A program that is started with these arguments, and again after it was stopped or killed.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where its words go; nowhere without.
    log: Option<PathBuf>,
    child: Option<Child>,
    is_paused: bool,
}

impl Process {
    pub(crate) fn new(name: String, program: PathBuf, arguments: Vec<String>) -> Self {
        Self {
            name,
            program,
            arguments,
            log: None,
            child: None,
            is_paused: false,
        }
    }

    /// Its words go to the end of this file.
    pub(crate) fn with_log(mut self, log: PathBuf) -> Self {
        self.log = Some(log);
        self
    }

    /// Its arguments from the next start on.
    pub(crate) fn set_arguments(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// Starts it if it does not run.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let stderr = match &self.log {
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                Stdio::from(file.map_err(doing(format!("write {}", path.display())))?)
            }
            None => Stdio::null(),
        };
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(doing(format!("start {}", self.name)))?;
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How it ended, if it did by itself; it then counts as stopped.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        self.is_paused = false;
        Some(status)
    }

    /// SIGKILL, and sees it gone; false if it did not run.
    pub(crate) fn kill(&mut self) -> bool {
        self.is_paused = false;
        let Some(mut child) = self.child.take() else {
            return false;
        };
        // It may have ended by itself a moment ago.
        let _ = child.kill();
        child.wait().is_ok()
    }

    /// SIGSTOP or SIGCONT; false if it does not run or nothing changes.
    pub(crate) fn pause(&mut self, pause: bool) -> bool {
        if pause == self.is_paused {
            return false;
        }
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let sent = self.signal(signal);
        self.is_paused = pause && sent;
        sent
    }

    fn signal(&self, signal: Signal) -> bool {
        let pid = self.child.as_ref().map(Child::id);
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// SIGTERM, and waits until it is gone.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        self.pause(false);
        self.signal(Signal::TERM);
        let began = Instant::now();
        while let Some(child) = &mut self.child {
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                self.child = None;
            } else if began.elapsed() > PATIENCE {
                return Err(Error::Program {
                    program: self.name.clone(),
                    reason: "it does not leave when asked to".into(),
                });
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        let mut process = Process::new("sleep".into(), "sleep".into(), vec!["600".into()]);
        process.start().unwrap();
        process
    }

    #[test]
    fn a_process_is_killed_once_and_can_be_started_again() {
        let mut process = sleeper();
        assert!(process.kill());
        assert!(!process.kill());
        assert!(!process.is_running());
        process.start().unwrap();
        assert!(process.is_running());
    }

    #[test]
    fn a_process_that_ends_by_itself_is_noticed() {
        let mut process = Process::new("false".into(), "false".into(), Vec::new());
        process.start().unwrap();
        let status = loop {
            if let Some(status) = process.ended() {
                break status;
            }
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(1));
        assert!(!process.is_running());
    }

    #[test]
    fn a_paused_process_stands_still_until_it_is_let_go_on() {
        let mut process = sleeper();
        let state = |process: &Process| {
            let pid = process.child.as_ref().unwrap().id();
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next().unwrap()
        };
        assert!(process.pause(true));
        assert!(!process.pause(true), "it stands still already");
        while state(&process) != 'T' {
            std::thread::yield_now();
        }
        assert!(process.pause(false));
        while state(&process) == 'T' {
            std::thread::yield_now();
        }
    }

    #[test]
    fn ports_of_a_node_are_distinct_and_on_its_own_address() {
        let [a, b] = free_addrs(3).unwrap();
        assert_ne!(a.port(), b.port());
        assert_eq!(a.ip(), Ipv4Addr::new(127, 77, 0, 3));
    }
}
