//! Runs processes, measures their time and memory, and computes medians.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How often the memory of a running program is read. The peak only grows, so only the last moments can be missed.
const MEMORY_INTERVAL: Duration = Duration::from_millis(2);

/// The time and memory of one run of a program.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub secs: f64,
    pub peak_mb: f64,
}

/// Runs `command` to its end, and discards its output.
pub fn run(command: &mut Command) -> Result<Run, Box<dyn Error>> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pid = child.id();
    let ended = AtomicBool::new(false);
    let (status, secs, peak_mb) = thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak_mb = 0.0_f64;
            while !ended.load(Ordering::Relaxed) {
                peak_mb = peak_mb.max(self::peak_mb(pid).unwrap_or_default());
                thread::sleep(MEMORY_INTERVAL);
            }
            peak_mb
        });
        let status = child.wait();
        let secs = started.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (status, secs, peak.join().unwrap_or_default())
    });
    if !status?.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(Run { secs, peak_mb })
}

/// The peak resident memory of a process so far, in MB.
fn peak_mb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = kib.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// A server that runs until this is dropped.
pub struct Server {
    child: Child,
    /// Kept open, so that the server can keep writing to it.
    stdout: BufReader<ChildStdout>,
    /// `host:port`.
    pub address: String,
}

impl Server {
    /// Starts a server that prints a line with its address, `http://HOST:PORT/`, when it is ready.
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut server = Self {
            child,
            stdout: BufReader::new(stdout),
            address: String::new(),
        };
        let mut line = String::new();
        server.stdout.read_line(&mut line)?;
        server.address = line
            .split_once("http://")
            .and_then(|(_, address)| address.split('/').next())
            .ok_or_else(|| format!("{command:?} did not become ready"))?
            .to_owned();
        Ok(server)
    }

    /// The processor time that the server's threads have used so far, in seconds. No thread ends before the server.
    pub fn cpu_secs(&self) -> Result<f64, Box<dyn Error>> {
        let mut nanos = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
            let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
            let on_cpu = statistics.split(' ').next().unwrap_or_default();
            nanos += on_cpu.parse::<f64>()?;
        }
        Ok(nanos / 1e9)
    }

    /// The peak resident memory of the server so far, in MB.
    pub fn peak_mb(&self) -> Result<f64, Box<dyn Error>> {
        peak_mb(self.child.id()).ok_or_else(|| "the server is gone".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error only means that it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The median time of an fsync on the disk of `directory`, in milliseconds. Each follows a write of two pages, as many as a
/// transaction with one click appends to the WAL, in a file that already has its full length.
pub fn fsync_ms(directory: &Path) -> Result<f64, Box<dyn Error>> {
    const PAGES: [u8; 2 * 4096] = [7; 2 * 4096];
    const SYNCS: usize = 300;
    let path = directory.join("fsync-probe");
    let mut file = File::create(&path)?;
    for _ in 0..SYNCS {
        file.write_all(&PAGES)?;
    }
    file.sync_all()?;
    let mut file = File::options().write(true).open(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&PAGES)?;
        file.sync_all()?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(path)?;
    Ok(median(took))
}

/// Checks that a program of Debian is installed.
pub fn require(program: &str) -> Result<(), Box<dyn Error>> {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match found {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "cannot run {program}: {error}; install Debian's package of that name"
        )
        .into()),
    }
}

/// The median of `values`; the upper of the two middle ones if their number is even.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of `ratios`, with the smallest and the largest: `0.48 (0.45 to 0.50)`.
pub fn spread(ratios: impl IntoIterator<Item = f64>) -> String {
    let ratios = sorted(ratios);
    let median = median(ratios.iter().copied());
    match (ratios.first(), ratios.last()) {
        (Some(least), Some(most)) if ratios.len() > 1 => {
            format!("{median:.2} ({least:.2} to {most:.2})")
        }
        _ => format!("{median:.2}"),
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}
