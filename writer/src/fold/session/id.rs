//! What a session is called.

use xxhash_rust::xxh3::xxh3_64;

/// What a session's id tells of the event that opened it.
///
/// The campaign is what the session belongs to. The mark comes from the event's `messageId` and `stream_time`; it keeps the
/// ids of two sessions of a device apart that begin at the same time, also when one is long forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opening {
    pub(super) campaign: u32,
    pub(super) mark: u32,
}

/// A campaign, by the hash of its source, medium and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Campaign(u32);

/// The name of a session, the same wherever and whenever it is computed. 16 bytes, written as 32 hexadecimal digits:
///
/// | bytes | content |
/// |---|---|
/// | 0 to 7 | xxh3-64 of device and start |
/// | 8 to 11 | campaign of the opening event, 0 when it has none |
/// | 12 to 15 | mark of the opening event |
///
/// Thus the column `session_id` alone brings back the part of the state that no other column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl Campaign {
    /// Makes a campaign of a 64-bit hash; 32 bits of it are kept.
    pub fn from_hash(hash: u64) -> Self {
        // 0 means "no campaign" inside ids.
        Campaign((hash as u32).max(1))
    }
}

impl Opening {
    /// Describes an opening event.
    pub(super) fn new(campaign: Option<Campaign>, message: u128, stream_time_micros: i64) -> Self {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&message.to_le_bytes());
        bytes[16..].copy_from_slice(&stream_time_micros.to_le_bytes());
        Opening { campaign: campaign.map_or(0, |c| c.0), mark: xxh3_64(&bytes) as u32 }
    }

    /// Returns whether an event of this campaign may belong to the session: all may that have none.
    pub(super) fn takes(self, campaign: Option<Campaign>) -> bool {
        campaign.is_none_or(|c| c.0 == self.campaign)
    }
}

impl SessionId {
    /// Names the session of `device` that began at `start_micros` with `opening`.
    pub fn new(device: u128, start_micros: i64, opening: Opening) -> Self {
        let mut hashed = [0; 24];
        hashed[..16].copy_from_slice(&device.to_le_bytes());
        hashed[16..].copy_from_slice(&start_micros.to_le_bytes());
        let mut id = [0; 16];
        id[..8].copy_from_slice(&xxh3_64(&hashed).to_be_bytes());
        id[8..12].copy_from_slice(&opening.campaign.to_be_bytes());
        id[12..].copy_from_slice(&opening.mark.to_be_bytes());
        SessionId(id)
    }

    /// Appends the 32 hexadecimal digits, in lower case.
    pub fn write_hex(self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS[usize::from(nibble)];
        out.extend(self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    }

    /// Reads what [`SessionId::write_hex`] wrote; `None` when it is something else.
    pub fn parse_hex(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().filter(|t| t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some(SessionId(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
    }

    /// Returns what the id tells of the event that opened the session.
    pub fn opening(self) -> Opening {
        let word = |at: usize| u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]]);
        Opening { campaign: word(8), mark: word(12) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(id: SessionId) -> String {
        let mut out = Vec::new();
        id.write_hex(&mut out);
        String::from_utf8(out).expect("hexadecimal digits")
    }

    #[test]
    fn an_id_is_32_digits_that_read_back() {
        let opening = Opening::new(Some(Campaign::from_hash(0xdead_beef_0000_00ab)), 7, 1_000);
        let id = SessionId::new(42, 1_700_000_000_000_000, opening);
        assert_eq!(hex(id).len(), 32);
        assert_eq!(&hex(id)[16..24], "000000ab");
        assert_eq!(SessionId::parse_hex(hex(id).as_bytes()), Some(id));
        assert_eq!(id.opening(), opening);
    }

    #[test]
    fn an_id_never_changes_between_versions() {
        let id = SessionId::new(42, 1_700_000_000_000_000, Opening::new(None, 7, 1_000));
        assert_eq!(hex(id), "ad1ccd6f50e452860000000099403598");
    }

    #[test]
    fn ids_differ_by_device_start_campaign_message_and_stream_time() {
        let opening = |hash, message, time| Opening::new(Some(Campaign::from_hash(hash)), message, time);
        let ids = [
            SessionId::new(1, 1, opening(1, 1, 1)),
            SessionId::new(2, 1, opening(1, 1, 1)),
            SessionId::new(1, 2, opening(1, 1, 1)),
            SessionId::new(1, 1, opening(2, 1, 1)),
            SessionId::new(1, 1, opening(1, 2, 1)),
            SessionId::new(1, 1, opening(1, 1, 2)),
        ];
        assert!((0..ids.len()).all(|i| !ids[..i].contains(&ids[i])));
    }

    #[test]
    fn what_is_no_id_is_not_read() {
        for text in ["", "0", "+123456789012345678901234567890ab", "g0000000000000000000000000000000"] {
            assert_eq!(SessionId::parse_hex(text.as_bytes()), None, "{text}");
        }
        assert_eq!(SessionId::parse_hex("ä".repeat(16).as_bytes()), None);
    }
}
