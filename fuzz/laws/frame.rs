//! The laws that the frame parser obeys for every input. The fuzzer searches for an input that breaks one, and a test
//! checks all inputs in the corpus.

use flow_common::frame::slice::Slice;
use flow_common::frame::{Count, Direction, Entry, Link, Owner, parse, parse_plain};
use flow_common::wire::{FragmentKey, Reserved};

/// Checks the laws, and panics if one is broken. The first byte of an input contains flags, the next two are the size
/// of segments, two more say how many bytes of the frame cannot be read, and the rest is the frame. A shorter input is
/// ignored.
pub fn hold(input: &[u8]) {
    let Some((&[flags, size_high, size_low, beyond_high, beyond_low], bytes)) = input.split_first_chunk() else {
        return;
    };
    let link = if flags & 1 == 0 { Link::Ethernet } else { Link::Ip };
    let direction = if flags & 2 == 0 { Direction::Ingress } else { Direction::Egress };
    let count = if flags & 4 == 0 { Count::Ip } else { Count::Wire };
    let frame = Slice {
        length: bytes.len() as u32 + u32::from(u16::from_be_bytes([beyond_high, beyond_low])),
        protocol: if flags & 8 == 0 { 0x0800 } else { 0x86dd },
        gso_size: u16::from_be_bytes([size_high, size_low]).into(),
        for_other_host: flags & 16 != 0,
        ..Slice::new(bytes)
    };
    let look = |frame: &Slice| parse(frame, link, direction, count, &mut FragmentKey::default());
    let entry: Entry = look(&frame);

    // If the plain parser knows the answer, it is the same.
    assert!(parse_plain(&frame, link, direction, count).is_none_or(|plain| plain == entry));
    // A frame is one packet and counts no more than its length, unless it stands for the segments on the wire.
    assert!(entry.alone.bytes <= u64::from(frame.length) && entry.alone.packets == 1);
    assert!(count == Count::Wire || (entry.charge.bytes <= u64::from(frame.length) && entry.charge.packets <= 1));
    // A frame for another host belongs to no port.
    assert!(!frame.for_other_host || entry.owner == Owner::Nobody(Reserved::OtherHost));
    // If less of a frame can be read, the result is the same, or unparsed.
    let half = look(&Slice { bytes: &bytes[..bytes.len() / 2], ..frame });
    assert!(half == entry || matches!(half.owner, Owner::Nobody(Reserved::Unparsed | Reserved::OtherHost)));
}
