//! Additions that other CPUs, and other programs on this one, may interrupt.

use core::arch::asm;

/// `core::sync::atomic` offers no additions for this target, which has no compare-and-swap.
///
/// # Safety
/// `number` points to a live number in a map.
#[inline(always)]
pub unsafe fn atomic_add(number: *mut u64, value: u64) {
    // SAFETY: the caller's word.
    unsafe { asm!("lock *(u64 *)({number} + 0) += {value}", number = in(reg) number, value = in(reg) value) };
}
