//! The process in which one plugin runs. Started by the bot, of no use by hand.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    process::ExitCode,
};

use bedside_plugin_runner::serve::serve;
use nix::unistd;

fn main() -> ExitCode {
    if io::stdin().is_terminal() {
        return fail("it is started by bedside and of no use by hand; see `bedside plugin --help`");
    }
    match take_pipes() {
        Ok((from_host, to_host)) => match serve(from_host, to_host) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        },
        Err(error) => fail(error),
    }
}

#[expect(clippy::print_stderr, reason = "the bot reads it")]
fn fail(problem: impl std::fmt::Display) -> ExitCode {
    eprintln!("bedside-plugin-runner: {problem}");
    ExitCode::FAILURE
}

/// Moves the protocol away from stdin and stdout, so that a plugin's `println!` does no harm.
fn take_pipes() -> io::Result<(File, File)> {
    // A plugin in an endless loop never reads that its bot is gone.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    close_inherited();
    let from_host = File::from(unistd::dup(io::stdin())?);
    let to_host = File::from(unistd::dup(io::stdout())?);
    unistd::dup2_stdin(File::open("/dev/null")?)?;
    unistd::dup2_stdout(io::stderr())?;
    Ok((from_host, to_host))
}

fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = open
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|it| *it > 2) {
        // The directory's own descriptor is among them and closed already.
        let _ = unistd::close(fd);
    }
}
