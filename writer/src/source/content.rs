//! Content: stored bytes, decompressed if their first bytes say so.

use std::future::Future;

use icefold_core::Result;

use super::decoder::{Decoded, Decoder, Form};
use super::refusal;
use super::stored::{Got, StoredFile};

/// How much of a compressed file is handed to the decoder at once.
const COMPRESSED_BLOCK_BYTES: usize = 1 << 20;

/// Where stored bytes come from, in order.
pub(super) trait Stored: Send {
    /// Appends the next bytes to `buffer`, at most `want`.
    fn read(&mut self, buffer: &mut Vec<u8>, want: usize) -> impl Future<Output = Result<Got>> + Send;

    /// Returns whether a read would return without waiting for somebody to write.
    fn is_ready(&mut self) -> bool;
}

impl Stored for StoredFile {
    async fn read(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Got> {
        StoredFile::read(self, buffer, want).await
    }

    fn is_ready(&mut self) -> bool {
        true
    }
}

/// The uncompressed content of one file or stream, from its start.
pub(super) struct Content<S> {
    pub(super) stored: S,
    state: State,
    /// Nothing will be added to what is stored: its end is the end of the content.
    complete: bool,
}

enum State {
    /// The first bytes, too few yet to tell the form.
    Unknown(Vec<u8>),
    Plain,
    Compressed(Decoder),
    Damaged(String),
    Foreign(&'static str),
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filled {
    /// At least one byte of content.
    Some,
    /// Nothing: all stored bytes are used up, and more may come.
    Exhausted,
    /// Nothing: this was all.
    End,
    /// Nothing: what is stored is not the version that it was.
    Changed,
    /// Nothing: the compressed form is broken here; the reason.
    Damaged(String),
    /// Nothing: the content has a known form that is not read.
    Foreign(&'static str),
}

impl<S: Stored> Content<S> {
    pub(super) fn new(stored: S) -> Self {
        Content { stored, state: State::Unknown(Vec::new()), complete: false }
    }

    /// Declares whether nothing will be added to what is stored.
    pub(super) fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// Appends the next content to `buffer`, at most `want` bytes (a few more at the start).
    ///
    /// # Errors
    /// Those of storage.
    pub(super) async fn fill(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Filled> {
        let before = buffer.len();
        if let State::Unknown(_) = self.state
            && let Some(nothing) = self.recognise(buffer, want).await?
        {
            return Ok(nothing);
        }
        if buffer.len() > before {
            return Ok(Filled::Some);
        }
        match &self.state {
            State::Compressed(_) => self.decompress(buffer, want).await,
            State::Damaged(why) => Ok(Filled::Damaged(why.clone())),
            State::Foreign(what) => Ok(Filled::Foreign(what)),
            _ => Ok(filled(self.stored.read(buffer, want).await?, self.complete)),
        }
    }

    /// Reads until the form is known. First bytes that are plain go to `buffer`.
    pub(super) async fn recognise(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Option<Filled>> {
        let mut at_end = false;
        while let State::Unknown(first) = &mut self.state {
            match Form::of(first, at_end) {
                Some(Form::Plain) => {
                    buffer.append(first);
                    self.state = State::Plain;
                }
                Some(Form::Foreign(what)) => self.state = State::Foreign(what),
                Some(form) => self.state = State::Compressed(Decoder::new(form, std::mem::take(first))?),
                None => match self.stored.read(first, want.max(Form::MAGIC_BYTES)).await? {
                    Got::Some => {}
                    Got::End if self.complete => at_end = true,
                    other => return Ok(Some(filled(other, self.complete))),
                },
            }
        }
        Ok(None)
    }

    /// Returns whether the content is what is stored, so that a place in it can be sought.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.state, State::Plain)
    }

    async fn decompress(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Filled> {
        let before = buffer.len();
        loop {
            let decoded = self.decode(buffer, want).await?;
            if buffer.len() > before {
                return Ok(Filled::Some);
            }
            match decoded {
                Decoded::Some => {}
                Decoded::End => return Ok(Filled::End),
                Decoded::Broken(why) => return Ok(Filled::Damaged(why)),
                Decoded::Hungry => match self.feed().await? {
                    Got::Some => {}
                    other => return Ok(filled(other, self.complete)),
                },
            }
        }
    }

    /// Runs the decoder beside the tasks. Damage is kept, since content may have come before it.
    #[expect(
        clippy::disallowed_methods,
        reason = "decompression takes processor time; what comes out does not depend on where"
    )]
    async fn decode(&mut self, buffer: &mut Vec<u8>, want: usize) -> Result<Decoded> {
        let State::Compressed(mut decoder) = std::mem::replace(&mut self.state, State::Plain) else {
            return Ok(Decoded::End);
        };
        let mut bytes = std::mem::take(buffer);
        let (decoder, bytes, decoded) = tokio::task::spawn_blocking(move || {
            let decoded = decoder.decode(&mut bytes, want);
            (decoder, bytes, decoded)
        })
        .await
        .map_err(refusal::lost_task)?;
        *buffer = bytes;
        self.state = match &decoded {
            Decoded::Broken(why) => State::Damaged(why.clone()),
            _ => State::Compressed(decoder),
        };
        Ok(decoded)
    }

    /// Hands the decoder more, or tells it that there is no more.
    async fn feed(&mut self) -> Result<Got> {
        let State::Compressed(decoder) = &mut self.state else { return Ok(Got::End) };
        let mut block = Vec::new();
        match self.stored.read(&mut block, COMPRESSED_BLOCK_BYTES).await? {
            Got::Some => decoder.feed(block),
            Got::End if self.complete => decoder.complete(),
            other => return Ok(other),
        }
        Ok(Got::Some)
    }
}

fn filled(got: Got, complete: bool) -> Filled {
    match got {
        Got::Some => Filled::Some,
        Got::End if complete => Filled::End,
        Got::End => Filled::Exhausted,
        Got::Changed => Filled::Changed,
    }
}
