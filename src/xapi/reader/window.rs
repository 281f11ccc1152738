//! A sliding window over the bytes of an input.

use std::io::{self, Read};

/// The bytes read but not yet used. It grows only when a single statement does not fit.
pub struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    failed: Option<io::Error>,
}

impl Window {
    /// A window of a size in bytes, which must not be 0.
    pub fn new(size: usize) -> Self {
        Self { buffer: vec![0; size], start: 0, end: 0, offset: 0, ended: false, failed: None }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Offset of the first of [`Window::bytes`] in the input.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Puts more of the input behind the bytes there are, as much as fits. False when the input has ended.
    ///
    /// What was read before a failure is given first, the failure with the next call.
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
