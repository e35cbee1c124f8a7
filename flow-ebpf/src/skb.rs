//! The kernel's packet as a [`Frame`].

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use flow_common::frame::Frame;

/// The value of `PACKET_OTHERHOST` in linux/if_packet.h.
const PACKET_OTHERHOST: u32 = 3;

/// Reads the linear part of the packet directly, without a call.
pub struct Linear(pub *mut __sk_buff);

/// Reads any part of the packet through a helper.
pub struct Whole(pub *mut __sk_buff);

macro_rules! metadata {
    () => {
        #[inline(always)]
        fn length(&self) -> u32 {
            // SAFETY: the kernel hands every classifier a valid context.
            unsafe { (*self.0).len }
        }

        #[inline(always)]
        fn protocol(&self) -> u16 {
            // SAFETY: as above.
            u16::from_be(unsafe { (*self.0).protocol } as u16)
        }

        #[inline(always)]
        fn gso_size(&self) -> u32 {
            // SAFETY: as above.
            unsafe { (*self.0).gso_size }
        }

        #[inline(always)]
        fn interface(&self) -> u32 {
            // SAFETY: as above.
            unsafe { (*self.0).ifindex }
        }

        #[inline(always)]
        fn is_for_other_host(&self) -> bool {
            // SAFETY: as above.
            unsafe { (*self.0).pkt_type == PACKET_OTHERHOST }
        }
    };
}

impl Frame for Linear {
    metadata!();

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u16; N]> {
        // SAFETY: as above.
        let (data, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let at = data + offset as usize;
        if at + N * 2 > end {
            return None;
        }
        // SAFETY: these words lie within the packet, which the verifier checks too. Headers start at even addresses.
        let words = unsafe { *(at as *const [u16; N]) };
        Some(words.map(u16::from_be))
    }
}

impl Frame for Whole {
    metadata!();

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u16; N]> {
        let mut words = MaybeUninit::<[u16; N]>::uninit();
        // SAFETY: the helper writes all the words, or fails.
        unsafe {
            match bpf_skb_load_bytes(self.0.cast(), offset, words.as_mut_ptr().cast(), N as u32 * 2) {
                0 => Some(words.assume_init().map(u16::from_be)),
                _ => None,
            }
        }
    }
}
