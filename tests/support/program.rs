//! Programs that a test writes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable script, with another process: a file cannot run while a child of another test still holds it open
/// for writing.
pub fn write(path: &Path, script: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh");
    writer.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("the script");
    assert!(writer.wait().expect("sh ends").success(), "{} should be written", path.display());
}
