//! A sliding window over the bytes of an input.

use std::io::{self, Read};

/// The bytes that are read and not consumed. It grows only for a statement that does not fit.
pub struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    failed: Option<io::Error>,
}

impl Window {
    /// Creates a window of a size in bytes, which must not be 0.
    pub fn new(size: usize) -> Self {
        Self { buffer: vec![0; size], start: 0, end: 0, offset: 0, ended: false, failed: None }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The offset of [`Window::bytes`] in the input.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more input into the free space. False at the end of the input.
    ///
    /// # Errors
    /// A failure of the input. Bytes before the failure are returned first, and the next call returns the failure.
    pub fn read_more(&mut self, input: &mut impl Read) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.make_room();
        let before = self.end;
        while !self.ended && self.end < self.buffer.len() {
            match input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error);
                }
            }
        }
        match self.failed.take_if(|_| self.end == before) {
            Some(error) => Err(error),
            None => Ok(self.end > before),
        }
    }

    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}
