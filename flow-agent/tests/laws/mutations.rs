//! Makes inputs that are nearly right, such as damage and carelessness produce.

/// Pseudo-random numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    /// A number from 0 to one less than `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        // Knuth's linear congruential generator, whose high bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Changes one to five places of `bytes`: removes, repeats or flips something, or inserts parts of `others` or words
/// that are difficult for parsers.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice, others: &[Vec<u8>]) {
    const WORDS: [&[u8]; 20] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"'",
        b":",
        b",",
        b"\n",
        b"0",
        b"65536",
        b"-1",
        b"1-65535",
        b"9999999999999999999999",
        b"null",
        b"\\",
        b"\xff",
        b"\xe2\x80\xae",
        b"&a [*a,*a]",
        b"port",
    ];
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let end = (at + dice.roll(40)).min(bytes.len());
        match dice.roll(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            4 => {
                let other = &others[dice.roll(others.len())];
                let from = dice.roll(other.len() + 1);
                let part = other[from..(from + dice.roll(80)).min(other.len())].to_vec();
                drop(bytes.splice(at..at, part));
            }
            _ => drop(bytes.splice(at..end.min(at + dice.roll(4)), WORDS[dice.roll(WORDS.len())].iter().copied())),
        }
    }
}
