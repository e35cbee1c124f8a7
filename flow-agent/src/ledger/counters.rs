//! The eight numbers of a port, and the four of traffic that is not divided by protocol.

use serde::{Deserialize, Serialize};

/// The eight numbers of a port: `{tcp, udp} × {in, out} × {bytes, packets}`, as IP bytes and kernel buffers.
///
/// Either a cumulative reading or the usage between two readings: the field that holds it says which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub tcp_in_bytes: u64,
    pub tcp_in_packets: u64,
    pub tcp_out_bytes: u64,
    pub tcp_out_packets: u64,
    pub udp_in_bytes: u64,
    pub udp_in_packets: u64,
    pub udp_out_bytes: u64,
    pub udp_out_packets: u64,
}

impl Counters {
    /// The numbers in the order of the files: TCP in, TCP out, UDP in, UDP out, each with bytes before packets.
    pub fn to_array(self) -> [u64; 8] {
        [
            self.tcp_in_bytes,
            self.tcp_in_packets,
            self.tcp_out_bytes,
            self.tcp_out_packets,
            self.udp_in_bytes,
            self.udp_in_packets,
            self.udp_out_bytes,
            self.udp_out_packets,
        ]
    }

    /// The inverse of [`Counters::to_array`].
    pub fn from_array(numbers: [u64; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = numbers;
        Self {
            tcp_in_bytes: a,
            tcp_in_packets: b,
            tcp_out_bytes: c,
            tcp_out_packets: d,
            udp_in_bytes: e,
            udp_in_packets: f,
            udp_out_bytes: g,
            udp_out_packets: h,
        }
    }

    /// Adds number by number; `None` if one of the sums does not fit into 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.zip(other, u64::checked_add)
    }

    /// Subtracts number by number; `None` if one of them is less than before, which means that the counters were reset.
    pub fn checked_sub(self, before: Self) -> Option<Self> {
        self.zip(before, u64::checked_sub)
    }

    /// Adds number by number, saturating at the largest value: an overflow is not worth a panic in the middle of
    /// counting.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.zip(other, |left, right| Some(left.saturating_add(right))).unwrap_or_default()
    }

    /// The increase since `before`, and whether a number is less than before, which means that somebody zeroed or
    /// restored the counters. How much of such a number is new is not known. Nothing of it is taken, because all of it
    /// may have been counted before. It never wraps.
    pub fn since(self, before: Self) -> (Self, bool) {
        match self.checked_sub(before) {
            Some(usage) => (usage, false),
            None => (self.zip(before, |now, then| Some(now.saturating_sub(then))).unwrap_or_default(), true),
        }
    }

    /// True when all eight are zero.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// Bytes in, both protocols; saturating, for display and comparison.
    pub fn in_bytes(self) -> u64 {
        self.tcp_in_bytes.saturating_add(self.udp_in_bytes)
    }

    /// Bytes out, both protocols; saturating, for display and comparison.
    pub fn out_bytes(self) -> u64 {
        self.tcp_out_bytes.saturating_add(self.udp_out_bytes)
    }

    /// Bytes both ways, both protocols; saturating, for display and comparison.
    pub fn bytes(self) -> u64 {
        self.in_bytes().saturating_add(self.out_bytes())
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        let (left, right) = (self.to_array(), other.to_array());
        let mut numbers = [0; 8];
        for ((n, l), r) in numbers.iter_mut().zip(left).zip(right) {
            *n = f(l, r)?;
        }
        Some(Self::from_array(numbers))
    }
}

/// Bytes and packets, in and out, without a division by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flow {
    pub in_bytes: u64,
    pub in_packets: u64,
    pub out_bytes: u64,
    pub out_packets: u64,
}

