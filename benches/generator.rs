//! The rates at which one core generates and reads statements.
//!
//! `cargo bench --bench generator [ROUNDS]`: each figure comes from the fastest of ROUNDS rounds (default: 50) of 22,000
//! statements, because other programs disturb that round least.

use std::hint::black_box;
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use lastack::simulator::dataset::{DEFAULT_SEED, DataSet};
use lastack::simulator::{Generated, TERM_STATEMENTS};
use lastack::xapi::batch::{Batch, Source};
use lastack::xapi::reader::{Input, Limits, Reader};

const BATCH: usize = 1000;

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(50);
    let arrays = arrays();
    let lines: Vec<Vec<u8>> = vec![arrays.iter().flat_map(|array| lines(array)).collect()];
    let packed: Vec<Vec<u8>> = arrays.iter().map(|array| gzip(array)).collect();
    let size = arrays.iter().map(Vec::len).sum::<usize>() as u64 / TERM_STATEMENTS;
    println!(
        "statements of {size} bytes on average, batches of {BATCH}, the fastest of {rounds} rounds of {TERM_STATEMENTS}"
    );

    report("generate", rounds, || {
        let mut source = Generated::new(DataSet::new(DEFAULT_SEED, TERM_STATEMENTS), BATCH);
        time(|| drain(&mut source))
    });
    report("read arrays", rounds, || read(&arrays));
    report("read lines", rounds, || read(&lines));
    report("gunzip and read arrays", rounds, || read(&packed));
    report("gunzip alone", rounds, || time(|| packed.iter().for_each(|file| gunzip(file))));
}

fn report(what: &str, rounds: u32, round: impl Fn() -> Duration) {
    let fastest = (0..rounds).map(|_| round()).min().unwrap_or_default();
    let micros = fastest.as_secs_f64() * 1e6 / TERM_STATEMENTS as f64;
    println!("{what:<24}{:>12.0} statements/s{micros:>9.3} µs each", 1e6 / micros);
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn drain(source: &mut impl Source) {
    let mut batch = Batch::new();
    while source.fill(&mut batch).expect("the statements are valid") {
        black_box(batch.body());
    }
}

fn read(files: &[Vec<u8>]) -> Duration {
    let inputs = files
        .iter()
        .map(|file| Input::Stream("file".into(), Box::new(Cursor::new(file.clone()))))
        .collect();
    let mut reader = Reader::new(inputs, Limits::default(), Timestamp::UNIX_EPOCH);
    time(|| drain(&mut reader))
}

fn gunzip(file: &[u8]) {
    std::io::copy(&mut GzDecoder::new(file), &mut black_box(std::io::sink()))
        .expect("the file is valid");
}

fn arrays() -> Vec<Vec<u8>> {
    let mut source = Generated::new(DataSet::new(DEFAULT_SEED, TERM_STATEMENTS), BATCH);
    let (mut batch, mut arrays) = (Batch::new(), Vec::new());
    while source.fill(&mut batch).expect("the generator has no faults") {
        arrays.push(batch.body().to_vec());
    }
    arrays
}

/// The statements of an array, one per line.
fn lines(array: &[u8]) -> Vec<u8> {
    let statements: Vec<&serde_json::value::RawValue> =
        serde_json::from_slice(array).expect("a batch is an array");
    statements.iter().flat_map(|statement| statement.get().bytes().chain([b'\n'])).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a write to memory")
}
