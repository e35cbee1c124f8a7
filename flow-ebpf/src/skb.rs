//! The kernel's packet as a [`Frame`].

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use flow_common::frame::Frame;

/// `PACKET_OTHERHOST` of linux/if_packet.h.
const PACKET_OTHERHOST: u32 = 3;

/// Reads what lies in the linear part of the packet, without a call.
pub struct Linear(pub *mut __sk_buff);

/// Reads whatever the packet holds, through a helper.
pub struct Whole(pub *mut __sk_buff);

/// Headers begin at even addresses; told so, the compiler reads a port with one instruction and not with four.
#[repr(C, align(2))]
struct Even<T>(T);

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
    const WALKS_EXTENSIONS: bool = false;

    metadata!();

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        // `at + 1 > end` becomes `at >= end`, from which the verifier learns nothing.
        const { assert!(N > 1, "read two bytes or more") };
        // SAFETY: as above.
        let (data, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let at = data + offset as usize;
        if at + N > end {
            return None;
        }
        // SAFETY: `at..at + N` lies within the packet, and the verifier proves it again.
        Some(unsafe { (*(at as *const Even<[u8; N]>)).0 })
    }
}

impl Frame for Whole {
    metadata!();

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper writes all `N` bytes, or fails.
        unsafe {
            match bpf_skb_load_bytes(self.0.cast(), offset, bytes.as_mut_ptr().cast(), N as u32) {
                0 => Some(bytes.assume_init()),
                _ => None,
            }
        }
    }
}
