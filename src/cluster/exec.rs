//! Runs a command in a container, as `kubectl exec` does.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Time limit for output that arrived before the status. The status follows all output.
const LAST_BYTES: Duration = Duration::from_secs(60);
/// The size of a stream's buffer, in bytes.
const BUFFER: usize = 64 << 10;

/// A container of a Pod.
#[derive(Clone)]
pub struct Container {
    pub pods: Api<Pod>,
    pub pod: String,
    pub name: &'static str,
}

/// The exit code and the output of a command.
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The end of a command whose output was streamed.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stderr: String,
}

/// Runs a command to its end. Its standard input appears in no argument list and no log. The command must read all of it,
/// because the API server closes the connection when the command ends.
///
/// # Errors
/// When the command cannot be started, and when the connection breaks. An exit code is no error.
pub async fn run(container: &Container, command: &[&str], input: &[u8]) -> Result<Output> {
    let mut stdout = Vec::new();
    let Ended { code, stderr } = stream(container, command, input, &mut stdout).await?;
    Ok(Output { code, stdout: String::from_utf8_lossy(&stdout).into_owned(), stderr })
}

/// Runs a command to its end, with standard input and output of any size.
///
/// # Errors
/// When the command cannot be started, when the connection breaks, when `input` cannot be read or `output` cannot be
/// written. An exit code is no error.
pub async fn stream(
    container: &Container,
    command: &[&str],
    mut input: impl AsyncRead + Unpin,
    output: &mut (impl AsyncWrite + Unpin),
) -> Result<Ended> {
    let pod = &container.pod;
    tracing::info!("exec in pod {pod}: {}", command.join(" "));
    let attach = AttachParams::default()
        .container(container.name)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .max_stdin_buf_size(BUFFER)
        .max_stdout_buf_size(BUFFER);
    let mut process = container
        .pods
        .exec(pod, command.iter().copied(), &attach)
        .await
        .with_context(|| format!("exec in pod {pod}"))?;
    let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
    let mut ended = Box::pin(
        process.take_status().context("the API server does not report the end of the command")?,
    );
    let write = async {
        let mut stdin = stdin.context("the API server opened no standard input")?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = input.read(&mut buffer).await.context("the input of the command")?;
            // the status tells why a command ended without reading its input
            if read == 0 || stdin.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = stdin.shutdown().await;
        anyhow::Ok(())
    };
    let read = async {
        let mut stdout = stdout.context("the API server opened no output")?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = stdout.read(&mut buffer).await?;
            if read == 0 {
                break anyhow::Ok(());
            }
            output.write_all(&buffer[..read]).await?;
        }
    };
    let read_errors = async {
        let mut bytes = Vec::new();
        stderr.context("the API server opened no output")?.read_to_end(&mut bytes).await?;
        anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut streams = Box::pin(futures::future::try_join3(write, read, read_errors));
    let broken = "the connection to the command broke before it ended";
    // kube does not end the streams of a broken connection; only the status reports it
    let ((_, (), stderr), status) = tokio::select! {
        streams = &mut streams => (streams?, ended.await.context(broken)?),
        status = &mut ended => {
            let status = status.context(broken)?;
            (tokio::time::timeout(LAST_BYTES, streams).await.context(broken)??, status)
        }
    };
    Ok(Ended { code: exit_code(&status), stderr })
}

/// The status of a command that failed carries its exit code as the message of a cause.
fn exit_code(status: &Status) -> i32 {
    if status.status.as_deref() == Some("Success") {
        return 0;
    }
    let causes =
        status.details.as_ref().and_then(|details| details.causes.as_ref()).into_iter().flatten();
    let code = causes
        .filter(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .find_map(|cause| cause.message.as_deref()?.parse().ok());
    code.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_code_is_read_from_status_of_command() {
        let status = |value| exit_code(&serde_json::from_value(value).unwrap());
        assert_eq!(status(json!({"status": "Success"})), 0);
        assert_eq!(
            status(
                json!({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "130"}]}})
            ),
            130
        );
        assert_eq!(status(json!({"status": "Failure", "message": "container not found"})), 1);
    }
}
