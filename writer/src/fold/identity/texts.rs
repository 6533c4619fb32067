//! Short texts, one behind the other.

/// A full store grows by its size divided by this.
const GROWTH_DIVISOR: usize = 8;

/// Below this many bytes of texts that nobody needs any more, tidying up is not worth it.
const MIN_WASTE: usize = 4096;

/// Texts of at most 255 bytes, each behind a byte with its length. A text costs its length and 1 to 2 bytes.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    wasted: usize,
}

impl Texts {
    /// Stores a text and returns its place.
    pub(super) fn add(&mut self, text: &str) -> u32 {
        let length = u8::try_from(text.len()).expect("longer texts are not bound");
        let at = u32::try_from(self.bytes.len()).expect("a part's texts stay far below 4 GB");
        if self.bytes.capacity() - self.bytes.len() < text.len() + 1 {
            self.bytes.reserve_exact(self.bytes.len() / GROWTH_DIVISOR + text.len() + 1);
        }
        self.bytes.push(length);
        self.bytes.extend_from_slice(text.as_bytes());
        at
    }

    /// Returns the text at a place that [`Texts::add`] returned.
    pub(super) fn get(&self, at: u32) -> &str {
        let (length, rest) = self.bytes[at as usize..].split_first().expect("a text lies behind its length");
        str::from_utf8(&rest[..usize::from(*length)]).expect("only whole texts are stored")
    }

    /// Notes that a text is not needed any more; its place must not be read again.
    pub(super) fn release(&mut self, at: u32) {
        self.wasted += 1 + usize::from(self.bytes[at as usize]);
    }

    /// Returns whether so much lies idle that the texts in use should be moved to a new store.
    pub(super) fn is_wasteful(&self) -> bool {
        self.wasted > MIN_WASTE && self.wasted > self.bytes.len() / 2
    }

    /// Returns the memory of the texts in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
