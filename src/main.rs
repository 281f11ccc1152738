use std::process::ExitCode;

fn main() -> ExitCode {
    lastack::commands::main(std::env::args_os())
}
