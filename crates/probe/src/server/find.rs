//! Finding the server's first process.

use super::{ServerProcess, tree};
use crate::{Roots, parse};
use std::{
    collections::HashSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Command,
};

/// The server could not be found.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No such process.
    #[error("there is no process {0}, or /proc hides it; name the server's own process")]
    NoProcess(u32),
    /// Nobody listens.
    #[error(
        "no process that can be seen here listens on port {0}; start the server, run as its user \
         or as root, or name its process"
    )]
    NoListener(u16),
    /// The container tool could not be run.
    #[error("cannot ask {tool} for container {name}: {source}; name the server's process instead")]
    NoTool {
        /// Which tool.
        tool: &'static str,
        /// The container.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The container does not run.
    #[error("{tool} knows no running container {name}: {reason}")]
    NoContainer {
        /// Which tool.
        tool: &'static str,
        /// The container.
        name: String,
        /// What it said.
        reason: String,
    },
}

/// The process of this number. One that has ended and waits for its parent (proc(5), state Z or X)
/// is none.
pub fn by_pid(roots: &Roots, pid: u32) -> Result<ServerProcess, ServerError> {
    let stat = tree::stat(&roots.proc.join(pid.to_string()));
    let stat = stat.filter(|stat| !matches!(stat.state, b'Z' | b'X'));
    let stat = stat.ok_or(ServerError::NoProcess(pid))?;
    Ok(ServerProcess {
        pid,
        start_ticks: stat.start,
    })
}

/// The process that listens on a TCP port, in the host's network or in a container's.
///
/// Where a container's port is published, the listener on the host is only a proxy; but the
/// server inside listens too, mostly on the same port: a listener that is no proxy is preferred.
pub fn listening_on(roots: &Roots, port: u16) -> Result<ServerProcess, ServerError> {
    let listeners = listeners(roots, port);
    let server = listeners.iter().find(|&&pid| !is_proxy(roots, pid));
    let pid = server
        .or(listeners.first())
        .ok_or(ServerError::NoListener(port))?;
    by_pid(roots, *pid)
}

/// The processes that hold a listening socket of this port, the lowest number first: a server
/// forks workers that share its socket.
fn listeners(roots: &Roots, port: u16) -> Vec<u32> {
    let mut pids: Vec<u32> = entries(&roots.proc)
        .filter_map(|name| name.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut networks = HashSet::new();
    let mut sockets = HashSet::new();
    for pid in &pids {
        let folder = roots.proc.join(pid.to_string());
        // Each network namespace has a list of its own; one look at each is enough.
        let network = fs::read_link(folder.join("ns/net")).unwrap_or_default();
        if networks.insert(network) {
            for file in ["net/tcp", "net/tcp6"] {
                let text = fs::read(folder.join(file)).unwrap_or_default();
                let inodes = parse::listening_inodes(&text, port).into_iter();
                sockets.extend(inodes.map(|inode| PathBuf::from(format!("socket:[{inode}]"))));
            }
        }
    }
    if !sockets.is_empty() {
        pids.retain(|pid| holds(&roots.proc.join(pid.to_string()), &sockets));
        return pids;
    }
    Vec::new()
}

fn holds(process: &Path, sockets: &HashSet<PathBuf>) -> bool {
    let fds = process.join("fd");
    entries(&fds).any(|fd| fs::read_link(fds.join(fd)).is_ok_and(|link| sockets.contains(&link)))
}

fn is_proxy(roots: &Roots, pid: u32) -> bool {
    let name = fs::read_to_string(roots.proc.join(pid.to_string()).join("comm"));
    name.is_ok_and(|name| matches!(name.trim(), "docker-proxy" | "rootlesskit" | "slirp4netns"))
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The first process of a running container, by name or id, asked of Docker or else Podman.
pub fn in_container(roots: &Roots, name: &str) -> Result<ServerProcess, ServerError> {
    match ask(roots, "docker", name) {
        Err(ServerError::NoTool { source, .. }) if source.kind() == ErrorKind::NotFound => {
            ask(roots, "podman", name)
        }
        answer => answer,
    }
}

fn ask(roots: &Roots, tool: &'static str, name: &str) -> Result<ServerProcess, ServerError> {
    let mut command = Command::new(tool);
    // `--` keeps a name that begins with a dash from being an option.
    command.args(["inspect", "--format", "{{.State.Pid}}", "--", name]);
    let output = command.output().map_err(|source| ServerError::NoTool {
        tool,
        name: name.to_owned(),
        source,
    })?;
    let pid = first_process(&output.stdout, &output.stderr);
    let pid = pid.map_err(|reason| ServerError::NoContainer {
        tool,
        name: name.to_owned(),
        reason,
    })?;
    by_pid(roots, pid)
}

/// The number that `inspect` prints, or why there is none. A container that does not run has 0.
fn first_process(stdout: &[u8], stderr: &[u8]) -> Result<u32, String> {
    let number = String::from_utf8_lossy(stdout).trim().parse();
    match number {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err(match String::from_utf8_lossy(stderr).trim() {
            "" => "it is stopped".to_owned(),
            reason => reason.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::unix::fs::symlink};

    /// A process that listens on port 8000, which is 1F40.
    fn listener(proc: &Path, pid: u32, name: &str, inode: u32) {
        let folder = proc.join(pid.to_string());
        for below in ["net", "ns", "fd"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        let stat = format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid}00 0 0\n");
        fs::write(folder.join("stat"), stat).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        let tcp = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  \
             timeout inode\n   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 \
             00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
        );
        fs::write(folder.join("net/tcp"), tcp).unwrap();
        symlink(format!("net:[{pid}]"), folder.join("ns/net")).unwrap();
        symlink(format!("socket:[{inode}]"), folder.join("fd/3")).unwrap();
    }

    #[test]
    fn behind_a_containers_published_port_the_server_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::under(folder.path());
        listener(&roots.proc, 40, "docker-proxy", 4001);
        let proxy = listening_on(&roots, 8000).unwrap();
        assert_eq!((proxy.pid, proxy.start_ticks), (40, 4000));
        listener(&roots.proc, 50, "trtllm-serve", 5001);
        let server = listening_on(&roots, 8000).unwrap();
        assert_eq!((server.pid, server.start_ticks), (50, 5000));
        assert!(listening_on(&roots, 8001).is_err());
    }

    #[test]
    fn a_container_has_a_first_process_or_a_reason() {
        assert_eq!(first_process(b"4711\n", b""), Ok(4711));
        assert_eq!(first_process(b"0\n", b"").unwrap_err(), "it is stopped");
        let unknown = first_process(b"\n", b"Error: No such object: vllm\n");
        assert_eq!(unknown.unwrap_err(), "Error: No such object: vllm");
    }

    #[test]
    fn our_own_listener_is_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let roots = Roots::default();
        let found = listening_on(&roots, port).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert!(found.is_alive(&roots));
        drop(listener);
        let error = listening_on(&roots, port).unwrap_err();
        assert!(error.to_string().starts_with("no process"), "{error}");
    }

    #[test]
    fn a_process_that_is_not_there_is_told() {
        let other = ServerProcess {
            pid: std::process::id(),
            start_ticks: 1,
        };
        assert!(!other.is_alive(&Roots::default()));
        assert!(by_pid(&Roots::default(), u32::MAX).is_err());
    }

    #[test]
    fn a_process_that_has_ended_is_none_though_nobody_waited_for_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let roots = Roots::default();
        let pid = child.id();
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(matches!(
            by_pid(&roots, pid),
            Err(ServerError::NoProcess(_))
        ));
        child.wait().unwrap();
    }
}
