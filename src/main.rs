use std::process::ExitCode;

fn main() -> ExitCode {
    lastack::main(std::env::args_os())
}
