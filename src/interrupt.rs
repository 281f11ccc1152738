//! The signals that end a command early: it cleans up, and a later command continues.

use std::io;

/// Waits for Ctrl-C, or on Unix for SIGTERM. On a terminal also for SIGHUP, which a closed terminal sends; elsewhere
/// `nohup` may have disabled it.
///
/// # Errors
/// When no handler can be installed.
#[cfg(unix)]
pub async fn requested() -> io::Result<()> {
    use std::io::IsTerminal as _;
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match io::stderr().is_terminal() {
        true => Some(signal(SignalKind::hangup())?),
        false => None,
    };
    let hung_up = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
        _ = hung_up => Ok(()),
    }
}

/// Waits for Ctrl-C.
///
/// # Errors
/// When no handler can be installed.
#[cfg(not(unix))]
pub async fn requested() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