impl Flow {
    /// Adds number by number; `None` if one of the sums does not fit into 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            in_bytes: self.in_bytes.checked_add(other.in_bytes)?,
            in_packets: self.in_packets.checked_add(other.in_packets)?,
            out_bytes: self.out_bytes.checked_add(other.out_bytes)?,
            out_packets: self.out_packets.checked_add(other.out_packets)?,
        })
    }

    /// Subtracts number by number; `None` if one of them is less than before.
    pub fn checked_sub(self, before: Self) -> Option<Self> {
        Some(Self {
            in_bytes: self.in_bytes.checked_sub(before.in_bytes)?,
            in_packets: self.in_packets.checked_sub(before.in_packets)?,
            out_bytes: self.out_bytes.checked_sub(before.out_bytes)?,
            out_packets: self.out_packets.checked_sub(before.out_packets)?,
        })
    }

    fn saturating_sub(self, before: Self) -> Self {
        Self {
            in_bytes: self.in_bytes.saturating_sub(before.in_bytes),
            in_packets: self.in_packets.saturating_sub(before.in_packets),
            out_bytes: self.out_bytes.saturating_sub(before.out_bytes),
            out_packets: self.out_packets.saturating_sub(before.out_packets),
        }
    }

    /// Adds number by number, saturating at the largest value.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            in_bytes: self.in_bytes.saturating_add(other.in_bytes),
            in_packets: self.in_packets.saturating_add(other.in_packets),
            out_bytes: self.out_bytes.saturating_add(other.out_bytes),
            out_packets: self.out_packets.saturating_add(other.out_packets),
        }
    }
}

/// Everything that was seen and belongs to no watched port, so that nothing disappears unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Others {
    /// TCP and UDP on a port that nobody watches.
    pub other_ports: Flow,
    /// IP, but neither TCP nor UDP.
    pub other_ip: Flow,
    /// Not IP. Bytes are those of the frame after its link-layer header.
    pub non_ip: Flow,
    /// Frames for another host. Bytes are those of the frame after its link-layer header.
    pub other_host: Flow,
    /// Later fragments whose first fragment was not seen.
    pub fragment_unmatched: Flow,
    /// Cut short or malformed. Bytes are those of the frame after its link-layer header.
    pub unparsed: Flow,
}

impl Others {
    /// Adds flow by flow; `None` if one of the sums does not fit into 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.zip(other, Flow::checked_add)
    }

    /// Subtracts flow by flow; `None` if a number is less than before.
    pub fn checked_sub(self, before: Self) -> Option<Self> {
        self.zip(before, Flow::checked_sub)
    }

    /// Adds flow by flow, saturating at the largest value.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.zip(other, |left, right| Some(left.saturating_add(right))).unwrap_or_default()
    }

    /// The increase since `before`, and whether a number is less than before: nothing of such a number is taken, as in
    /// [`Counters::since`].
    pub fn since(self, before: Self) -> (Self, bool) {
        match self.checked_sub(before) {
            Some(usage) => (usage, false),
            None => (self.zip(before, |now, then| Some(now.saturating_sub(then))).unwrap_or_default(), true),
        }
    }

    fn zip(self, other: Self, f: impl Fn(Flow, Flow) -> Option<Flow>) -> Option<Self> {
        Some(Self {
            other_ports: f(self.other_ports, other.other_ports)?,
            other_ip: f(self.other_ip, other.other_ip)?,
            non_ip: f(self.non_ip, other.non_ip)?,
            other_host: f(self.other_host, other.other_host)?,
            fragment_unmatched: f(self.fragment_unmatched, other.fragment_unmatched)?,
            unparsed: f(self.unparsed, other.unparsed)?,
        })
    }
}

/// A network device's own counters (`/sys/class/net/NAME/statistics`), with which ours are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    #[serde(default)]
    pub rx_bytes: u64,
    #[serde(default)]
    pub rx_packets: u64,
    #[serde(default)]
    pub tx_bytes: u64,
    #[serde(default)]
    pub tx_packets: u64,
    /// Bytes of link-layer header that the device counts in every packet; an absent value means Ethernet's 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_header_bytes: Option<u8>,
}
