//! One measurement of one peer, in a process of its own with a time limit.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::BoxError;
use crate::measurement::Measurement;

/// The argument that makes a process one measurement.
pub const MEASURE: &str = "measure";

/// Begins the line of the child's error, which the parent shows.
const FAILED: &str = "failed: ";
const QUICK: &str = "quick";

/// Which peer is measured, and how.
#[derive(Debug, Clone)]
pub struct Order {
    pub peer: String,
    pub measurement: Measurement,
    pub quick: bool,
}

impl Order {
    /// Reads what [`Order::run`] gives its child as arguments.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, BoxError> {
        let arguments: Vec<String> = arguments.into_iter().collect();
        let [peer, measurement, rest @ ..] = &arguments[..] else {
            return Err("`measure` needs a peer and a measurement".into());
        };
        let quick = rest.iter().any(|argument| argument == QUICK);
        Ok(Self { peer: peer.clone(), measurement: measurement.parse()?, quick })
    }

    /// Makes the measurement in a child, and returns a text for each of its rows.
    ///
    /// A child that fails, panics or takes too long is a text too.
    pub fn run(&self) -> Vec<String> {
        match self.attempt() {
            Ok(cells) => cells,
            Err(error) => vec![shown(&error.to_string()); self.measurement.rows().len()],
        }
    }

    /// Makes the measurement in a child, and returns a text for each of its rows.
    pub fn attempt(&self) -> Result<Vec<String>, BoxError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([MEASURE, &self.peer, self.measurement.name()]).args(self.quick.then_some(QUICK));
        crate::peers::forget_environment(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let output = read(child.stdout.take());
        let errors = read(child.stderr.take());

        let deadline = Instant::now() + self.measurement.limit();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Err(format!("no result after {} s", self.measurement.limit().as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
        if !status.success() {
            return Err(last_error(&errors).unwrap_or_else(|| status.to_string()).into());
        }
        let cells: Vec<String> = output.lines().map(str::to_owned).collect();
        if cells.len() != self.measurement.rows().len() {
            return Err(format!("{} cells instead of {}", cells.len(), self.measurement.rows().len()).into());
        }
        Ok(cells)
    }
}

/// Reads a pipe to its end, so that the child never waits for its reader.
fn read(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Returns the error that the child reported, or a panic's message.
fn last_error(errors: &str) -> Option<String> {
    let reported = errors.lines().rev().find_map(|line| line.strip_prefix(FAILED));
    let mut lines = errors.lines().skip_while(|line| !line.contains("panicked at"));
    let panic = || lines.nth(1).map(|message| format!("panic: {message}"));
    reported.map(str::to_owned).or_else(panic)
}

/// Returns a failure as the text of a cell.
fn shown(error: &str) -> String {
    let line = error.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(90).collect();
    format!("**fails**: {short}{}", if short.len() < line.len() { "…" } else { "" })
}

/// Makes one measurement in this process, and prints the text of each row.
pub fn measure(order: &Order) -> Result<(), BoxError> {
    crate::system::raise_file_limit();
    // google-cloud-auth needs one of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match crate::peers::measure(order) {
        Ok(cells) => {
            cells.iter().for_each(|cell| println!("{cell}"));
            // What a peer still does in the background isn't waited for.
            std::process::exit(0);
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("{FAILED}{}", text.replace('\n', " "));
            std::process::exit(1);
        }
    }
}
